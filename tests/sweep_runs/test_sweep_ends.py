"""Sweeps that end before their last trial: budgets, goals, Ctrl-C once and twice."""

import os
import re
import signal
import time

import pytest

from neurosweep.config import ResourceConfig, SearchConfig, SweepConfig
from neurosweep.experiments import Objective
from neurosweep.layout import SweepFolder
from neurosweep.records import MetricPoint
from neurosweep.sweeps.events import SweepEvents
from neurosweep.sweeps.result import SweepEnd
from neurosweep.sweeps.signals import Interruption
from neurosweep.sweeps.stopping import StopSignal
from neurosweep.tracking import Outbox, training_seconds

COUNTING = ("launch", "troubled_lab:EXPERIMENT", "--model.trouble", "none", "--pruner", "none")


def assert_nothing_has_no_owner(bench, sweep: str) -> None:
    assert "RUNNING" not in {run.info.status for run in bench.trials(sweep).values()}
    assert "RUNNING" not in {run.info.status for run in bench.runs(sweep, "sweep")}


def test_target_ends_the_sweep_as_a_success_and_says_so(bench):
    code, output = bench.run(
        *COUNTING, "--name", "goal", "--trials", "40", "--trainer.max_epochs", "3", "--target", "2",
        "--concurrency", "1",
    )  # fmt: skip
    assert code == 0, output
    assert "a trial has reached the target" in output
    (parent,) = bench.runs("goal", "sweep")
    # The score of this model is its epoch, so the first trial that completes has 2.
    assert (parent.info.status, parent.data.tags["neurosweep.end"]) == ("FINISHED", "target")
    completed = [run for run in bench.trials("goal").values() if run.info.status == "FINISHED"]
    assert len(completed) == 1
    assert_nothing_has_no_owner(bench, "goal")
    assert "finished (target)" in bench.run("status", "goal")[1]

    code, output = bench.run("resume", "goal", "--trials", "40")
    assert code == 0, output
    assert len([run for run in bench.trials("goal").values() if run.info.status == "FINISHED"]) == 1


def test_plateau_ends_the_sweep_after_so_many_trials_without_a_better_one(bench):
    code, output = bench.run(
        *COUNTING, "--name", "flat", "--trials", "40", "--trainer.max_epochs", "2", "--plateau", "3",
        "--concurrency", "1",
    )  # fmt: skip
    assert code == 0, output
    assert "brought no better value" in output
    (parent,) = bench.runs("flat", "sweep")
    assert parent.data.tags["neurosweep.end"] == "plateau"
    # All trials score 1: the first is the best, and three more are no better.
    assert len([run for run in bench.trials("flat").values() if run.info.status == "FINISHED"]) == 4


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_once_lets_trials_finish_and_twice_stops_them(bench, times):
    epochs, trials = 8, 30
    process = bench.start(
        *COUNTING, "--name", "cut", "--trials", str(trials), "--trainer.max_epochs", str(epochs),
        "--model.epoch_seconds", "1.0", "--concurrency", "2",
    )  # fmt: skip
    deadline = time.monotonic() + 240
    while bench.epochs_done("cut") < 2:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole foreground group
        time.sleep(0.5)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 130, output
    assert "neurosweep resume cut" in output
    assert_nothing_has_no_owner(bench, "cut")
    states = sorted(run.info.status for run in bench.trials("cut").values())
    if times == 1:
        assert set(states) == {"FINISHED"}
        assert len(states) <= 2
        assert "no more trials start" in output
        for run in bench.trials("cut").values():
            assert bench.history(run, "val/score") == [(epoch, float(epoch)) for epoch in range(epochs)]
    else:
        assert set(states) == {"KILLED"}
        assert re.search(r"interrupted +the driver was interrupted", output)


