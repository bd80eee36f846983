"""SIGTERM, as Slurm and Kubernetes send it: thirty seconds later they kill."""

import signal
import sqlite3
import time
from contextlib import closing

import pytest

PATIENCE_S = 120.0
GRACE_S = 20.0
"""Of the thirty seconds; a busy machine needs the rest."""


def states(arena) -> dict[str, str]:
    """State of every run by id, the parent included."""
    with closing(sqlite3.connect(arena.sweep.parent / "mlflow.db", timeout=30)) as connection:
        return dict(connection.execute("SELECT run_uuid, status FROM runs").fetchall())


def test_driver_with_an_epoch_of_a_minute_under_way_is_gone_in_time_and_leaves_no_run_running(arena):
    driver = arena.ray_driver(arguments=arena.launch("--model.epoch_seconds", "60", trials=2))
    deadline = time.monotonic() + PATIENCE_S
    while len(list(arena.sweep.glob("trials/*/config.json"))) < 2:
        assert driver.poll() is None, driver.communicate()[0]
        assert time.monotonic() < deadline, "no trial has started"
        time.sleep(0.1)
    driver.send_signal(signal.SIGTERM)
    told = time.monotonic()
    output, _ = driver.communicate(timeout=PATIENCE_S)
    assert time.monotonic() - told < GRACE_S
    assert driver.returncode == 128 + signal.SIGTERM, output
    assert set(states(arena).values()) == {"KILLED"}
    assert len(states(arena)) == 3


@pytest.mark.parametrize("target", ["MlflowClient.log_batch", "closing.write_figures"])
def test_driver_told_while_it_opens_or_closes_leaves_no_run_running(arena, target):
    """The signal comes in the middle of what precedes and follows the trials."""
    code = arena.drive(arena.launch(trials=2), point=f"told {target} 1")
    assert code == 128 + signal.SIGTERM, arena.output
    assert set(states(arena).values()) <= {"KILLED", "FINISHED"}
    assert arena.drive(arena.resume()) == 0, arena.output
    arena.check(trials=2, retrained=0)
