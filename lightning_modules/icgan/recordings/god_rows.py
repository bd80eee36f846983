"""Rows of a Generic Object Decoding subject, whatever file they come from, checked and made an `ImageSession`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.recordings.images import Images
from lightning_modules.icgan.recordings.session import ImageSession, Shown
from lightning_modules.icgan.recordings.stimulus_ids import (
    FLOAT32_HINT,
    TEST_ORDER,
    TRAINING_ORDER,
    Pairs,
    StimulusOrder,
    id_texts,
    looks_truncated,
    positions,
)
from lightning_modules.parts.errors import DataError

BadVoxels: TypeAlias = Literal["refuse", "drop", "zero"]
"""What is done about voxels that hold NaN or never change."""

EXPECTED_ROWS = {Shown.TRAINING: 1200, Shown.TEST: 1750, Shown.IMAGERY: 500}
"""Rows of each kind: 24 runs x 50, 35 runs x 50, 20 runs x 25 (icgan.md section 1.1)."""


def god_subject(path: Path) -> str:
    """Name of the subject in a file or folder, told by its own name: `Subject3` of `sub-03` and `sbj_3`, too."""
    number = re.fullmatch(r"(?:sub-|sbj_)(\d+)", path.stem)
    return f"Subject{int(number[1])}" if number else path.stem


@dataclass(frozen=True, eq=False)
class GodRows:
    """What one subject's file holds, before it is matched to the order files.

    Args:
        voxels: Response of each voxel in each block, (K, V).
        ids: Synset and image number of each row, (K, 2); imagery rows need the synset only.
        shown: `Shown` of each row, (K,).
        run: Run of each row, (K,).
        roi: Whether each voxel belongs to an area, bool (V,) by the area's name.
        voxel_xyz: Place of each voxel, mm, (V, 3); None if not known.
        subject: Such as `Subject3`.
        source: File, for messages.
        notes: What the reader noticed.
    """

    voxels: NDArray[Any]
    ids: Pairs
    shown: NDArray[np.int64]
    run: NDArray[np.int64]
    roi: Mapping[str, NDArray[np.bool_]]
    voxel_xyz: NDArray[Any] | None
    subject: str
    source: str
    notes: tuple[str, ...] = ()


def build_session(
    rows: GodRows,
    order: StimulusOrder,
    images: Images | None,
    *,
    strict: bool,
    bad_voxels: BadVoxels,
    expected: Mapping[Shown, int] = EXPECTED_ROWS,
) -> ImageSession:
    """Match rows to stimuli and check them.

    Args:
        rows: One subject.
        order: The stimuli; training before test in the session.
        images: Pictures of the stimuli, (S, H, W, 3).
        strict: Whether the rows must be exactly those of the experiment.
        bad_voxels: What is done about voxels that hold NaN or never change: refused, taken out, or set to 0.
        expected: Rows of each kind if `strict`.

    Raises:
        DataError: If counts, ids or voxels are not as they must be.
    """
    if strict:
        _check_counts(rows, expected)
    stimulus = _match(rows, order)
    if strict:
        _check_presentations(rows, order, stimulus)
    rows = _without_bad_voxels(rows, bad_voxels)
    return ImageSession(
        voxels=rows.voxels.astype(np.float32),
        stimulus=stimulus,
        stimulus_names=order.names,
        category=order.pairs[:, 0].copy(),
        shown=rows.shown,
        run=rows.run,
        roi=rows.roi,
        subject=rows.subject,
        images=images,
        voxel_xyz=None if rows.voxel_xyz is None else rows.voxel_xyz.astype(np.float32),
        source=rows.source,
        notes=rows.notes,
    )


def _check_counts(rows: GodRows, expected: Mapping[Shown, int]) -> None:
    found = {kind: int((rows.shown == kind).sum()) for kind in Shown}
    if any(found[kind] != expected.get(kind, 0) for kind in Shown):
        counts = [f"{kind.name.lower()} {found[kind]} (expected {expected.get(kind, 0)})" for kind in Shown]
        raise DataError(
            f"{rows.source} holds {len(rows.shown)} rows, by DataType: {', '.join(counts)}.",
            "The file may be cut off or another data set; read a part on purpose with `strict=False`.",
        )


def _match(rows: GodRows, order: StimulusOrder) -> NDArray[np.int64]:
    """Place of each row's stimulus among training and test images, (K,)."""
    training, test, imagery = (rows.shown == kind for kind in Shown)
    stimulus = np.full(len(rows.shown), -1, dtype=np.int64)
    stimulus[training] = positions(rows.ids[training], order.training)
    stimulus[test] = positions(rows.ids[test], order.test)
    # Imagery was of a category, not of a picture; every category of it has one test image.
    categories = np.stack([order.test[:, 0], np.zeros_like(order.test[:, 0])], axis=1)
    imagined = np.stack([rows.ids[imagery, 0], np.zeros(int(imagery.sum()), np.int64)], axis=1)
    stimulus[imagery] = positions(imagined, categories)
    for kind, name in zip(Shown, (TRAINING_ORDER, TEST_ORDER, TEST_ORDER), strict=True):
        unknown = rows.ids[(rows.shown == kind) & (stimulus < 0)]
        if len(unknown):
            hint = kind is not Shown.IMAGERY and looks_truncated(rows.ids[rows.shown == kind])
            raise DataError(
                f"{rows.source}: {len(unknown)} {kind.name.lower()} rows have an id that is not in {name}, the first "
                f"ones: {', '.join(id_texts(unknown[:5].tolist()))}.",
                FLOAT32_HINT if hint else "Use the order file that belongs to this data set.",
            )
    stimulus[test | imagery] += len(order.training)
    return stimulus


