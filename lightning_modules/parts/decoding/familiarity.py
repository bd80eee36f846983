"""Whether a new session looks like the days that a model was trained on: each unit's rate, and all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lightning_modules.parts.decoding.model_input import columns, listed
from lightning_modules.parts.spikes.input_description import InputDescription, SessionRates

LIMIT = 3.0
"""Standard deviations beyond the training days from which on a rate counts as unlike theirs."""
MOST_OUTSIDE = 0.1
"""Part of the units that may lie beyond `LIMIT`. Units come and go: on the day after the training days it is 4 %
of those of generated sessions with default drift, ten days later 26 to 30 %, 15 days later on recordings 15 %."""
SURELY_SEEN = 10.0
"""Expected spikes from which on silence is no accident: Poisson's probability of none is 5e-5."""

ASSUMED_SPREAD = 0.2
"""Of log rates between days where there is one training day and nothing to measure it by. Most units of generated
sessions with default drift differ by this much from one day to the next (.15 to .24)."""
LEAST_SPREAD = 0.1
"""Of log rates between days, however alike the training days are: nobody decodes worse for a tenth."""
SUM_SPREAD, SUM_SPREAD_DAYS = 0.15, 2
"""Of the log of the summed rate between days, taken for known from so many days beside the training days."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Familiarity:
    """How a session's rates compare with those of the training days.

    Args:
        silenced: Whether each unit fired on every training day so much that silence now is no accident, (N,).
        awakened: Whether each unit fires now and did on no training day, as surely, (N,).
        z: How far the log rate lies beyond those of all training days, in standard deviations of the difference
            of two days, uncertainty of their means included; 0 within their range, for the units above and for
            those without spikes. (N,)
        spread: Standard deviation of a unit's log rate between days.
        sum_ratio: Summed rate now over the geometric mean of that of the training days; NaN if there were no
            spikes.
        sum_z: Its logarithm in standard deviations.
    """

    silenced: NDArray[np.bool_]
    awakened: NDArray[np.bool_]
    z: Array
    spread: float
    sum_ratio: float
    sum_z: float

    @property
    def outside(self) -> NDArray[np.bool_]:
        """Whether the rate of each unit is unlike those of the training days, (N,)."""
        return np.abs(self.z) > LIMIT


def compare_rates(training: Sequence[SessionRates], now: SessionRates, *, window_s: float) -> Familiarity:
    """Compare a session's rates with those of the training sessions.

    Args:
        training: At least one session.
        now: The new session, the same units.
        window_s: Length of a trial, s.
    """
    before = np.array([one.rates_hz for one in training])  # (S, N)
    errors = np.array([one.errors_hz for one in training])
    seconds = np.array([one.n_trials * window_s for one in training])
    rates, seconds_now = np.array(now.rates_hz), now.n_trials * window_s
    silenced = (rates == 0) & (before.min(axis=0) * seconds_now >= SURELY_SEEN)
    awakened = (before.max(axis=0) == 0) & (rates * min(seconds.min(), seconds_now) >= SURELY_SEEN)
    logs, log_errors = _log_rates(before, errors, seconds[:, None])
    log_now, error_now = _log_rates(rates, np.array(now.errors_hz), np.array(seconds_now))
    spread = _spread(logs, log_errors, np.all(before > 0, axis=0))
    nearest = np.abs(logs - log_now).argmin(axis=0)[None]
    beyond = log_now - np.clip(log_now, logs.min(axis=0), logs.max(axis=0))
    error_then = np.take_along_axis(log_errors, nearest, axis=0)[0]
    z = beyond / np.sqrt(2 * spread**2 + error_now**2 + error_then**2)
    fires = (rates > 0) | np.any(before > 0, axis=0)
    log_ratio, sum_error = _compare_sums(before.sum(axis=1), float(rates.sum()))
    return Familiarity(
        silenced=silenced,
        awakened=awakened,
        z=np.where(fires & ~silenced & ~awakened, z, 0.0),
        spread=spread,
        sum_ratio=float(np.exp(log_ratio)),
        sum_z=log_ratio / sum_error,
    )


def describe_unfamiliar(
    description: InputDescription, now: SessionRates, *, absent: Sequence[str] = ()
) -> tuple[str, ...]:
    """Say in plain sentences what of a session is unlike the training days; nothing where it looks like one.

    Args:
        description: What the model was trained on.
        now: Rates of the new session on the model's columns.
        absent: Columns that the session does not record, which somebody else has reported.
    """
    names = np.array(description.unit_names)
    found = compare_rates(description.training, now, window_s=description.window_s)
    recorded = ~np.isin(names, list(absent))
    what, n_units = columns(description), len(names)
    sentences = []
    silenced = found.silenced & recorded
    if silenced.any():
        sentences.append(
            f"{int(silenced.sum())} of {n_units} {what} are silent that fired on the training days: "
            f"{listed(names[silenced].tolist())}."
        )
    if found.awakened.any():
        sentences.append(
            f"{int(found.awakened.sum())} of {n_units} {what} fire that were silent on the training days: "
            f"{listed(names[found.awakened].tolist())}."
        )
    outside = found.outside & recorded
    if outside.sum() > MOST_OUTSIDE * n_units:
        sentences.append(_outside_sentence(found, outside, description))
    if abs(found.sum_z) > LIMIT and not absent:
        sentences.append(
            f"All {what} together fire {found.sum_ratio:.2g} times as much as on the training days."
        )
    if not any(now.rates_hz):
        sentences = ["The session holds no spike in the trials that were decoded."]
    return tuple(sentences)


def _outside_sentence(found: Familiarity, outside: NDArray[np.bool_], description: InputDescription) -> str:
    worst = np.argsort(-np.abs(found.z) * outside)[: int(outside.sum())]
    measure = (
        "what they differ by"
        if len(description.training) > 1
        else "what days usually differ by, since one day does not tell"
    )
    return (
        f"{int(outside.sum())} of {len(found.z)} {columns(description)} fire at rates unlike those of the training "
        f"days (beyond all of them by {LIMIT:g} standard deviations of {measure}): "
        f"{listed(np.array(description.unit_names)[worst].tolist())}."
    )


def _compare_sums(before: Array, now: float) -> tuple[float, float]:
    """Log of the summed rate against its mean over the training days, and the deviation to expect of it."""
    if not before.all() or not now:
        return np.nan, 1.0
    logs, n_sessions = np.log(before), len(before)
    squares = SUM_SPREAD_DAYS * SUM_SPREAD**2 + float(np.square(logs - logs.mean()).sum())
    variance = squares / (SUM_SPREAD_DAYS + n_sessions - 1) * (1 + 1 / n_sessions)
    return float(np.log(now) - logs.mean()), float(np.sqrt(variance))


def _log_rates(rates: Array, errors: Array, seconds: Array) -> tuple[Array, Array]:
    """Log rates with half a spike added, which keeps the log of no spike finite, and their standard errors."""
    floored = rates + 0.5 / seconds
    # No spike at all has no spread over trials, yet one could have been there.
    return np.log(floored), np.maximum(errors, np.sqrt(0.5) / seconds) / floored


def _spread(logs: Array, log_errors: Array, fired: NDArray[np.bool_]) -> float:
    """Standard deviation between days of a unit's log rate, (S, N): of most units, not of those replaced."""
    n_sessions = len(logs)
    if n_sessions == 1 or not fired.any():
        return ASSUMED_SPREAD
    deviations = (logs - logs.mean(axis=0))[:, fired] * np.sqrt(n_sessions / (n_sessions - 1))
    squared = (np.median(np.abs(deviations)) / stats.norm.ppf(0.75)) ** 2
    excess = squared - np.median(np.square(log_errors[:, fired]))
    return float(max(LEAST_SPREAD, np.sqrt(max(0.0, excess))))
