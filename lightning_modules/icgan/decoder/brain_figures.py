"""Figures of a brain report: semantic index of areas, pictures that they ask for, and the index on a map."""

from typing import TYPE_CHECKING

import numpy as np

from lightning_modules.icgan.brain.areas import AREAS
from lightning_modules.icgan.brain.figures import draw_flat_sheets, draw_projections, draw_strip
from lightning_modules.icgan.brain.maps import grid_around
from lightning_modules.icgan.brain.over_subjects import OverSubjects, area_contrast
from lightning_modules.icgan.decoder.brain_report import BrainReport
from lightning_modules.icgan.decoder.brain_tables import sought
from lightning_modules.parts.decoding.figures_style import entitle, sign, trim

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INDEX = "semantic index, percentile points"


def draw_brain(report: BrainReport, *, origin: str) -> "dict[str, Figure]":
    """Draw a report.

    Args:
        report: What was found.
        origin: Whose the decoder is.

    Returns:
        `semantic_index`, `area_pictures`, and of the searched subject `index_strip` and, where places of voxels are
        known, `index_flat` and `index_projections`.
    """
    index, masks = report.voxel_index, report.masks
    figures = {
        "semantic_index": draw_index(report),
        "area_pictures": draw_area_pictures(report),
        "index_strip": draw_strip(index, masks, INDEX),
    }
    if report.voxel_xyz is not None:
        figures["index_flat"] = draw_flat_sheets(index, masks, report.voxel_xyz, INDEX)
        figures["index_projections"] = draw_projections(index, grid_around(report.voxel_xyz), INDEX)
    for figure in figures.values():
        sign(figure, origin)
    return figures


def draw_index(report: BrainReport) -> "Figure":
    """Draw bars of the index of each area, mean and standard error over subjects, with each subject as a dot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.9 * len(report.index) + 0.6, 3.4))
    panels = figure.subplots(1, len(report.index), sharey=True, squeeze=False)[0]
    figure.subplots_adjust(left=0.75 / figure.get_figwidth(), right=0.99, bottom=0.17, top=0.82, wspace=0.08)
    at = np.arange(len(AREAS))
    for axes, (version, values) in zip(panels, report.index.items(), strict=True):
        error = OverSubjects(values).sem if len(values) > 1 else None
        axes.bar(at, values.mean(axis=0), yerr=error, color=[f"C{one}" for one in at], alpha=0.5, capsize=3)
        spread = np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else np.zeros(1)
        for beside, own in zip(spread, values, strict=True):
            axes.plot(at + beside, own, ".", color="0.25", markersize=4)
        axes.axhline(0, color="0.4", linewidth=0.8)
        axes.set_xticks(at, AREAS, fontsize=8)
        contrasts = area_contrast(values)
        above = f"{np.count_nonzero(contrasts > 0)} of {len(contrasts)} above 0"
        entitle(axes, f"{version.replace('_', ' ')}\nhigher - early {contrasts.mean():+.1f}, {above}")
    panels[0].set_ylabel(INDEX, fontsize=9)
    trim(panels)
    return figure


def draw_area_pictures(report: BrainReport) -> "Figure":
    """Draw the picture of each area, a row for each subject, with probabilities of classes where they are known."""
    from matplotlib.figure import Figure

    pictures, n_subjects = report.pictures, len(report.subjects)
    figure = Figure(figsize=(1.2 * len(AREAS) + 0.9, 1.45 * n_subjects + 0.8))
    panels = figure.subplots(n_subjects, len(AREAS), squeeze=False)
    figure.subplots_adjust(
        left=0.09, right=0.99, bottom=0.42 / figure.get_figheight(), top=1 - 0.55 / figure.get_figheight(),
        wspace=0.08, hspace=0.32,
    )  # fmt: skip
    for row, subject in enumerate(report.subjects):
        for column, area in enumerate(AREAS):
            axes = panels[row, column]
            axes.imshow(pictures.images[row, column].clip(0, 1), interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            scores = pictures.class_scores[row, column]
            said = [f"{name} {scores[pictures.classes.index(name)]:.2f}" for name in sought(report)]
            axes.set_xlabel(", ".join(said), fontsize=6, labelpad=2)
            if row == 0:
                axes.set_title(area, fontsize=9, y=1.0)
        panels[row, 0].set_ylabel(f"subject {subject}", fontsize=8)
    below = "; below: probability by the judging network" if sought(report) else ""
    figure.text(
        0.01,
        1 - 0.16 / figure.get_figheight(),
        f"What each area asks for, by the weights{below}",
        fontsize=10,
        va="center",
    )
    return figure
