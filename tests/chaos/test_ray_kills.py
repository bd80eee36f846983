"""Real Ray: drivers that kill themselves at planned points, workers too; then everything at random."""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

PATIENCE_S = 300.0
SLOTS = 2
SPARE = 30
"""So many trials keep two slots busy for longer than a random kill lets wait."""
VICTIMS = (*["driver"] * 2, *["worker"] * 4, "both", *["server"] * 2)
"""A driver takes a while to come back; with the others there are more kills to the hour."""
WORKER_KILLS = "after best,before last,after last,before ending"
DRIVER_KILLS = (
    "after Outbox.append 9",  # between the outbox and the study
    "before MlflowClient.set_terminated 1",  # between tell in the study and the state in MLflow
)


def launch(arena, *more: str, trials: int) -> tuple[str, ...]:
    return arena.launch("--concurrency", str(SLOTS), "--retries", "1000", *more, trials=trials)


def test_planned_kills_of_workers_and_drivers(arena):
    """Workers die around each of their checkpoints and before they say how a trial ended; then drivers die."""
    trials = 8  # enough that some worker begins a second one, from which on it can die before an ending
    arguments = launch(
        arena, "--model.worker_kills", WORKER_KILLS, "--model.epoch_seconds", "0.1", trials=trials
    )
    for point in DRIVER_KILLS:
        driver = arena.ray_driver(point, arguments=arguments)
        output, _ = driver.communicate(timeout=PATIENCE_S)
        assert driver.returncode == -signal.SIGKILL, f"{point}\n{output}"
        trials += 1
        arguments = arena.resume(trials=trials)
    driver = arena.ray_driver(arguments=arguments)
    output, _ = driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode == 0, output
    assert len(list(arena.folder.glob("*.done"))) == len(WORKER_KILLS.split(",")), "a worker was not killed"
    arena.check(trials=trials, retrained=len(WORKER_KILLS.split(",")) + SLOTS * len(DRIVER_KILLS))


class Havoc:
    """A sweep with trials to spare, of which something is killed again and again."""

    def __init__(self, arena, server, seed: int) -> None:
        self.arena, self.server = arena, server
        self.chance = random.Random(seed)
        self.trials = SPARE
        self.killed: Counter[str] = Counter()
        self.driver: subprocess.Popen | None = None
        self.log = (arena.folder / "drivers.txt").open("w", encoding="utf-8")

    def start(self, arguments: tuple[str, ...]) -> None:
        self.driver = self.arena.ray_driver(arguments=arguments, output=self.log)

    def resume(self) -> None:
        """Start a driver, with more trials if there is little left to do."""
        done = self.arena.sweep.glob("trials/*/delivery.json")
        final = sum('"status": "running"' not in path.read_text(encoding="utf-8") for path in done)
        if self.trials - final < SPARE / 2:
            self.trials += SPARE
        exists = (self.arena.sweep / "sweep.yaml").exists()
        self.start(self.arena.resume(trials=self.trials) if exists else self.launch())

    def launch(self) -> tuple[str, ...]:
        return launch(self.arena, "--model.epoch_seconds", "0.4", trials=self.trials)

    def wait_for_moment(self) -> None:
        """Half of the kills come while trials run, the others at any time, such as while Ray starts."""
        until = time.monotonic() + self.chance.uniform(0.0, 12.0)
        if self.chance.random() < 0.7:
            lines = self.diary_lines()
            while self.diary_lines() <= lines and self.alive():
                time.sleep(0.02)
            until = time.monotonic() + self.chance.uniform(0.0, 3.0)
        while time.monotonic() < until and self.alive():
            time.sleep(0.01)

    def diary_lines(self) -> int:
        return self.arena.diary.read_bytes().count(b"\n")

    def alive(self) -> bool:
        return self.driver is not None and self.driver.poll() is None

    def strike(self) -> None:
        """Kill a random victim."""
        victim = self.chance.choice(VICTIMS)
        if not self.alive():
            self.assert_ended_well()
            self.resume()
            return
        if victim in ("worker", "both") and not self.kill_worker():
            return
        if victim == "server":
            self.server.kill()
            time.sleep(self.chance.uniform(0.0, 4.0))
            self.server.start()
        if victim in ("driver", "both"):
            assert self.driver is not None
            self.driver.kill()
            self.driver.wait()
            self.resume()
        self.killed[victim] += 1
        print(f"{time.strftime('%X')} {victim} after {self.diary_lines()} epochs", file=self.log, flush=True)

    def kill_worker(self) -> bool:
        """Kill a process that has trained lately; return whether there was one."""
        entries = self.arena.diary.read_text(encoding="utf-8").splitlines()[-SLOTS:]
        pids = sorted({int(line.rpartition('"pid": ')[2].rstrip("}")) for line in entries})
        self.chance.shuffle(pids)
        for pid in pids:
            with contextlib.suppress(OSError):
                if b"ray::" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)
                    return True
        return False

    def finish(self) -> None:
        """Let what is left run to its end."""
        while True:
            assert self.driver is not None
            if self.driver.wait(timeout=900) == 0:
                return
            self.assert_ended_well()
            self.resume()

    def assert_ended_well(self) -> None:
        """A driver ends when all is done, or refuses to start while the server is away."""
        assert self.driver is not None
        assert self.driver.returncode == 0 or "MLflow" in self.said()[-500:], self.said()

    def said(self) -> str:
        return (self.arena.folder / "drivers.txt").read_text(encoding="utf-8")[-5000:]

    def stop(self) -> None:
        if self.alive():
            assert self.driver is not None
            self.driver.kill()
            self.driver.wait()
        self.log.close()


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("seed", [11])
def test_forty_random_kills_lose_and_double_nothing(make_arena, server, seed):
    havoc = Havoc(make_arena(server=server, uri=server.uri), server, seed)
    try:
        havoc.start(havoc.launch())
        while sum(havoc.killed.values()) < 40:
            havoc.wait_for_moment()
            havoc.strike()
        havoc.finish()
        drivers, workers = (
            havoc.killed["driver"] + havoc.killed["both"],
            havoc.killed["worker"] + havoc.killed["both"],
        )
        print(f"{dict(havoc.killed)}; {havoc.trials} trials; {havoc.diary_lines()} epochs trained")
        havoc.arena.check(trials=havoc.trials, retrained=SLOTS * drivers + workers)
    finally:
        havoc.stop()
