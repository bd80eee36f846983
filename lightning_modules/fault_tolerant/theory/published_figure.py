"""Points read off the published figure of the median code: logical error against synaptic failure.

Of the paper only an image of this figure could be read; neither the circuit of its medians nor the number of trials is
known. From level 5's plateau at .005, one error in about 200 trials a point is inferred.

Source:
    fault_tolerant.md section 5.1, digitised from the figure [paper].
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.0372
"""The figure's vertical line."""
THRESHOLD_READING_ERROR = 0.0003
CROSSINGS = {2: 0.120, 3: 0.064, 4: 0.046, 5: 0.040}
"""Where the figure marks that a level's error is that of a bare neuron, eps = p: centres of its crosses."""
FAILURE_READING_ERROR = 0.001
ERROR_READING_SHARE = 0.05
LEAST_ERROR_READING = 0.001
"""Reading error of a logical error: 5 %, and not less than this."""


@dataclass(frozen=True)
class Point:
    """One point of a curve.

    Args:
        level: Of concatenation.
        failure: Probability p of synaptic failure, read to .001.
        error: Logical error; 0 is drawn at level 5 where no trial failed.
    """

    level: int
    failure: float
    error: float

    @property
    def reading_error(self) -> float:
        """How far `error` may be off."""
        return max(ERROR_READING_SHARE * self.error, LEAST_ERROR_READING)


_READ = {
    2: ".044:.0022 .052:.0046 .06:.0088 .08:.029 .092:.0495 .10:.0665 .108:.085 .12:.122 .132:.156",
    3: ".044:.0055 .048:.0095 .052:.0159 .056:.027 .06:.043 .064:.060 .068:.084 .072:.110 .076:.141",
    4: ".036:.0025 .040:.0074 .044:.022 .048:.061 .052:.119",
    5: ".034:0 .036:.005 .037:.005 .039:.025 .040:.033 .042:.082 .044:.146",
}

POINTS = tuple(
    Point(level, *(float(number) for number in pair.split(":")))
    for level, pairs in _READ.items()
    for pair in pairs.split()
)
"""Level 0 is not among them: it is the line eps = p. Level 1 is not drawn."""


def points_of(level: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return failures and errors of one level's curve, (P,) each."""
    points = [point for point in POINTS if point.level == level]
    return np.array([point.failure for point in points]), np.array([point.error for point in points])
