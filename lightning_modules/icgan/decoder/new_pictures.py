"""Decoding an image session that a trained decoder has never seen: scaled as in training, decoded, judged."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray

from lightning_modules.icgan.decoder.new_session import read_new_session, responses_unlike_training
from lightning_modules.icgan.decoder.painting import BATCH, paint
from lightning_modules.icgan.decoder.picture_input import PictureInput
from lightning_modules.icgan.decoder.pixels import PIXELS
from lightning_modules.icgan.decoder.seen_pictures import SeenPictures, find_seen_pictures
from lightning_modules.icgan.decoder.targets import DENSE, INSTANCE, NOISE
from lightning_modules.icgan.generator.checkpoint import load_generator
from lightning_modules.icgan.recordings.normalise import scale_alike
from lightning_modules.icgan.recordings.session import ImageSession, Shown
from lightning_modules.icgan.scoring.latents import Latents
from lightning_modules.icgan.scoring.protocols import Images
from lightning_modules.parts.errors import DataError

Decoded = Mapping[str, NDArray[np.float32]]
"""Rows of each kind of target, (m, D) by its name."""


@dataclass(frozen=True, eq=False)
class Repeats:
    """Rows that are averaged: all in which one picture was seen, or all in which it was imagined.

    Args:
        stimulus: Of each of the M averages, int64 (M,).
        imagined: Whether it was imagined, bool (M,).
        average: Which average each of the K rows belongs to, int64 (K,).
    """

    stimulus: NDArray[np.int64]
    imagined: NDArray[np.bool_]
    average: NDArray[np.int64]

    @classmethod
    def of(cls, session: ImageSession) -> "Repeats":
        """Group the rows of a session."""
        labels = np.column_stack([session.shown == Shown.IMAGERY, session.stimulus])
        groups, average = np.unique(labels, axis=0, return_inverse=True)
        return cls(groups[:, 1], groups[:, 0].astype(np.bool_), average.reshape(-1))

    def means(self, voxels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Average rows (K, V) to (M, V); not scaled again, as published."""
        rows = (voxels[self.average == one] for one in range(len(self.stimulus)))
        return np.stack([own.mean(axis=0, dtype=np.float64) for own in rows]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class DecodedPictures:
    """What a decoder makes of an image session.

    Shapes:
        K rows, M averages over the repeats of a picture.

    Args:
        session: That was decoded.
        repeats: Which rows were averaged.
        decoded: Targets of each row, (K, D) by kind: `pixels`, or `instance`, `noise` and `dense`.
        decoded_means: Of the average responses, (M, D) by kind.
        pictures: Made of those, in [0, 1], (M, H, W, C); None without a generator.
        scores: On pictures that were not trained on, by name; empty where there are not two.
        warnings: What to know before trusting it, in sentences.
    """

    session: ImageSession
    repeats: Repeats
    decoded: Decoded
    decoded_means: Decoded
    pictures: Images | None
    scores: Mapping[str, float]
    warnings: tuple[str, ...]

    @property
    def n_trials(self) -> int:
        """K."""
        return len(self.session.run)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What belongs into a file, by name; what starts with `mean_` is of the averages."""
        names, repeats = np.array(self.session.stimulus_names), self.repeats
        entries: dict[str, NDArray[Any]] = {
            **self.decoded,
            "stimulus": names[self.session.stimulus],
            "kind": np.array([Shown(one).name.lower() for one in self.session.shown]),
            "run": self.session.run,
            **{f"mean_{kind}": rows for kind, rows in self.decoded_means.items()},
            "mean_stimulus": names[repeats.stimulus],
            "mean_imagined": repeats.imagined,
            "mean_rows": np.bincount(repeats.average),
        }
        return entries if self.pictures is None else {**entries, "mean_pictures": self.pictures}


def decode_pictures(
    module: pl.LightningModule,
    description: Mapping[str, Any],
    path: str | Path,
    *,
    adapt_from: str | Path | None = None,
) -> DecodedPictures:
    """Read an image session, scale it as the training rows were, and decode each row and the mean of repeats.

    Args:
        module: A fitted decoder of pictures.
        description: What `PictureDataModule.description` gave where it was trained.
        path: Image session or Generic Object Decoding file of the same subject; a folder may hold others too.
        adapt_from: Not possible with pictures.

    Raises:
        DataError: If the session cannot be read or does not fit the decoder.
    """
    if adapt_from is not None:
        raise DataError("Decoders of pictures do not adapt to a session.", "Leave out `--adapt-from`.")
    known = PictureInput.from_dict(description)
    _check_belongs(module, known)
    recorded, found = read_new_session(Path(path).expanduser(), known)
    session, repeats = scale_alike(recorded, known.scaling), Repeats.of(recorded)
    decoded = _decode(module, session.voxels)
    means = _decode(module, repeats.means(session.voxels))
    pictures, missing = _make_pictures(means, known)
    seen, notes = find_seen_pictures(recorded, known)
    scores = {} if seen is None else _scores(seen, repeats, decoded, means, pictures)
    return DecodedPictures(
        session=recorded,
        repeats=repeats,
        decoded=decoded,
        decoded_means=means,
        pictures=pictures,
        scores=scores,
        warnings=(*found, *responses_unlike_training(recorded, known), *missing, *notes),
    )


def _check_belongs(module: pl.LightningModule, known: PictureInput) -> None:
    """Refuse the description of another model: it would silently scale responses in another way."""
    n_voxels = module.hparams.get("n_voxels", known.n_voxels)
    if n_voxels != known.n_voxels:
        raise DataError(
            f"The decoder takes {n_voxels} voxels, but the description of its input says {known.n_voxels}.",
            "Keep the description in the folder of its own model.",
        )


def _decode(module: pl.LightningModule, voxels: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    with torch.inference_mode():
        decoded = module(torch.from_numpy(voxels))
    return {kind: rows.numpy().astype(np.float32) for kind, rows in decoded.items()}


def _make_pictures(means: Decoded, known: PictureInput) -> tuple[Images | None, tuple[str, ...]]:
    """Make the pictures of decoded averages, or say why there are none."""
    if PIXELS in means:
        return means[PIXELS].reshape(-1, *known.picture_shape).clip(0, 1), ()
    try:
        generator = load_generator(Path(known.generator))
    except DataError as error:
        sentence = f"No pictures were made, only h, z and d: the generator cannot be loaded. {error.problem}"
        return None, (f"{sentence} Bring {known.generator} back.",)
    latents = Latents(means[INSTANCE], means[NOISE], means[DENSE])
    parts = np.array_split(np.arange(len(latents.h)), -(-len(latents.h) // BATCH))
    return np.concatenate([paint(generator, latents.rows(part)) for part in parts]), ()


def _scores(
    seen: SeenPictures, repeats: Repeats, decoded: Decoded, means: Decoded, pictures: Images | None
) -> dict[str, float]:
    """Score averages, and where pixels are decoded single rows too, on pictures that were not trained on."""
    scores: dict[str, float] = {}
    for word, imagined in (("", False), ("imagined: ", True)):
        chosen = np.flatnonzero((repeats.imagined == imagined) & np.isin(repeats.stimulus, seen.stimuli))
        if len(chosen) < 2:
            continue
        of_kind = replace(seen, stimuli=repeats.stimulus[chosen])
        if PIXELS in means:
            rows = np.flatnonzero(np.isin(repeats.average, chosen))
            own = repeats.stimulus[repeats.average[rows]]
            found = of_kind.score(means[PIXELS][chosen], of_kind.stimuli)
            single = of_kind.score(decoded[PIXELS][rows], own)
            found |= {f"{name}, single rows": value for name, value in single.items()}
        elif pictures is not None:
            found = of_kind.score_pictures(pictures[chosen])
        else:
            found = {}
        scores |= {f"{word}{name}": value for name, value in found.items()}
    return scores
