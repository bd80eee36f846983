"""R² of decoded behaviour by the days since training, with intervals over trials."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_modules.parts.decoding.day_scores import days_between
from lightning_modules.parts.decoding.figures_style import HeldOut, entitle, trim
from lightning_modules.parts.spikes.recordings import SpikeData
from lightning_modules.parts.spikes.windows import SpikeTrials

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CONFIDENCE = 0.95
N_RESAMPLES = 1000
LOWEST = -1.0
"""R² below which the axis is cut: a point further down is named at its edge."""


_NAMES: dict[HeldOut, str] = {
    "days": "held-out days",
    "trials": "held-out trials",
    "left out in turn": "by the copy trained without the day",
}


class R2Interval(NamedTuple):
    """R² with a bootstrap interval over trials.

    Args:
        r2: Variance-weighted over dimensions; NaN or -inf where the truth does not vary.
        low: Lower end of the interval; NaN for fewer than 2 trials.
        high: Upper end.
    """

    r2: float
    low: float
    high: float


def draw_r2_by_day(
    trained: NDArray[np.floating[Any]], held_out: NDArray[np.floating[Any]], data: SpikeData, kind: HeldOut
) -> "Figure":
    """Draw R² of every session against the days since the last training day.

    Args:
        trained: Predicted behaviour of the training trials, (K, T, D).
        held_out: Of the validation trials, (M, T, D).
        data: Sessions and recorded behaviour.
        kind: What was held out.
    """
    from matplotlib.figure import Figure

    last = data.session_names[int(data.training.session.max())]
    figure = Figure(figsize=(7.5, 4.6))
    axes = figure.subplots()
    figure.subplots_adjust(left=0.1, right=0.97, bottom=0.25, top=0.9)
    gaps: dict[int, str] = {}
    for predicted, trials, name, look in (
        (trained, data.training, "trials that were trained on", _TRAINED),
        (held_out, data.validation, _NAMES[kind], _HELD_OUT),
    ):
        scores = r2_of_sessions(predicted, trials)
        days = {session: days_between(last, data.session_names[session]) for session in scores}
        gaps |= {gap: data.session_names[session][:10] for session, gap in days.items()}
        _draw_points(axes, [days[one] for one in scores], list(scores.values()), name, look)
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, LOWEST), min(max(high, LOWEST + 0.1), 1.02))
    if low < 0 < high:
        axes.axhline(0.0, color="0.6", linewidth=0.8, zorder=0)
    ticks = sorted(gaps)
    if len(ticks) <= 9:
        axes.set_xticks(ticks, [f"{gap}\n{gaps[gap]}" for gap in ticks], fontsize=8)
    axes.margins(x=0.08)
    axes.set(xlabel="Days since the last training day", ylabel="R² of behaviour (variance-weighted)")
    entitle(axes, f"R² by day, {CONFIDENCE:.0%} bootstrap intervals over trials")
    axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    trim([axes])
    return figure


_TRAINED: dict[str, Any] = {"marker": "o", "color": "0.55", "markerfacecolor": "white", "markersize": 6}
_HELD_OUT: dict[str, Any] = {"marker": "^", "color": "#0072B2", "markersize": 6}


def r2_of_sessions(predicted: NDArray[np.floating[Any]], trials: SpikeTrials) -> dict[int, R2Interval]:
    """Return R² of each session that has trials, by its position among the session names."""
    found = {}
    for session in np.unique(trials.session).tolist():
        ours = trials.session == session
        found[session] = r2_interval(predicted[ours], trials.behaviour[ours])
    return found


def r2_interval(
    predicted: NDArray[np.floating[Any]],
    truth: NDArray[np.floating[Any]],
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> R2Interval:
    """Return R² and the percentile interval of its bootstrap, in which whole trials are drawn again.

    Args:
        predicted: (K, T, D).
        truth: (K, T, D).
        n_resamples: Of the bootstrap.
        seed: Of the bootstrap.
    """
    errors = np.square(predicted.astype(np.float64) - truth).sum(axis=(1, 2))  # (K,)
    centred = truth - truth.mean(axis=(0, 1), dtype=np.float64)
    sums, squares = centred.sum(axis=1), np.square(centred).sum(axis=(1, 2))  # (K, D), (K,)
    n_trials, n_bins = truth.shape[:2]

    def score(times_drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        means = times_drawn @ sums / (n_trials * n_bins)
        total = times_drawn @ squares - n_trials * n_bins * np.square(means).sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return 1 - times_drawn @ errors / total

    value = float(score(np.ones(n_trials, dtype=np.int64)))
    if n_trials < 2 or not np.isfinite(value):
        return R2Interval(value, np.nan, np.nan)
    rng = np.random.default_rng(seed)
    resampled = score(rng.multinomial(n_trials, np.full(n_trials, 1 / n_trials), size=n_resamples))
    low, high = np.nanquantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return R2Interval(value, float(low), float(high))


def _draw_points(
    axes: "Axes", gaps: list[int], scores: list[R2Interval], name: str, look: dict[str, Any]
) -> None:
    """Draw points with intervals; what lies below the axis, or is no number, is named at its edge."""
    values = np.array([one.r2 for one in scores])
    reach = [[one.r2 - one.low for one in scores], [one.high - one.r2 for one in scores]]
    # A percentile interval may leave its own estimate out.
    shown = np.where(np.isfinite(values), values, np.nan)
    axes.errorbar(
        gaps, shown, yerr=np.maximum(np.nan_to_num(reach), 0), linestyle="", capsize=3, label=name, **look
    )
    for gap, value in zip(gaps, values, strict=True):
        if not np.isfinite(value) or value < LOWEST:
            text = f"R² = {value:.1f} ↓" if np.isfinite(value) else "R² is not finite"
            edge = axes.get_xaxis_transform()
            axes.text(gap, 0.03, text, transform=edge, ha="center", fontsize=8, color=look["color"])
