"""Recursion of the concatenated median code: errors and costs of levels that no simulation reaches."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from lightning_modules.fault_tolerant.theory.bisection import last_that_holds
from lightning_modules.fault_tolerant.theory.published_figure import Point
from lightning_modules.parts.errors import DataError

NEURONS_PER_MEDIAN = {"N4": 4, "L3": 3}
"""Physical neurons of the median's two circuits."""
_LIMIT_LEVEL = 60
"""Levels after which the recursion has run off to either side, but for p within 1e-15 of the threshold."""


@dataclass(frozen=True)
class MedianRecursion:
    """Logical error of a level from that of the level below, for sub-bundles that fail independently.

    The defaults were fitted to the published curves; they belong to a median circuit that is not known, neither to N4
    nor to L3, whose level-1 errors are 15 p^2 and 6 p^2.

    Args:
        first: a of the level-1 error, a p^2.
        spoilers: k, gadgets of the level below whose failure spoils a median.

    Source:
        fault_tolerant.md section 3.1.6 [inferred].
    """

    first: float = 0.86
    spoilers: float = 17.5

    def next_level(self, error: float) -> float:
        """Return the error of a level above one of `error`: two of three sub-bundles wrong."""
        wrong = min(-np.expm1(self.spoilers * np.log1p(-min(error, 1 - 1e-16))) + 3 * error**2, 1.0)
        return float(3 * wrong**2 - 2 * wrong**3)

    def error(self, failure: float, level: int) -> float:
        """Return the logical error of a level; a bare neuron, level 0, fails with probability `failure`."""
        if level == 0:
            return failure
        error = min(self.first * failure**2, 1.0)
        for _ in range(level - 1):
            error = self.next_level(error)
        return error

    def crossing(self, level: int) -> float:
        """Return the p above which a level is worse than a bare neuron, its pseudo-threshold.

        Raises:
            ValueError: For level 0, which is the bare neuron.
        """
        if level < 1:
            raise ValueError(f"Level {level} is the bare neuron itself; give 1 or more.")
        if level == 1:
            return min(1.0, 1 / self.first)
        threshold = self.threshold()
        return float(brentq(lambda p: self.error(p, level) - p, threshold / 2, min(1.0, 8 * threshold)))  # pyright: ignore[reportArgumentType]

    def threshold(self) -> float:
        """Return the p below which the error goes to 0 with the level: where level 1 has the unstable fixed point."""
        fixed = last_that_holds(
            lambda error: self.next_level(error) < error, 1e-9, 2 / (3 * self.spoilers**2), 1e-15
        )
        return float(np.sqrt(fixed / self.first))

    def level_for(self, failure: float, target: float) -> int:
        """Return the lowest level whose error is at most `target`.

        Raises:
            DataError: If no level reaches it: p is not below the threshold.
        """
        for level in range(_LIMIT_LEVEL):
            if self.error(failure, level) <= target:
                return level
        raise DataError(
            f"No level reaches an error of {target:g} at p = {failure:g}; "
            f"the threshold of this recursion is {self.threshold():.4f}.",
            "Give a smaller failure probability.",
        )


FITTED = MedianRecursion()
"""To the published curves."""


def neurons_per_relu(level: int, neurons_per_median: int = NEURONS_PER_MEDIAN["N4"]) -> int:
    """Return physical neurons of a coded ReLU: nine copies and three medians a level.

    Source:
        fault_tolerant.md section 3.1.4 [inferred, verified].
    """
    return (9 + 3 * neurons_per_median) ** level


@dataclass(frozen=True)
class Extrapolation:
    """Crossings p_l = p0 + b r^l continued to infinite level.

    Args:
        threshold: p0. It carries an error of the model: see fault_tolerant.md section 6.6.
        amplitude: b.
        ratio: r, from 0 to 1.
        rms: Of the crossings about the curve; 0 for three.
    """

    threshold: float
    amplitude: float
    ratio: float
    rms: float


def extrapolate(crossings: Mapping[int, float]) -> Extrapolation:
    """Fit p0 + b r^l to crossings of levels by least squares.

    Args:
        crossings: Where each level's error crosses that of a bare neuron, or of the level below.

    Raises:
        DataError: If there are fewer than three, or they do not settle: then no threshold can be read from them.

    Source:
        fault_tolerant.md section 3.1.7 [inferred, verified]: the published line is the extrapolation of its crosses.
    """
    if len(crossings) < 3:
        raise DataError(
            f"Crossings of levels {sorted(crossings)} leave the three parameters of p0 + b r^l open.",
            "Give three levels or more.",
        )
    levels = np.array(sorted(crossings), dtype=np.float64)
    values = np.array([crossings[int(level)] for level in levels])

    def fitted(ratio: float) -> tuple[np.ndarray, float]:
        design = np.stack([np.ones_like(levels), ratio**levels], axis=1)
        # Columns of unequal size would make the least squares ill-conditioned for a small ratio.
        scale = np.linalg.norm(design, axis=0)
        solution = np.linalg.lstsq(design / scale, values, rcond=None)[0] / scale
        return solution, float(np.sqrt(np.mean((design @ solution - values) ** 2)))

    best = minimize_scalar(
        lambda ratio: fitted(ratio)[1], bounds=(1e-3, 1 - 1e-3), method="bounded", options={"xatol": 1e-10}
    )
    ratio = float(best.x)  # pyright: ignore[reportAttributeAccessIssue]
    if not 0.01 < ratio < 0.95:
        raise DataError(
            f"The crossings {dict(crossings)} do not settle with the level: the best ratio is {ratio:.3f}.",
            "Add higher levels, or report the crossings without a threshold.",
        )
    (threshold, amplitude), rms = fitted(ratio)
    return Extrapolation(float(threshold), float(amplitude), ratio, rms)


def rms_log_error(predict: Callable[[float, int], float], points: Iterable[Point]) -> float:
    """Return the root mean square of ln(predicted / published), over points whose published error is not 0.

    Args:
        predict: Logical error from failure and level.
        points: Published points.
    """
    logs = [np.log(predict(point.failure, point.level) / point.error) for point in points if point.error > 0]
    return float(np.sqrt(np.mean(np.square(logs))))
