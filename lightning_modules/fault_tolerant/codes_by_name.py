"""Codes of a search: from plain settings to a code that carries a given circuit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from lightning_modules.fault_tolerant.circuit import Circuit
from lightning_modules.fault_tolerant.codes.grid_code import Decoders, GridCode, ScoreNorm
from lightning_modules.fault_tolerant.codes.grid_codebook import GridCodebook
from lightning_modules.fault_tolerant.codes.grid_modules import Representation
from lightning_modules.fault_tolerant.codes.grid_moduli import (
    Moduli,
    consecutive_coprimes,
    geometric,
    primes,
    random_moduli,
    repeated,
)
from lightning_modules.fault_tolerant.codes.median_circuits import CircuitName
from lightning_modules.fault_tolerant.codes.median_code import MedianCode
from lightning_modules.fault_tolerant.codes.protocol import Code
from lightning_modules.fault_tolerant.codes.repetition import RepetitionCode

CodeName = Literal["average", "majority", "median", "grid"]
ModuliSet = Literal["equal", "coprime", "prime", "geometric", "random"]
BIT_SUMS = 3
"""Values of the sum of two bits."""
SMALLEST_COPRIME = 8
FEWEST_COPRIMES = 2
"""Of them; with fewer, sixteen values would not stay apart."""
MOST_MODULES = 64
"""Of a grid code that others are measured against, as in the search."""


@dataclass(frozen=True)
class CodeSettings:
    """Settings of all codes; each reads its own.

    Args:
        code: `average` or `majority` repetition, concatenated `median`, or `grid` code.
        n_copies: Of repetition; 1 is the uncoded network.
        level: Of the median's concatenation; 0 is uncoded.
        median: Circuit of the median.
        n_modules: M, of the grid code, where `moduli` is a name.
        moduli: `equal` takes the largest number of symbols of the circuit for all, 3 for gates of two bits; `coprime`
            and `prime` go upwards from `smallest_modulus`; `geometric` grows from it by `modulus_ratio`; `random`
            draws from there to `modulus_ratio` times as much. Or the moduli themselves.
        smallest_modulus: See `moduli`.
        modulus_ratio: See `moduli`; above 1.
        moduli_seed: Of `random`.
        spacing: X between symbols, or `crt` for the best one, which needs coprime moduli.
        decoders: See `GridCode`, as for what follows.
        score_norm: Of scores.
        representation: Of modules.
        n_tuned: Neurons of a `population`.
        wta_cost: Whether winner-take-all is counted.

    Raises:
        ValueError: If a name is none of these, or there is no module; all problems at once.

    Source:
        fault_tolerant.md section 7.4 [inferred].
    """

    code: CodeName = "grid"
    n_copies: int = 9
    level: int = 1
    median: CircuitName = "N4"
    n_modules: int = 8
    moduli: ModuliSet | tuple[float, ...] = "equal"
    smallest_modulus: int = 3
    modulus_ratio: float = 1.4
    moduli_seed: int = 0
    spacing: int | Literal["crt"] = 1
    decoders: Decoders = "local"
    score_norm: ScoreNorm = "modules"
    representation: Representation = "phase"
    n_tuned: int = 8
    wta_cost: bool = False

    def __post_init__(self) -> None:
        problems = []
        if self.code not in get_args(CodeName):
            problems.append(f"`code` is {self.code!r}, but must be one of {', '.join(get_args(CodeName))}.")
        if isinstance(self.moduli, str) and self.moduli not in get_args(ModuliSet):
            problems.append(
                f"`moduli` is {self.moduli!r}, but must be one of {', '.join(get_args(ModuliSet))}, or numbers."
            )
        if isinstance(self.spacing, str) and self.spacing != "crt":
            problems.append(f"`spacing` is {self.spacing!r}, but must be a whole number, or crt.")
        if self.n_modules < 1:
            problems.append(f"`n_modules` is {self.n_modules}, but must be at least 1.")
        if problems:
            raise ValueError("There is no such code:\n  " + "\n  ".join(problems))

    def build(self, circuit: Circuit) -> Code:
        """Return the code that carries a circuit.

        Raises:
            ValueError: If the code's own settings are out of range.
            DataError: If the symbols go beyond the grid code's range, or its moduli have no such spacing.
        """
        return _BUILDERS[self.code](self, circuit)

    def moduli_for(self, n_symbols: int) -> Moduli:
        """Return the moduli of a grid code for so many symbols."""
        n, low, ratio = self.n_modules, self.smallest_modulus, self.modulus_ratio
        if not isinstance(self.moduli, str):
            return tuple(self.moduli)
        match self.moduli:
            case "equal":
                return repeated(n_symbols, n)
            case "coprime":
                return consecutive_coprimes(n, low)
            case "prime":
                return primes(n, low)
            case "geometric":
                return geometric(n, low, ratio)
            case "random":
                return random_moduli(n, low, low * ratio, self.moduli_seed)


def n_symbols_of(circuit: Circuit) -> int:
    """Return the most values that a sum or a wire of a circuit takes, which a grid code has to keep apart."""
    return max(*(one.n_symbols for one in circuit.neurons), *circuit.input_sizes)


def grid_of_size(neurons: int, circuit: Circuit) -> GridCode | None:
    """Return the grid code of most modules, up to `MOST_MODULES`, of at most so many neurons; None if there is none.

    Private decoders, scores / M. Bits have moduli 3, more values coprime ones from 8 with the spacing by the Chinese
    remainder theorem: these give the errors of fault_tolerant.md sections 4.2 and 5.5.
    """
    n_symbols = n_symbols_of(circuit)
    fewest = 1 if n_symbols <= BIT_SUMS else FEWEST_COPRIMES
    found = None
    for n_modules in range(fewest, MOST_MODULES + 1):
        moduli = repeated(n_symbols, n_modules)
        if n_symbols > BIT_SUMS:
            moduli = consecutive_coprimes(n_modules, SMALLEST_COPRIME)
        # Neurons do not depend on the spacing, which takes long to find.
        if GridCode(GridCodebook.of_moduli(moduli, n_symbols)).resources(circuit).neurons > neurons:
            break
        found = moduli
    if found is None:
        return None
    return GridCode(GridCodebook.of_moduli(found, n_symbols, 1 if n_symbols <= BIT_SUMS else None))


def _grid(settings: CodeSettings, circuit: Circuit) -> Code:
    n_symbols = n_symbols_of(circuit)
    spacing = None if isinstance(settings.spacing, str) else settings.spacing
    codebook = GridCodebook.of_moduli(settings.moduli_for(n_symbols), n_symbols, spacing)
    return GridCode(
        codebook,
        decoders=settings.decoders,
        score_norm=settings.score_norm,
        representation=settings.representation,
        n_tuned=settings.n_tuned,
        wta_cost=settings.wta_cost,
    )


_BUILDERS: Mapping[CodeName, Callable[[CodeSettings, Circuit], Code]] = MappingProxyType(
    {
        "average": lambda settings, _: RepetitionCode(settings.n_copies, "average"),
        "majority": lambda settings, _: RepetitionCode(settings.n_copies, "majority"),
        "median": lambda settings, _: MedianCode(settings.level, settings.median),
        "grid": _grid,
    }
)
