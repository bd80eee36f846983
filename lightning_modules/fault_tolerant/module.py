"""Codes in which nothing is learned, as a LightningModule: validation computes the whole truth table under noise."""

import math
from typing import Literal

import pytorch_lightning as pl
import torch

from lightning_modules.fault_tolerant.circuit import Circuit
from lightning_modules.fault_tolerant.codes.grid_code import Decoders, ScoreNorm
from lightning_modules.fault_tolerant.codes.grid_modules import Representation
from lightning_modules.fault_tolerant.codes.median_circuits import CircuitName
from lightning_modules.fault_tolerant.codes.protocol import Code
from lightning_modules.fault_tolerant.codes.repetition import RepetitionCode
from lightning_modules.fault_tolerant.codes_by_name import CodeName, CodeSettings, ModuliSet
from lightning_modules.fault_tolerant.data import TruthTable, circuit_of
from lightning_modules.fault_tolerant.estimates.error_estimate import InputErrors, over_inputs
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.resources import Resources

MOST_COPIES = 127
"""Of the averaging that stands beside each code: its synapses grow with the square of them."""


class AnalyticCode(pl.LightningModule):
    """Computes a circuit with unreliable neurons by a code that is fixed by its settings.

    There are no weights, and one epoch is enough. The noise comes with the batch: it is never a setting of the model.

    Args:
        task: Name of the circuit.
        code: See `CodeSettings`, as for what follows.
        n_copies: Of repetition.
        level: Of the median's concatenation.
        median: Circuit of the median.
        n_modules: Of the grid code.
        moduli: Of its modules.
        smallest_modulus: Of a set of moduli.
        modulus_ratio: Of a set of moduli.
        moduli_seed: Of random moduli.
        spacing: Of symbols.
        decoders: Of a logical neuron.
        score_norm: Of scores.
        representation: Of modules.
        n_tuned: Neurons of a population.

    Raises:
        ValueError: If settings are out of range.
        DataError: If there is no such circuit, or the code cannot carry it.

    Source:
        fault_tolerant.md section 7, family `analytic` [inferred].
    """

    def __init__(
        self,
        *,
        task: str,
        code: CodeName = "grid",
        n_copies: int = 9,
        level: int = 1,
        median: CircuitName = "N4",
        n_modules: int = 8,
        moduli: ModuliSet | tuple[float, ...] = "equal",
        smallest_modulus: int = 3,
        modulus_ratio: float = 1.4,
        moduli_seed: int = 0,
        spacing: int | Literal["crt"] = 1,
        decoders: Decoders = "local",
        score_norm: ScoreNorm = "modules",
        representation: Representation = "phase",
        n_tuned: int = 8,
    ) -> None:
        settings = CodeSettings(
            code=code,
            n_copies=n_copies,
            level=level,
            median=median,
            n_modules=n_modules,
            moduli=moduli,
            smallest_modulus=smallest_modulus,
            modulus_ratio=modulus_ratio,
            moduli_seed=moduli_seed,
            spacing=spacing,
            decoders=decoders,
            score_norm=score_norm,
            representation=representation,
            n_tuned=n_tuned,
        )
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.circuit = circuit_of(task)
        self.code = settings.build(self.circuit)
        self.resources = self.code.resources(self.circuit)

    def configure_optimizers(self) -> None:
        """Return nothing: no weights are learned."""

    def training_step(self, batch: TruthTable, batch_idx: int) -> None:
        """Learn nothing."""

    def validation_step(self, batch: TruthTable, batch_idx: int) -> None:
        """Compute the truth table under noise, and log errors and cost; beside them averaging of equal size."""
        metrics = metrics_of(count_errors(self.code, self.circuit, batch, self.device), self.resources)
        averaging = self.averaging()
        if averaging is not None:
            beside = metrics_of(
                count_errors(averaging, self.circuit, batch, self.device), averaging.resources(self.circuit)
            )
            metrics |= {f"averaging_{name}": value for name, value in beside.items()}
        self.log_dict({f"val/{name}": value for name, value in metrics.items()}, batch_size=1)

    def averaging(self) -> RepetitionCode | None:
        """Return the averaging repetition of as many neurons, at most `MOST_COPIES` copies; None for such a code."""
        if isinstance(self.code, RepetitionCode) and self.code.rule == "average":
            return None
        most = MOST_COPIES * len(self.circuit.neurons)
        neurons = max(min(self.resources.neurons, most), len(self.circuit.neurons))
        return RepetitionCode.of_size(neurons, self.circuit)


def count_errors(code: Code, circuit: Circuit, table: TruthTable, device: torch.device) -> InputErrors:
    """Compute a truth table with fresh noise, and count for each row the evaluations with any wrong output.

    Raises:
        DataError: If the code cannot carry the circuit, model the noise, or takes too much memory.
    """
    generator = torch.Generator(device).manual_seed(table.seed)
    rows, truth = table.rows.cpu().numpy(), table.truth.cpu().numpy()
    found = code.simulate(circuit, NoiseSpec(**table.noise), rows, table.n_trials, generator)
    wrong = (found != truth).any(axis=2).sum(axis=0)
    return over_inputs([int(one) for one in wrong], table.n_trials)


def metrics_of(errors: InputErrors, cost: Resources) -> dict[str, float]:
    """Return what is logged of a code, by name.

    `log10_error` is that of the upper end of the worst input's interval, and `log10_mean_error` of that of the mean:
    where no error was seen they are bounds.
    """
    worst = errors.worst
    return {
        "log10_error": math.log10(worst.high),
        "worst_error": worst.estimate,
        "worst_error_low": worst.low,
        "worst_error_high": worst.high,
        "mean_error": errors.mean.estimate,
        "log10_mean_error": math.log10(errors.mean.high),
        "is_bound": float(worst.is_bound),
        "neurons": float(cost.neurons),
        "log10_neurons": math.log10(cost.neurons),
        "synapses": float(cost.synapses),
        "log10_synapses": math.log10(cost.synapses),
        "depth": float(cost.depth),
    }
