"""Moduli of the grid code: the periods of its modules, in units of the coded value."""

import math
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from lightning_modules.parts.errors import DataError

Moduli = tuple[float, ...]


def repeated(modulus: float, n_modules: int) -> Moduli:
    """Return one modulus for all modules; 3 is the best for gates of two bits.

    Source:
        fault_tolerant.md section 2.9 [inferred, verified].
    """
    return (modulus,) * n_modules


def consecutive_coprimes(n_modules: int, minimum: int) -> Moduli:
    """Return whole numbers from a minimum upwards, each the next that shares no factor with those before."""
    return _first(n_modules, minimum, lambda one, chosen: math.gcd(one, math.prod(chosen)) == 1)


def primes(n_modules: int, minimum: int = 2) -> Moduli:
    """Return the first prime numbers from a minimum upwards."""
    return _first(n_modules, minimum, lambda one, _: all(one % d for d in range(2, math.isqrt(one) + 1)))


def _first(n_modules: int, minimum: int, accepts: Callable[[int, list[int]], bool]) -> Moduli:
    if minimum < 2:
        raise ValueError(f"Whole moduli start at 2 or more, not at {minimum}.")
    chosen: list[int] = []
    one = minimum
    while len(chosen) < n_modules:
        if accepts(one, chosen):
            chosen.append(one)
        one += 1
    return tuple(chosen)


def geometric(n_modules: int, first: float, ratio: float) -> Moduli:
    """Return moduli that grow by a ratio, as the scales of grid cells do; about 1.5 in animals.

    Raises:
        ValueError: If moduli would not be positive or not grow.
    """
    if first <= 0 or ratio <= 1:
        raise ValueError(f"The first modulus {first} must be above 0 and the ratio {ratio} above 1.")
    return tuple(first * ratio**at for at in range(n_modules))


def random_moduli(n_modules: int, low: float, high: float, seed: int) -> Moduli:
    """Return real moduli drawn evenly from a range.

    Raises:
        ValueError: If the range is empty or not positive.
    """
    if not 0 < low < high:
        raise ValueError(f"Moduli are drawn from a range above 0, not from {low} to {high}.")
    return tuple(float(one) for one in np.random.default_rng(seed).uniform(low, high, n_modules))


def phase_of(value: int, modulus: float) -> float:
    """Return value / modulus without whole cycles, exact also for values of more digits than a float has."""
    return (value % int(modulus)) / modulus if float(modulus).is_integer() else (value / modulus) % 1.0


def are_whole(moduli: Sequence[float]) -> bool:
    """Tell whether all moduli are whole numbers."""
    return all(float(one).is_integer() for one in moduli)


def check_coprime(moduli: Sequence[float], purpose: str) -> tuple[int, ...]:
    """Return the moduli as whole numbers.

    Raises:
        DataError: If they are not whole, or two of them share a factor; `purpose` says what needs that.
    """
    if not are_whole(moduli):
        raise DataError(
            f"{purpose} needs whole moduli, not {tuple(moduli)}.", "Round them, or leave the spacing at 1."
        )
    whole = tuple(int(one) for one in moduli)
    shared = [(a, b) for a, b in combinations(whole, 2) if math.gcd(a, b) > 1]
    if shared:
        raise DataError(
            f"{purpose} needs moduli without common factors, but {' and '.join(f'{a}, {b}' for a, b in shared[:3])} "
            "have one.",
            "Take `consecutive_coprimes` or `primes`, or leave the spacing at 1.",
        )
    return whole
