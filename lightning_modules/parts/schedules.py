"""How a weight rises from 0 to 1: a pure function of the optimizer step, so that a resumed trial goes on."""

import math
from typing import Literal

Ramp = Literal["constant", "linear", "dann"]

DANN_STEEPNESS = 10.0
"""Of the logistic curve; Ganin et al. 2016, section 5.2.2."""


def ramp(shape: Ramp, step: int, *, warmup_steps: int) -> float:
    """Return the part of a weight that is in force at a step, from 0 to 1.

    Args:
        shape: `constant` is 1 from the start; `linear` rises evenly; `dann` follows 2 / (1 + exp(-10 p)) - 1
            with progress p, steep at first (Ganin et al. 2016, JMLR 17(59)).
        step: Optimizer steps taken so far.
        warmup_steps: Steps until p is 1; 0 starts there.
    """
    if shape == "constant":
        return 1.0
    progress = min(step / warmup_steps, 1.0) if warmup_steps else 1.0
    if shape == "linear":
        return progress
    return 2.0 / (1.0 + math.exp(-DANN_STEEPNESS * progress)) - 1.0
