"""A straight line through logarithms of counted errors, points without errors included."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from lightning_modules.fault_tolerant.estimates.error_estimate import CONFIDENCE, z_of
from lightning_modules.parts.errors import DataError

_LOG10 = math.log(10)
_LARGEST = -1e-9
"""Of the log of an error: where the line would pass 1."""


@dataclass(frozen=True)
class LogLine:
    """log10(error) = intercept + slope x.

    Args:
        intercept: At x = 0.
        slope: Powers of ten for a unit of x.
        slope_low: Lower end of the slope's interval.
        slope_high: Upper end.
        misfit: Pearson's chi-squared of the counts for each degree of freedom, about 1 if the line is true; NaN for
            two points. Where it is above 1 the interval is too narrow.
    """

    intercept: float
    slope: float
    slope_low: float
    slope_high: float
    misfit: float

    def error(self, x: float) -> float:
        """Return the error on the line, 1 at most."""
        return min(1.0, 10 ** (self.intercept + self.slope * x))


def fit_log_line(
    x: Sequence[float], events: Sequence[int], trials: Sequence[int], confidence: float = CONFIDENCE
) -> LogLine:
    """Fit a line by the likelihood of the counts: with x modules, or with log10 p for the order of an error in p.

    Points without an error take part with what they say, that the error is small there; leaving them out would bend
    the line up.

    Args:
        x: Places.
        events: Errors.
        trials: Of how many trials.
        confidence: Of the slope's interval, from the curvature of the likelihood.

    Raises:
        DataError: If fewer than two places have errors: then the slope is open.
    """
    places, k, n = (np.asarray(one, dtype=np.float64) for one in (x, events, trials))
    if len(np.unique(places[k > 0])) < 2:
        raise DataError(
            f"Errors were seen at {len(np.unique(places[k > 0]))} of {len(places)} places; a line takes two.",
            "Add places where errors occur, or draw more trials.",
        )
    centre = float(places.mean())
    design = np.stack([np.ones_like(places), places - centre], axis=1)

    def loss(line: NDArray[np.float64]) -> float:
        logs = np.minimum(design @ line, _LARGEST)
        return -float(np.sum(k * logs + (n - k) * np.log(-np.expm1(logs))))

    start = np.polyfit(places[k > 0] - centre, np.log(np.minimum(k, n - 0.5)[k > 0] / n[k > 0]), 1)[::-1]
    best = minimize(
        loss, start, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-9, "maxiter": 4000}
    )
    rate = np.exp(np.minimum(design @ best.x, _LARGEST))
    information = design.T @ (design * (n * rate / (1 - rate))[:, None])
    slope, sd = best.x[1] / _LOG10, math.sqrt(np.linalg.inv(information)[1, 1]) / _LOG10
    z, freedom = z_of(confidence), len(places) - 2
    misfit = float(np.sum((k - n * rate) ** 2 / (n * rate * (1 - rate)))) / freedom if freedom else math.nan
    intercept = best.x[0] / _LOG10 - slope * centre
    return LogLine(float(intercept), float(slope), float(slope - z * sd), float(slope + z * sd), misfit)
