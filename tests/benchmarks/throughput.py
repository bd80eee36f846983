"""What a trial costs beyond its training, and whether 1,000 of them stay as cheap: `throughput.py --help`.

Every figure of issue 3 under 'throughput' comes out of one run of this script. Machines are shared: read the ratios,
and the CPU seconds rather than the seconds.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from measured_run import HERE, SLOTS, end_family

EPOCHS = 100
CLI = [sys.executable, "-m", "neurosweep.cli"]


@dataclass(frozen=True)
class Cost:
    """What a trial of no-op epochs costs once a sweep runs steadily, workers started and imports done.

    Args:
        slot_s: Time of a slot for one trial, until its metrics are where they belong, s.
        cpu_s: CPU of all processes for one trial, s.
        results_per_s: Reported epochs, all slots together.
    """

    slot_s: float
    cpu_s: float
    results_per_s: float


@dataclass(frozen=True)
class Watched:
    """A process with all its children, watched from its start to its end.

    Args:
        started: s since 1970.
        ended: s since 1970.
        cpu: Time, s since 1970, with the CPU seconds of all processes up to then.
        driver_mb: Resident memory of the driver, largest and last.
    """

    started: float
    ended: float
    cpu: list[tuple[float, float]]
    driver_mb: tuple[float, float]

    def cpu_between(self, start: float, end: float) -> float:
        """Return the CPU seconds between two moments, interpolated."""
        return self._cpu_at(end) - self._cpu_at(start)

    def _cpu_at(self, moment: float) -> float:
        before = max((one for one in self.cpu if one[0] <= moment), default=self.cpu[0])
        after = min((one for one in self.cpu if one[0] >= moment), default=self.cpu[-1])
        if after[0] == before[0]:
            return before[1]
        return before[1] + (after[1] - before[1]) * (moment - before[0]) / (after[0] - before[0])


def watch(command: list[str], folder: Path) -> Watched:
    """Run a command to its end in a folder."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]),
        "RAY_TMPDIR": str(folder),
        "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (folder / "output.log").open("a") as log:
        started = time.time()
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        root = psutil.Process(process.pid)
        spent: dict[psutil.Process, float] = {}
        cpu, memory = [], []
        while process.poll() is None:
            with suppress(psutil.Error):
                memory.append(root.memory_info().rss / 1e6)
                for one in [root, *root.children(recursive=True)]:
                    with suppress(psutil.Error):
                        times = one.cpu_times()
                        spent[one] = times.user + times.system
            cpu.append((time.time(), sum(spent.values())))
            time.sleep(0.2)
        ended = time.time()
    end_family(list(spent), patience_s=20)
    if process.returncode:
        raise SystemExit(f"{command} failed:\n{(folder / 'output.log').read_text()[-3000:]}")
    return Watched(started, ended, cpu, (max(memory), memory[-1]))


def our_command(trials: int, epochs: int, *options: str) -> list[str]:
    """Return the sweep as a user starts it."""
    command = [*CLI, "launch", "noop_lab:EXPERIMENT", "--name", "bench", "--trials", str(trials)]
    return [*command, "--trainer.max_epochs", str(epochs), "--pruner", "none", *options]


def our_ends(folder: Path) -> dict[int, float]:
    """Return when the last epoch of each trial ended, by number, s since 1970."""
    ends = {}
    for file in folder.glob("neurosweep-runs/bench/trials/*/metrics.jsonl"):
        last = json.loads(file.read_text().splitlines()[-1])
        ends[int(file.parent.name)] = last["timestamp"] / 1000
    return ends


def delivered(folder: Path) -> float:
    """Return when the last trial was complete in MLflow, s since 1970."""
    return max(file.stat().st_mtime for file in folder.glob("neurosweep-runs/bench/trials/*/delivery.json"))