def _check_presentations(rows: GodRows, order: StimulusOrder, stimulus: NDArray[np.int64]) -> None:
    for kind, first, pairs, name in (
        (Shown.TRAINING, 0, order.training, TRAINING_ORDER),
        (Shown.TEST, len(order.training), order.test, TEST_ORDER),
    ):
        of_kind = stimulus[rows.shown == kind] - first
        counts = np.bincount(of_kind, minlength=len(pairs))
        each = len(of_kind) / max(1, len(pairs))
        odd = np.flatnonzero(counts != each)
        if len(odd):
            listed = ", ".join(
                f"{text} ({counts[one]} times)"
                for one, text in zip(odd[:5], id_texts(pairs[odd[:5]].tolist()), strict=True)
            )
            raise DataError(
                f"{rows.source}: {len(odd)} images of {name} were not shown equally often ({each:g} times each), the "
                f"first ones: {listed}; {int((counts == 0).sum())} were never shown.",
                "Use the order file that belongs to this data set, or read a part with `strict=False`.",
            )


def _without_bad_voxels(rows: GodRows, policy: BadVoxels) -> GodRows:
    if policy not in get_args(BadVoxels):
        raise ValueError(f"`bad_voxels` is {policy!r}, but must be one of {', '.join(get_args(BadVoxels))}.")
    finite = np.isfinite(rows.voxels).all(axis=0)
    constant = finite & (rows.voxels == rows.voxels[:1]).all(axis=0)
    bad = ~finite | constant
    if not bad.any():
        return rows
    found = (
        f"{int(bad.sum())} of {len(bad)} voxels cannot be used: {int((~finite).sum())} hold NaN or infinity, "
        f"{int(constant.sum())} never change"
    )
    if policy == "refuse" or bad.all():
        raise DataError(
            f"{rows.source}: {found}.",
            "Say what to do with them: `bad_voxels='drop'` takes them out, `bad_voxels='zero'` sets them to 0.",
        )
    if policy == "zero":
        voxels = np.where(bad, 0, rows.voxels)
        return replace(rows, voxels=voxels, notes=(*rows.notes, f"{found}; they were set to 0."))
    return replace(
        rows,
        voxels=rows.voxels[:, ~bad],
        roi={name: mask[~bad] for name, mask in rows.roi.items()},
        voxel_xyz=None if rows.voxel_xyz is None else rows.voxel_xyz[~bad],
        notes=(*rows.notes, f"{found}; they were taken out."),
    )
