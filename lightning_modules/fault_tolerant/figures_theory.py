"""Figures that theory alone can draw, and on which measured points can be laid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lightning_modules.fault_tolerant.estimates.crossings import ErrorCurve
from lightning_modules.fault_tolerant.estimates.error_estimate import counted
from lightning_modules.fault_tolerant.theory.concatenation import FITTED, MedianRecursion, extrapolate
from lightning_modules.fault_tolerant.theory.grid_boundary import ANY_DEPTH, Protection, boundary
from lightning_modules.fault_tolerant.theory.published_figure import CROSSINGS, THRESHOLD, points_of
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

LEVELS: tuple[int, ...] = (0, 2, 3, 4, 5)
"""As in the published legend."""
FAILURES = (0.01, 0.16)
LEAST_ERROR = 1e-4
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


def draw_levels(
    measured: Mapping[int, ErrorCurve] | None = None, recursion: MedianRecursion = FITTED
) -> "Figure":
    """Draw logical error against synaptic failure by level: recursion, published points, crossings and thresholds.

    Args:
        measured: Counted errors of our circuit, by level; points without errors are drawn as bounds.
        recursion: Whose curves are drawn.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.4))
    axes: Axes = figure.subplots()
    figure.subplots_adjust(left=0.11, right=0.72, bottom=0.16, top=0.92)
    failures = np.linspace(*FAILURES, 300)
    colours = dict(zip(LEVELS, colormaps["viridis"](np.linspace(0, 0.9, len(LEVELS))), strict=True))
    for level, colour in colours.items():
        errors = [recursion.error(p, level) for p in failures]
        axes.plot(failures, errors, color=colour, lw=1.2, label=f"level {level}, recursion")
        if level in CROSSINGS:
            axes.plot(*points_of(level), "o", mfc="none", mec=colour, ms=4, label=f"level {level}, published")
            axes.plot(CROSSINGS[level], CROSSINGS[level], "x", color="0.2", ms=7)
    for level, curve in (measured or {}).items():
        _draw_counts(axes, curve, colours.get(level, "tab:red"))
    found = extrapolate(CROSSINGS).threshold
    axes.axvline(THRESHOLD, color="k", lw=1.2, label=f"published $p_0$ = {THRESHOLD}")
    axes.axvline(found, color="tab:red", lw=1, ls=":", label=f"crosses extrapolated: {found:.4f}")
    own = recursion.threshold()
    axes.axvline(own, color="tab:blue", lw=1, ls="--", label=f"of the recursion: {own:.4f}")
    axes.set(
        yscale="log",
        ylim=(LEAST_ERROR, 1),
        xlim=FAILURES,
        xlabel="probability of synaptic failure p",
        ylabel="logical error probability",
    )
    entitle(axes, "Concatenated median code")
    axes.legend(fontsize=6.5, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    trim([axes])
    sign(
        figure,
        "Points, crosses and black line: read off the published figure (a point with error 0 is not shown). "
        "Recursion: fitted to these points [inferred].",
    )
    return figure


def _draw_counts(axes: "Axes", curve: ErrorCurve, colour: object) -> None:
    estimates = [counted(int(k), int(n)) for k, n in zip(curve.events, curve.trials, strict=True)]
    for p, one in zip(curve.noise, estimates, strict=True):
        if one.is_bound:
            axes.plot(p, one.high, "v", color=colour, ms=4)
        else:
            axes.plot([p, p], [one.low, one.high], color=colour, lw=1)
            axes.plot(p, one.estimate, "s", color=colour, ms=3)


def draw_phase_diagram(
    points: Sequence[NoisePoint] = (), box: NoiseBox | None = None, protection: Protection = ANY_DEPTH
) -> "Figure":
    """Draw up to which failure and Gaussian noise the grid code protects a NAND formula.

    Args:
        points: Simulated noise.
        box: Where the user's neurons lie.
        protection: What the boundary asks for.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 4.2))
    axes: Axes = figure.subplots()
    figure.subplots_adjust(left=0.12, right=0.96, bottom=0.16, top=0.92)
    failures = boundary(SDS, protection)
    axes.fill_between(SDS, failures, color="#f6e58d", alpha=0.6, lw=0, label="protected, mean field")
    axes.plot(SDS, failures, color="k", lw=1.2)
    looks = {
        True: ("o", "tab:blue", "errs less"),
        False: ("x", "tab:red", "errs more"),
        None: ("+", "0.4", "undecided"),
    }
    for kind, (marker, colour, name) in looks.items():
        of_kind = [point for point in points if point.is_protected is kind]
        if of_kind:
            xs, ys = [point.sd for point in of_kind], [point.failure for point in of_kind]
            axes.plot(xs, ys, marker, color=colour, ms=5, label=f"with more modules {name}, simulated")
    if box is not None:
        from matplotlib.patches import Rectangle

        corner = (box.sds[0], box.failures[0])
        sides = (box.sds[1] - box.sds[0], box.failures[1] - box.failures[0])
        axes.add_patch(Rectangle(corner, *sides, fill=False, ec="tab:green", lw=1.5, label=box.name))
    highest = max([max(failures), *(point.failure for point in points), box.failures[1] if box else 0])
    widest = max([max(SDS), *(point.sd for point in points), box.sds[1] if box else 0])
    axes.set(
        xlim=(0, 1.08 * widest),
        ylim=(0, 1.25 * highest),
        xlabel="standard deviation of phases (cycles), cosines, sines and scores",
        ylabel="probability of synaptic failure p",
    )
    entitle(axes, "Grid code with a decoder in every module")
    axes.legend(fontsize=7, frameon=False, loc="upper right")
    trim([axes])
    sign(figure, "Mean field of infinitely many modules [inferred]; the paper's own boundary is not known.")
    return figure


def draw_neurons(staircase: MedianStaircase, grid: Mapping[str, GridLine]) -> "Figure":
    """Draw physical neurons of the 2-bit multiplier against its target error.

    Args:
        staircase: Of the median code.
        grid: Lines of grid codes by their names; dashed where more modules than were simulated are needed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2))
    axes: Axes = figure.subplots()
    figure.subplots_adjust(left=0.12, right=0.96, bottom=0.16, top=0.92)
    bare = uncoded_error(staircase.failure, staircase.n_nands)
    axes.plot(
        [bare, 1],
        [MULTIPLIER_NANDS] * 2,
        color="0.4",
        lw=2.5,
        label=f"bare neurons, error {bare:.2f} at best",
    )
    _draw_staircase(axes, staircase)
    for at, (name, line) in enumerate(grid.items()):
        neurons = np.array([line.neurons(line.modules_for(target)) for target in TARGETS], dtype=np.float64)
        far = np.array([line.is_extrapolated(target) for target in TARGETS])
        axes.plot(TARGETS, np.where(far, np.nan, neurons), color=f"C{at}", lw=1.5, label=name)
        axes.plot(TARGETS, np.where(far, neurons, np.nan), color=f"C{at}", lw=1.0, ls="--")
    axes.set(
        xscale="log", yscale="log", xlim=(1, TARGETS[-1]), xlabel="target error", ylabel="physical neurons"
    )
    entitle(axes, f"2-bit multiplication, p = {staircase.failure:g}")
    axes.legend(fontsize=7, frameon=False, loc="upper left")
    trim([axes])
    sign(
        figure,
        "Median code: recursion fitted to the published curves, any failing ReLU spoils the result [inferred]. "
        "Dashed: extrapolated.",
    )
    return figure


def _draw_staircase(axes: "Axes", staircase: MedianStaircase) -> None:
    label = f"concatenated median, log(1/error)^{staircase.exponent:.2f}"
    try:
        neurons = [staircase.neurons(staircase.level_for(target)) for target in TARGETS]
    except DataError:
        axes.plot([], [], color="tab:purple", label="concatenated median: p is above its threshold")
        return
    axes.plot(TARGETS, neurons, color="tab:purple", lw=1.5, drawstyle="steps-post", label=label)
