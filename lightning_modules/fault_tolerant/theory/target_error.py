"""Neurons that a circuit takes to reach a target error: bare, with concatenated medians, with the grid code."""

import math
from dataclasses import dataclass

from lightning_modules.fault_tolerant.theory.concatenation import (
    FITTED,
    NEURONS_PER_MEDIAN,
    MedianRecursion,
    neurons_per_relu,
)

RELUS_PER_NAND = 2
"""h = ReLU(a + b - 1), y = ReLU(1 - h); fault_tolerant.md section 3.6 [inferred]."""
MULTIPLIER_NANDS = 14
"""Of the 2-bit multiplier; fault_tolerant.md section 4.1. Whether the paper's circuit has as many is not known."""


def uncoded_error(failure: float, n_nands: int = MULTIPLIER_NANDS) -> float:
    """Return the error of bare NAND neurons of which each and any spoils the result, an upper bound.

    A neuron is right if neither of its two synapses is lost.

    Source:
        fault_tolerant.md section 4.2: .43 at p = .02 [inferred].
    """
    return 1 - (1 - failure) ** (2 * n_nands)


@dataclass(frozen=True)
class MedianStaircase:
    """Cost of a circuit of NANDs whose ReLUs are all coded at one level.

    Args:
        failure: Probability p of synaptic failure.
        recursion: Error of a level.
        n_nands: Gates of the circuit.
        neurons_per_median: Of the median's circuit.

    Source:
        fault_tolerant.md sections 3.5 and 4.2 [inferred].
    """

    failure: float
    recursion: MedianRecursion = FITTED
    n_nands: int = MULTIPLIER_NANDS
    neurons_per_median: int = NEURONS_PER_MEDIAN["N4"]

    def error(self, level: int) -> float:
        """Return the error of the circuit if each and any coded ReLU spoils it, an upper bound."""
        one = self.recursion.error(self.failure, level)
        return -math.expm1(RELUS_PER_NAND * self.n_nands * math.log1p(-min(one, 1 - 1e-16)))

    def neurons(self, level: int) -> int:
        """Return physical neurons of the circuit."""
        return RELUS_PER_NAND * self.n_nands * neurons_per_relu(level, self.neurons_per_median)

    def level_for(self, target: float) -> int:
        """Return the lowest level whose circuit errs with probability `target` or less.

        Raises:
            DataError: If no level does.
        """
        one = -math.expm1(math.log1p(-target) / (RELUS_PER_NAND * self.n_nands))
        return self.recursion.level_for(self.failure, one)

    @property
    def exponent(self) -> float:
        """The power of log(1/error) with which neurons grow: 4.39 for N4, 4.17 for L3."""
        return math.log2(9 + 3 * self.neurons_per_median)


@dataclass(frozen=True)
class GridLine:
    """Error of a circuit in the grid code: log10(error) = intercept + slope M, a fit to simulated numbers of modules.

    Args:
        intercept: Of the fit.
        slope: Of the fit, below 0.
        neurons_per_module: 4 + S for each logical neuron with a decoder in every module.
        fixed_neurons: That do not grow with M: S for each logical neuron with a shared decoder.
        most_measured: The largest M of the fit; what lies beyond is extrapolated.

    Raises:
        ValueError: If the error does not fall with the number of modules.

    Source:
        fault_tolerant.md sections 3.2.2 and 3.5 [inferred, verified].
    """

    intercept: float
    slope: float
    neurons_per_module: int = 7 * MULTIPLIER_NANDS
    fixed_neurons: int = 0
    most_measured: int = 0

    def __post_init__(self) -> None:
        if not self.slope < 0:
            raise ValueError(
                f"The slope is {self.slope}: the error does not fall with the number of modules, so no number "
                "of neurons reaches a target."
            )

    def error(self, n_modules: int) -> float:
        """Return the fitted error, 1 at most."""
        return min(1.0, 10 ** (self.intercept + self.slope * n_modules))

    def modules_for(self, target: float) -> int:
        """Return the smallest number of modules whose fitted error is `target` or less."""
        return max(1, math.ceil((math.log10(target) - self.intercept) / self.slope - 1e-9))

    def neurons(self, n_modules: int) -> int:
        """Return physical neurons of the circuit."""
        return self.fixed_neurons + self.neurons_per_module * n_modules

    def is_extrapolated(self, target: float) -> bool:
        """Return whether more modules than were simulated reach the target."""
        return self.modules_for(target) > self.most_measured
