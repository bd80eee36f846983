"""Where a sweep's files lie. Every room asks here; nobody else joins paths."""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrialFolder:
    """Files of one trial: `<storage>/<sweep>/trials/0007/`."""

    root: Path

    @property
    def config(self) -> Path:
        """Resolved configuration of the trial, JSON."""
        return self.root / "config.json"

    @property
    def description(self) -> Path:
        """What the data module says of the model's input, JSON; absent where it says nothing."""
        return self.root / "data.json"

    @property
    def attempts(self) -> Path:
        """One line for each time a worker started the trial: attempt, host, process id, time."""
        return self.root / "attempts.jsonl"

    @property
    def last_checkpoint(self) -> Path:
        """State after the last epoch that was written, with optimizer and metric history; a resume starts here."""
        return self.root / "last.ckpt"

    @property
    def best_checkpoint(self) -> Path | None:
        """Weights of the best epoch so far, or None before the first epoch."""
        kept = sorted(self.root.glob("best-*.ckpt"))
        return kept[-1] if kept else None

    def best_checkpoint_of(self, epoch: int) -> Path:
        """Where the weights of `epoch` are kept while it is the best one."""
        return self.root / f"best-{epoch:06d}.ckpt"

    def generation_checkpoint(self, generation: int) -> Path:
        """State of a population's member after a generation, kept while copies of it may still begin."""
        return self.root / f"generation-{generation:04d}.ckpt"

    @property
    def lineage(self) -> Path:
        """Of a population's member: where its kept weights come from, JSON."""
        return self.root / "lineage.json"

    @property
    def metrics(self) -> Path:
        """Outbox: every metric point recorded, one JSON object a line, in order of arrival."""
        return self.root / "metrics.jsonl"

    @property
    def delivery(self) -> Path:
        """How much of the trial has reached MLflow, JSON."""
        return self.root / "delivery.json"

    @property
    def figures(self) -> Path:
        """Pictures of the kept checkpoint, PNG. The folder is there once all of them are."""
        return self.root / "figures"

    @property
    def failure(self) -> Path:
        """Traceback of a failed trial."""
        return self.root / "failure.txt"

    def drop_half_checkpoints(self) -> None:
        """Remove the checkpoints that killed workers have left half-written."""
        for scratch in self.root.glob(".*.ckpt.*.tmp"):
            scratch.unlink(missing_ok=True)


@dataclass(frozen=True)
class SweepFolder:
    """Files of one sweep: `<storage>/<sweep>/`."""

    root: Path

    @property
    def name(self) -> str:
        """The sweep's name."""
        return self.root.name

    @property
    def config(self) -> Path:
        """Resolved configuration of the sweep, YAML. Its presence means that the sweep exists."""
        return self.root / "sweep.yaml"

    @property
    def provenance(self) -> Path:
        """Data hash, commit, versions and command of the sweep, JSON."""
        return self.root / "provenance.json"

    @property
    def journal(self) -> Path:
        """Optuna's study, unless it lives in a database."""
        return self.root / "study.journal"

    @property
    def population(self) -> Path:
        """Decisions and scores of a population, one JSON object a line."""
        return self.root / "population.jsonl"

    @property
    def lineage(self) -> Path:
        """Where the kept weights of a population's members come from, JSON."""
        return self.root / "lineage.json"

    @property
    def lock(self) -> Path:
        """Held by the sweep's living driver."""
        return self.root / "driver.lock"

    @property
    def driver(self) -> Path:
        """Who holds the lock: host, process id, start, JSON."""
        return self.root / "driver.json"

    @property
    def end(self) -> Path:
        """Why and when the last driver stopped, JSON."""
        return self.root / "end.json"

    @property
    def delivery(self) -> Path:
        """Which parent run mirrors the sweep in MLflow, JSON."""
        return self.root / "delivery.json"

    @property
    def leaderboard(self) -> Path:
        """The leaderboard, CSV."""
        return self.root / "leaderboard.csv"

    @property
    def report(self) -> Path:
        """The report, HTML."""
        return self.root / "report.html"

    @property
    def openings(self) -> Path:
        """Who opened sealed data, of all sweeps of the storage, one JSON object a line."""
        return self.root.parent / "openings.jsonl"

    @property
    def evaluation(self) -> Path:
        """Scores of the best configuration on the sealed data, JSON."""
        return self.root / "evaluation.json"

    @property
    def evaluation_figures(self) -> Path:
        """Pictures of that, PNG."""
        return self.root / "evaluation"

    @property
    def figures(self) -> Path:
        """Optuna's figures, HTML."""
        return self.root / "figures"

    @property
    def log(self) -> Path:
        """Log of the drivers of this sweep."""
        return self.root / "driver.log"

    @property
    def ray(self) -> Path:
        """Ray Tune's own folder; nothing in it is needed to resume."""
        return self.root / "ray"

    @property
    def trials_root(self) -> Path:
        """Folder of the trials' folders."""
        return self.root / "trials"

    def trial(self, number: int) -> TrialFolder:
        """Folder of one trial; it may not exist yet."""
        return TrialFolder(self.trials_root / f"{number:04d}")

    def drop_half_written(self) -> None:
        """Remove what killed processes have left half-written; for the owner of the sweep, before it writes."""
        for pattern in (".*.tmp", f"{self.trials_root.name}/*/.*.tmp"):
            for scratch in self.root.glob(pattern):
                if scratch.is_dir():
                    shutil.rmtree(scratch, ignore_errors=True)
                else:
                    scratch.unlink(missing_ok=True)


def sweeps_in(storage: Path) -> Iterator[SweepFolder]:
    """Sweeps of a storage folder, by name."""
    if storage.is_dir():
        for path in sorted(storage.iterdir()):
            folder = SweepFolder(path)
            if folder.config.is_file():
                yield folder


def write_atomically(path: Path, text: str) -> None:
    """Write a small text file so that a reader, or a kill, sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with scratch.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically."""
    write_atomically(path, json.dumps(content, indent=2, sort_keys=True, default=str) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; an absent file is an empty one."""
    if not path.exists():
        return {}
    return json.loads(path.read_text(encoding="utf-8"))
