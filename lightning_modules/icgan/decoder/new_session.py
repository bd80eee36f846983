"""A later session of the subject that a decoder was fitted to: read, checked, compared with the training rows."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lightning_modules.icgan.decoder.picture_input import PictureInput, layout_of
from lightning_modules.icgan.recordings.normalise import (
    ENOUGH_IN_A_RUN,
    run_groups,
    stimuli_in_a_run,
)
from lightning_modules.icgan.recordings.reader import read_image_sessions
from lightning_modules.icgan.recordings.session import ImageSession
from lightning_modules.parts.errors import DataError

MOST_OUTSIDE = 0.1
"""Part of the voxels that may be unlike the training rows."""
FAR_MEAN = 1.0
"""Standard deviations of the training rows from which on a voxel's mean is another."""
FAR_SPREAD = 2.0
"""Factor from which on a voxel's standard deviation is another."""
MOST_MM = 0.5
"""That a voxel may lie from where it lay; voxels are some mm apart."""
FEW_ROWS = 10
"""Of fewer rows mean and spread say little."""


def read_new_session(path: Path, known: PictureInput) -> tuple[ImageSession, tuple[str, ...]]:
    """Read the session of the decoder's subject, as recorded, and say what is odd about it.

    A file need not hold all rows of an experiment. Voxels without values are set to 0, pictures may be missing.

    Raises:
        DataError: If it cannot be read, or its voxels are not those that the decoder was fitted to.
    """
    session = _choose(_read(path), path, known)
    _check_voxels(session, known)
    return session, (*session.notes, *_origin_warnings(session, known))


def responses_unlike_training(session: ImageSession, known: PictureInput) -> Iterator[str]:
    """Say what of the recorded responses is unlike the training rows."""
    voxels, scaling = session.voxels.astype(np.float64), known.scaling
    n_voxels = session.n_voxels
    varied = scaling.std > 0
    still = varied & (np.ptp(voxels, axis=0) == 0)
    if still.any() and len(voxels) > 1:
        yield f"{int(still.sum())} of {n_voxels} voxels never change in this session, but did in training."
    if len(voxels) >= FEW_ROWS and varied.any():
        compared = varied & ~still
        std = np.where(compared, scaling.std, 1)
        shift = np.abs(voxels.mean(axis=0) - scaling.mean) / std
        ratio = np.where(compared, voxels.std(axis=0, ddof=1), 1) / std
        moved = compared & (shift > FAR_MEAN)
        stretched = compared & (np.abs(np.log(ratio)) > np.log(FAR_SPREAD))
        if moved.sum() > MOST_OUTSIDE * n_voxels:
            yield (
                f"The mean of {int(moved.sum())} of {n_voxels} voxels lies more than {FAR_MEAN:g} standard deviation "
                f"of the training rows from theirs.{_cure(known)}"
            )
        if stretched.sum() > MOST_OUTSIDE * n_voxels:
            yield (
                f"{int(stretched.sum())} of {n_voxels} voxels vary more than {FAR_SPREAD:g} times as much as in "
                f"training, or less than half as much; the median is {np.median(ratio[compared]):.2g} times."
                f"{_cure(known)}"
            )
    if scaling.by == "per_run":
        yield from _short_runs(session, known)


def _read(path: Path) -> tuple[ImageSession, ...]:
    try:
        return read_image_sessions(path, strict=False, bad_voxels="zero")
    except DataError as error:
        try:
            return read_image_sessions(path, with_images=False, strict=False, bad_voxels="zero")
        except DataError:
            raise error from None


def _choose(sessions: Sequence[ImageSession], path: Path, known: PictureInput) -> ImageSession:
    own = [one for one in sessions if one.subject == known.subject]
    if len(sessions) > 1 and len(own) != 1:
        raise DataError(
            f"{path} holds {', '.join(one.subject for one in sessions)}, but the decoder is of {known.subject}.",
            "Give the file of that subject alone.",
        )
    return own[0] if own else sessions[0]


def _check_voxels(session: ImageSession, known: PictureInput) -> None:
    if session.n_voxels != known.n_voxels:
        raise DataError(
            f"{session.source} has {session.n_voxels} voxels, but the decoder was fitted to the {known.n_voxels} of "
            f"{known.subject}.",
            "Give the same voxels of the same subject, in the same order.",
        )
    if not len(session.run):
        raise DataError(f"{session.source} holds no rows.", "Give a session with at least one.")
    problems = [*_moved_areas(session, known), *_moved_voxels(session, known)]
    if problems:
        raise DataError(
            f"{session.source} does not have the voxels that the decoder was fitted to: {'; '.join(problems)}.",
            "Give the same voxels in the same order. If they are, and only labels or places were made anew, leave "
            "those out of the file.",
        )


def _moved_areas(session: ImageSession, known: PictureInput) -> Iterator[str]:
    found = layout_of(session.roi)
    differing = sorted(name for name in found if found[name] != known.layout.get(name, found[name]))
    counts = [(name, int(session.roi[name].sum()), known.areas[name]) for name in differing]
    if counts:
        listed = (
            f"{name} ({n}, {'but others' if n == wanted else f'not {wanted}'})" for name, n, wanted in counts
        )
        yield f"areas hold other voxels: {', '.join(listed)}"


def _moved_voxels(session: ImageSession, known: PictureInput) -> Iterator[str]:
    if session.voxel_xyz is None or known.voxel_xyz is None:
        return
    distance = np.linalg.norm(session.voxel_xyz - known.voxel_xyz, axis=1)
    moved = int((distance > MOST_MM).sum())
    if moved:
        yield f"{moved} voxels lie more than {MOST_MM:g} mm from where they lay, up to {distance.max():.3g} mm"


def _origin_warnings(session: ImageSession, known: PictureInput) -> Iterator[str]:
    if session.subject != known.subject:
        yield (
            f"The session is of {session.subject}, the decoder of {known.subject}: voxels of another brain mean "
            "something else."
        )
    missing = [name for name in known.layout if name not in session.roi]
    missing += ["voxel_xyz"] if session.voxel_xyz is None and known.voxel_xyz is not None else []
    if missing:
        yield f"The session lacks {', '.join(missing)}: whether its voxels are in the order of training is not known."


def _short_runs(session: ImageSession, known: PictureInput) -> Iterator[str]:
    shown = stimuli_in_a_run(session, known.scaling.run_key)
    counts = np.bincount(run_groups(session, known.scaling.run_key))
    alone = int((counts == 1).sum())
    if shown < ENOUGH_IN_A_RUN:
        yield (
            f"Voxels are z-scored over each run, as in training, but a run shows {shown:.0f} pictures in the median: "
            "its mean is a part of what is decoded, and is taken off."
        )
    if alone:
        yield f"{alone} rows are the only one of their run: z-scored they are 0, and nothing is decoded of them."


def _cure(known: PictureInput) -> str:
    if known.scaling.by == "per_run":
        return " Z-scoring each run takes that off; still, was the session preprocessed in the same way?"
    return " Was the session preprocessed in the same way?"
