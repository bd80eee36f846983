"""Pixel decoders on pictures that no search has seen, beside what they must beat."""

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_modules.icgan.decoder.pictures import PictureData, pixel_table
from lightning_modules.icgan.decoder.pixels import PIXELS, PixelDecoder
from lightning_modules.icgan.decoder.sessions import load_pixels, read_sealed
from lightning_modules.icgan.recordings.session import Shown
from lightning_modules.icgan.scoring.identification import correlate, identify, n_way
from lightning_modules.icgan.scoring.nearest import nearest
from lightning_modules.parts.errors import DataError

CANDIDATES = (2, 5, 10, 50)
"""Of n-way identification, as many as there are pictures for."""


@dataclass(frozen=True)
class PictureEvaluation:
    """What `SealedPixels.score` found.

    Args:
        scores: Of each model, by metric name.
        references: The same of what models are measured against, by name; `chance` is exact.
        days: Empty: pictures have no days.
    """

    scores: tuple[dict[str, float], ...]
    references: dict[str, dict[str, float]]
    days: tuple[dict[str, Any], ...] = ()


class SealedPixels:
    """The sealed pictures of a search, opened.

    Args:
        data: What the search saw.
        settings: What `load_pixels` was given for it.

    Raises:
        DataError: If no picture is sealed.
    """

    def __init__(self, data: PictureData, settings: Mapping[str, Any]) -> None:
        defaults = {name: one.default for name, one in inspect.signature(load_pixels).parameters.items()}
        sealed = read_sealed({**defaults, **settings})
        if len(sealed.stimuli) < 2:
            raise nothing_sealed(len(sealed.stimuli))
        table, _ = pixel_table(sealed.images)
        rows = sealed.session.rows(Shown.TEST)
        self._voxels = sealed.session.voxels[rows]
        self._stimulus = np.searchsorted(sealed.stimuli, sealed.session.stimulus[rows])
        self._truth = table[sealed.stimuli]
        self._training = table[data.shown_stimuli]
        self._centre = self._training[data.stimulus].mean(axis=0, dtype=np.float64)
        self._names = data.sealed_stimuli
        n_repeats = np.bincount(self._stimulus)
        self._notes = (
            f"{len(self._truth)} sealed pictures, each decoded from the mean of {n_repeats.min()} to {n_repeats.max()} "
            "responses; each is told from the other sealed ones.",
        )

    @property
    def sealed(self) -> dict[str, str]:
        """See `digest_of`."""
        return digest_of(self._names, self._voxels)

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know, in sentences."""
        return self._notes

    def score(self, models: Sequence[PixelDecoder]) -> PictureEvaluation:
        """Score models on averaged responses, and beside them single responses and what knows no voxels.

        `shuffled` deals the decoded pictures out at random, `nearest_training_image` the training
        picture that is most like what the first model decoded, `single_trials` decodes every response by itself.
        """
        decoded = [_decode(model, _averages(self._voxels, self._stimulus)) for model in models]
        own = np.arange(len(self._truth))
        trials = _decode(models[0], self._voxels)
        retrieved = nearest(decoded[0] - self._centre, self._training - self._centre).row[:, 0]
        references = {
            "shuffled": self._scores(decoded[0], np.random.default_rng(0).permutation(own)),
            "nearest_training_image": self._scores(self._training[retrieved], own),
            "single_trials": self._scores(trials, self._stimulus),
            "chance": {f"test/identification_{n}_way": 1 / n for n in self._candidates()}
            | {f"test/{PIXELS}_identification": 0.5},
        }
        return PictureEvaluation(tuple(self._scores(one, own) for one in decoded), references)

    def _candidates(self) -> tuple[int, ...]:
        return tuple(n for n in CANDIDATES if n <= len(self._truth))

    def _scores(self, predicted: NDArray[Any], stimulus: NDArray[np.int64]) -> dict[str, float]:
        similarity = correlate(predicted, self._truth, self._centre)
        found = identify(similarity, stimulus)
        scores = {
            f"test/{PIXELS}_identification": found.accuracy,
            "test/identification_p": found.p_value(),
            "test/pixcorr": float(
                correlate(predicted, self._truth)[np.arange(len(predicted)), stimulus].mean()
            ),
            "test/pixcorr_centred": float(similarity[np.arange(len(predicted)), stimulus].mean()),
        }
        return scores | {
            f"test/identification_{n}_way": float(n_way(similarity, stimulus, n).mean())
            for n in self._candidates()
        }


def nothing_sealed(n_pictures: int) -> DataError:
    """Return what to say where too few pictures are sealed."""
    return DataError(
        f"{n_pictures} pictures are sealed, but two are needed to tell one from another.",
        "Launch the search with `--data.test_categories 4`, or a recording with test pictures of its own.",
    )


def digest_of(names: Sequence[str], voxels: NDArray[np.float32]) -> dict[str, str]:
    """Return a digest of the responses to sealed pictures, by how many there are: what an opening is counted by.

    Args:
        names: Of the pictures.
        voxels: Every response to any of them, (K, V).
    """
    content = hashlib.sha256(" ".join(names).encode() + voxels.tobytes())
    return {f"{len(names)} pictures": content.hexdigest()[:16]}


def _decode(model: PixelDecoder, voxels: NDArray[np.float32]) -> NDArray[Any]:
    return model(torch.from_numpy(voxels))[PIXELS].numpy()


def _averages(voxels: NDArray[np.float32], stimulus: NDArray[np.int64]) -> NDArray[np.float32]:
    """Mean response to each picture, (m, V); not scaled again, as published."""
    means = [voxels[stimulus == one].mean(axis=0, dtype=np.float64) for one in np.unique(stimulus)]
    return np.stack(means).astype(np.float32)
