"""Which phases stand for which value."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from lightning_modules.fault_tolerant.circuit import Circuit, LogicalNeuron
from lightning_modules.fault_tolerant.codes.grid_moduli import are_whole, phase_of
from lightning_modules.fault_tolerant.codes.grid_spacing import crt_spacing
from lightning_modules.parts.errors import DataError

Phases = NDArray[np.float64]
MAX_PATTERNS = 65_536
SAME = 1e-6
"""Phases closer than this, cycles, are one phase."""


@dataclass(frozen=True, eq=False)
class GridCodebook:
    """Phases of the values that a wire can carry.

    Args:
        phases: In cycles from 0 to 1, (values, M modules): a grid code's, or any learned ones.

    Raises:
        ValueError: If the phases are no finite table of at least two values and one module.

    Source:
        fault_tolerant.md section 2.1 [from source]; learned phases 7.2 [inferred].
    """

    phases: Phases

    def __post_init__(self) -> None:
        phases = np.asarray(self.phases, dtype=np.float64)
        if phases.ndim != 2 or phases.shape[0] < 2 or phases.shape[1] < 1 or not np.isfinite(phases).all():
            raise ValueError(f"Phases are finite, (values, modules), at least (2, 1), not {phases.shape}.")
        object.__setattr__(self, "phases", phases % 1.0)

    @classmethod
    def of_moduli(cls, moduli: Sequence[float], n_symbols: int, spacing: int | None = 1) -> "GridCodebook":
        """Return the grid code's phases x_k / λ_j of the values x_k = k X.

        Args:
            moduli: λ_j, one a module.
            n_symbols: S, values from 0 that must stay apart.
            spacing: X; None for the one by the Chinese remainder theorem, which needs coprime moduli.

        Raises:
            ValueError: If a modulus is 1 or less, or the spacing below 1.
            DataError: If the symbols go beyond the unambiguous range, or the moduli have no such spacing.
        """
        if not moduli or not all(math.isfinite(one) and one > 1 for one in moduli):
            raise ValueError(f"Moduli are numbers above 1, at least one, not {tuple(moduli)}.")
        if spacing is None:
            spacing = crt_spacing(moduli, n_symbols)
        if spacing < 1:
            raise ValueError(f"The spacing of symbols is 1 or more, not {spacing}.")
        _check_range(moduli, spacing, n_symbols)
        phases = [[phase_of(value * spacing, modulus) for modulus in moduli] for value in range(n_symbols)]
        return cls(np.array(phases))

    @property
    def n_values(self) -> int:
        """Values that have phases."""
        return self.phases.shape[0]

    @property
    def n_modules(self) -> int:
        """Modules, M."""
        return self.phases.shape[1]

    def check_carries(self, circuit: Circuit) -> None:
        """Refuse a circuit with wires that take more values than the codebook has.

        Raises:
            DataError: If there are.
        """
        n_wires = len(circuit.input_sizes) + len(circuit.neurons)
        most = max(circuit.size_of(wire) for wire in range(n_wires))
        if most > self.n_values:
            raise DataError(
                f"A wire of `{circuit.name}` takes {most} values, but the codebook has phases of {self.n_values}.",
                f"Make the codebook for {most} symbols or more.",
            )


@dataclass(frozen=True, eq=False)
class Candidates:
    """What a logical neuron's decoder tells apart.

    Args:
        phases: Of every sum of its inputs, (S, M), cycles.
        outputs: Value of the table for each, (S,).
    """

    phases: Phases
    outputs: NDArray[np.int64]


def candidates_of(codebook: GridCodebook, circuit: Circuit, neuron: LogicalNeuron) -> Candidates:
    """Return the sums of phases that a neuron can meet.

    In a grid code equal sums have equal phases; in a learned codebook they may differ, and each is a candidate.

    Raises:
        DataError: If sums with different outputs have the same phases: the symbols are beyond the code's range.
    """
    sizes = [circuit.size_of(one) for one in neuron.inputs]
    if math.prod(sizes) > MAX_PATTERNS:
        raise DataError(
            f"A neuron of `{circuit.name}` has {math.prod(sizes)} combinations of inputs, more than {MAX_PATTERNS}.",
            "Split it into neurons with fewer inputs.",
        )
    values = np.array(list(product(*map(range, sizes))))  # (combinations, m)
    weights = np.array(neuron.weights)
    sums = values @ weights
    phases = np.einsum("i,cij->cj", weights, codebook.phases[values]) % 1.0
    outputs = np.array(neuron.table)[sums]
    keys = np.round(phases / SAME).astype(np.int64) % round(1 / SAME)
    _, first, own = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    clash = np.flatnonzero(outputs != outputs[first][own.reshape(-1)])
    if len(clash):
        pair = sums[first[own.reshape(-1)[clash[0]]]], sums[clash[0]]
        raise DataError(
            f"Sums {pair[0]} and {pair[1]} of a neuron of `{circuit.name}` have the same phases: they are beyond the "
            "code's unambiguous range.",
            "Take larger or more moduli, or another codebook.",
        )
    order = np.sort(first)
    return Candidates(phases[order], outputs[order])


def _check_range(moduli: Sequence[float], spacing: int, n_symbols: int) -> None:
    if not are_whole(moduli):
        _check_apart(moduli, spacing, n_symbols)
        return
    whole = [int(one) for one in moduli]
    reach = math.lcm(*(one // math.gcd(one, spacing) for one in whole))
    if n_symbols <= reach:
        return
    cause = (
        f"the moduli {tuple(whole)} have common factors, so that"
        if n_symbols <= math.prod(whole)
        else f"with the moduli {tuple(whole)}"
    )
    raise DataError(
        f"{n_symbols} symbols are beyond the code's range: {cause} {reach} values at a spacing of {spacing} are "
        "unambiguous.",
        "Take moduli without common factors, larger or more of them, or a spacing that shares no factor with them.",
    )


def _check_apart(moduli: Sequence[float], spacing: int, n_symbols: int) -> None:
    apart = np.arange(1, n_symbols)[:, None] * np.array([phase_of(spacing, one) for one in moduli])
    off = np.abs(apart - np.round(apart)).max(axis=1)
    if (off < SAME).any():
        raise DataError(
            f"{n_symbols} symbols are beyond the code's range: values {int(np.argmax(off < SAME)) + 1} apart have the "
            f"same phases in all moduli {tuple(moduli)}.",
            "Take larger moduli, or some of another length.",
        )
