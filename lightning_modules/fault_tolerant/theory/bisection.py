"""Where a property is lost."""

from collections.abc import Callable


def last_that_holds(holds: Callable[[float], bool], low: float, high: float, tolerance: float) -> float:
    """Return up to where a property holds that is lost once between two values.

    Args:
        holds: The property; true at `low`.
        low: Where it holds.
        high: Where it does not.
        tolerance: Width of the interval whose middle is returned.

    Raises:
        ValueError: If it does not hold at `low`, or still holds at `high`.
    """
    if not holds(low) or holds(high):
        raise ValueError(f"What is sought must hold at {low} and no longer at {high}; widen the interval.")
    while high - low > tolerance:
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return (low + high) / 2
