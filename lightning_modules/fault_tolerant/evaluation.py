"""Networks under noise that no search has seen, beside the uncoded network, averaging and grid code of equal size."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from lightning_modules.fault_tolerant.codes.protocol import Code
from lightning_modules.fault_tolerant.codes.repetition import RepetitionCode
from lightning_modules.fault_tolerant.codes_by_name import grid_of_size
from lightning_modules.fault_tolerant.data import FaultData, circuit_of, notes_of
from lightning_modules.fault_tolerant.estimates.error_estimate import InputErrors
from lightning_modules.fault_tolerant.judging import count_errors, metrics_of
from lightning_modules.fault_tolerant.learned.calibrated_grid import CalibratedGrid
from lightning_modules.fault_tolerant.module import FaultTolerantNetwork
from lightning_modules.fault_tolerant.resources import Resources
from lightning_modules.fault_tolerant.theory.grid_mean_field import problems_of_noise, settled_errors

SEALED = "sealed noise of fault_tolerant"
"""What the seeds of an evaluation are derived from; no search uses it."""
SCORED = ("log10_error", "log10_mean_error", "is_bound", "log10_neurons", "log10_synapses", "depth")
MORE_TRIALS = 5
"""Times as many evaluations of each input as in the search."""
MORE_COPIES = 255
"""Of the averaging that stands beside each code; more than in the search, which would take too long."""


@dataclass(frozen=True)
class FaultEvaluation:
    """What `SealedNoise.score` found.

    Args:
        scores: Of each model, by metric name.
        references: The same of what models are measured against, by name.
        days: Empty: noise has no days.
        tables: Errors with their intervals.
    """

    scores: tuple[dict[str, float], ...]
    references: dict[str, dict[str, float]]
    days: tuple[dict[str, Any], ...] = ()
    tables: Mapping[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Judged:
    errors: InputErrors
    cost: Resources
    worst_input: tuple[int, ...]

    @property
    def scores(self) -> dict[str, float]:
        """Logarithms, since a table of three decimals would show small errors as zeros."""
        metrics = metrics_of(self.errors, self.cost)
        return {f"test/{name}": metrics[name] for name in SCORED}

    def row(self, name: str) -> dict[str, Any]:
        """Return a row of a table, with intervals."""
        return {
            "code": name,
            "worst input": "" if self.errors.worst.is_bound else str(self.worst_input),
            "its error": str(self.errors.worst),
            "mean error": str(self.errors.mean),
            "neurons": str(self.cost.neurons),
            "synapses": str(self.cost.synapses),
            "layers": str(self.cost.depth),
        }


class SealedNoise:
    """The truth table of a search under noise of sealed seeds, one for each model.

    Nothing is drawn when an analytic code is built, so that models of several seeds are the same code, and the interval
    over them is that of the noise. Learned networks of several seeds are different ones: the interval over them is of
    learning and of the noise together.

    Args:
        data: What the search saw.
        settings: What `load_task` was given for it; all of it is in `data`.
    """

    def __init__(self, data: FaultData, settings: Mapping[str, Any]) -> None:
        self._data = data
        self._circuit = circuit_of(data.task)
        self._n_trials = MORE_TRIALS * data.n_trials

    @property
    def sealed(self) -> dict[str, str]:
        """Digest of the seeds, the circuit and its noise: what an opening is counted by."""
        noise = sorted(asdict(self._data.noise).items())
        content = hashlib.sha256(f"{SEALED} {self._data.task} {noise}".encode())
        return {"sealed noise": content.hexdigest()[:16]}

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know, in sentences."""
        return (
            f"`{self._data.task}` under noise of sealed seeds, {self._n_trials} evaluations of each of "
            f"{len(self._data.rows)} inputs. log10_error is that of the upper end of the worst input's 95 % interval.",
            *notes_of(self._data.noise),
            *self._mean_field(),
        )

    def score(self, models: Sequence[FaultTolerantNetwork]) -> FaultEvaluation:
        """Score each model under noise of its own, and references under that of the first.

        `uncoded` is one copy of every neuron, `averaging` the averaging repetition of as many neurons as the first
        model, at most of `MORE_COPIES` copies. Beside learned networks stand `grid`, the grid code of as many neurons,
        and, if they are calibrated, `uncalibrated`, the code that they were.
        """
        references: dict[str, Code] = {"uncoded": RepetitionCode(1)}
        first = models[0]
        averaging = first.averaging(MORE_COPIES)
        if averaging is not None:
            references["averaging"] = averaging
        if first.network is not None:
            grid = grid_of_size(first.resources.neurons, self._circuit)
            references |= {} if grid is None else {"grid": grid}
        if isinstance(first.network, CalibratedGrid):
            references["uncalibrated"] = first.network.grid
        own = [self._judge(model.code, number) for number, model in enumerate(models)]
        others = {name: self._judge(code, 0) for name, code in references.items()}
        rows = [*((f"model {number}", one) for number, one in enumerate(own)), *others.items()]
        return FaultEvaluation(
            tuple(one.scores for one in own),
            {name: one.scores for name, one in others.items()},
            tables={"errors under sealed noise": tuple(one.row(name) for name, one in rows)},
        )

    def _judge(self, code: Code, number: int) -> "_Judged":
        table = self._data.table(self._n_trials, sealed_seed(number))
        errors = count_errors(code, self._circuit, table, torch.device("cpu"))
        return _Judged(
            errors, code.resources(self._circuit), tuple(self._data.rows[errors.worst_row].tolist())
        )

    def _mean_field(self) -> tuple[str, ...]:
        if problems_of_noise(self._data.noise):
            return ()
        settled = settled_errors(self._data.noise)
        verdict = "do not survive" if settled is None else "survive"
        return (
            f"Mean field: NAND formulas of any depth {verdict} this noise in a grid code of infinitely many modules "
            "with private decoders, moduli 3 and scores / M.",
        )


def sealed_seed(number: int) -> int:
    """Return the seed of the noise of one model."""
    return int.from_bytes(hashlib.sha256(f"{SEALED} {number}".encode()).digest()[:7])
