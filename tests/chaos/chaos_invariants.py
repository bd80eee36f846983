"""What must hold of a finished sweep, whatever was killed on its way: read from the files and the databases alone."""

import hashlib
import json
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
import torch
from chaos_lab import true_score
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

STATES = {
    TrialState.COMPLETE: ("FINISHED", "completed"),
    TrialState.PRUNED: ("KILLED", "pruned"),
    TrialState.FAIL: ("FAILED", "failed"),
}


class Evidence:
    """All that a sweep has left behind.

    Args:
        folder: The sweep's folder.
        database: MLflow's SQLite file, read with plain SQL.
        diary: Ground truth: one line for each epoch that was really trained.
        artifacts: Folder of the artifacts, where a server has them.
    """

    def __init__(self, folder: Path, database: Path, diary: Path, artifacts: Path | None = None) -> None:
        self.folder = folder
        self.artifacts = artifacts
        self.database = database
        self.diary = diary

    def rows(self, query: str, *arguments: Any) -> list[tuple]:
        with closing(sqlite3.connect(self.database, timeout=30)) as connection:
            return connection.execute(query, arguments).fetchall()

    def trials(self) -> list[FrozenTrial]:
        journal = JournalStorage(JournalFileBackend(str(self.folder / "study.journal")))
        study = optuna.load_study(study_name=self.folder.name, storage=journal)
        return [trial for trial in study.get_trials(deepcopy=False) if trial.state != TrialState.WAITING]

    def runs(self, kind: str) -> list[tuple[str, str]]:
        """Id and state of the sweep's runs of a kind."""
        return self.rows(
            "SELECT r.run_uuid, r.status FROM runs r JOIN tags s ON r.run_uuid = s.run_uuid "
            "JOIN tags k ON r.run_uuid = k.run_uuid WHERE s.key = 'neurosweep.sweep' AND s.value = ? "
            "AND k.key = 'neurosweep.kind' AND k.value = ? AND r.lifecycle_stage = 'active'",
            self.folder.name,
            kind,
        )

    def path(self, uri: str) -> Path:
        """Where an artifact lies on the disk."""
        place = uri.removeprefix("mlflow-artifacts:/")
        return (
            self.artifacts / place if self.artifacts and place != uri else Path(uri.removeprefix("file://"))
        )

    def tags(self, run: str) -> dict[str, str]:
        return dict(self.rows("SELECT key, value FROM tags WHERE run_uuid = ?", run))

    def parameters(self, run: str) -> dict[str, str]:
        return dict(self.rows("SELECT key, value FROM params WHERE run_uuid = ?", run))

    def history(self, run: str) -> dict[str, list[tuple[int, float]]]:
        """Every stored point by key, in the order of its steps: a point that is there twice is listed twice."""
        found: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for key, step, value in self.rows("SELECT key, step, value FROM metrics WHERE run_uuid = ?", run):
            found[key].append((step, value))
        return {key: sorted(points) for key, points in found.items()}

    def trained(self) -> Counter[tuple[int, int]]:
        """How often each epoch was trained, by seed of the trial and epoch."""
        lines = self.diary.read_text(encoding="utf-8").splitlines()
        return Counter((entry["seed"], entry["epoch"]) for entry in map(json.loads, lines))


def check_sweep(evidence: Evidence, *, trials: int, epochs: int, retrained: int) -> None:
    """Assert the invariants of a finished sweep.

    Args:
        evidence: What it left.
        trials: Total of trials that was asked for.
        epochs: Epochs of a full trial.
        retrained: How many epochs may have been trained once more: one for each trial that a kill met.
    """
    known = evidence.trials()
    assert [trial.number for trial in known] == list(range(trials))
    runs = {int(evidence.tags(run)["neurosweep.trial"]): run for run, _ in evidence.runs("trial")}
    assert len(evidence.runs("trial")) == trials, "a trial has no run, or two"
    assert sorted(runs) == list(range(trials))
    assert [state for _, state in evidence.runs("sweep")] == ["FINISHED"]
    assert evidence.rows("SELECT run_uuid FROM runs WHERE status = 'RUNNING'") == []
    for trial in known:
        _check_image(evidence, trial, runs[trial.number], epochs=epochs)
    _check_training(evidence, known, retrained=retrained)
    board = pd.read_csv(evidence.folder / "leaderboard.csv")
    assert sorted(board["trial"]) == list(range(trials))
    assert [str(path) for path in evidence.folder.rglob(".*.tmp")] == [], "half-written files are left"


