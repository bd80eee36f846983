"""Errors of a code on a circuit's whole truth table, at noise that a study chooses."""

from dataclasses import asdict

import torch

from lightning_modules.fault_tolerant.circuit import Circuit
from lightning_modules.fault_tolerant.codes.protocol import Code
from lightning_modules.fault_tolerant.data import TruthTable
from lightning_modules.fault_tolerant.estimates.error_estimate import ErrorEstimate, InputErrors
from lightning_modules.fault_tolerant.judging import count_errors
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.parts.studies import Row


def errors_of(code: Code, circuit: Circuit, noise: NoiseSpec, n_trials: int, seed: int) -> InputErrors:
    """Count errors of each input in so many evaluations of it.

    Raises:
        DataError: If the code cannot carry the circuit or model the noise.
    """
    rows = circuit.rows()
    truth = torch.from_numpy(circuit.evaluate(rows))
    table = TruthTable(torch.from_numpy(rows), truth, asdict(noise), n_trials, seed)
    return count_errors(code, circuit, table, torch.device("cpu"))


def scaled(n: int, evaluations: float) -> int:
    """Return a number of evaluations times what the user wants of it, at least 20."""
    return max(20, round(n * evaluations))


def columns_of(error: ErrorEstimate, prefix: str = "") -> Row:
    """Return an error as columns of a table; where none was seen, `error` is a bound."""
    return {
        f"{prefix}error": error.estimate,
        f"{prefix}low": error.low,
        f"{prefix}high": error.high,
        f"{prefix}events": error.events,
        f"{prefix}trials": error.trials,
    }