class _Trials:
    """What `StopSignal` asks of a memory."""

    unstarted = 4

    def records(self) -> list:
        return []

    def record(self, number: int):
        from neurosweep.naming import Status
        from neurosweep.records import TrialRecord

        return TrialRecord(number, Status.RUNNING, {})

    def report(self, number: int, *, epoch: int, value: float, judged: float | None) -> bool:
        return False


def stop_signal(gpu_hours: float, outbox: Outbox, *, workers: int = 1) -> tuple[StopSignal, SweepEvents]:
    trials = _Trials()
    events = SweepEvents(
        trials,
        keep_points=lambda number, points: outbox.append(points),
        publish=lambda record: None,
        retries=0,
        nodes=None,
    )
    config = SweepConfig(
        "lab",
        "spent",
        search=SearchConfig(gpu_hours=gpu_hours),
        resources=ResourceConfig(gpus_per_trial=0.5, workers_per_trial=workers),
    )
    stop = StopSignal(
        config,
        objective=Objective("val/score", "maximize"),
        memory=trials,
        events=events,
        started=time.monotonic(),
    )
    return stop, events


def epoch_report(epoch: int, seconds: float) -> dict:
    point = MetricPoint("cost/epoch_seconds", seconds, epoch, 1_700_000_000_000 + epoch)
    return {
        "epoch": epoch,
        "objectives": [0.0],
        "judged": None,
        "points": [[point.key, point.value, point.step, point.timestamp]],
    }


def test_gpu_hours_count_training_time_times_the_share_of_a_gpu_and_each_epoch_once(tmp_path):
    folder = SweepFolder(tmp_path / "spent")
    stop, events = stop_signal(0.75, Outbox(folder.trial(0)))  # 0.75 GPU hours are 5400 s at half a GPU
    for epoch in range(3):
        events.reported(0, [epoch_report(epoch, 1500.0)])
    events.reported(0, [epoch_report(2, 1600.0)])  # trained again after a kill
    assert events.training_seconds == 4500.0
    assert not stop.stop_all()
    # A new driver counts on from what the outboxes hold.
    assert training_seconds(folder) == 4500.0
    events.reported(0, [epoch_report(3, 900.0)])
    assert stop.stop_all()
    assert stop.reason is SweepEnd.GPU_HOURS


def test_gpu_hours_count_every_worker_of_a_trial(tmp_path):
    stop, events = stop_signal(0.75, Outbox(SweepFolder(tmp_path).trial(0)), workers=3)  # 1800 s at 1.5 GPUs
    events.reported(0, [epoch_report(0, 1700.0)])
    assert not stop.stop_all()
    events.reported(0, [epoch_report(1, 200.0)])
    assert stop.stop_all()


def test_signals_drain_then_stop_then_raise(tmp_path):
    stop, _ = stop_signal(1.0, Outbox(SweepFolder(tmp_path).trial(0)))
    stop.take_signal(signal.SIGINT)
    assert (stop.draining, stop.stop_all()) == (True, False)
    stop.take_signal(signal.SIGINT)
    assert stop.stop_all()
    with pytest.raises(Interruption):
        stop.take_signal(signal.SIGINT)
    other, _ = stop_signal(1.0, Outbox(SweepFolder(tmp_path).trial(1)))
    other.take_signal(signal.SIGTERM)
    assert (other.draining, other.stop_all(), other.reason) == (False, True, SweepEnd.INTERRUPTED)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("over", ["budget", "all trials"])
def test_a_signal_that_comes_when_the_trials_are_over_hurries_the_end_and_does_not_abort_it(
    tmp_path, over, number
):
    stop, _ = stop_signal(1.0, Outbox(SweepFolder(tmp_path).trial(0)))
    if over == "budget":
        stop.reason = SweepEnd.TIME_BUDGET
    else:
        stop.closing = True
    assert not stop.hurried
    stop.take_signal(number)
    assert stop.hurried
    assert stop.reason is (SweepEnd.TIME_BUDGET if over == "budget" else SweepEnd.INTERRUPTED)
    with pytest.raises(Interruption):
        stop.take_signal(number)
