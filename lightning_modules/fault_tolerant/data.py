"""What a search of codes is judged on: a circuit's whole truth table, and noise that is never searched."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_modules.fault_tolerant.circuit import Circuit, Values
from lightning_modules.fault_tolerant.noise import NoiseSpec, Persistence, Site
from lightning_modules.fault_tolerant.tasks import TASKS
from lightning_modules.parts.errors import DataError

CONVENTIONS = (
    "What is not noisy: the last read-out; the first encoding of averaging, majority and median codes and of free "
    "networks (encoders of the grid code are noisy); the constant 1 of the median code and of learned biases; "
    "winner-take-all and the synapses of trig neurons of the grid code.",
    "Neurons count all that decode and correct. Not counted: winner-take-all, and what encodes the circuit's inputs. "
    "Thresholds of averaging know p.",
)


FROZEN = (
    "Failures are frozen: all evaluations of a code meet one network, drawn by the seed. Errors and intervals are of "
    "this network; others of the same code may do better or worse."
)
NOISY_WTA = "Winner-take-all is noisy here: scores have their noise once more, and winners fail."


class TruthTable(NamedTuple):
    """The only batch there is.

    Args:
        rows: All inputs, int64 (R, n_inputs).
        truth: Their outputs, int64 (R, n_outputs).
        noise: Arguments of `NoiseSpec`.
        n_trials: Evaluations of each row.
        seed: Of the noise.
    """

    rows: Tensor
    truth: Tensor
    noise: Mapping[str, Any]
    n_trials: int
    seed: int


@dataclass(frozen=True, eq=False)
class FaultData:
    """A circuit with its truth table, and the noise under which it has to be computed.

    Args:
        task: Name of the circuit in `TASKS`.
        rows: All inputs, (R, n_inputs).
        truth: Their outputs, (R, n_outputs).
        noise: Of all neurons.
        n_trials: Evaluations of each row.
        seed: Of the noise that a search sees.
        notes: What to know, in sentences.
    """

    task: str
    rows: Values
    truth: Values
    noise: NoiseSpec
    n_trials: int
    seed: int
    notes: tuple[str, ...] = ()

    def table(self, n_trials: int, seed: int) -> TruthTable:
        """Return the truth table as a batch, to be computed so often with noise of this seed."""
        # Copies: what the trials of a sweep share may be read-only.
        rows, truth = (torch.from_numpy(np.array(one)) for one in (self.rows, self.truth))
        return TruthTable(rows, truth, asdict(self.noise), n_trials, seed)

    def check(self, fixed: Mapping[str, Any]) -> None:
        """Refuse what is fixed for all trials of a sweep and impossible: see `check_launch`.

        Args:
            fixed: Values by dotted name, such as `model.level`.

        Raises:
            DataError: If it is.
        """
        # Networks are built of this module.
        from lightning_modules.fault_tolerant.launch_check import check_launch

        check_launch(self, fixed)


def circuit_of(task: str) -> Circuit:
    """Return a circuit by its name.

    Raises:
        DataError: If there is none; the message lists what there is.
    """
    if task not in TASKS:
        close = get_close_matches(task, list(TASKS), n=1)
        guess = f" Did you mean `{close[0]}`?" if close else ""
        raise DataError(
            f"There is no circuit `{task}`.{guess}", f"Give `--data.task` one of: {', '.join(TASKS)}."
        )
    return TASKS[task]


def notes_of(noise: NoiseSpec) -> tuple[str, ...]:
    """Return what to know of how noise acts, in sentences."""
    frozen = (FROZEN,) if noise.persistence == "frozen" else ()
    return (*CONVENTIONS, *frozen, *((NOISY_WTA,) if noise.noisy_wta else ()))


def load_task(
    *,
    task: str = "multiplier_nand",
    failure: float = 0.02,
    sd: float = 0.02,
    output_sd: float | None = None,
    phase_sd: float | None = None,
    trig_sd: float | None = None,
    score_sd: float | None = None,
    site: Site = "synapse",
    block: int = 1,
    persistence: Persistence = "transient",
    noisy_wta: bool = False,
    n_trials: int = 2000,
    evaluation_seed: int = 0,
) -> FaultData:
    """Choose a circuit and its noise, which stay the same in all of a search.

    Args:
        task: Name of the circuit in `TASKS`.
        failure: Probability p that a connection transmits zero.
        sd: Standard deviation of everything Gaussian, phases in cycles; what follows replaces it one by one.
        output_sd: Of neurons' outputs.
        phase_sd: Of phases of the grid code, cycles.
        trig_sd: Of its cosine and sine neurons.
        score_sd: Of its score neurons.
        site: What fails by itself, `synapse` or `neuron`.
        block: Neighbouring synapses of a neuron that fail together; averaging models it.
        persistence: `transient` failures are drawn at every evaluation; of `frozen` ones all evaluations meet the same,
            drawn by `evaluation_seed`.
        noisy_wta: Whether winner-take-all of grid codes has score noise at its inputs and failing outputs.
        n_trials: Evaluations of each row of the truth table; what never erred in them is rarer than 3 / n_trials.
        evaluation_seed: Of the noise, the same for every code.

    Raises:
        DataError: If there is no such circuit, or the noise is impossible; all problems at once.
    """
    circuit = circuit_of(task)
    try:
        noise = NoiseSpec(
            failure,
            site,
            output_sd=sd if output_sd is None else output_sd,
            phase_sd=sd if phase_sd is None else phase_sd,
            trig_sd=sd if trig_sd is None else trig_sd,
            score_sd=sd if score_sd is None else score_sd,
            block=block,
            persistence=persistence,
            noisy_wta=noisy_wta,
        )
    except ValueError as error:
        raise DataError(str(error), "Correct `--data.failure`, `--data.sd` or what replaces it.") from error
    if n_trials < 1 or not 0 <= evaluation_seed < 2**63:
        raise DataError(
            f"{n_trials} trials with the seed {evaluation_seed} cannot be drawn.",
            "Give `--data.n_trials` of 1 or more, and `--data.evaluation_seed` from 0 to 2^63 - 1.",
        )
    rows = circuit.rows()
    notes = (
        f"`{task}`: {len(rows)} inputs, {len(circuit.neurons)} logical neurons, {n_trials} evaluations of each "
        f"input; an error below {3 / n_trials:.1g} is only bounded.",
        *notes_of(noise),
    )
    return FaultData(task, rows, circuit.evaluate(rows), noise, n_trials, evaluation_seed, notes)


class TruthTableDataModule(pl.LightningDataModule):
    """The truth table as one batch, the same for training and validation.

    Args:
        data: What `load_task` returned.
    """

    def __init__(self, data: FaultData) -> None:
        super().__init__()
        self.data = data

    @property
    def model_arguments(self) -> dict[str, Any]:
        """Arguments of the module that the data decides."""
        return {"task": self.data.task}

    def train_dataloader(self) -> DataLoader[TruthTable]:
        """The table; nothing is learned from it."""
        return self._loader()

    def val_dataloader(self) -> DataLoader[TruthTable]:
        """The table, to be computed under noise."""
        return self._loader()

    def _loader(self) -> DataLoader[TruthTable]:
        batch = self.data.table(self.data.n_trials, self.data.seed)
        return DataLoader([batch], batch_size=None, collate_fn=_unchanged)  # type: ignore[arg-type]


def _unchanged(batch: TruthTable) -> TruthTable:
    return batch
