"""Recorded against predicted behaviour of one day."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightning_modules.parts.decoding.figures_style import (
    MOST_NAMES,
    Colours,
    ShownDay,
    all_targets,
    drawable,
    entitle,
    key,
    spread_evenly,
    target_colours,
    trim,
)
from lightning_modules.parts.spikes.windows import SpikeTrials

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SINGLE_TRIALS = 8
"""Trials of each target that are drawn in the plane, beside the target's mean."""
MOST_DIMENSIONS = 4

Array = NDArray[np.float64]


def draw_trajectories(
    predicted: NDArray[np.floating[Any]],
    trials: SpikeTrials,
    *,
    behaviour_names: Sequence[str],
    bin_width_s: float,
    day: ShownDay,
) -> "Figure":
    """Draw recorded and predicted behaviour: over time, and of two dimensions in their plane too.

    Args:
        predicted: Behaviour in the recording's unit, (K, T, D).
        trials: The K trials of the day.
        behaviour_names: Names of the D dimensions; the first `MOST_DIMENSIONS` are drawn.
        bin_width_s: Width of a bin, s.
        day: Which day.
    """
    from matplotlib.figure import Figure

    recorded, guessed = drawable(trials.behaviour), drawable(predicted)
    colours = target_colours(all_targets(trials.target))
    n_drawn = min(len(behaviour_names), MOST_DIMENSIONS)
    in_plane = len(behaviour_names) == 2
    rows = 2 if in_plane or n_drawn > 2 else 1
    figure = Figure(figsize=(10 if in_plane or n_drawn > 1 else 6.5, 4.2 * rows))
    panels = list(figure.subplots(rows, 2 if n_drawn > 1 else 1, squeeze=False).flat)
    figure.subplots_adjust(
        left=0.1,
        right=0.9,
        bottom=0.07 if rows == 2 else 0.13,
        top=0.9 if rows == 2 else 0.82,
        wspace=0.28,
        hspace=0.3,
    )
    missing = "" if np.isfinite(guessed).all() else "; where predictions are not finite, nothing is drawn"
    figure.suptitle(f"Behaviour on {day.title}\n{len(trials)} trials{missing}", fontsize=11)
    if in_plane:
        plane, panels = panels[:2], panels[2:]
        for axes, traces, what in zip(plane, (recorded, guessed), ("Recorded", "Predicted"), strict=True):
            _draw_plane(axes, traces, trials.target, colours)
            entitle(axes, f"{what}: single trials and each target's mean")
            axes.set(xlabel=_with_unit(behaviour_names[0]), ylabel=_with_unit(behaviour_names[1]))
        _share_limits(plane, recorded, guessed)
    time = (np.arange(recorded.shape[1]) + 0.5) * bin_width_s
    for dimension, axes in zip(range(n_drawn), panels, strict=False):
        _draw_over_time(axes, time, recorded[..., dimension], guessed[..., dimension], trials.target, colours)
        axes.set(xlabel="Time from the trial's first bin (s)", ylabel=_with_unit(behaviour_names[dimension]))
        entitle(axes, "Mean of each target over time")
    for axes in panels[n_drawn:]:
        axes.set_visible(False)
    first = figure.axes[1 if in_plane or n_drawn > 1 else 0]
    _name_lines(first, figure.axes[-1] if in_plane else first, colours)
    trim(figure.axes)
    return figure


def mean_of_target(traces: Array, target: NDArray[np.int64], one: int) -> Array:
    """Return the mean of a target's trials (K, T, ...), without those whose traces are not finite."""
    ours = traces[target == one]
    finite = np.isfinite(ours).reshape(len(ours), -1).all(axis=1)
    return ours[finite].mean(axis=0) if finite.any() else np.full(ours.shape[1:], np.nan)


def _draw_plane(axes: "Axes", traces: Array, target: NDArray[np.int64], colours: dict[int, Colours]) -> None:
    from matplotlib.collections import LineCollection

    for one, colour in colours.items():
        singles = traces[target == one][:SINGLE_TRIALS]
        axes.add_collection(LineCollection(list(singles), colors=[colour], linewidths=0.6, alpha=0.45))
        mean = mean_of_target(traces, target, one)
        axes.plot(mean[:, 0], mean[:, 1], color=colour, linewidth=2.0)
    axes.set_aspect("equal", adjustable="box")


def _share_limits(plane: "Sequence[Axes]", recorded: Array, guessed: Array) -> None:
    """Give both panels the limits of the recorded traces, or wider ones where predictions go further, up to twice."""
    low, high = np.nanmin(recorded, axis=(0, 1)), np.nanmax(recorded, axis=(0, 1))
    centre, reach = (low + high) / 2, float(max((high - low).max() / 2, np.finfo(np.float32).eps))
    if np.isfinite(guessed).any():
        reach = float(min(max(reach, np.nanmax(np.abs(guessed - centre))), 2 * reach))
    for axes in plane:
        axes.set(xlim=(centre[0] - 1.05 * reach, centre[0] + 1.05 * reach))
        axes.set(ylim=(centre[1] - 1.05 * reach, centre[1] + 1.05 * reach))


def _draw_over_time(
    axes: "Axes",
    time: Array,
    recorded: Array,
    guessed: Array,
    target: NDArray[np.int64],
    colours: dict[int, Colours],
) -> None:
    for one, colour in colours.items():
        axes.plot(time, mean_of_target(recorded, target, one), color=colour, linewidth=1.4)
        axes.plot(
            time, mean_of_target(guessed, target, one), color=colour, linewidth=1.4, linestyle=(0, (3, 1.5))
        )


def _name_lines(of_targets: "Axes", of_kinds: "Axes", colours: dict[int, Colours]) -> None:
    """Draw one legend of the targets, and one of solid and dashed lines below it or beside another panel."""
    beside: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
    names = list(colours)
    shown = [names[one] for one in spread_evenly(len(names), MOST_NAMES)]
    targets = [(f"target {one}", {"color": colours[one], "linewidth": 2.0}) for one in shown]
    kinds = [
        ("recorded", {"color": "0.2", "linewidth": 1.4}),
        ("predicted", {"color": "0.2", "linewidth": 1.4, "linestyle": (0, (3, 1.5))}),
    ]
    if of_targets is of_kinds:
        key(of_targets, targets + kinds, **beside)
    else:
        key(of_targets, targets, **beside)
        key(of_kinds, kinds, **beside)


def _with_unit(name: str) -> str:
    return f"{name} (recording's unit)"
