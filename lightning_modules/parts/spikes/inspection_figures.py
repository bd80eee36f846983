"""Pictures of recordings: rates and mean trajectories, day by day."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from lightning_modules.parts.spikes.session import SpikeSession, bins_in_trials, select_behaviour
from lightning_modules.parts.spikes.windows import cut_trials, window_bins

MOST_PANELS = 12
"""More sessions are shown by as many that are spread evenly over them."""
PANEL_INCHES = (3.2, 2.9)


def draw_rates(sessions: Sequence[SpikeSession]) -> Figure:
    """Rate of each unit over the time of a trial, averaged over trials; units sorted by the time of their peak."""
    shown = _spread(sessions)
    images = [trial_mean_rates(session) for session in shown]
    highest = float(np.percentile(np.concatenate([image.ravel() for image in images]), 99)) or 1.0
    figure, panels = _panels(shown, sessions, "Mean rate of each unit over the trial")
    scale = Normalize(0, highest)
    for panel, session, image in zip(panels, shown, images, strict=True):
        order = np.argsort(image.argmax(axis=1), kind="stable")
        panel.imshow(
            image[order],
            aspect="auto",
            interpolation="nearest",
            norm=scale,
            extent=(0, image.shape[1] * session.bin_width_s, len(image), 0),
        )
        panel.set(xlabel="time from trial start (s)", ylabel="unit, by time of peak")
    figure.colorbar(ScalarMappable(scale), ax=panels, label="spikes/s", shrink=0.8)
    return figure


def draw_unit_means(sessions: Sequence[SpikeSession]) -> Figure:
    """Mean rate of every unit, a column of dots for each session, with the median."""
    figure = Figure(figsize=(max(4.0, 0.7 * len(sessions) + 2.0), 3.6), layout="constrained")
    panel = figure.subplots()
    for column, session in enumerate(sessions):
        rates = session.spikes.mean(axis=0, dtype=np.float64) / session.bin_width_s
        spread = np.random.default_rng(column).uniform(-0.25, 0.25, len(rates))
        panel.plot(column + spread, rates, ".", markersize=3, color="tab:blue", alpha=0.6)
        panel.plot([column - 0.3, column + 0.3], [np.median(rates)] * 2, color="black", linewidth=1.5)
    panel.set_yscale("symlog", linthresh=0.1)
    panel.set_xticks(range(len(sessions)), [session.date for session in sessions], rotation=45, ha="right")
    panel.set(ylabel="mean rate (spikes/s)", title="Units, day by day; bar: median")
    return figure


def draw_trajectories(sessions: Sequence[SpikeSession]) -> Figure:
    """Mean trajectory to each target: the path in two dimensions, else the first dimension over time."""
    shown = _spread(sessions)
    targets = np.unique(np.concatenate([session.target for session in sessions]))
    colours = {int(target): colormaps["hsv"](rank / len(targets)) for rank, target in enumerate(targets)}
    figure, panels = _panels(shown, sessions, "Mean trajectory to each target")
    for panel, session in zip(panels, shown, strict=True):
        names, means = target_means(session)
        planar = len(names) == 2
        for target, trace in means.items():
            times = (np.arange(len(trace)) + 0.5) * session.bin_width_s
            across, up = (trace[:, 0], trace[:, 1]) if planar else (times, trace[:, 0])
            panel.plot(across, up, color=colours[target], linewidth=1.2)
        panel.set(xlabel=names[0] if planar else "time from trial start (s)", ylabel=names[planar])
        if planar:
            panel.set_aspect("equal", adjustable="datalim")
    figure.legend(
        [Line2D([], [], color=colour) for colour in colours.values()],
        [str(target) for target in colours],
        title="target",
        loc="outside right center",
        fontsize=8,
    )
    return figure


def trial_mean_rates(session: SpikeSession) -> NDArray[np.float64]:
    """Rates over the default window, averaged over trials, spikes/s (N, T)."""
    trials = cut_trials(session, n_bins=window_bins([session], None), session_index=0)
    return trials.spikes.mean(axis=0, dtype=np.float64).T / session.bin_width_s


def target_means(session: SpikeSession) -> tuple[tuple[str, ...], dict[int, NDArray[np.float64]]]:
    """Names of what moves, and its mean over the trials of each target in the default window, (T, D).

    Position stands in for velocity where it was recorded without gaps, for paths are easier to read.
    """
    if (
        session.behaviour_names[0].startswith("velocity")
        and session.position is not None
        and np.isfinite(session.position[bins_in_trials(session)]).all()
    ):
        session = select_behaviour(session, "position")
    trials = cut_trials(session, n_bins=window_bins([session], None), session_index=0)
    names, traces = session.behaviour_names, trials.behaviour
    return names, {
        int(target): traces[trials.target == target].mean(axis=0, dtype=np.float64)
        for target in np.unique(trials.target)
    }


def _spread(sessions: Sequence[SpikeSession]) -> list[SpikeSession]:
    chosen = np.linspace(0, len(sessions) - 1, min(len(sessions), MOST_PANELS)).round().astype(int)
    return [sessions[position] for position in chosen]


def _panels(
    shown: Sequence[SpikeSession], sessions: Sequence[SpikeSession], title: str
) -> tuple[Figure, list[Axes]]:
    """A panel for each shown session, and the title."""
    columns = min(len(shown), 4)
    rows = -(-len(shown) // columns)
    figure = Figure(
        figsize=(PANEL_INCHES[0] * columns + 1.2, PANEL_INCHES[1] * rows + 0.4), layout="constrained"
    )
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for unused in axes[len(shown) :]:
        unused.remove()
    panels = axes[: len(shown)]
    for panel, session in zip(panels, shown, strict=True):
        panel.set_title(f"{session.date}: {session.n_units} units, {session.n_trials} trials", fontsize=9)
    part = "" if len(shown) == len(sessions) else f" ({len(shown)} of {len(sessions)} sessions)"
    figure.suptitle(title + part)
    return figure, panels
