"""Logical error against synaptic failure by level of concatenation: the published points, and ours beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lightning_modules.fault_tolerant.estimates.crossings import Crossing
from lightning_modules.fault_tolerant.estimates.error_estimate import ErrorEstimate
from lightning_modules.fault_tolerant.theory.concatenation import FITTED, MedianRecursion, extrapolate
from lightning_modules.fault_tolerant.theory.published_figure import CROSSINGS, THRESHOLD, points_of
from lightning_modules.parts.decoding.figures_style import entitle, sign, trim

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS: tuple[int, ...] = (0, 2, 3, 4, 5)
"""As in the published legend."""
FAILURES = (0.01, 0.16)
LEAST_ERROR = 1e-4


@dataclass(frozen=True)
class MeasuredLevels:
    """What was measured of a circuit of the median.

    Args:
        name: Of the circuit, for the title.
        errors: (p, error) by level.
        bare: Crossings with a bare neuron, by level.
        pairs: Crossings of two levels, by the levels.
        threshold: Extrapolated p0 with its interval; None where the crossings bear out none.
    """

    name: str
    errors: Mapping[int, Sequence[tuple[float, ErrorEstimate]]]
    bare: Mapping[int, Crossing]
    pairs: Mapping[tuple[int, int], Crossing]
    threshold: tuple[float, float, float] | None


def draw_levels(measured: MeasuredLevels | None = None, recursion: MedianRecursion = FITTED) -> "Figure":
    """Draw the published points with the fitted recursion, crosses and thresholds; beside them what was measured.

    Args:
        measured: Of our circuit; points without errors are drawn as bounds.
        recursion: Whose curves are drawn.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4 if measured is None else 12.0, 5.2))
    panels = figure.subplots(1, 1 if measured is None else 2, sharey=True, squeeze=False)[0]
    figure.subplots_adjust(left=0.08, right=0.985, bottom=0.33, top=0.93, wspace=0.06)
    _draw_published(panels[0], recursion)
    if measured is not None:
        _draw_measured(panels[1], measured)
    for axes in panels:
        axes.set(
            yscale="log", ylim=(LEAST_ERROR, 1), xlim=FAILURES, xlabel="probability of synaptic failure p"
        )
        n_columns = 3 if axes is panels[0] else 2
        axes.legend(
            fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=n_columns
        )
    if measured is not None:
        panels[1].set_xlim(FAILURES[0], 1.2 * max([0.07, *(one.noise for one in measured.bare.values())]))
    panels[0].set_ylabel("logical error probability")
    trim(list(panels))
    sign(
        figure,
        "Left: points, crosses and black line are read off the published figure (a point with error 0 is not shown); "
        "the recursion was fitted to them [inferred].",
    )
    return figure


def _colours() -> dict[int, tuple[float, ...]]:
    from matplotlib import colormaps

    levels = sorted({*LEVELS, 1})
    return {one: tuple(colormaps["viridis"](0.9 * at / 5)) for at, one in enumerate(levels)}


def _draw_published(axes: "Axes", recursion: MedianRecursion) -> None:
    failures, colours = np.linspace(*FAILURES, 300), _colours()
    for level in LEVELS:
        colour = colours[level]
        errors = [recursion.error(p, level) for p in failures]
        axes.plot(failures, errors, color=colour, lw=1.2, label=f"level {level}, recursion")
        if level in CROSSINGS:
            axes.plot(*points_of(level), "o", mfc="none", mec=colour, ms=4, label=f"level {level}, published")
            axes.plot(CROSSINGS[level], CROSSINGS[level], "x", color="0.2", ms=7)
    found, own = extrapolate(CROSSINGS).threshold, recursion.threshold()
    axes.axvline(THRESHOLD, color="k", lw=1.2, label=f"published $p_0$ = {THRESHOLD}")
    axes.axvline(found, color="tab:red", lw=1, ls=":", label=f"crosses extrapolated: {found:.4f}")
    axes.axvline(own, color="tab:blue", lw=1, ls="--", label=f"of the recursion: {own:.4f}")
    entitle(axes, "Published median code")


def _draw_measured(axes: "Axes", measured: MeasuredLevels) -> None:
    colours = _colours()
    for level, points in measured.errors.items():
        _draw_points(axes, points, colours.get(level, (0.8, 0.1, 0.1)), f"level {level}, simulated")
    for at, (level, one) in enumerate(measured.bare.items()):
        label = "crosses a bare neuron" if at == 0 else None
        axes.errorbar(
            one.noise,
            one.noise,
            xerr=[[one.noise - one.low], [one.high - one.noise]],
            fmt="x",
            color="0.2",
            ms=7,
            lw=1,
            label=label,
        )
        axes.annotate(str(level), (one.noise, one.noise), (0, 6), textcoords="offset points", fontsize=7)
    for (less, more), one in measured.pairs.items():
        label = f"levels {less} and {more} cross: {one.noise:.4f} [{one.low:.4f}, {one.high:.4f}]"
        axes.axvspan(one.low, one.high, color=colours.get(more, "tab:red"), alpha=0.15, lw=0)
        axes.axvline(one.noise, color=colours.get(more, "tab:red"), lw=1, ls="--", label=label)
    if measured.threshold is not None:
        middle, low, high = measured.threshold
        label = f"crosses extrapolated: {middle:.4f} [{low:.4f}, {high:.4f}]"
        axes.axvline(middle, color="tab:red", lw=1, ls=":", label=label)
    axes.axvline(THRESHOLD, color="k", lw=1.2, label=f"published $p_0$ = {THRESHOLD}")
    entitle(axes, f"Ours: {measured.name}")


def _draw_points(
    axes: "Axes",
    points: Sequence[tuple[float, ErrorEstimate]],
    colour: tuple[float, ...],
    label: str,
) -> None:
    seen = [(p, one) for p, one in points if not one.is_bound]
    if seen:
        centre = np.array([one.estimate for _, one in seen])
        ends = np.array([[one.low, one.high] for _, one in seen]).T
        axes.errorbar(
            [p for p, _ in seen],
            centre,
            yerr=np.abs(ends - centre),
            fmt="o-",
            color=colour,
            ms=3,
            lw=1,
            label=label,
        )
    bounds = [(p, one.high) for p, one in points if one.is_bound]
    if bounds:
        axes.plot(*zip(*bounds, strict=True), "v", color=colour, ms=4)
