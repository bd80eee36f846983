"""What an image session holds, counted and measured."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.recordings.images import is_grey
from lightning_modules.icgan.recordings.normalise import (
    ENOUGH_IN_A_RUN,
    normalise,
    run_key_note,
    stimuli_in_a_run,
)
from lightning_modules.icgan.recordings.session import ImageSession, Shown
from lightning_modules.icgan.scoring.averaging import noise_ceiling

LEAST_STIMULI = 3
"""Repeated stimuli that a noise ceiling needs."""


@dataclass(frozen=True)
class KindFacts:
    """Rows of one kind: training, test or imagery.

    Args:
        kind: Name of the kind.
        n_rows: Rows.
        run_rows: Rows of each run.
        repeats: How often each stimulus occurs that does, in their order.
        categories: Different categories among them.
    """

    kind: str
    n_rows: int
    run_rows: tuple[int, ...]
    repeats: tuple[int, ...]
    categories: frozenset[int]


@dataclass(frozen=True)
class PictureFacts:
    """The stimuli as pictures.

    Args:
        height: Pixels.
        width: Pixels.
        coloured: Whether any pixel of any picture has a colour.
        lowest: Lowest value.
        highest: Highest value.
        uniform: Pictures of one colour.
        twice: Pictures that are pixel by pixel another one.
        leaked: Test pictures that are pixel by pixel a training one.
    """

    height: int
    width: int
    coloured: bool
    lowest: float
    highest: float
    uniform: int
    twice: int
    leaked: int


@dataclass(frozen=True, eq=False)
class ReliabilityFacts:
    """How reliable averaged responses are; see `noise_ceiling`.

    Args:
        kind: Of which rows, `test` or `training`.
        n_stimuli: Stimuli with repeats.
        n_repeats: Repeats in an average.
        reliability: Of each voxel, (V,); NaN where it never varies.
        medians: Median over the voxels of each area in which it is defined, by the area's name.
    """

    kind: str
    n_stimuli: int
    n_repeats: int
    reliability: NDArray[np.float64]
    medians: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class SubjectFacts:
    """What one subject's recording holds.

    Args:
        subject: Who looked.
        source: Its file.
        n_voxels: V.
        constant: Voxels that never change.
        has_places: Whether the places of voxels are known.
        kinds: Rows by kind, those that there are.
        n_stimuli: Stimuli that the file names, shown or not.
        shown_in_run: Median number of different stimuli in a run.
        run_key_note: Whether both run keys group rows alike.
        areas: Voxels of each area.
        shared: Voxels that two areas share, by their names, where there are any.
        unlabelled: Voxels of no area.
        pictures: None where there are none.
        reliability: None where no stimulus is repeated.
        notes: What the reader noticed.
    """

    subject: str
    source: str
    n_voxels: int
    constant: int
    has_places: bool
    kinds: Mapping[str, KindFacts]
    n_stimuli: int
    shown_in_run: float
    run_key_note: str
    areas: Mapping[str, int]
    shared: Mapping[tuple[str, str], int]
    unlabelled: int
    pictures: PictureFacts | None
    reliability: ReliabilityFacts | None
    notes: tuple[str, ...]

    @property
    def z_scored_by_run(self) -> bool:
        """Whether `auto` normalisation z-scores each run."""
        return self.shown_in_run >= ENOUGH_IN_A_RUN

    @property
    def n_searched(self) -> int:
        """Categories that a search can be trained on."""
        return len(self.kinds["training"].categories) if "training" in self.kinds else 0


def describe_subject(session: ImageSession) -> SubjectFacts:
    """Count and measure a session with at least one row."""
    kinds = {kind.name.lower(): _kind_facts(session, kind) for kind in Shown if len(session.rows(kind)) > 0}
    names, masks = list(session.roi), list(session.roi.values())
    pairs = ((first, second) for first in range(len(names)) for second in range(first + 1, len(names)))
    shared = {(names[one], names[two]): int((masks[one] & masks[two]).sum()) for one, two in pairs}
    return SubjectFacts(
        subject=session.subject,
        source=session.source,
        n_voxels=session.n_voxels,
        constant=int((session.voxels == session.voxels[:1]).all(axis=0).sum()) if len(session.run) > 1 else 0,
        has_places=session.voxel_xyz is not None,
        kinds=kinds,
        n_stimuli=session.n_stimuli,
        shown_in_run=stimuli_in_a_run(session),
        run_key_note=run_key_note(session),
        areas={name: int(mask.sum()) for name, mask in session.roi.items()},
        shared={pair: count for pair, count in shared.items() if count},
        unlabelled=int((~np.any(masks, axis=0)).sum()) if masks else session.n_voxels,
        pictures=None if session.images is None else _picture_facts(session),
        reliability=_reliability(session),
        notes=session.notes,
    )


def _kind_facts(session: ImageSession, kind: Shown) -> KindFacts:
    rows = session.rows(kind)
    stimuli, repeats = np.unique(session.stimulus[rows], return_counts=True)
    return KindFacts(
        kind=kind.name.lower(),
        n_rows=len(rows),
        run_rows=tuple(np.unique(session.run[rows], return_counts=True)[1].tolist()),
        repeats=tuple(repeats.tolist()),
        categories=frozenset(session.category[stimuli].tolist()),
    )


def _picture_facts(session: ImageSession) -> PictureFacts:
    images = session.images
    assert images is not None
    contents = np.array([hashlib.blake2b(one.tobytes(), digest_size=16).hexdigest() for one in images])
    training, test = (
        np.unique(session.stimulus[session.rows(kind)]) for kind in (Shown.TRAINING, Shown.TEST)
    )
    leaked = np.isin(contents[test], contents[training]) & ~np.isin(test, training)
    return PictureFacts(
        height=images.shape[1],
        width=images.shape[2],
        coloured=not is_grey(images),
        lowest=float(images.min()),
        highest=float(images.max()),
        uniform=sum(bool((one == one[0, 0]).all()) for one in images),
        twice=len(contents) - len(np.unique(contents)),
        leaked=int(leaked.sum()),
    )


def _reliability(session: ImageSession) -> ReliabilityFacts | None:
    """Estimate it from test rows, or else from training rows, normalised as `auto` does."""
    for kind in (Shown.TEST, Shown.TRAINING):
        rows = session.rows(kind)
        stimuli, repeats = np.unique(session.stimulus[rows], return_counts=True)
        repeated = stimuli[repeats > 1]
        if len(repeated) < LEAST_STIMULI:
            continue
        scaled = normalise(session) if stimuli_in_a_run(session) >= ENOUGH_IN_A_RUN else session
        rows = rows[np.isin(session.stimulus[rows], repeated)]
        found = noise_ceiling(scaled.voxels[rows], session.stimulus[rows])
        defined = np.isfinite(found.reliability)
        masks = {name: mask & defined for name, mask in session.roi.items() if (mask & defined).any()}
        medians = {name: float(np.median(found.reliability[mask])) for name, mask in masks.items()}
        return ReliabilityFacts(
            kind.name.lower(), len(repeated), found.n_averaged, found.reliability, medians
        )
    return None
