"""Sweeps over a real cluster of several nodes: lost nodes, added nodes, simulated GPUs, a folder that is not shared."""

import json
import time
from collections.abc import Callable

import psutil
import pytest
from optuna.trial import TrialState

TRIALS, EPOCHS = 8, 6
PATIENCE = 240.0
EVERY_EPOCH = ("--pruner", "median", "--startup-trials", "100")
"""A pruner that could decide after every epoch, though it never does: each is then written and reported at once."""


def launch(bench, nodes, name: str, *options: str) -> tuple[str, ...]:
    return (
        "launch", "node_lab:EXPERIMENT", "--name", name, "--address", nodes.address, *EVERY_EPOCH,
        "--model.diary", str(bench.folder / f"{name}.jsonl"), "--trainer.max_epochs", str(EPOCHS),
        "--trainer.accelerator", "cpu", *options,
    )  # fmt: skip


def diary(bench, name: str, event: str = "epoch") -> list[dict]:
    path = bench.folder / f"{name}.jsonl"
    notes = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [note for note in notes if note["event"] == event]


def most_at_once(notes: list[dict]) -> int:
    """The largest number of processes that were in an epoch on one device of one node at the same time."""
    most = 1
    for note in notes:
        sharing = {
            other["pid"]
            for other in notes
            if (other["node"], other["devices"]) == (note["node"], note["devices"])
            and other["started"] <= note["started"] < other["ended"]
        }
        most = max(most, len(sharing))
    return most


def assert_complete(bench, name: str, trials: int) -> None:
    """Every trial once, every epoch once, in the study and in MLflow: a model's score is its epoch."""
    study, runs = bench.study(name), bench.trials(name)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * trials
    assert sorted(runs) == list(range(trials))
    for number, run in runs.items():
        assert run.info.status == "FINISHED"
        assert bench.history(run, "val/score") == [(epoch, float(epoch)) for epoch in range(EPOCHS)]
        assert study.trials[number].intermediate_values == {
            epoch + 1: float(epoch) for epoch in range(EPOCHS)
        }


