"""Reading or generating a subject for a search, normalised, with some stimuli sealed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.decoder.pictures import PictureData, pixel_table, training_pictures
from lightning_modules.icgan.decoder.pixels import PIXELS
from lightning_modules.icgan.recordings.normalise import (
    ENOUGH_IN_A_RUN,
    RunKey,
    normalise,
    stimuli_in_a_run,
)
from lightning_modules.icgan.recordings.reader import read_image_sessions
from lightning_modules.icgan.recordings.session import ImageSession, Shown
from lightning_modules.icgan.synthetic.presets import PRESETS, SynthPreset
from lightning_modules.icgan.synthetic.subject import generate_subject
from lightning_modules.icgan.synthetic.world import build_world
from lightning_modules.parts.errors import DataError

Normalisation = Literal["auto", "per_run", "training_stats", "none"]


@dataclass(frozen=True, eq=False)
class SealedSession:
    """A normalised subject, and which of its stimuli no search may see.

    Args:
        session: All of it; responses to sealed pictures are test rows.
        stimuli: Sealed stimuli, int64.
    """

    session: ImageSession
    stimuli: NDArray[np.int64]

    @property
    def training(self) -> NDArray[np.int64]:
        """Stimuli that are not sealed, ascending."""
        return np.setdiff1d(np.arange(self.session.n_stimuli), self.stimuli)

    @property
    def images(self) -> NDArray[np.float32]:
        """All pictures, (S, H, W, 3).

        Raises:
            DataError: If there are none.
        """
        if self.session.images is None:
            raise DataError(
                f"{self.session.source} has no pictures to decode.",
                "Put images_256.npz, or the folder images, beside the subject's file.",
            )
        return self.session.images


def load_pixels(
    *,
    path: str | None = None,
    subject: int | str | None = None,
    normalisation: Normalisation = "auto",
    run_key: RunKey = "kind_and_run",
    test_categories: int = 0,
    n_folds: int | None = None,
    split_seed: int = 0,
    preset: Literal["tiny", "full"] = "tiny",
    generator_seed: int = 0,
    cache: str = "~/.cache/neurosweep",
) -> PictureData:
    """Read or generate a subject for a decoder of pixels.

    Args:
        path: Image session (`.npz`), Generic Object Decoding file, or folder of either. Default: a generated subject.
        subject: Which one, by number or name, where there are several; of generated ones 1 to 5, by default the first.
        normalisation: `per_run` z-scores each voxel over each run, `training_stats` over all training rows, `none`
            leaves voxels as recorded. `auto` is `per_run` where the runs show at least 20 stimuli each, else `none`.
        run_key: What makes two rows of one run; see `normalise`.
        test_categories: Whole categories to seal where the recording has no test pictures of its own.
        n_folds: Folds of whole categories. Default: 6, or each category by itself where there are at most 24.
        split_seed: Of sealed categories and folds.
        preset: Of the generated subject.
        generator_seed: Of the generated subject.
        cache: Folder for the small network that generated pictures need, which is trained once.

    Raises:
        DataError: If the recording cannot be read or used as asked.
    """
    sealed = read_sealed(locals())
    data = training_pictures(sealed.session, sealed=sealed.stimuli, n_folds=n_folds, fold_seed=split_seed)
    pixels, shape = pixel_table(sealed.images)
    return replace(data, tables={PIXELS: pixels[data.shown_stimuli]}, picture_shape=shape)


def read_sealed(settings: Mapping[str, Any]) -> SealedSession:
    """Read and normalise a session, and say which stimuli are sealed.

    Args:
        settings: Arguments of `load_pixels`.

    Raises:
        DataError: If there are several subjects and none is named, or too many categories are to be sealed.
    """
    path = settings["path"]
    return seal(_generate(settings) if path is None else read_recorded(path, settings["subject"]), settings)


def seal(recorded: ImageSession, settings: Mapping[str, Any]) -> SealedSession:
    """Normalise a session, and say which stimuli are sealed.

    Args:
        recorded: As recorded.
        settings: `normalisation`, `run_key`, `test_categories` and `split_seed`; see `load_pixels`.

    Raises:
        DataError: If it has test pictures and more are to be sealed, or too many categories are.
    """
    session = _normalised(recorded, settings["normalisation"], settings["run_key"])
    stimuli = np.unique(session.stimulus[session.rows(Shown.TEST)])
    wanted = settings["test_categories"]
    if wanted and len(stimuli):
        raise DataError(
            f"{session.source} has {len(stimuli)} test pictures of its own, which are sealed.",
            "Leave out `--data.test_categories`.",
        )
    return SealedSession(session, stimuli) if not wanted else _seal(session, wanted, settings["split_seed"])


def read_recorded(path: str, subject: int | str | None) -> ImageSession:
    """Read one subject.

    Raises:
        DataError: If it cannot be read, or there are several and none is named.
    """
    sessions = read_image_sessions(path, None if subject is None else str(subject))
    if len(sessions) != 1:
        raise DataError(
            f"{path} holds {len(sessions)} subjects: {', '.join(one.subject for one in sessions)}.",
            "Name one with `--data.subject`; a decoder is of one brain.",
        )
    return sessions[0]


def _generate(settings: Mapping[str, Any]) -> ImageSession:
    preset = PRESETS[settings["preset"]]
    number = subject_number(preset, settings["subject"] or 1)
    world = build_world(preset, seed=settings["generator_seed"], cache=Path(settings["cache"]).expanduser())
    return generate_subject(world, number).session


def subject_number(preset: SynthPreset, subject: int | str) -> int:
    """Return the number of a generated subject.

    Raises:
        DataError: If there is no such subject.
    """
    if not (str(subject).isdigit() and 1 <= int(subject) <= len(preset.subject_gains)):
        raise DataError(
            f"There is no generated subject `{subject}`.",
            f"Give `--data.subject` a number from 1 to {len(preset.subject_gains)}, or a recording with `--data.path`.",
        )
    return int(subject)


def _seal(session: ImageSession, n_categories: int, seed: int) -> SealedSession:
    """Seal whole categories of a recording without test pictures of its own: their rows become test rows."""
    names = np.unique(session.category)
    if n_categories > len(names) - 2:
        raise DataError(
            f"{n_categories} of {len(names)} categories should be sealed, but at least 2 must be left to train on.",
            f"Give `--data.test_categories` {max(len(names) - 2, 0)} or less.",
        )
    chosen = np.random.default_rng(seed).choice(names, n_categories, replace=False)
    sealed = np.flatnonzero(np.isin(session.category, chosen))
    is_test = (session.shown == Shown.TRAINING) & np.isin(session.stimulus, sealed)
    shown = np.where(is_test, np.int64(Shown.TEST), session.shown)
    return SealedSession(replace(session, shown=shown), sealed)


def _normalised(session: ImageSession, normalisation: Normalisation, run_key: RunKey) -> ImageSession:
    if normalisation == "none":
        return session
    if normalisation == "training_stats":
        return normalise(session, test_normalisation="training_stats")
    if normalisation == "auto" and (shown := stimuli_in_a_run(session)) < ENOUGH_IN_A_RUN:
        note = (
            f"voxels taken as recorded: a run shows {shown:.0f} pictures in the median, so that its mean is a part of "
            "what is decoded (`--data.normalisation per_run` z-scores all the same)."
        )
        return replace(session, notes=(*session.notes, note))
    return normalise(session, run_key=run_key)
