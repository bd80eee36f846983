"""The IC-GAN decoder on test pictures that no search has seen, beside the rows that keep its claims honest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lightning_modules.icgan.decoder.evaluation import PictureEvaluation, digest_of, nothing_sealed
from lightning_modules.icgan.decoder.icgan import LatentDecoder
from lightning_modules.icgan.decoder.network_scores import networks_of, score_in_networks
from lightning_modules.icgan.decoder.over_subjects import (
    FittedSubject,
    OpenedSubjects,
    fit_other_subjects,
    open_other_subjects,
)
from lightning_modules.icgan.decoder.painting import as_batch, paint
from lightning_modules.icgan.decoder.sealed_pictures import SealedPictures, SealedResponses
from lightning_modules.icgan.decoder.subject_report import report_areas, report_subjects
from lightning_modules.icgan.decoder.targets import (
    DENSE,
    INSTANCE,
    NOISE,
    PICTURE,
    TargetData,
    open_source,
    with_defaults,
)
from lightning_modules.icgan.generator.inversion import invert
from lightning_modules.icgan.generator.inversion_settings import InversionSettings
from lightning_modules.icgan.recordings.normalise import average_repeats
from lightning_modules.icgan.regression.standardise import OutputScale
from lightning_modules.icgan.scoring.baselines import Baseline, Decoded, baseline_images, baseline_latents
from lightning_modules.icgan.scoring.latents import Latents
from lightning_modules.icgan.scoring.protocols import Images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ORACLE = InversionSettings(dense_mode="from_z", restarts=1, z_steps=150)
"""How the test pictures are inverted for the row that bounds the generator."""
BASELINE_SEED = 0
N_DEALS = 10
"""Times that decoded pictures are dealt out at random."""
BESIDE_IN_NETWORKS: Mapping[str, Baseline] = MappingProxyType(
    {"nearest training picture": "nearest_training_image", "oracle": "oracle_inversion"}
)
"""What decoded pictures are measured against in the networks of publications, by the name in the table."""
AVERAGED = (2, 5, 10, 20)
"""Repeats that responses are averaged over, between `single_trials` and all of them."""


@dataclass(frozen=True)
class ReconstructionEvaluation(PictureEvaluation):
    """What `SealedReconstructions.score` found.

    Args:
        tables: Rows of tables, by title: every subject, identification among n, the brain.
        metrics: Of the data set, by name: `subjects/...` and `brain/...`.
        figures: By name.
        files: Content of maps of the brain, by the file's name.
        notes: What to know of them, in sentences.
    """

    tables: dict[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    figures: "dict[str, Figure]" = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class SealedReconstructions:
    """The test pictures of a data set, opened.

    Args:
        data: What the search saw, of one subject.
        settings: What `load_targets` was given for it.

    Raises:
        DataError: If fewer than two pictures are sealed.
    """

    def __init__(self, data: TargetData, settings: Mapping[str, Any]) -> None:
        self._given = with_defaults(settings)
        self._source = open_source(self._given)
        sealed = self._source.pictures.open(self._source.pictures.searched)
        if len(sealed.stimuli) < 2:
            raise nothing_sealed(len(sealed.stimuli))
        self._data, self._sealed = data, sealed.stimuli
        self._responses = SealedResponses.of(sealed)
        self._pictures = SealedPictures.of(self._source.pictures, sealed.stimuli, data)
        self._paint = partial(paint, data.generator.build())
        self._training = Latents(*(data.tables[kind] for kind in (INSTANCE, NOISE, DENSE)))

    @property
    def sealed(self) -> dict[str, str]:
        """See `digest_of`: of the searched subject's responses, which the scores are of."""
        return digest_of(self._data.sealed_stimuli, self._responses.trials)

    @property
    def also_opened(self) -> dict[str, str]:
        """The same of every other subject, whom the searched settings are transferred to."""
        return {
            f"{name} of {subject}": digest
            for subject, opened in self.others.sessions.items()
            for name, digest in digest_of(
                self._data.sealed_stimuli, SealedResponses.of(opened).trials
            ).items()
        }

    @cached_property
    def others(self) -> OpenedSubjects:
        """Subjects beside the searched one."""
        return open_other_subjects(self._source.pictures, self._sealed)

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know, in sentences."""
        source = "" if self._given["path"] is not None else "Synthetic data. "
        return (
            f"{source}{len(self._pictures)} test pictures of classes that were not trained on, each decoded from "
            f"the mean of {self._responses.n_repeats} responses. `semantic_identification` is measured in a network "
            "that no target comes from, `circular_distance` in the one that was decoded; pictures are compared at "
            "their own size (protocol native). `published_scale` standardises decoded features by the test "
            "predictions, as the authors do.",
        )

    def score(self, models: Sequence[LatentDecoder]) -> ReconstructionEvaluation:
        """Score models on the searched subject; of the first one also references, all subjects and the brain.

        References are the seven baselines, the authors' standardisation and fewer repeats.
        """
        decoded = [model.decode(self._responses.averaged) for model in models]
        made = [self._paint(one) for one in decoded]
        first = FittedSubject(self._source.pictures.searched, True, self._data, self._responses, models[0])
        others = fit_other_subjects(models[0], self.others, self._source, self._given)
        subjects = (first, *others.fitted)
        parts = (
            report_subjects(subjects, self._pictures, self._paint, self._paint(self._oracle)),
            report_areas(subjects, self._source.pictures, self._paint),
        )
        beside = self._beside(models[0], decoded[0])
        pictures = baseline_images(beside, self._seen, self._paint, BASELINE_SEED)
        in_networks = score_in_networks(
            networks_of(self._given),
            self._pictures.stimuli,
            made[0],
            {name: pictures[baseline] for name, baseline in BESIDE_IN_NETWORKS.items()},
        )
        own = {
            "identified among n pictures": self._pictures.n_way_rows(decoded[0], made[0]),
            "pictures by how like training ones they are": self._pictures.subset_rows(
                decoded[0], made[0], self._training.h
            ),
        }
        return ReconstructionEvaluation(
            scores=tuple(self._pictures.score(*both) for both in zip(decoded, made, strict=True)),
            references=self._references(models[0], beside, pictures),
            tables={**own, **in_networks.tables, **parts[0].tables, **parts[1].tables},
            metrics={**in_networks.metrics, **parts[0].metrics, **parts[1].metrics},
            figures={**parts[0].figures, **parts[1].figures},
            files=parts[1].files,
            notes=(*others.notes, *parts[0].notes, *parts[1].notes),
        )

    def _beside(self, model: LatentDecoder, decoded: Latents) -> Decoded:
        return Decoded(
            training=self._training,
            predicted=decoded,
            trials=model.decode(self._responses.trials),
            trial_stimulus=self._responses.trial_stimulus,
            truth=self._oracle,
        )

    @property
    def _seen(self) -> Images:
        """The training pictures."""
        shape = (len(self._data.stimulus_names), *self._data.picture_shape)
        return self._data.tables[PICTURE].reshape(shape)

    def _references(
        self, model: LatentDecoder, beside: Decoded, pictures: Mapping[Baseline, Images]
    ) -> dict[str, dict[str, float]]:
        decoded = beside.predicted
        latents = baseline_latents(beside, BASELINE_SEED)
        references: dict[str, dict[str, float]] = {
            name: self._pictures.score(latents[name], made) for name, made in pictures.items()
        }
        references["shuffled"] = self._shuffled(decoded)
        references["published_scale"] = self._score(
            decoded._replace(h=OutputScale.of(decoded.h, self._training.h)(decoded.h))
        )
        for n_repeats in (one for one in AVERAGED if one < self._responses.n_repeats):
            fewer = average_repeats(self._responses.session, n_repeats=n_repeats).voxels
            references[f"repeats_{n_repeats}"] = self._score(model.decode(fewer))
        references["chance"] = dict.fromkeys(
            (f"test/{one}_identification" for one in ("semantic", "judge", "instance")), 0.5
        )
        return references

    def _shuffled(self, decoded: Latents) -> dict[str, float]:
        """Mean scores of decoded pictures that are dealt out at random, many times: one deal of 50 is far from .5."""
        made, rng = self._paint(decoded), np.random.default_rng(BASELINE_SEED)
        looks = self._pictures.look(made)  # once: the deals are of the same pictures
        deals = [rng.permutation(len(made)) for _ in range(N_DEALS)]
        scores = [self._pictures.score(decoded.rows(one), made[one], looks.rows(one)) for one in deals]
        # A p of one deal is uniform, and its mean says nothing.
        names = [name for name in scores[0] if not name.endswith("_p")]
        return {name: float(np.mean([one[name] for one in scores])) for name in names}

    def _score(self, latents: Latents) -> dict[str, float]:
        return self._pictures.score(latents, self._paint(latents))

    @cached_property
    def _oracle(self) -> Latents:
        """What the test pictures are made of at best: true features, and noise found by inversion."""
        pictures = self._pictures
        features = torch.from_numpy(pictures.features)
        generator = self._data.generator.build()
        found = invert(generator, as_batch(pictures.stimuli), features, pictures.extractor, ORACLE)
        return Latents(pictures.features, found.z.numpy(), found.d.numpy())


class SealedOfOneSubject(SealedReconstructions):
    """The same for a decoder that takes training: only the searched subject is opened.

    Args:
        data: What the search saw, of one subject.
        settings: What `load_targets` was given for it.

    Raises:
        DataError: If fewer than two pictures are sealed.
    """

    @cached_property
    def others(self) -> OpenedSubjects:
        """None of the subjects beside the searched one."""
        alone = len(self._source.pictures.subjects()) < 2
        note = "Other subjects are left out: a network would have to be trained for each."
        return OpenedSubjects({}, () if alone else (note,))