@pytest.fixture(scope="module")
def hurt(nodes, node_bench):
    """A sweep that lost one node of three midway, and was given another one with two GPUs."""
    nodes.add("head", cpus=1, gpus=1)
    nodes.add("doomed", cpus=1, gpus=1)
    nodes.add("calm", cpus=1, gpus=1)
    gate = node_bench.folder / "gate"
    process = node_bench.start(
        *launch(
            node_bench,
            nodes,
            "hurt",
            "--trials",
            str(TRIALS),
            "--gpus-per-trial",
            "1",
            "--model.gate",
            str(gate),
        )
    )

    def devices_of(node: str) -> set[str]:
        starts = diary(node_bench, "hurt", "start")
        return {one["devices"] for one in starts if one["node"] == nodes.ids[node]}

    def wait_until(ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not ready():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "the sweep never got that far"
            time.sleep(0.05)

    try:
        wait_until(lambda: node_bench.epochs_done("hurt") >= 9)  # each of the three stands before the gate
        nodes.kill("doomed")
        nodes.add("late", cpus=2, gpus=2)
        wait_until(lambda: devices_of("late") == {"0", "1"})  # all at once: nobody is past the gate
        gate.touch()
        output, _ = process.communicate(timeout=PATIENCE)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 0, output
    return output


def test_sweep_is_complete_after_a_node_was_lost(hurt, node_bench):
    assert_complete(node_bench, "hurt", TRIALS)


def test_lost_node_is_no_failure_of_its_trial(hurt, node_bench):
    trials = node_bench.study("hurt").trials
    attempts = {trial.number: trial.user_attrs["attempts"] for trial in trials}
    again = [number for number, count in attempts.items() if count > 1]
    assert len(again) == 1, attempts
    assert trials[again[0]].user_attrs.get("losses", 0) == 0
    assert node_bench.trials("hurt")[again[0]].data.tags["neurosweep.attempt"] == "2"


def test_trial_of_the_lost_node_went_on_from_its_checkpoint(hurt, node_bench):
    """It had finished three epochs, and none of them ran again."""
    assert len(diary(node_bench, "hurt")) == TRIALS * EPOCHS


def test_trial_with_a_gpu_has_it_for_itself(hurt, node_bench):
    notes = diary(node_bench, "hurt")
    assert all(note["devices"] in ("0", "1") for note in notes)
    assert most_at_once(notes) == 1


def test_at_most_two_trials_share_a_gpu_by_halves(hurt, node_bench, nodes):
    code, output = node_bench.run(
        *launch(node_bench, nodes, "halves", "--trials", "6", "--gpus-per-trial", "0.5", "--cpus-per-trial", "0.5",
                "--model.epoch_seconds", "0.2", "--concurrency", "4")
    )  # fmt: skip
    assert code == 0, output
    assert_complete(node_bench, "halves", 6)
    assert most_at_once(diary(node_bench, "halves")) == 2


def test_node_that_does_not_see_the_folder_is_refused_by_name(hurt, node_bench, nodes):
    node_bench.storage.mkdir(exist_ok=True)
    with nodes.blind("blind", node_bench.storage):
        code, output = node_bench.run(*launch(node_bench, nodes, "refused", "--trials", "1"))
    assert code == 2, output
    assert output.count("does not see the sweep's folder") == 1
    assert "Node blind does not see" in output
    assert "--storage" in output
    assert not (node_bench.storage / "refused").exists()


def end_by(kill: Callable[[int], None], bench, name: str, command: tuple[str, ...]) -> None:
    """Hurt a driver whose trials stand before a gate: it ends in time, with the cure, and with no run RUNNING."""
    gate = bench.folder / f"{name}-gate"
    command = (*command, "--model.gate", str(gate))
    process = bench.start(*command)
    try:
        while bench.epochs_done(name) < 5 or not bench.trials(name):
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.1)
        kill(process.pid)
        killed = time.monotonic()
        output, _ = process.communicate(timeout=PATIENCE)
    finally:
        if process.poll() is None:
            process.kill()
    took = time.monotonic() - killed
    print(f"the driver ended {took:.0f} s after the kill")
    assert process.returncode == 1, output
    assert took < 90, output
    assert f"neurosweep resume {name}" in output
    assert "Traceback" not in output
    assert "RUNNING" not in {run.info.status for run in bench.trials(name).values()}
    gate.touch()


def test_driver_outlives_its_cluster_and_a_resume_elsewhere_completes_the_sweep(hurt, node_bench, nodes):
    command = launch(node_bench, nodes, "orphan", "--trials", "3")
    end_by(lambda _: nodes.kill_all(), node_bench, "orphan", command)
    code, output = node_bench.run("resume", "orphan", "--address", "local")
    assert code == 0, output
    assert_complete(node_bench, "orphan", 3)
    # No GPU was asked for, so none is seen.
    assert {note["devices"] for note in diary(node_bench, "orphan")} == {""}


def test_driver_outlives_the_raylet_of_its_embedded_cluster(quick_health_checks, node_bench):
    """Where Ray looks for dead nodes twice a second, it could end the driver's process before anybody else looks."""

    def kill_raylet(driver: int) -> None:
        (raylet,) = (one for one in psutil.Process(driver).children(recursive=True) if one.name() == "raylet")
        raylet.kill()

    command = (
        "launch", "node_lab:EXPERIMENT", "--name", "alone", "--trials", "3", *EVERY_EPOCH,
        "--trainer.max_epochs", str(EPOCHS), "--model.diary", str(node_bench.folder / "alone.jsonl"),
    )  # fmt: skip
    end_by(kill_raylet, node_bench, "alone", command)
    code, output = node_bench.run("resume", "alone")
    assert code == 0, output
    assert_complete(node_bench, "alone", 3)
