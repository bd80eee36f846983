"""Thresholds of formulas of noisy gates, in closed form and by the recursion that they come from.

A fault is here a gate whose output is flipped, not a lost synapse: these are references, not competitors of the codes.
"""

import math

from lightning_modules.fault_tolerant.theory.bisection import last_that_holds

TOLERANCE = 1e-9
_START = 1e-4
"""Distance from the symmetric point at which a recursion is started: what grows from here can be told apart."""
_LAYERS = 20_000


def nand_threshold() -> float:
    """Return (3 - sqrt 7)/4 = .0886, above which no formula of noisy 2-input NANDs computes reliably.

    Source:
        Evans & Pippenger 1998; fault_tolerant.md sections 3.4 and 6.1 [verified].
    """
    return (3 - math.sqrt(7)) / 4


def nand_layer(value: float, flip: float) -> float:
    """Return P(output = 1) of a NAND that is flipped with probability `flip`, both inputs 1 with P = `value`."""
    return (1 - flip) - (1 - 2 * flip) * value**2


def nand_amplitude(flip: float, n_layers: int = 4000) -> float:
    """Return how far apart two logical values stay after many layers of NANDs: 0 if they cannot be told apart.

    Below the threshold the recursion alternates between two values, one layer after the other.
    """
    value = 1.0
    for _ in range(n_layers):
        value = nand_layer(value, flip)
    return abs(nand_layer(value, flip) - value)


def nand_threshold_by_recursion() -> float:
    """Return the flip probability at which the fixed point of `nand_layer` becomes stable."""

    def alternates(flip: float) -> bool:
        centre = _nand_fixed_point(flip)
        twice = nand_layer(nand_layer(centre + _START, flip), flip)
        return abs(twice - centre) > _START

    return last_that_holds(alternates, 0.0, 0.25, TOLERANCE)


def _nand_fixed_point(flip: float) -> float:
    """Return where x = (1 - flip) - (1 - 2 flip) x^2, by bisection: the recursion itself moves away from it."""
    return last_that_holds(lambda value: nand_layer(value, flip) >= value, 0.0, 1.0, 1e-15)


def majority_threshold(n_inputs: int) -> float:
    """Return the threshold of formulas of noisy majorities: 1/6 for 3 inputs, 7/30 for 5.

    Source:
        Hajek & Weller 1991, Evans & Schulman 2003; fault_tolerant.md sections 3.4 and 6.2 [verified].
    """
    _check_odd(n_inputs)
    return 0.5 - 2 ** (n_inputs - 2) / (n_inputs * math.comb(n_inputs - 1, (n_inputs - 1) // 2))


def majority(wrong: float, n_inputs: int) -> float:
    """Return the probability that more than half of independent inputs are wrong."""
    _check_odd(n_inputs)
    return sum(
        math.comb(n_inputs, count) * wrong**count * (1 - wrong) ** (n_inputs - count)
        for count in range(n_inputs // 2 + 1, n_inputs + 1)
    )


def flipped(wrong: float, flip: float) -> float:
    """Return the probability of a wrong output once the gate itself is flipped with probability `flip`."""
    return flip + (1 - 2 * flip) * wrong


def majority_threshold_by_recursion(n_inputs: int) -> float:
    """Return the flip probability above which wires a little better than chance do not become better still."""

    def improves(flip: float) -> bool:
        return flipped(majority(0.5 - _START, n_inputs), flip) < 0.5 - _START

    return last_that_holds(improves, 0.0, 0.5, TOLERANCE)


def restored_nand_error(flip: float) -> float:
    """Return the stationary error of a NAND whose output is restored by a 3-input majority of three copies.

    All gates are flipped alike, and every NAND has its worst inputs, (1, 1), either of which spoils it.

    Source:
        von Neumann's executive and restoring organ; fault_tolerant.md section 3.4 [inferred, verified].
    """
    wrong = 0.0
    for _ in range(_LAYERS):
        after = flipped(majority(flipped(1 - (1 - wrong) ** 2, flip), 3), flip)
        if abs(after - wrong) < 1e-14:
            break
        wrong = after
    return wrong


def restored_nand_threshold() -> float:
    """Return the flip probability, .0169, up to which `restored_nand_error` has a small fixed point.

    There the error jumps from .046 to almost 1.
    """
    return last_that_holds(lambda flip: restored_nand_error(flip) < 0.25, 0.0, 0.1, 1e-7)


def _check_odd(n_inputs: int) -> None:
    if n_inputs < 1 or n_inputs % 2 == 0:
        raise ValueError(f"A majority of {n_inputs} inputs has ties; give an odd number.")
