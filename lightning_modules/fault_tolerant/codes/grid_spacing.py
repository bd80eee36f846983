"""How far apart the values of a symbol are put, so that all of them differ in as many modules as possible."""

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from lightning_modules.fault_tolerant.codes.grid_moduli import check_coprime, phase_of

Distances = NDArray[np.float64]
MAX_SIGNED = 12
"""Modules up to which every choice of signs is tried for the smallest spacing."""


def distances(moduli: Sequence[float], spacing: int, n_symbols: int) -> Distances:
    """Return D(1) to D(S - 1): how far values 1 to S - 1 symbols apart are from each other in all modules.

    D = Σ_j (1 - cos 2π Δ X / λ_j).

    Source:
        fault_tolerant.md section 2.8 [inferred, verified].
    """
    steps = np.array([phase_of(spacing, modulus) for modulus in moduli])
    return (1 - np.cos(2 * np.pi * np.outer(np.arange(1, n_symbols), steps))).sum(axis=1)


def crt_spacing(moduli: Sequence[float], n_symbols: int) -> int:
    """Return the spacing X that makes the smallest distance between symbols as large as we can find.

    Residues X mod λ_j start near λ_j / S, are improved one module at a time, and are turned into X by the Chinese
    remainder theorem. A residue and its negative have equal distances: the smallest such X is returned.

    Source:
        fault_tolerant.md section 2.9: 1283 for [3, 4, 5, 7, 11, 13] and three symbols [inferred, verified].

    Raises:
        DataError: If the moduli are not whole, or two of them share a factor.
    """
    whole = check_coprime(moduli, "A spacing by the Chinese remainder theorem")
    residues = _spread(whole, n_symbols)
    total = math.prod(whole)
    units = [total // modulus * pow(total // modulus, -1, modulus) for modulus in whole]
    signs = product((1, -1), repeat=len(whole)) if len(whole) <= MAX_SIGNED else [(1,) * len(whole)]
    spacings = (
        sum(sign * residue * unit for sign, residue, unit in zip(one, residues, units, strict=True)) % total
        for one in signs
    )
    return min(spacings)


def _spread(moduli: tuple[int, ...], n_symbols: int) -> list[int]:
    """Choose residues by coordinate ascent on the smallest distance, from each of two starts."""
    tables = [_table(modulus, n_symbols) for modulus in moduli]
    near = [max(1, round(modulus / n_symbols)) for modulus in moduli]
    # Equal steps in all modules are a poor start for many symbols, whose neighbours then stay close everywhere.
    apart = [
        max(1, round(modulus * (0.5 + at * 0.618) % modulus / 2)) for at, modulus in enumerate(moduli, 1)
    ]
    found = [_ascend(tables, start) for start in (near, apart)]
    return max(found, key=lambda residues: _smallest(tables, residues))


def _table(modulus: int, n_symbols: int) -> Distances:
    """Return the distance in one module by residue and by symbols apart, (λ // 2 + 1, S - 1)."""
    steps = np.outer(np.arange(modulus // 2 + 1), np.arange(1, n_symbols)) % modulus
    return 1 - np.cos(2 * np.pi * steps / modulus)


def _smallest(tables: list[Distances], residues: list[int]) -> float:
    return float(np.sum([table[one] for table, one in zip(tables, residues, strict=True)], axis=0).min())


def _ascend(tables: list[Distances], start: list[int]) -> list[int]:
    residues = [min(one, len(table) - 1) for one, table in zip(start, tables, strict=True)]
    best = -math.inf
    while _smallest(tables, residues) > best + 1e-9:
        best = _smallest(tables, residues)
        for at, table in enumerate(tables):
            others = np.sum([tables[o][r] for o, r in enumerate(residues) if o != at], axis=0)
            residues[at] = int(np.argmax((table + others).min(axis=1)))
    return residues
