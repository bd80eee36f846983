"""Sealed pictures, what decoded ones are compared with, and one subject's responses to them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.decoder.painting import Judge, features_of
from lightning_modules.icgan.decoder.picture_sets import PictureSet
from lightning_modules.icgan.decoder.sessions import SealedSession
from lightning_modules.icgan.decoder.targets import INSTANCE, JUDGE, TargetData
from lightning_modules.icgan.generator.image_loss import Extractor
from lightning_modules.icgan.recordings.normalise import average_repeats
from lightning_modules.icgan.recordings.session import ImageSession, Shown
from lightning_modules.icgan.scoring.identification import correlate, identify, n_way
from lightning_modules.icgan.scoring.images import score_images
from lightning_modules.icgan.scoring.latents import Latents
from lightning_modules.icgan.scoring.leakage import output_dimensions, score_subsets, split_test_set
from lightning_modules.icgan.scoring.networks import compare_features
from lightning_modules.icgan.scoring.protocols import Images, Protocol

PROTOCOL: Protocol = "native"
"""At which size pictures are compared and enter networks: their own."""
CANDIDATES = (2, 5, 10, 50)
"""Of n-way identification, as many as there are pictures for."""


@dataclass(frozen=True, eq=False)
class SealedResponses:
    """One subject's responses to m sealed pictures.

    Args:
        session: All of the subject's rows, normalised.
        averaged: Mean response to each sealed picture, (m, V).
        trials: Every response by itself, (K, V).
        trial_stimulus: Which sealed picture each of them is to, counted from 0, (K,).
    """

    session: ImageSession
    averaged: NDArray[np.float32]
    trials: NDArray[np.float32]
    trial_stimulus: NDArray[np.int64]

    @classmethod
    def of(cls, sealed: SealedSession) -> "SealedResponses":
        """Take them out of a session."""
        session, rows = sealed.session, sealed.session.rows(Shown.TEST)
        return cls(
            session=session,
            averaged=average_repeats(session).voxels,
            trials=session.voxels[rows],
            trial_stimulus=np.searchsorted(sealed.stimuli, session.stimulus[rows]),
        )

    @property
    def n_repeats(self) -> int:
        """Responses to each picture, at least."""
        return int(np.bincount(self.trial_stimulus).min())


class Looks(NamedTuple):
    """What networks see in m decoded pictures.

    Args:
        judged: The judge's features, (m, J).
        decoded: Features in the network whose features were decoded, (m, H); None where it is not at hand.
    """

    judged: NDArray[np.float32]
    decoded: NDArray[np.float32] | None

    def rows(self, rows: NDArray[np.int64]) -> "Looks":
        """Return the same of some pictures."""
        return Looks(self.judged[rows], None if self.decoded is None else self.decoded[rows])


@dataclass(frozen=True, eq=False)
class SealedPictures:
    """m sealed pictures and the networks that compare decoded pictures with them.

    Args:
        stimuli: RGB in [0, 1], (m, side, side, 3).
        features: Instance features h, (m, H).
        centre: Mean of h over the training pictures, (H,).
        judge: Network that no target comes from.
        judged: The judge's features of the pictures, (m, J).
        judge_centre: Their mean over the training pictures, (J,).
        extractor: Network whose features h are; one that gives none where h came as arrays.
    """

    stimuli: Images
    features: NDArray[np.float32]
    centre: NDArray[np.float64]
    judge: Judge
    judged: NDArray[np.float32]
    judge_centre: NDArray[np.float64]
    extractor: Extractor

    @classmethod
    def of(cls, pictures: PictureSet, sealed: NDArray[np.int64], data: TargetData) -> "SealedPictures":
        """Take the sealed ones out of a set.

        Args:
            pictures: All pictures.
            sealed: Which of them are sealed, (m,).
            data: Training data with the judge and its features of the training pictures.
        """
        stimuli = pictures.images[sealed]
        return cls(
            stimuli=stimuli,
            features=pictures.features[sealed],
            centre=data.tables[INSTANCE].mean(axis=0, dtype=np.float64),
            judge=data.judge,
            judged=data.judge.embed(stimuli),
            judge_centre=data.tables[JUDGE].mean(axis=0, dtype=np.float64),
            extractor=pictures.extractor,
        )

    def __len__(self) -> int:
        return len(self.stimuli)

    def look(self, made: Images) -> Looks:
        """Let the networks look at decoded pictures."""
        return Looks(self.judge.embed(made), features_of(self.extractor, made) if self.has_network else None)

    def score(self, latents: Latents, made: Images, looks: Looks | None = None) -> dict[str, float]:
        """Score what was decoded of each picture, and the picture that was made of it.

        Args:
            latents: What was decoded.
            made: The pictures.
            looks: What `look` gives of them, where that is known.

        Returns:
            Metrics `test/...`. `semantic_identification` is centred on the training mean in the judge's space;
            `judge_identification` and `judge_distance` are not, as in publications. `circular_distance` is of the
            network whose features were decoded, where there is one, and rewards what was optimised.
        """
        own = np.arange(len(self))
        looks = self.look(made) if looks is None else looks
        pictures = score_images(made, self.stimuli, PROTOCOL)
        semantic = identify(correlate(looks.judged, self.judged, self.judge_centre), own)
        judged, distance = compare_features(looks.judged, self.judged)
        scores = {
            "test/semantic_identification": semantic.accuracy,
            "test/semantic_p": semantic.p_value(),
            "test/pixcorr": float(pictures.pixcorr.mean()),
            "test/ssim": float(pictures.ssim.mean()),
            "test/instance_identification": identify(self.alike(latents), own).accuracy,
            "test/judge_identification": judged.accuracy,
            "test/judge_distance": float(distance.mean()),
        }
        if looks.decoded is not None:
            _, circular = compare_features(looks.decoded, self._decoded)
            scores["test/circular_distance"] = float(circular.mean())
        return scores

    def n_way_rows(self, latents: Latents, made: Images) -> tuple[dict[str, Any], ...]:
        """Return rows of a table: identification among n pictures, in closed form, in both spaces; and chance."""
        own = np.arange(len(self))
        spaces = {"picture, by the judge": self.alike_to_judge(made), "decoded features": self.alike(latents)}
        candidates = [n for n in CANDIDATES if n <= len(self)]
        rows = [
            {"identified": name} | {f"{n}-way": float(n_way(alike, own, n).mean()) for n in candidates}
            for name, alike in spaces.items()
        ]
        return (*rows, {"identified": "chance"} | {f"{n}-way": 1 / n for n in candidates})

    def subset_rows(
        self, latents: Latents, made: Images, training_h: NDArray[np.float32]
    ) -> tuple[dict[str, Any], ...]:
        """Return rows of a table: scores of all pictures, and of the third that is least like any training picture.

        Identification keeps all pictures to be told from. `dimensions` is the effective rank of decoded features over
        that of true ones: far below 1, few distinct things are decoded.

        Args:
            latents: Decoded.
            made: Pictures of them.
            training_h: True features of the training pictures, (S, H).

        Source:
            icgan.md sections 10.12 and 10.13.
        """
        own = np.arange(len(self))
        scores = {
            "pixcorr": score_images(made, self.stimuli, PROTOCOL).pixcorr,
            "picture, by the judge": identify(self.alike_to_judge(made), own).correct,
            "decoded features": identify(self.alike(latents), own).correct,
        }
        rows = []
        for name, member in split_test_set(self.features, training_h, None).members.items():
            row: dict[str, Any] = {"pictures": name.replace("_", " "), "n": int(member.sum())}
            for score, values in scores.items():
                found = score_subsets(values, {name: member})[name]
                row |= {score: found.mean, f"{score}, SEM": found.sem}
            rows.append(row)
        rows[0]["dimensions"] = output_dimensions(latents.h, self.features).ratio
        return tuple(rows)

    def alike(self, latents: Latents) -> NDArray[np.float64]:
        """Correlation of each decoded h with each true one, both less the training mean, (m', m)."""
        return correlate(latents.h, self.features, self.centre)

    def alike_to_judge(self, made: Images) -> NDArray[np.float64]:
        """The same of pictures in the judge's space."""
        return correlate(self.judge.embed(made), self.judged, self.judge_centre)

    @property
    def has_network(self) -> bool:
        """Whether the network whose features were decoded is at hand."""
        return bool(self._decoded.any())

    @cached_property
    def _decoded(self) -> NDArray[np.float32]:
        """Features of the pictures in the network whose features were decoded; zeros where it is not at hand."""
        return features_of(self.extractor, self.stimuli)
