"""Figures that theory alone can draw, and on which measured points can be laid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lightning_modules.fault_tolerant.estimates.error_estimate import ErrorEstimate
from lightning_modules.fault_tolerant.theory.grid_boundary import ANY_DEPTH, Protection, boundary
from lightning_modules.fault_tolerant.theory.grid_mean_field import GateFormula
from lightning_modules.fault_tolerant.theory.target_error import (
    MULTIPLIER_NANDS,
    GridLine,
    MedianStaircase,
    uncoded_error,
)
from lightning_modules.parts.decoding.figures_style import entitle, sign, trim
from lightning_modules.parts.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SDS = tuple(np.linspace(0, 0.15, 13).tolist())
TARGETS = tuple((10.0 ** -np.linspace(0.3, 12, 118)).tolist())


@dataclass(frozen=True)
class NoiseBox:
    """Where neurons lie whose noise the user knows.

    Args:
        failures: Lowest and highest probability of synaptic failure.
        sds: Lowest and highest common standard deviation, phases in cycles.
        name: What they are, and by which mapping their numbers were found.
    """

    failures: tuple[float, float]
    sds: tuple[float, float]
    name: str


@dataclass(frozen=True)
class NoisePoint:
    """Noise at which two numbers of modules were simulated.

    Args:
        failure: p.
        sd: Common standard deviation.
        is_protected: Whether more modules erred less; None if the intervals overlap.
    """

    failure: float
    sd: float
    is_protected: bool | None


def draw_phase_diagram(
    points: Sequence[NoisePoint] = (),
    box: NoiseBox | None = None,
    protection: Protection = ANY_DEPTH,
    *,
    nested: Sequence[tuple[float, float]] = (),
    depth: int | None = None,
) -> "Figure":
    """Draw up to which failure and Gaussian noise the grid code protects a NAND formula.

    Args:
        points: Simulated noise.
        box: Where the user's neurons lie.
        protection: What the boundary asks for.
        nested: (sd, p) of the boundary of a grid code inside the median code.
        depth: Gates that a value passes in the simulated formula, whose own boundary is drawn too.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 4.8))
    axes: Axes = figure.subplots()
    figure.subplots_adjust(left=0.1, right=0.98, bottom=0.33, top=0.93)
    failures = boundary(SDS, protection)
    axes.fill_between(
        SDS, failures, color="#f6e58d", alpha=0.6, lw=0, label="protected at any depth, mean field"
    )
    axes.plot(SDS, failures, color="k", lw=1.2)
    if depth is not None:
        shallow = boundary(SDS, Protection(GateFormula(n_layers=depth), "winners"))
        axes.plot(SDS, shallow, color="k", lw=1, ls="--", label=f"the same, formulas {depth} gates deep")
    if nested:
        axes.plot(
            *zip(*nested, strict=True), ".-", color="tab:purple", lw=1.2, label="grid code inside the median"
        )
    _draw_noise_points(axes, points)
    if box is not None:
        from matplotlib.patches import Rectangle

        corner = (box.sds[0], box.failures[0])
        sides = (box.sds[1] - box.sds[0], box.failures[1] - box.failures[0])
        axes.add_patch(Rectangle(corner, *sides, fill=False, ec="tab:green", lw=1.5, label=box.name))
    highest = max([max(failures), *(point.failure for point in points), box.failures[1] if box else 0])
    widest = max([max(SDS), *(point.sd for point in points), box.sds[1] if box else 0])
    axes.set(
        xlim=(-0.01 * widest, 1.05 * widest),
        ylim=(0, 1.1 * highest),
        xlabel="standard deviation of phases (cycles), cosines, sines and scores",
        ylabel="probability of synaptic failure p",
    )
    entitle(axes, "Grid code with a decoder in every module")
    axes.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    trim([axes])
    sign(figure, "Mean field of infinitely many modules [inferred]; the paper's own boundary is not known.")
    return figure


