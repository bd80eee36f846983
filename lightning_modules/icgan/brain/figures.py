"""Maps of voxels that need no surface: a flat sheet, projections of the brightest, and a strip of areas."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.brain.areas import Masks
from lightning_modules.icgan.brain.flatten import unfold
from lightning_modules.icgan.brain.maps import Grid
from lightning_modules.parts.decoding.figures_style import drawable, entitle, trim

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AREA_OF_DOTS = 5000.0
"""Of all voxels of a flat sheet together, square points: they touch, but do not cover each other."""
PLANES = (("sagittal", 0, "y", "z"), ("coronal", 1, "x", "z"), ("axial", 2, "x", "y"))
"""Name, the axis looked along, and those that are seen. Axes of the volume, which a template may name otherwise."""


def draw_flat_sheets(values: NDArray[Any], masks: Masks, voxel_xyz: NDArray[Any], name: str) -> "Figure":
    """Draw the voxels of each area with the sheet that they lie on unfolded; see `unfold`.

    Of measured voxels this is a stand-in where no surface was reconstructed: layers of cortex lie over each other.

    Args:
        values: Of every voxel, (V,).
        masks: Areas.
        voxel_xyz: Places, mm, (V, 3).
        name: What the values are, with their unit.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.2 * len(masks) + 1, 3.0))
    panels: list[Axes] = list(figure.subplots(1, len(masks), squeeze=False)[0])
    figure.subplots_adjust(left=0.05, right=0.92, bottom=0.2, top=0.85, wspace=0.4)
    colours = _colour_scale(values[np.any(list(masks.values()), axis=0)])
    drawn = None
    for axes, (area, mask) in zip(panels, masks.items(), strict=True):
        flat = unfold(voxel_xyz[mask])
        drawn = axes.scatter(
            *flat.T, c=drawable(values[mask]), s=AREA_OF_DOTS / len(flat), marker="s", linewidths=0, **colours
        )
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel("mm", fontsize=8)
        entitle(axes, f"{area}, {np.count_nonzero(mask)} voxels")
    trim(panels)
    if drawn is not None:
        figure.colorbar(drawn, ax=panels, label=name, fraction=0.03, pad=0.02)
    return figure


def project_strongest(volume: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Return the value that is farthest from 0 along an axis of a volume, NaN where there is no voxel.

    For values that are never negative this is the maximum-intensity projection.
    """
    size = np.where(np.isnan(volume), -1, np.abs(volume))
    strongest = np.expand_dims(size.argmax(axis=axis), axis)
    return np.take_along_axis(volume, strongest, axis=axis).squeeze(axis)


def draw_projections(values: NDArray[Any], grid: Grid, name: str) -> "Figure":
    """Draw projections of a volume's strongest values in three planes.

    Args:
        values: Of every voxel, (V,).
        grid: Where voxels lie.
        name: What the values are, with their unit.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 3.4))
    panels: list[Axes] = list(figure.subplots(1, 3))
    figure.subplots_adjust(left=0.07, right=0.88, bottom=0.17, top=0.87, wspace=0.35)
    volume = grid.volume(values)
    drawn = None
    for axes, (plane, axis, across, up) in zip(panels, PLANES, strict=True):
        projected = project_strongest(volume, axis)
        drawn = axes.imshow(projected.T, origin="lower", interpolation="nearest", **_colour_scale(values))
        axes.set(xlabel=f"{across}, cells", ylabel=f"{up}, cells", facecolor="0.9")
        entitle(axes, f"{plane}, strongest of each line")
    trim(panels)
    if drawn is not None:
        figure.colorbar(drawn, ax=panels, label=name, fraction=0.03, pad=0.02)
    return figure


def draw_strip(values: NDArray[Any], masks: Masks, name: str) -> "Figure":
    """Draw every voxel of the areas in a row, sorted within each area, with the areas' means.

    Args:
        values: Of every voxel, (V,).
        masks: Areas, in the order to be drawn.
        name: What the values are, with their unit.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 3.4))
    axes = figure.subplots()
    figure.subplots_adjust(left=0.09, right=0.98, bottom=0.17, top=0.87)
    start, middles = 0, []
    for at, mask in enumerate(masks.values()):
        own = np.sort(drawable(values[mask]))
        across = start + np.arange(len(own))
        axes.fill_between(across, 0, own, step="mid", color=f"C{at}", alpha=0.5, linewidth=0)
        axes.plot(across[[0, -1]], [np.nanmean(own)] * 2, color=f"C{at}", linewidth=2)
        middles.append(start + len(own) / 2)
        start += len(own)
    axes.axhline(0, color="0.4", linewidth=0.8)
    trim([axes])
    axes.set_xticks(middles, list(masks))
    axes.set(xlim=(0, start), ylabel=name)
    entitle(axes, "Voxels of each area, sorted; bars are means")
    return figure


def _colour_scale(values: NDArray[Any]) -> dict[str, Any]:
    """Blue to red around 0 where values have both signs, otherwise from dark to bright."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return {"cmap": "viridis"}
    if finite.min() < 0 < finite.max():
        most = float(np.abs(finite).max())
        return {"cmap": "RdBu_r", "vmin": -most, "vmax": most}
    return {"cmap": "viridis", "vmin": float(finite.min()), "vmax": float(finite.max())}
