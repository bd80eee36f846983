"""An error that was counted, with its interval. Where nothing was counted there is a bound, never a zero."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import ndtri
from scipy.stats import beta

Method = Literal["monte_carlo", "strata", "enumeration", "importance", "splitting"]
CONFIDENCE = 0.95


def z_of(confidence: float) -> float:
    """Return the standard normal quantile of a two-sided interval.

    Raises:
        ValueError: If `confidence` does not lie between 0 and 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` is {confidence}, but must lie between 0 and 1, as .95 does.")
    return float(ndtri((1 + confidence) / 2))


def wilson(events: float, trials: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return Wilson's interval of a probability.

    Args:
        events: How often it happened; a mean over dependent inputs need not be whole.
        trials: Of how many independent trials.
        confidence: Of the two-sided interval.
    """
    z = z_of(confidence)
    share = events / trials
    centre = share + z**2 / (2 * trials)
    width = z * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    low, high = ((centre + sign * width) / (1 + z**2 / trials) for sign in (-1, 1))
    # Rounding leaves 1e-19 where the interval touches an end.
    return (0.0 if events == 0 else max(low, 0.0)), (1.0 if events == trials else min(high, 1.0))


def bound_without_events(trials: float, confidence: float = CONFIDENCE) -> float:
    """Return the rule of three: what never happened in n trials is rarer than 3/n, with 95 % confidence."""
    return min(1.0, -math.log(1 - confidence) / trials)


@dataclass(frozen=True)
class ErrorEstimate:
    """Probability of a logical error.

    Args:
        events: Errors that were seen, of all strata or draws together.
        trials: Draws; for the mean of inputs, of all of them together.
        estimate: The probability; without events the bound `high`.
        low: Lower end of the interval; 0 without events.
        high: Upper end of the interval; above 0 always.
        method: How it was found.
        effective: Draws of equal weight that would say as much about it; as many as `trials` where all weigh alike.

    Raises:
        ValueError: If the estimate is zero or outside its interval.
    """

    events: int
    trials: int
    estimate: float
    low: float
    high: float
    method: Method = "monte_carlo"
    effective: float | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.low <= self.estimate <= self.high <= 1 and self.estimate > 0):
            raise ValueError(
                f"An error of {self.estimate} in [{self.low}, {self.high}] is none: it must lie in its interval, "
                "within 0 and 1, and not be 0. Where nothing was seen give a bound."
            )

    @property
    def is_bound(self) -> bool:
        """Whether no error was seen, so that `estimate` is only an upper bound."""
        return self.events == 0

    def __str__(self) -> str:
        if self.is_bound:
            return f"< {self.high:.2g} (0 of {self.trials})"
        return f"{self.estimate:.2g} [{self.low:.2g}, {self.high:.2g}]"


def counted(events: int, trials: int, confidence: float = CONFIDENCE) -> ErrorEstimate:
    """Estimate the probability of an error from independent trials.

    Raises:
        ValueError: If there are no trials, or more events than trials.
    """
    if trials < 1 or not 0 <= events <= trials:
        raise ValueError(f"{events} errors in {trials} trials cannot be; give at least one trial.")
    if events == 0:
        bound = bound_without_events(trials, confidence)
        return ErrorEstimate(0, trials, bound, 0.0, bound)
    return ErrorEstimate(events, trials, events / trials, *wilson(events, trials, confidence))


def _exact_low(events: int, trials: int, missed: float) -> float:
    """Return the lower end of the Clopper-Pearson interval that misses with a probability of `missed`, both ends."""
    return float(beta.ppf(missed / 2, events, trials - events + 1)) if events else 0.0


@dataclass(frozen=True)
class InputErrors:
    """Errors of the worst input and of all inputs on average.

    Args:
        worst: Of the input that errs most. Its interval covers the largest probability, although the input was chosen
            by what was seen.
        mean: Of inputs that are all equally likely.
        worst_row: Which input erred most.
    """

    worst: ErrorEstimate
    mean: ErrorEstimate
    worst_row: int


def over_inputs(
    events: Sequence[int], trials: int, *, shared_noise: bool = False, confidence: float = CONFIDENCE
) -> InputErrors:
    """Estimate the errors of the worst input and of all inputs on average.

    The largest of the upper ends covers the largest probability as it stands. The lower end is of a choice among R
    inputs, so that it may be missed by a share of R less; so far out in the tail Wilson's end is too high, and that of
    Clopper and Pearson is taken.

    Args:
        events: Errors of each input.
        trials: Of each input.
        shared_noise: Whether all inputs saw the same draws of noise. Their errors may then be fully dependent, and the
            interval of the mean is that of so many trials of one input.
        confidence: Of the intervals.
    """
    singles = [counted(count, trials, confidence) for count in events]
    row = int(np.argmax(events))
    low = (
        _exact_low(events[row], trials, (1 - confidence) / len(events)) if len(events) > 1 else singles[0].low
    )
    high = max(one.high for one in singles)
    worst = ErrorEstimate(events[row], trials, singles[row].estimate, low, high)
    total, n_inputs = sum(events), len(events)
    if total == 0 or not shared_noise:
        mean = counted(total, trials * (1 if shared_noise else n_inputs), confidence)
    else:
        share = total / n_inputs
        mean = ErrorEstimate(total, trials * n_inputs, share / trials, *wilson(share, trials, confidence))
    return InputErrors(worst, mean, row)
