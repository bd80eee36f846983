"""Where the grid code stops to protect: its threshold p0, sigma0, and the line between them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.theory.bisection import last_that_holds
from lightning_modules.fault_tolerant.theory.grid_mean_field import NAND_FORMULA, GateFormula, settled_errors

Criterion = Literal["wires", "winners"]
"""What must stay below a half: shares of wrong modules of a wire, or also the share of wrong decoders."""
TOLERANCE = 1e-4


def closed_form_threshold() -> float:
    """Return p0 = 1 - sqrt(2/3) = .1835 of synaptic failure alone.

    (1, 1) is decoded right if and only if (1 - e)^2 > 2e(1 - e), where e = 1 - (1 - p)^2 is the share of a wire's
    modules that carry a 0: lost at the output of the gate before, or at the input of this one.

    Source:
        fault_tolerant.md section 3.2.3 [inferred, verified].
    """
    return 1 - math.sqrt(2 / 3)


@dataclass(frozen=True)
class Protection:
    """What is asked of infinitely many modules.

    Args:
        formula: What is computed, and how deep.
        criterion: What must stay below a half.
    """

    formula: GateFormula = NAND_FORMULA
    criterion: Criterion = "wires"

    def __post_init__(self) -> None:
        if self.criterion not in get_args(Criterion):
            raise ValueError(f"`criterion` is {self.criterion!r}, but must be one of {get_args(Criterion)}.")

    def holds(self, noise: NoiseSpec) -> bool:
        """Return whether values survive the noise."""
        errors = settled_errors(noise, self.formula)
        if errors is None:
            return False
        return self.criterion == "wires" or max(errors.wrong_winners, default=0.0) < 0.5


ANY_DEPTH = Protection()
AS_SPECIFIED = Protection(GateFormula(n_layers=50), "winners")
"""Meets the boundary table and the sigma0 of fault_tolerant.md section 3.2.3. [measured]"""


@lru_cache(maxsize=256)  # near the boundary errors take thousands of layers to settle
def boundary_failure(noise: NoiseSpec, protection: Protection = ANY_DEPTH) -> float:
    """Return the largest p at which values survive beside the Gaussian noise of `noise`; 0 if at none.

    Args:
        noise: Its `failure` is not used.
        protection: What is asked.
    """
    return _boundary(lambda p: protection.holds(replace(noise, failure=p)), 0.5)


def boundary_sd(
    noise_of: Callable[[float], NoiseSpec], protection: Protection = ANY_DEPTH, *, most: float = 1.0
) -> float:
    """Return the largest standard deviation at which values survive; 0 if at none.

    Args:
        noise_of: Noise of a standard deviation, such as `lambda sd: NoiseSpec(score_sd=sd)`.
        protection: What is asked.
        most: A standard deviation that is too large.
    """
    return _boundary(lambda sd: protection.holds(noise_of(sd)), most)


def boundary(sds: Sequence[float], protection: Protection = ANY_DEPTH) -> list[float]:
    """Return p0 for each standard deviation that phases (cycles), cosines, sines and scores have in common."""
    return [boundary_failure(NoiseSpec.common(0.0, sd), protection) for sd in sds]


def _boundary(holds: Callable[[float], bool], most: float) -> float:
    return last_that_holds(holds, 0.0, most, TOLERANCE) if holds(0.0) else 0.0
