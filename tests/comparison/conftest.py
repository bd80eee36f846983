"""A sweep as the search leaves it: a real Optuna study in memory and the same trials as records."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import optuna
import pytest

from neurosweep.comparison import ReportContext
from neurosweep.experiments import Objective
from neurosweep.layout import SweepFolder
from neurosweep.naming import Failure, Status
from neurosweep.records import TrialRecord

START = datetime(2025, 11, 20, 9, 0, tzinfo=UTC)
STATUSES = {
    optuna.trial.TrialState.COMPLETE: Status.COMPLETED,
    optuna.trial.TrialState.PRUNED: Status.PRUNED,
    optuna.trial.TrialState.FAIL: Status.FAILED,
    optuna.trial.TrialState.RUNNING: Status.RUNNING,
    optuna.trial.TrialState.WAITING: Status.WAITING,
}


@dataclass(frozen=True)
class FinishedSweep:
    folder: SweepFolder
    study: optuna.Study
    records: list[TrialRecord]
    objectives: tuple[Objective, ...]


def records_of(study: optuna.Study, *, seconds_per_epoch: float = 2.0) -> list[TrialRecord]:
    """Copy a study's trials, with round times in place of those of this test."""
    records = []
    for trial in study.get_trials(deepcopy=False):
        started = START + timedelta(seconds=10.0 * trial.number)
        epochs = len(trial.intermediate_values)
        failed = trial.state == optuna.trial.TrialState.FAIL
        completed = trial.state == optuna.trial.TrialState.COMPLETE
        records.append(
            TrialRecord(
                number=trial.number,
                status=STATUSES[trial.state],
                parameters=dict(trial.params),
                values=tuple(trial.values) if completed else None,
                curve=dict(trial.intermediate_values),
                seed=1000 + trial.number,
                origin="published" if trial.number == 0 else "sampled",
                attempts=1,
                failure=Failure.DIVERGED if failed else None,
                failure_message="val/behaviour_r2 became NaN in epoch 3" if failed else None,
                started=started,
                ended=started + timedelta(seconds=seconds_per_epoch * epochs)
                if trial.state.is_finished()
                else None,
            )
        )
    return records


def realistic_study(*, trials: int = 16, epochs: int = 24, seed: int = 1) -> optuna.Study:
    """Sweep a saturating curve whose height depends on four parameters, with pruning and failures."""
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=5),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=4),
    )
    generator = np.random.default_rng(seed)
    for number in range(trials):
        trial = study.ask()
        latent = trial.suggest_int("model.latent_dim", 4, 64, log=True)
        rate = trial.suggest_float("model.learning_rate", 1e-4, 3e-2, log=True)
        schedule = trial.suggest_categorical("model.reversal_schedule", ["constant", "linear", "dann"])
        if schedule != "constant":
            trial.suggest_int("model.reversal_warmup_steps", 100, 2000, step=100)
        trial.suggest_float("model.input_dropout", 0.0, 0.4)
        trial.suggest_categorical("data.batch_size", [32, 64])
        height = (
            0.72
            - 0.1 * abs(math.log(rate / 2e-3))
            - 0.02 * abs(math.log(latent / 16))
            + (schedule == "linear") * 0.05
        )
        values = (
            height - 0.9 * np.exp(-(np.arange(epochs) + 1) / 5.0) + 0.01 * generator.standard_normal(epochs)
        )
        state = optuna.trial.TrialState.COMPLETE
        for epoch, value in enumerate(values):
            if number in (6, 11) and epoch == 3:
                state = optuna.trial.TrialState.FAIL
                break
            trial.report(float(value), epoch)
            if epoch < epochs - 1 and trial.should_prune():
                state = optuna.trial.TrialState.PRUNED
                break
        completed = state == optuna.trial.TrialState.COMPLETE
        study.tell(trial, float(values.max()) if completed else None, state=state)
    return study


@pytest.fixture(autouse=True)
def _quiet_optuna():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture
def sweep(tmp_path: Path) -> FinishedSweep:
    study = realistic_study()
    return FinishedSweep(
        folder=SweepFolder(tmp_path / "sable-first"),
        study=study,
        records=records_of(study),
        objectives=(Objective("val/behaviour_r2", "maximize"),),
    )


@pytest.fixture
def failed_sweep(tmp_path: Path) -> FinishedSweep:
    study = optuna.create_study(direction="maximize")
    for _ in range(3):
        trial = study.ask()
        trial.suggest_float("model.learning_rate", 1e-4, 1e-1, log=True)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return FinishedSweep(
        folder=SweepFolder(tmp_path / "all-failed"),
        study=study,
        records=records_of(study),
        objectives=(Objective("val/behaviour_r2", "maximize"),),
    )


@pytest.fixture
def two_objective_sweep(tmp_path: Path) -> FinishedSweep:
    study = optuna.create_study(
        directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(seed=0)
    )
    for _ in range(10):
        trial = study.ask()
        width = trial.suggest_int("model.latent_dim", 2, 64)
        dropout = trial.suggest_float("model.input_dropout", 0.0, 0.5)
        study.tell(trial, [math.tanh(width / 20) - dropout, 0.5 * width + 10 * dropout])
    return FinishedSweep(
        folder=SweepFolder(tmp_path / "two-objectives"),
        study=study,
        records=records_of(study),
        objectives=(Objective("val/behaviour_r2", "maximize"), Objective("cost/epoch_seconds", "minimize")),
    )


@pytest.fixture
def context() -> ReportContext:
    return ReportContext(
        experiment="sable",
        seed=1,
        resume_command="neurosweep resume sable-first",
        mlflow_command="mlflow ui --backend-store-uri sqlite:///neurosweep-runs/mlflow.db",
        reload_command='model = neurosweep.load_model("sable-first")',
        data_hash="9f2c1d77ab03",
        data_notes=("6 sessions of 1 animal, 96 channels, 20 ms bins.", "Test sessions stay sealed."),
        provenance={"commit": "373c501", "versions": {"torch": "2.13.0", "optuna": "5.0.0"}},
        pinned={"data.path": "data/chewie", "trainer.max_epochs": 24},
        wall_seconds=260.0,
    )
