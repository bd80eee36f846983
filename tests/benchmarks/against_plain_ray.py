"""neurosweep against a plain Ray script, side by side: `make benchmark`.

Both run the same modules on the same data, without pruning, so that the work is equal. These machines are shared:
read the ratios, not the seconds.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
SLOTS = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Run:
    """What one sweep took.

    Args:
        wall_s: From the start of the process to its end, s.
        training_s: Training with validation, summed over all epochs of all trials, s.
        beyond_training_s: Per trial and slot, what the wall time holds beyond training, s.
        wall_over_training: Wall time over training time divided by slots; 1 is perfect.
        results_per_s: Epochs reported, over the time from the end of the first to the end of the last.
        driver_mb: Largest resident memory of the driver.
        worker_mb: Largest resident memory of any worker.
    """

    wall_s: float
    training_s: float
    beyond_training_s: float
    wall_over_training: float
    results_per_s: float
    driver_mb: float
    worker_mb: float


def measure(command: list[str], folder: Path, *, trials: int, ours: bool) -> Run:
    """Run a sweep in a process of its own and watch it."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(HERE),
        "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (folder / "output.log").open("w") as log:
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        driver_mb, worker_mb = watch(process)
        wall_s = time.monotonic() - started
    if process.returncode:
        raise SystemExit(f"{command} failed:\n{(folder / 'output.log').read_text()[-3000:]}")
    epochs = our_epochs(folder) if ours else their_epochs(folder)
    training_s = sum(seconds for seconds, _ in epochs)
    ends = [ended for _, ended in epochs]
    return Run(
        wall_s=wall_s,
        training_s=training_s,
        beyond_training_s=(wall_s - training_s / SLOTS) * SLOTS / trials,
        wall_over_training=wall_s / (training_s / SLOTS),
        results_per_s=(len(epochs) - 1) / (max(ends) - min(ends)),
        driver_mb=driver_mb,
        worker_mb=worker_mb,
    )


def watch(process: subprocess.Popen) -> tuple[float, float]:
    """Sample the memory of the driver and of Ray's busy workers until the driver ends."""
    driver_mb = worker_mb = 0.0
    root = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            driver_mb = max(driver_mb, root.memory_info().rss / 1e6)
            for child in root.children(recursive=True):
                if "ray::" in " ".join(child.cmdline()):
                    worker_mb = max(worker_mb, child.memory_info().rss / 1e6)
        except psutil.Error:
            pass
        time.sleep(0.5)
    return driver_mb, worker_mb


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


def compare(kind: str, *, trials: int, epochs: int) -> tuple[Run, Run]:
    """Run both, one after the other."""
    target = {"sable": "sable", "noop": "noop_lab:EXPERIMENT"}[kind]
    ours = [sys.executable, "-m", "neurosweep.cli", "launch", target, "--name", "bench", "--pruner", "none"]
    ours += ["--trials", str(trials), "--trainer.max_epochs", str(epochs), "--try-published", "false"]
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        theirs = [sys.executable, str(HERE / "plain_ray.py"), kind, "--folder", second]
        theirs += ["--trials", str(trials), "--epochs", str(epochs)]
        return (
            measure(ours, Path(first), trials=trials, ours=True),
            measure(theirs, Path(second), trials=trials, ours=False),
        )


def show(title: str, ours: Run, plain: Run) -> None:
    """Print a table; the ratio is above 1 where ours is ahead."""
    print(f"\n{title}\n{'':24}{'neurosweep':>12}{'plain Ray':>12}{'ahead by':>12}")
    for name, value in asdict(ours).items():
        other = asdict(plain)[name]
        ahead = value / other if name == "results_per_s" else other / value
        print(f"{name:24}{value:12.2f}{other:12.2f}{ahead:12.2f}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=16, help="trials of the SABLE sweep")
    parser.add_argument("--epochs", type=int, default=40, help="epochs of each")
    parser.add_argument(
        "--report-trials", type=int, default=8, help="trials that only report, 100 epochs each"
    )
    options = parser.parse_args()
    print(f"{SLOTS} slots, load {os.getloadavg()[0]:.1f} before the start")
    show("SABLE on generated sessions", *compare("sable", trials=options.trials, epochs=options.epochs))
    show(
        "Reporting only: 100 epochs of 3 metrics", *compare("noop", trials=options.report_trials, epochs=100)
    )


if __name__ == "__main__":
    main()
