"""Seeds that depend on nothing but the sweep's seed and the trial's number."""

import hashlib


def derive_seed(*parts: int | str) -> int:
    """Mix the parts into a seed in [0, 2**31).

    A plain sum would give trial 1 of seed 0 the stream of trial 0 of seed 1.
    """
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