def _check_image(evidence: Evidence, trial: FrozenTrial, run: str, *, epochs: int) -> None:
    """The study, MLflow and the closed form agree on a trial."""
    ((state,),) = evidence.rows("SELECT status FROM runs WHERE run_uuid = ?", run)
    tags = evidence.tags(run)
    assert (state, tags["neurosweep.status"]) == STATES[trial.state]
    stored = evidence.parameters(run)
    assert {name: stored.get(name) for name in trial.params} == {
        name: str(value) for name, value in trial.params.items()
    }
    reported = {step - 1: value for step, value in sorted(trial.intermediate_values.items())}
    assert list(reported) == list(range(len(reported))), "an epoch is missing in the study"
    if trial.state == TrialState.COMPLETE:
        assert len(reported) == epochs
    for epoch, value in reported.items():
        assert value == pytest.approx(true_score(trial.params, epoch), abs=1e-6)
    history = evidence.history(run)
    # The rows are all that MLflow stores: a doubled point, even with another time, would be one more.
    assert history.get("val/score", []) == list(reported.items())
    per_epoch = [key for key in history if not key.startswith("best/")]
    assert set(per_epoch) >= {"val/score", "val/trained", "cost/epoch_seconds", "cost/worker_memory_mb"}
    for key in per_epoch:
        assert [step for step, _ in history[key]] == list(reported), key
    assert history["val/trained"] == [(epoch, float(epoch)) for epoch in reported]
    if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
        _check_kept(evidence, trial, run, reported, history)


def _check_kept(evidence, trial, run, reported, history) -> None:
    """The best checkpoint, in the folder and in MLflow, is that of the best epoch and says so inside."""
    best = max(reported, key=lambda epoch: (reported[epoch], -epoch))
    if trial.state == TrialState.COMPLETE:
        assert trial.values == [reported[best]]
    assert history["best/score"] == [(best, reported[best])]
    folder = evidence.folder / "trials" / f"{trial.number:04d}"
    (kept,) = folder.glob("best-*.ckpt")
    assert kept.name == f"best-{best:06d}.ckpt"
    content = torch.load(kept, weights_only=True)
    assert content["epoch"] == best
    assert content["state_dict"]["epochs_trained"].item() == best + 1
    ((uri,),) = evidence.rows("SELECT artifact_uri FROM runs WHERE run_uuid = ?", run)
    models = evidence.rows("SELECT artifact_location, status FROM logged_models WHERE source_run_id = ?", run)
    ((location, status),) = models
    assert status == 2, "the logged model is not READY"
    outputs = evidence.rows("SELECT 1 FROM inputs WHERE source_type = 'RUN_OUTPUT' AND source_id = ?", run)
    assert len(outputs) == 1
    uploaded = evidence.path(uri) / "checkpoint"
    for place in (uploaded / kept.name, evidence.path(location) / "model.ckpt"):
        assert _digest(place) == _digest(kept), place
    assert len(list(uploaded.iterdir())) == 1


def _check_training(evidence: Evidence, known: list[FrozenTrial], *, retrained: int) -> None:
    """Every reported epoch was trained, and hardly any of them twice."""
    trained = evidence.trained()
    for trial in known:
        seed = trial.user_attrs["seed"]
        epochs = {epoch for one, epoch in trained if one == seed}
        reported = {step - 1 for step in trial.intermediate_values}
        assert reported <= epochs, "an epoch was reported that nobody trained"
        # A trial that is pruned when it reports once more may have trained one epoch further before.
        assert len(epochs - reported) <= (0 if trial.state == TrialState.COMPLETE else 1)
    again = sum(count - 1 for count in trained.values())
    assert again <= retrained, f"{again} epochs were trained again: not from the last checkpoint"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