def steady(ends: list[float], watched: Watched, *, until: float) -> Cost:
    """Cost of a trial from the end of the first ones, two for each slot, to the end of all."""
    ends = sorted(ends)
    first = 2 * SLOTS - 1
    counted, start = len(ends) - 1 - first, ends[first]
    return Cost(
        slot_s=(until - start) * SLOTS / counted,
        cpu_s=watched.cpu_between(start, until) / counted,
        results_per_s=counted * EPOCHS / (until - start),
    )


def measure_ours(trials: int) -> Cost:
    """Measure neurosweep with all its tracking."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        watched = watch(our_command(trials, EPOCHS), folder)
        ends = list(our_ends(folder).values())
        return steady(ends, watched, until=max(*ends, delivered(folder)))


def measure_plain(trials: int, *options: str) -> Cost:
    """Measure the plain Ray script."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, str(HERE / "plain_ray.py"), "noop", "--folder", name, "--reuse-actors"]
        watched = watch([*command, "--trials", str(trials), "--epochs", str(EPOCHS), *options], folder)
        moments = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
        ends = [one["ended"] for one in moments if one["last"]]
        if len(ends) != trials:
            raise SystemExit(f"the plain script ended {len(ends)} trials instead of {trials}")
        return steady(ends, watched, until=max(ends))


def measure_bare(trials: int) -> Cost:
    """Measure training alone, in as many processes at once as there are slots."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        watched: list[Watched] = []

        def run(worker: int) -> None:
            command = [sys.executable, str(HERE / "bare_loop.py"), "--folder", name, "--worker", str(worker)]
            command += ["--trials", str(trials // SLOTS), "--epochs", str(EPOCHS)]
            watched.append(watch(command, folder))

        threads = [threading.Thread(target=run, args=(worker,)) for worker in range(SLOTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        costs = []
        for file in folder.glob("bare-*.json"):
            ends = json.loads(file.read_text())
            (first, spent), (last, spent_at_last) = ends[1], ends[-1]  # the first fit imports
            counted = len(ends) - 2
            seconds = (last - first) / counted
            costs.append(Cost(seconds, (spent_at_last - spent) / counted, SLOTS * EPOCHS / seconds))
        return max(costs, key=lambda one: one.slot_s)


@dataclass(frozen=True)
class Thousand:
    """How a long sweep of short trials goes.

    Args:
        first_hundred_s: Wall time per trial over the 11th to the 100th trial, s.
        last_hundred_s: The same over the last hundred.
        driver_mb: Largest resident memory of the driver, at any time.
        closing_s: From the end of the last trial to the end of the process, s.
        resume_s: From the start of `resume`, with all but the last ten trials done, to its first running trial, s.
    """

    first_hundred_s: float
    last_hundred_s: float
    driver_mb: float
    closing_s: float
    resume_s: float

    @property
    def growth(self) -> float:
        """Time per trial at the end over that at the beginning."""
        return self.last_hundred_s / self.first_hundred_s


def measure_thousand(trials: int, epochs: int, sampler: str) -> Thousand:
    """Run a long sweep but for its last ten trials, then resume it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        done = trials - 10
        watched = watch(our_command(done, epochs, "--sampler", sampler), folder)
        ends = sorted(our_ends(folder).values())
        again = watch([*CLI, "resume", "bench", "--trials", str(trials)], folder)
        begun = [
            json.loads(file.read_text().splitlines()[0])["started"]
            for number in range(done, trials)
            for file in folder.glob(f"neurosweep-runs/bench/trials/{number:04d}/attempts.jsonl")
        ]
        if len(ends) != done or len(begun) != 10:
            raise SystemExit(f"{len(ends)} trials ended, and {len(begun)} were begun by the resume")
        from datetime import datetime

        return Thousand(
            first_hundred_s=(ends[99] - ends[9]) / 90,
            last_hundred_s=(ends[-1] - ends[-101]) / 100,
            driver_mb=max(watched.driver_mb[0], again.driver_mb[0]),
            closing_s=watched.ended - ends[-1],
            resume_s=datetime.fromisoformat(min(begun)).timestamp() - again.started,
        )