def _draw_noise_points(axes: "Axes", points: Sequence[NoisePoint]) -> None:
    looks = {
        True: ("o", "tab:blue", "with more modules errs less, simulated"),
        False: ("x", "tab:red", "with more modules errs more, simulated"),
        None: ("+", "0.4", "intervals overlap, simulated"),
    }
    for kind, (marker, colour, name) in looks.items():
        of_kind = [point for point in points if point.is_protected is kind]
        if of_kind:
            xs, ys = [point.sd for point in of_kind], [point.failure for point in of_kind]
            axes.plot(xs, ys, marker, color=colour, ms=5, label=name)


def draw_neurons(
    staircase: MedianStaircase,
    grid: Mapping[str, GridLine],
    measured: Mapping[str, Sequence[tuple[int, ErrorEstimate]]] | None = None,
) -> "Figure":
    """Draw physical neurons of the 2-bit multiplier against its target error.

    Args:
        staircase: Of the median code.
        grid: Lines of grid codes by their names; dashed where more modules than were simulated are needed.
        measured: (neurons, error) by name: points of a grid line of the same name, and of what has no line.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.2, 5.4))
    axes: Axes = figure.subplots()
    figure.subplots_adjust(left=0.1, right=0.96, bottom=0.31, top=0.93)
    bare = uncoded_error(staircase.failure, staircase.n_nands)
    axes.plot(
        [bare, 1],
        [MULTIPLIER_NANDS] * 2,
        color="0.4",
        lw=2.5,
        label=f"bare neurons, error {bare:.2f} at best",
    )
    _draw_staircase(axes, staircase)
    names = list(dict.fromkeys([*grid, *(measured or {})]))
    colours = {name: f"C{at}" for at, name in enumerate(names)}
    for name, line in grid.items():
        neurons = np.array([line.neurons(line.modules_for(target)) for target in TARGETS], dtype=np.float64)
        far = np.array([line.is_extrapolated(target) for target in TARGETS])
        axes.plot(TARGETS, np.where(far, np.nan, neurons), color=colours[name], lw=1.5, label=name)
        axes.plot(TARGETS, np.where(far, neurons, np.nan), color=colours[name], lw=1.0, ls="--")
    for name, points in (measured or {}).items():
        _draw_codes(axes, points, colours[name], None if name in grid else name)
    axes.set(
        xscale="log", yscale="log", xlim=(1, TARGETS[-1]), xlabel="target error", ylabel="physical neurons"
    )
    entitle(axes, f"2-bit multiplication, p = {staircase.failure:g}")
    axes.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    trim([axes])
    sign(
        figure,
        "Median staircase: recursion fitted to the published curves, any failing ReLU spoils the result, no Gaussian "
        "noise [inferred].\nDashed: extrapolated. Triangles: no error was seen, so the error is smaller.",
    )
    return figure


def _draw_codes(
    axes: "Axes", points: Sequence[tuple[int, ErrorEstimate]], colour: str, label: str | None
) -> None:
    for neurons, one in points:
        if one.is_bound:
            axes.plot(one.high, neurons, ">", color=colour, ms=5, label=label)
        else:
            ends = [[one.estimate - one.low], [one.high - one.estimate]]
            axes.errorbar(one.estimate, neurons, xerr=ends, fmt="o", color=colour, ms=4, lw=1, label=label)
        label = None


def _draw_staircase(axes: "Axes", staircase: MedianStaircase) -> None:
    label = f"concatenated median, log(1/error)^{staircase.exponent:.2f}"
    try:
        neurons = [staircase.neurons(staircase.level_for(target)) for target in TARGETS]
    except DataError:
        axes.plot([], [], color="tab:purple", label="concatenated median: p is above its threshold")
        return
    axes.plot(TARGETS, neurons, color="tab:purple", lw=1.5, drawstyle="steps-post", label=label)
