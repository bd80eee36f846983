"""Pictures of an image session: its rows by run, its stimuli, how reliable its areas are and how they overlap."""

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize_local_mean

from lightning_modules.icgan.recordings.inspection import ReliabilityFacts, SubjectFacts
from lightning_modules.icgan.recordings.normalise import run_groups
from lightning_modules.icgan.recordings.session import ImageSession, Shown
from lightning_modules.parts.decoding.figures_style import entitle, key, spread_evenly, trim

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PICTURES, COLUMNS = 40, 10
LARGEST_SIDE = 64
"""Pixels of a picture in the sheet."""
COLOURS = {Shown.TRAINING: "tab:blue", Shown.TEST: "tab:orange", Shown.IMAGERY: "tab:green"}
BINS = np.linspace(0, 1, 26)
"""Of reliabilities."""


def draw_subject(session: ImageSession, facts: SubjectFacts) -> "dict[str, Figure]":
    """Draw what there is of `rows`, `pictures`, `reliability` and `areas`."""
    figures = {"rows": draw_rows(session)}
    if session.images is not None:
        figures["pictures"] = draw_pictures(session.images)
    if facts.reliability is not None:
        figures["reliability"] = draw_reliability(session, facts.reliability)
    if len(session.roi) > 1:
        figures["areas"] = draw_areas(session)
    return figures


def draw_rows(session: ImageSession) -> "Figure":
    """Mean and standard deviation over voxels of every row, run after run, with every other run shaded."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.6), layout="constrained")
    panels = figure.subplots(2, 1, sharex=True)
    groups = run_groups(session, "kind_and_run")
    place = np.argsort(np.argsort(groups, kind="stable"))
    starts = np.append(0, np.cumsum(np.bincount(groups))) - 0.5
    values = (session.voxels.mean(axis=1, dtype=np.float64), session.voxels.std(axis=1, dtype=np.float64))
    for axes, value, name in zip(panels, values, ("mean", "standard deviation"), strict=True):
        for start, end in list(pairwise(starts))[1::2]:
            axes.axvspan(start, end, color="0.93", linewidth=0, zorder=0)
        for kind, colour in COLOURS.items():
            rows = session.rows(kind)
            axes.plot(place[rows], value[rows], ".", markersize=3, color=colour)
        axes.set_ylabel(f"{name} over voxels", fontsize=8)
    panels[1].set_xlabel("row, by kind and run; every other run is shaded", fontsize=8)
    entries = [
        (kind.name.lower(), {"color": colour, "marker": ".", "linestyle": ""})
        for kind, colour in COLOURS.items()
        if len(session.rows(kind))
    ]
    key(panels[0], entries, loc="upper right", ncols=len(entries))
    entitle(panels[0], f"{session.subject}: responses as recorded, {len(starts) - 1} runs")
    trim(panels)
    return figure


def draw_pictures(images: NDArray[np.float32]) -> "Figure":
    """Draw 40 stimuli, evenly spread over all, with their numbers."""
    from matplotlib.figure import Figure

    shown = spread_evenly(len(images), MOST_PICTURES)
    side = tuple(min(size, LARGEST_SIDE) for size in images.shape[1:3])
    columns = min(COLUMNS, len(shown))
    gap = max(1, side[0] // 5)
    height, width = side[0] + gap, side[1] + gap
    n_rows = -(-len(shown) // columns)
    sheet = np.ones((n_rows * height, columns * width, 3))
    figure = Figure(figsize=(9, 9 * sheet.shape[0] / sheet.shape[1] + 0.4), layout="constrained")
    axes = figure.subplots()
    for position, one in enumerate(shown):
        top, left = position // columns * height + gap, position % columns * width
        sheet[top : top + side[0], left : left + side[1]] = resize_local_mean(images[one], side).clip(0, 1)
        axes.text(left + side[1] / 2, top - 0.15 * gap, str(one), ha="center", va="bottom", fontsize=6)
    axes.imshow(sheet, interpolation="nearest", extent=(0, sheet.shape[1], sheet.shape[0], 0))
    axes.set_axis_off()
    entitle(axes, f"{len(shown)} of {len(images)} stimuli, by their number")
    return figure


def draw_reliability(session: ImageSession, found: ReliabilityFacts) -> "Figure":
    """Histogram of the reliability of each area's voxels."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 3.8), layout="constrained")
    axes = figure.subplots()
    masks = session.roi or {"all": np.ones(session.n_voxels, dtype=np.bool_)}
    entries = []
    for position, (name, mask) in enumerate(masks.items()):
        own = found.reliability[mask & np.isfinite(found.reliability)]
        if not len(own):
            continue
        colour = colormaps["tab10" if len(masks) <= 10 else "tab20"](position)
        share = np.histogram(own, BINS)[0] / len(own)
        axes.stairs(share, BINS, color=colour)
        axes.axvline(float(np.median(own)), color=colour, linewidth=0.8, linestyle=":")
        entries.append((f"{name} ({len(own)}): {np.median(own):.2f}", {"color": colour}))
    axes.set(xlim=(0, 1), xlabel="reliability of the mean response", ylabel="share of the area's voxels")
    key(axes, entries, title="area (voxels): median", loc="upper right")
    entitle(
        axes,
        f"{session.subject}: means of {found.n_repeats} repeats of {found.n_stimuli} {found.kind} pictures",
    )
    trim([axes])
    return figure


def draw_areas(session: ImageSession) -> "Figure":
    """Matrix of the voxels that each two areas share, shaded by their part of the area of the row."""
    from matplotlib.figure import Figure

    names = list(session.roi)
    masks = np.stack(list(session.roi.values())).astype(np.int64)
    shared = masks @ masks.T
    part = shared / np.maximum(np.diag(shared), 1)[:, None]
    side = 0.55 * len(names) + 1.6
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    axes.imshow(part, cmap="Blues", vmin=0, vmax=1)
    _write_counts(axes, shared, part)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    entitle(axes, f"{session.subject}: voxels that areas share")
    return figure


def _write_counts(axes: "Axes", shared: NDArray[np.int64], part: NDArray[np.float64]) -> None:
    for row, column in zip(*np.nonzero(shared), strict=True):
        colour = "white" if part[row, column] > 0.6 else "black"
        axes.text(column, row, str(shared[row, column]), ha="center", va="center", fontsize=7, color=colour)
