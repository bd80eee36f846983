"""Where two curves of counted errors cross, and what may be claimed of a threshold."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lightning_modules.fault_tolerant.estimates.error_estimate import CONFIDENCE
from lightning_modules.parts.errors import DataError

N_REDRAWS = 2000
FEWEST_LEVELS = 3
"""Of redundancy, for a threshold; fault_tolerant.md section 8, check 25."""


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """Errors that were counted at failure probabilities, or at standard deviations.

    Args:
        name: Of the level of redundancy, for messages.
        noise: Strengths of the noise, (P,), rising, above 0.
        events: Errors, (P,).
        trials: Of how many, (P,).

    Raises:
        ValueError: If the three do not match, or the noise does not rise; all problems at once.
    """

    name: str
    noise: NDArray[np.float64]
    events: NDArray[np.int64]
    trials: NDArray[np.int64]

    def __post_init__(self) -> None:
        problems = []
        if not self.noise.shape == self.events.shape == self.trials.shape or self.noise.ndim != 1:
            shapes = (self.noise.shape, self.events.shape, self.trials.shape)
            problems.append(f"noise, events and trials have shapes {shapes}; give one of each a point.")
        elif np.any(self.events > self.trials) or np.any(self.events < 0) or np.any(self.trials < 1):
            problems.append("there are points with more errors than trials, or with none of these.")
        if np.any(np.diff(self.noise) <= 0) or np.any(self.noise <= 0):
            problems.append("the noise must rise from point to point, and be above 0.")
        if problems:
            raise ValueError(f"The curve `{self.name}` cannot be used:\n  " + "\n  ".join(problems))

    def redraw_logs(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw logarithms of errors that the counts allow, (n, P), from Jeffreys' posterior: never of zero."""
        return np.log(rng.beta(self.events + 0.5, self.trials - self.events + 0.5, size=(n, len(self.noise))))


@dataclass(frozen=True)
class Crossing:
    """Noise at which more redundancy stops to help.

    Args:
        noise: Where the curves cross.
        low: Lower end of its interval.
        high: Upper end.
        scanned: Weakest and strongest noise of the curves.
        misfit: Chi-squared of the ratio of the curves about its line, for each degree of freedom; about 1 if it is
            straight. NaN for two points.
    """

    noise: float
    low: float
    high: float
    scanned: tuple[float, float]
    misfit: float

    @property
    def is_inside(self) -> bool:
        """Whether the whole interval lies within the noise that was scanned."""
        return self.scanned[0] <= self.low and self.high <= self.scanned[1]


def find_crossing(
    less: ErrorCurve, more: ErrorCurve | None, *, seed: int = 0, confidence: float = CONFIDENCE
) -> Crossing:
    """Find where the error with more redundancy rises above that with less.

    The log of the errors' ratio is taken as a straight line in the log of the noise: give points near the crossing.
    The interval is that of lines through errors redrawn from what the counts allow.

    Args:
        less: Curve with less redundancy.
        more: Curve with more, at the same noise; None for the crossing of `less` with a bare neuron, error = noise.
        seed: Of the redraws.
        confidence: Of the interval.

    Raises:
        DataError: If the curves have other noise, fewer than two points, or do not cross in this direction.
    """
    _check_pair(less, more)
    rng = np.random.default_rng(seed)
    below = less.redraw_logs(N_REDRAWS, rng)
    place = np.log(less.noise)
    # `less` crosses the line error = noise from below, as `more` crosses `less`.
    ratios = below - place if more is None else more.redraw_logs(N_REDRAWS, rng) - below  # (n, P)
    centre, spread = ratios.mean(axis=0), ratios.std(axis=0)
    design = np.stack([np.ones_like(place), place], axis=1) / spread[:, None]
    solve = np.linalg.pinv(design)
    intercept, slope = solve @ (centre / spread)
    intercepts, slopes = solve @ (ratios / spread).T
    if np.mean(slopes > 0) < (1 + confidence) / 2 or slope <= 0:
        names = less.name if more is None else f"{less.name} and {more.name}"
        raise DataError(
            f"Whether the error of {names} crosses upwards between {less.noise[0]:g} and {less.noise[-1]:g} cannot be "
            f"told: the slope of its ratio is {slope:.2g} +- {slopes.std():.2g}.",
            "Scan a wider range of noise, or draw more trials.",
        )
    tail = (1 - confidence) / 2
    rising = slopes > 0
    low, high = np.quantile(-intercepts[rising] / slopes[rising], [tail, 1 - tail])
    residual = design @ np.array([intercept, slope]) - centre / spread
    freedom = len(place) - 2
    misfit = float(np.sum(residual**2)) / freedom if freedom else float("nan")
    ends = (float(less.noise[0]), float(less.noise[-1]))
    return Crossing(float(np.exp(-intercept / slope)), float(np.exp(low)), float(np.exp(high)), ends, misfit)


def _check_pair(less: ErrorCurve, more: ErrorCurve | None) -> None:
    if more is not None and not np.array_equal(less.noise, more.noise):
        raise DataError(
            f"The curves `{less.name}` and `{more.name}` were counted at other noise.",
            "Count both at the same points.",
        )
    if len(less.noise) < 2:
        raise DataError("A crossing takes two points or more.", "Scan more values of the noise.")


@dataclass(frozen=True)
class ThresholdClaim:
    """A threshold that levels of redundancy bear out.

    Args:
        crossings: Of successive levels, from low to high.
        names: Of the two levels of each.
    """

    crossings: tuple[Crossing, ...]
    names: tuple[tuple[str, str], ...]

    @property
    def last(self) -> Crossing:
        """The crossing of the two highest levels: the nearest to the threshold."""
        return self.crossings[-1]


def claim_threshold(curves: Sequence[ErrorCurve], *, seed: int = 0) -> ThresholdClaim:
    """Return the crossings of successive levels of redundancy, or refuse the claim.

    Args:
        curves: From least to most redundancy, at the same noise.
        seed: Of the intervals.

    Raises:
        DataError: If there are fewer than three levels, or a crossing's interval leaves the noise that was scanned.

    Source:
        fault_tolerant.md section 8, check 25.
    """
    if len(curves) < FEWEST_LEVELS:
        raise DataError(
            f"{len(curves)} levels of redundancy bear out no threshold; it takes {FEWEST_LEVELS}.",
            "Add a level, or report the errors without a threshold.",
        )
    crossings = []
    for less, more in pairwise(curves):
        crossing = find_crossing(less, more, seed=seed)
        if not crossing.is_inside:
            raise DataError(
                f"The crossing of {less.name} and {more.name}, {crossing.noise:.4g} [{crossing.low:.4g}, "
                f"{crossing.high:.4g}], leaves the noise that was scanned, {crossing.scanned}.",
                "Scan a wider range, or draw more trials.",
            )
        crossings.append(crossing)
    names = tuple((less.name, more.name) for less, more in pairwise(curves))
    return ThresholdClaim(tuple(crossings), names)
