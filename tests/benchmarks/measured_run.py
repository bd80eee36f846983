"""Running a sweep in a process of its own, and what it took."""

import json
import os
import sqlite3
import subprocess
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
SLOTS = len(os.sched_getaffinity(0))
OBJECTIVE = {"sable": "val/behaviour_r2", "noop": "val/score"}


@dataclass(frozen=True)
class Part:
    """One comparison.

    Args:
        title: Heading of its table.
        kind: `sable`, or `noop` for trials that only report.
        trials: Trials of either sweep.
        epochs: Most epochs of a trial.
        grace_period: Epochs before successive halving may end a trial; None for no pruning.
        rows: What its table shows.
    """

    title: str
    kind: str
    trials: int
    epochs: int
    grace_period: int | None
    rows: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """What one sweep took.

    Args:
        epochs: Epochs reported, over all trials.
        mlflow_points: Metric points that MLflow holds at the end.
        wall_s: From the start of the process to its end, s.
        training_s: Training with validation, summed over all epochs of all trials, s.
        beyond_training_s: Per trial, the time of its slot that was not training, s.
        wall_over_training: Wall time over training time divided by slots; 1 is perfect.
        results_per_s: Epochs over the time from the first report to the last.
        tracked_per_s: Epochs over the time from the first report to the end of the process, with all in MLflow.
        driver_mb: Largest resident memory of the driver.
        worker_mb: Largest resident memory of any worker.
    """

    epochs: int
    mlflow_points: int
    wall_s: float
    training_s: float
    beyond_training_s: float
    wall_over_training: float
    results_per_s: float
    tracked_per_s: float
    driver_mb: float
    worker_mb: float


def measure(command: list[str], folder: Path, part: Part, *, ours: bool) -> Run:
    """Run a sweep in a process of its own, watch it, and read what it left in `folder`."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE),
        "RAY_TMPDIR": str(folder),
        "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (folder / "output.log").open("w") as log:
        started = time.time()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        driver_mb, worker_mb = watch(process)
        ended = time.time()
    if process.returncode:
        raise SystemExit(f"{command} failed:\n{(folder / 'output.log').read_text()[-3000:]}")
    epochs = our_epochs(folder) if ours else their_epochs(folder)
    points = count_points(folder / "neurosweep-runs/mlflow.db" if ours else folder / "mlflow.db")
    check_complete(command, part, epochs=len(epochs), tracked=points.get(OBJECTIVE[part.kind], 0))
    wall_s = ended - started
    training_s = sum(seconds for seconds, _ in epochs)
    ends = [end for _, end in epochs]
    return Run(
        epochs=len(epochs),
        mlflow_points=sum(points.values()),
        wall_s=wall_s,
        training_s=training_s,
        beyond_training_s=(wall_s * SLOTS - training_s) / part.trials,
        wall_over_training=wall_s / (training_s / SLOTS),
        results_per_s=(len(epochs) - 1) / (max(ends) - min(ends)),
        tracked_per_s=(len(epochs) - 1) / (ended - min(ends)),
        driver_mb=driver_mb,
        worker_mb=worker_mb,
    )


def watch(process: subprocess.Popen) -> tuple[float, float]:
    """Sample the memory of the driver and of Ray's workers twice a second; return once all of them are gone."""
    driver_mb = worker_mb = 0.0
    root = psutil.Process(process.pid)
    family: set[psutil.Process] = set()
    try:
        while process.poll() is None:
            with suppress(psutil.Error):
                driver_mb = max(driver_mb, root.memory_info().rss / 1e6)
                children = root.children(recursive=True)
                family.update(children)
                worker_mb = max([worker_mb, *(worker_memory(child) for child in children)])
            time.sleep(0.5)
    except BaseException:
        end_family([root, *family], patience_s=0)
        raise
    end_family([root, *family], patience_s=20)
    return driver_mb, worker_mb


def worker_memory(process: psutil.Process) -> float:
    """Return the resident memory of a Ray worker, MB; 0 for any other process."""
    with suppress(psutil.Error, IndexError):  # a process that has just ended has an empty command line
        if process.cmdline()[0].startswith("ray::"):
            return process.memory_info().rss / 1e6
    return 0.0


def end_family(family: list[psutil.Process], *, patience_s: float) -> None:
    """Let a run's processes end, and end those that do not, so that they cost the next run nothing."""
    _, alive = psutil.wait_procs(family, timeout=patience_s)
    for process in alive:
        with suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(alive, timeout=10)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()


def check_complete(command: list[str], part: Part, *, epochs: int, tracked: int) -> None:
    """Refuse to compare a sweep that did less than it was asked, or whose results are not in MLflow."""
    if part.grace_period is None and epochs != part.trials * part.epochs:
        raise SystemExit(f"{command} reported {epochs} epochs instead of {part.trials * part.epochs}")
    if tracked != epochs:
        raise SystemExit(f"{command} reported {epochs} epochs, and MLflow holds {tracked}")


def count_points(database: Path) -> dict[str, int]:
    """Return how many points MLflow holds of each metric."""
    with closing(sqlite3.connect(database)) as connection:
        return dict(connection.execute("SELECT key, COUNT(*) FROM metrics GROUP BY key"))


def our_epochs(folder: Path) -> list[tuple[float, float]]:
    """Return seconds and end of each epoch, from the outboxes."""
    lines = [
        json.loads(line)
        for file in folder.glob("neurosweep-runs/*/trials/*/metrics.jsonl")
        for line in file.read_text().splitlines()
    ]
    return [(one["value"], one["timestamp"] / 1000) for one in lines if one["key"] == "cost/epoch_seconds"]


def their_epochs(folder: Path) -> list[tuple[float, float]]:
    """Return seconds and end of each epoch, from the rival's own clock."""
    lines = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
    return [(one["seconds"], one["ended"]) for one in lines]
