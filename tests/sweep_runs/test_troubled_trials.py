"""Trials that diverge, raise, run out of memory or lose their worker; a full disk; a spent budget."""

import time
from pathlib import Path

import pytest
from optuna.trial import TrialState


@pytest.fixture(scope="module")
def troubled(make_bench):
    bench = make_bench("troubled")
    code, output = bench.run(
        "launch",
        "troubled_lab:EXPERIMENT",
        "--name",
        "troubled",
        "--trials",
        "4",
        "--trainer.max_epochs",
        "4",
    )
    assert code == 0, output
    return bench, output


def test_failed_trials_are_told_with_their_reasons_and_the_sweep_goes_on(troubled):
    bench, output = troubled
    assert "1 × " in output
    assert "the spikes are upside down" in output
    runs = bench.trials("troubled")
    reasons = {number: run.data.tags.get("neurosweep.failure") for number, run in runs.items()}
    assert reasons == {0: None, 1: "raised", 2: "diverged", 3: "out_of_memory"}
    assert [run.info.status for _, run in sorted(runs.items())] == ["FINISHED", "FAILED", "FAILED", "FAILED"]
    assert "the spikes are upside down" in runs[1].data.tags["neurosweep.failure_message"]


def test_study_holds_failures_as_failures_not_as_bad_scores(troubled):
    bench, _ = troubled
    trials = bench.study("troubled").trials
    # Out of memory is a property of the configuration. Samplers look at constraints of PRUNED trials, not of FAIL.
    states = [TrialState.COMPLETE, TrialState.FAIL, TrialState.FAIL, TrialState.PRUNED]
    assert [trial.state for trial in trials] == states
    assert [trial.constraints for trial in trials] == [{}, {}, {}, {"memory": 1.0}]
    assert [trial.values for trial in trials[1:3]] == [None, None]


def test_curve_up_to_the_failure_is_kept_and_the_nan_is_shown(troubled):
    bench, _ = troubled
    runs = bench.trials("troubled")
    assert bench.history(runs[1], "val/score") == [(0, 0.0), (1, 1.0)]
    diverged = bench.history(runs[2], "val/score")
    assert diverged[:2] == [(0, 0.0), (1, 1.0)]
    assert diverged[2][0] == 2
    assert diverged[2][1] != diverged[2][1]


def test_traceback_of_a_failed_trial_is_in_mlflow(troubled):
    bench, _ = troubled
    run = bench.trials("troubled")[1]
    path = bench.client().download_artifacts(run.info.run_id, "failure.txt")
    assert "the spikes are upside down" in Path(path).read_text(encoding="utf-8")


def test_trial_whose_worker_dies_goes_on_from_its_checkpoint_in_the_same_run(bench):
    code, output = bench.run(
        "launch", "troubled_lab:EXPERIMENT", "--name", "dies", "--trials", "1", "--trainer.max_epochs", "4",
        "--model.trouble", "dies_once", "--model.marker", str(bench.folder / "died"),
    )  # fmt: skip
    assert code == 0, output
    (run,) = bench.trials("dies").values()
    assert run.info.status == "FINISHED"
    assert bench.history(run, "val/score") == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0)]
    assert run.data.tags["neurosweep.attempt"] == "2"


def test_trial_whose_worker_always_dies_fails_and_says_so(bench):
    code, output = bench.run(
        "launch", "troubled_lab:EXPERIMENT", "--name", "dies", "--trials", "1", "--trainer.max_epochs", "4",
        "--model.trouble", "dies", "--retries", "1",
    )  # fmt: skip
    assert code == 1, output
    (run,) = bench.trials("dies").values()
    assert run.info.status == "FAILED"
    assert run.data.tags["neurosweep.failure"] == "worker_lost"
    assert run.data.tags["neurosweep.attempt"] == "2"


def test_full_disk_stops_the_sweep_and_loses_nothing(bench):
    launch = (
        "launch",
        "troubled_lab:EXPERIMENT",
        "--name",
        "full",
        "--trials",
        "2",
        "--trainer.max_epochs",
        "4",
    )
    code, output = bench.run(*launch, "--model.trouble", "full_disk")
    assert code == 1
    assert "No space left" in output
    assert "neurosweep resume full" in output
    states = {trial.state for trial in bench.study("full").trials}
    assert states == {TrialState.RUNNING}, "an unfinished trial was given up"
    assert {run.info.status for run in bench.trials("full").values()} == {"KILLED"}


def test_time_budget_ends_the_sweep_cleanly_and_resume_goes_on(bench):
    started = time.monotonic()
    code, output = bench.run(
        "launch", "troubled_lab:EXPERIMENT", "--name", "brief", "--trials", "50", "--trainer.max_epochs", "20",
        "--model.trouble", "none", "--model.epoch_seconds", "0.5", "--time-budget", "25s",
    )  # fmt: skip
    assert code == 0, output
    assert "time_budget" in output
    assert "neurosweep resume brief" in output
    assert time.monotonic() - started < 150
    statuses = {run.data.tags["neurosweep.status"] for run in bench.trials("brief").values()}
    assert "interrupted" in statuses
    assert "running" not in statuses
