"""Ctrl-C, SIGTERM and SIGKILL of the driver, then `resume`: no trial lost, none doubled, none trained anew."""

import signal

import pytest
from optuna.trial import TrialState

TRIALS, EPOCHS = 4, 6
LAUNCH = (
    "launch", "troubled_lab:EXPERIMENT", "--name", "cut", "--trials", str(TRIALS), "--model.trouble", "none",
    "--model.epoch_seconds", "0.2", "--trainer.max_epochs", str(EPOCHS), "--pruner", "none",
)  # fmt: skip


def assert_complete(bench) -> None:
    """The study, the outboxes and MLflow tell of every trial, once, with every epoch, once."""
    trials, runs = bench.study("cut").trials, bench.trials("cut")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * TRIALS
    assert sorted(runs) == list(range(TRIALS))
    for run in runs.values():
        assert run.info.status == "FINISHED"
        # The model's score is its epoch: the ground truth of every point.
        assert bench.history(run, "val/score") == [(epoch, float(epoch)) for epoch in range(EPOCHS)]
        assert bench.history(run, "best/score") == [(EPOCHS - 1, EPOCHS - 1.0)]
    experiments = [one.experiment_id for one in bench.client().search_experiments()]
    assert len(bench.client().search_logged_models(experiments)) == TRIALS
    (parent,) = bench.runs("cut", "sweep")
    assert parent.info.status == "FINISHED"


@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_sweep_goes_on_after(bench, number, expected):
    process = bench.start(*LAUNCH)
    assert bench.stop_midway(process, lambda: bench.epochs_done("cut") >= 8, number) == expected
    begun = bench.epochs_done("cut")
    assert begun < TRIALS * EPOCHS, "the sweep was finished before it could be stopped"
    if number != signal.SIGKILL:
        states = {run.info.status for run in bench.trials("cut").values()}
        assert "RUNNING" not in states, "a run has no owner"
        assert "stopped" in bench.run("status", "cut")[1]
    refused = bench.run("launch", *LAUNCH[1:])
    assert refused[0] == 2
    assert "neurosweep resume cut" in refused[1]

    code, output = bench.run("resume", "cut")
    assert code == 0, output
    assert_complete(bench)
    # Continued from checkpoints: an epoch is recorded once, so training anew would show in the attempts' files.
    attempts = [
        bench.trial_file("cut", number, "attempts.jsonl").read_text(encoding="utf-8").count("\n")
        for number in range(TRIALS)
    ]
    # One Ctrl-C lets the trials under way finish, so none of them is started twice.
    assert max(attempts) == (1 if number == signal.SIGINT else 2)
    assert sum(attempts) <= TRIALS + 2


def test_second_driver_is_refused_while_the_first_runs(bench):
    process = bench.start(*LAUNCH)
    try:
        while not (bench.storage / "cut" / "sweep.yaml").exists():
            assert process.poll() is None, process.communicate()[0]
        code, output = bench.run("resume", "cut")
        assert code == 2
        assert f"process {process.pid}" in output
        assert "running" in bench.run("status", "cut")[1]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)


def test_doctor_ends_the_runs_that_a_killed_driver_left(bench):
    process = bench.start(*LAUNCH)
    bench.stop_midway(process, lambda: bench.epochs_done("cut") >= 4 and bench.trials("cut"), signal.SIGKILL)
    assert "RUNNING" in {run.info.status for run in bench.trials("cut").values()}
    code, output = bench.run("doctor")
    assert code == 0, output
    assert "RUNNING" not in {run.info.status for run in bench.trials("cut").values()}
    tags = {run.data.tags["neurosweep.status"] for run in bench.trials("cut").values()}
    assert "interrupted" in tags


def test_interrupted_sweep_picks_what_an_undisturbed_one_would(make_bench):
    """With one slot and a fixed seed, a kill changes no parameter and no result."""
    launch = ("launch", "my_lab:EXPERIMENT", "--name", "cut", "--trials", "7", "--concurrency", "1", "--startup-trials",
              "3", "--trainer.max_epochs", "8")  # fmt: skip
    calm, cut = make_bench("calm"), make_bench("cut")
    assert calm.run(*launch)[0] == 0
    process = cut.start(*launch)
    cut.stop_midway(process, lambda: cut.epochs_done("cut") >= 20, signal.SIGKILL)
    assert cut.run("resume", "cut")[0] == 0
    first, second = calm.study("cut").trials, cut.study("cut").trials
    assert [trial.params for trial in second] == [trial.params for trial in first]
    assert [trial.state for trial in second] == [trial.state for trial in first]
    assert [trial.intermediate_values for trial in second] == [trial.intermediate_values for trial in first]