def show_costs(costs: dict[str, Cost]) -> None:
    """Print the table of the no-op trials and the issue's targets."""
    bare, ours = costs["bare loop"], costs["neurosweep"]
    print(f"\nNo-op trials, {EPOCHS} reports of 2 metrics, reused workers, {SLOTS} slots")
    print(f"{'':30}{'slot s':>10}{'beyond s':>10}{'cpu s':>10}{'beyond':>10}{'results/s':>12}")
    for name, cost in costs.items():
        beyond, cpu = cost.slot_s - bare.slot_s, cost.cpu_s - bare.cpu_s
        print(
            f"{name:30}{cost.slot_s:10.3f}{beyond:10.3f}{cost.cpu_s:10.3f}{cpu:10.3f}{cost.results_per_s:12.1f}"
        )
    for name, target in (("plain Ray, untracked", 1 / 1.5), ("plain Ray, callback", 10.0)):
        if name in costs:
            other = costs[name]
            wall = (other.slot_s - bare.slot_s) / (ours.slot_s - bare.slot_s)
            cpu = (other.cpu_s - bare.cpu_s) / (ours.cpu_s - bare.cpu_s)
            results = ours.results_per_s / other.results_per_s
            print(f"{name} over ours, beyond training: {wall:.2f} (target {target:.2f}); of CPU: {cpu:.2f}; "
                  f"our results a second over its: {results:.2f}")  # fmt: skip


def show_thousand(found: Thousand, trials: int, sampler: str) -> None:
    """Print what became of a long sweep and the issue's targets."""
    print(f"\n{trials} no-op trials, sampler {sampler}")
    for name, value in {**asdict(found), "growth": found.growth}.items():
        target = {"growth": " (target 1.5)", "driver_mb": " (target 1074)", "resume_s": " (target 30)"}
        print(f"{name:20}{value:10.3f}{target.get(name, '')}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=["cost", "thousand"], action="append", help="default: both")
    parser.add_argument("--trials", type=int, default=40, help="no-op trials (default: 40)")
    parser.add_argument(
        "--callback-trials", type=int, default=8, help="of the callback, 0 for none (default: 8)"
    )
    parser.add_argument("--long", type=int, default=1000, help="trials of the long sweep (default: 1000)")
    parser.add_argument("--long-epochs", type=int, default=3, help="epochs of each (default: 3)")
    parser.add_argument("--sampler", action="append", help="of the long sweep (default: random)")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    options = parser.parse_args()
    parts = options.part or ["cost", "thousand"]
    written: dict[str, object] = {"slots": SLOTS, "load": os.getloadavg()[0]}
    print(f"{SLOTS} slots, load {os.getloadavg()[0]:.1f} before the start", flush=True)
    if "cost" in parts:
        runs: dict[str, Callable[[], Cost]] = {
            "bare loop": lambda: measure_bare(options.trials),
            "neurosweep": lambda: measure_ours(options.trials),
            "plain Ray, untracked": lambda: measure_plain(options.trials, "--untracked"),
        }
        if options.callback_trials:
            runs["plain Ray, callback"] = lambda: measure_plain(options.callback_trials)
        costs = {name: run() for name, run in runs.items()}
        show_costs(costs)
        written["cost"] = {name: asdict(cost) for name, cost in costs.items()}
    if "thousand" in parts:
        for sampler in options.sampler or ["random"]:
            found = measure_thousand(options.long, options.long_epochs, sampler)
            show_thousand(found, options.long, sampler)
            written[f"thousand, {sampler}"] = {**asdict(found), "growth": found.growth}
    if options.json is not None:
        options.json.write_text(json.dumps(written, indent=2) + "\n")


if __name__ == "__main__":
    main()
