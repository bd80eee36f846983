"""Networks of unreliable neurons as a LightningModule: validation computes the whole truth table under noise."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import pytorch_lightning as pl
import torch

from lightning_modules.fault_tolerant.codes.grid_code import Decoders, GridCode, ScoreNorm
from lightning_modules.fault_tolerant.codes.grid_modules import Representation
from lightning_modules.fault_tolerant.codes.median_circuits import CircuitName
from lightning_modules.fault_tolerant.codes.protocol import Code
from lightning_modules.fault_tolerant.codes.repetition import RepetitionCode
from lightning_modules.fault_tolerant.codes_by_name import CodeName, CodeSettings, ModuliSet
from lightning_modules.fault_tolerant.data import TruthTable, circuit_of
from lightning_modules.fault_tolerant.judging import count_errors, metrics_of
from lightning_modules.fault_tolerant.learned.calibrated_grid import (
    CalibratedGrid,
    CalibrationSettings,
    DecoderWeights,
)
from lightning_modules.fault_tolerant.learned.free_network import Activation, FreeNetwork, FreeSettings
from lightning_modules.fault_tolerant.learned.lesson import Lesson, LessonSettings, LossName
from lightning_modules.fault_tolerant.learned.noisy_linear import SynapseMode
from lightning_modules.fault_tolerant.learned.relaxation import Relaxation
from lightning_modules.fault_tolerant.noise import NoiseSpec

Family = Literal["analytic", "calibrated", "free"]
Settings = TypeVar("Settings")
MOST_COPIES = 127
"""Of the averaging that stands beside each code: its synapses grow with the square of them."""


class FaultTolerantNetwork(pl.LightningModule):
    """Computes a circuit with unreliable neurons.

    Family `analytic` is a code that is fixed by its settings: nothing is learned. `calibrated` is a grid code whose
    phases and score neurons are learned from there. `free` is a multilayer perceptron for each logical neuron, trained
    from chance. All are validated alike, on the whole truth table under the noise of the data, which comes with the
    batch and is never a setting of the model. Beside each stands averaging of as many neurons.

    Args:
        task: Name of the circuit.
        family: See above.
        code: Of `analytic`, see `CodeSettings`, as for what follows. `calibrated` starts from the grid code whatever
            this says, and `free` has no code.
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
        wta_cost: Whether winner-take-all is counted as neurons.
        learn_phases: Of `calibrated`, see `CalibrationSettings`, as for what follows.
        decoder_weights: What is learned of score neurons.
        relaxation: Of the winner-take-all in training.
        wta_temperature: The same.
        gate_neurons: Of `free`, see `FreeSettings`, as for what follows.
        hidden_share: Of these neurons.
        hidden_layers: Of a logical neuron.
        activation: Of neurons.
        synapse_mode: Of training.
        learning_rate: Of both learned families, see `LessonSettings`, as for what follows.
        weight_decay: Of AdamW.
        n_draws: Of the noise in a step.
        steps_per_epoch: Of training.
        ramp_epochs: In which the noise rises.
        noise_factor: Times the evaluation's noise.
        loss: Of a row.
        cvar_alpha: Worst share of rows.
        wire_weight: Of wires inside the circuit.
        trained_gates: Of the circuit's beginning.
        grows: Whether more of these are trained while the noise rises.

    Raises:
        ValueError: If settings that the family reads are out of range; all problems at once.
        DataError: If there is no such circuit, or the code cannot carry it.

    Source:
        fault_tolerant.md section 7 [inferred].
    """

    def __init__(
        self,
        *,
        task: str,
        family: Family = "analytic",
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
        wta_cost: bool = False,
        learn_phases: bool = True,
        decoder_weights: DecoderWeights = "free",
        relaxation: Relaxation = "softmax",
        wta_temperature: float = 0.2,
        gate_neurons: int = 56,
        hidden_share: float = 0.5,
        hidden_layers: int = 1,
        activation: Activation = "sigmoid",
        synapse_mode: SynapseMode = "moment",
        learning_rate: float = 1e-2,
        weight_decay: float = 0.0,
        n_draws: int = 8,
        steps_per_epoch: int = 50,
        ramp_epochs: int = 2,
        noise_factor: float = 1.2,
        loss: LossName = "cross_entropy",
        cvar_alpha: float = 0.5,
        wire_weight: float = 1.0,
        trained_gates: int | None = None,
        grows: bool = False,
    ) -> None:
        given = dict(locals())
        of_code, of_calibration, of_free, of_lesson = _settings_of(family, given)
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.circuit = circuit_of(task)
        self.settings = of_lesson
        self.network: CalibratedGrid | FreeNetwork | None = None
        if of_code is not None:
            self.analytic = of_code.build(self.circuit)
        if of_calibration is not None:
            assert isinstance(self.analytic, GridCode)
            self.network = CalibratedGrid(self.circuit, self.analytic, of_calibration)
        if of_free is not None:
            self.network = FreeNetwork(self.circuit, of_free)
        self.resources = self.code.resources(self.circuit)
        self._known: dict[tuple[Any, ...], dict[str, float]] = {}

    @property
    def code(self) -> Code:
        """The code, or the network with its present weights."""
        return self.analytic if self.network is None else self.network.code()

    def configure_optimizers(self) -> torch.optim.Optimizer | None:  # type: ignore[override]
        """AdamW on what is learned; nothing for the family `analytic`."""
        if self.network is None:
            return None
        learned = [one for one in self.network.parameters() if one.requires_grad]
        return torch.optim.AdamW(
            learned, lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay
        )

    def training_step(self, batch: TruthTable, batch_idx: int) -> None:
        """Take the steps of an epoch, each on the whole truth table with fresh draws; seeds are never validation's."""
        if self.network is None:
            return
        lesson = Lesson(self.circuit, NoiseSpec(**batch.noise), self.settings)
        # The global source is seeded anew in each epoch, so that a resumed trial repeats what it would have drawn.
        generator = torch.Generator(self.device).manual_seed(int(torch.randint(2**62, ())))
        n_steps = self.settings.steps_per_epoch
        first = self.current_epoch * n_steps
        losses = [self._take_step(self.network, lesson, first + at, generator) for at in range(n_steps)]
        self.log("train/loss", float(np.mean(losses)), batch_size=1)

    def _take_step(
        self, network: CalibratedGrid | FreeNetwork, lesson: Lesson, step: int, generator: torch.Generator
    ) -> float:
        optimizer: Any = self.optimizers()
        n_steps = (self.trainer.max_epochs or 1) * self.settings.steps_per_epoch
        for group in optimizer.param_groups:
            group["lr"] = self.settings.rate_at(step, n_steps)
        loss = lesson.loss(network, step, generator)
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        return loss.item()

    def validation_step(self, batch: TruthTable, batch_idx: int) -> None:
        """Compute the truth table under noise, and log errors and cost; beside them averaging of equal size."""
        # What is not learned gives the same in every epoch: the noise of validation has one seed.
        metrics = (
            self._once("own", self.code, batch) if self.network is None else self._judge(self.code, batch)
        )
        averaging = self.averaging()
        if averaging is not None:
            beside = self._once("averaging", averaging, batch)
            metrics = metrics | {f"averaging_{name}": value for name, value in beside.items()}
        self.log_dict({f"val/{name}": value for name, value in metrics.items()}, batch_size=1)

    def averaging(self, most_copies: int = MOST_COPIES) -> RepetitionCode | None:
        """Return the averaging repetition of as many neurons, up to so many copies; None for such a code."""
        if (
            self.network is None
            and isinstance(self.analytic, RepetitionCode)
            and self.analytic.rule == "average"
        ):
            return None
        n_gates = len(self.circuit.neurons)
        neurons = max(min(self.resources.neurons, most_copies * n_gates), n_gates)
        return RepetitionCode.of_size(neurons, self.circuit)

    def _judge(self, code: Code, batch: TruthTable) -> dict[str, float]:
        errors = count_errors(code, self.circuit, batch, self.device)
        return metrics_of(errors, code.resources(self.circuit))

    def _once(self, name: str, code: Code, batch: TruthTable) -> dict[str, float]:
        key = name, batch.seed, batch.n_trials, *sorted(batch.noise.items())
        if key not in self._known:
            self._known[key] = self._judge(code, batch)
        return self._known[key]


def _settings_of(
    family: str, given: Mapping[str, Any]
) -> tuple[CodeSettings | None, CalibrationSettings | None, FreeSettings | None, LessonSettings]:
    """Return the settings that a family reads: of its code, of what is calibrated, of free networks, and of training.

    Raises:
        ValueError: If any of them is out of range; all problems at once.
    """
    problems: list[str] = []
    if family not in get_args(Family):
        raise ValueError(f"`family` is {family!r}, but must be one of {', '.join(get_args(Family))}.")

    def chosen(kind: Callable[..., Settings]) -> Settings | None:
        try:
            return kind(**{one.name: given[one.name] for one in fields(kind)})  # type: ignore[arg-type]
        except ValueError as error:
            problems.append(str(error))
            return None

    if family == "calibrated":
        given = {**given, "code": "grid"}
    of_code = chosen(CodeSettings) if family != "free" else None
    of_calibration = chosen(CalibrationSettings) if family == "calibrated" else None
    of_free = chosen(FreeSettings) if family == "free" else None
    lesson = chosen(LessonSettings) if family != "analytic" else LessonSettings()
    if problems or lesson is None:
        raise ValueError("\n".join(problems))
    return of_code, of_calibration, of_free, lesson
