"""Numbers, durations and names as people read them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any


def short_value(value: Any, *, digits: int = 3) -> str:
    """Write a value briefly: floats with `digits` significant digits, nothing for None, the rest as it is."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return str(value)


def duration(seconds: float) -> str:
    """Write a duration with the two units that matter: `4 min 10 s`, `2 h 5 min`.

    Args:
        seconds: Not negative, s.
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, length, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= length:
            rest = whole % length // part
            return f"{whole // length} {unit} {rest} {smaller}" if rest else f"{whole // length} {unit}"
    return f"{whole} s"


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Shorten dotted names to their last part, or to the full name where two would read alike."""
    counts = Counter(name.rpartition(".")[2] for name in names)
    return {name: last if counts[last := name.rpartition(".")[2]] == 1 else name for name in names}
