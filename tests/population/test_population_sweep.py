"""A population on real Ray and real MLflow: its driver is killed, resumed, and compared with an undisturbed one."""

import json
import re
import shutil
import signal
from pathlib import Path

import pytest
from optuna.trial import TrialState

MEMBERS, EPOCHS, LENGTH = 3, 6, 2
LAUNCH = (
    "launch", "population_lab:EXPERIMENT", "--name", "herd", "--trials", str(MEMBERS), "--population", "bt_pbt",
    "--generation-epochs", str(LENGTH), "--trainer.max_epochs", str(EPOCHS), "--concurrency", "1",
)  # fmt: skip


@pytest.fixture(scope="module")
def herds(make_bench):
    """The same population twice: undisturbed, and killed by SIGKILL after the first decision, then resumed."""
    benches = []
    for name in ("calm", "killed"):
        bench = make_bench(name)
        shutil.copy(Path(__file__).with_name("population_lab.py"), bench.folder)
        benches.append(bench)
    calm, killed = benches
    code, output = calm.run(*LAUNCH)
    assert code == 0, output
    # The same model, a little slower, so that the kill comes in time; seconds are no part of what it computes.
    process = killed.start(*LAUNCH, "--model.epoch_seconds", "0.3")
    killed.stop_midway(process, lambda: killed.epochs_done("herd") >= MEMBERS * LENGTH + 1, signal.SIGKILL)
    assert killed.epochs_done("herd") < MEMBERS * EPOCHS, "the sweep was finished before it could be killed"
    code, output = killed.run("resume", "herd", "--trials", "8")
    assert code == 2, output
    code, output = killed.run("resume", "herd")
    assert code == 0, output
    return calm, killed


def generations(bench) -> list[dict]:
    lines = (bench.storage / "herd" / "population.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_killed_population_is_what_an_undisturbed_one_is(herds):
    calm, killed = herds
    assert generations(calm) == generations(killed)
    first, second = calm.study("herd").trials, killed.study("herd").trials
    assert [trial.state for trial in second] == [TrialState.COMPLETE] * MEMBERS
    assert [trial.params for trial in second] == [trial.params for trial in first]
    assert [trial.intermediate_values for trial in second] == [trial.intermediate_values for trial in first]
    assert [trial.values for trial in second] == [trial.values for trial in first]


@pytest.mark.parametrize("which", [0, 1])
def test_mlflow_tells_the_whole_life_of_each_member(herds, which):
    bench = herds[which]
    steps = [line["steps"] for line in generations(bench) if line["kind"] == "generation"]
    assert any(step["source"] != step["member"] for line in steps[1:] for step in line), "nothing was copied"
    runs = bench.trials("herd")
    assert sorted(runs) == list(range(MEMBERS))
    for number, run in runs.items():
        assert run.info.status == "FINISHED"
        curve = bench.study("herd").trials[number].intermediate_values
        assert bench.history(run, "val/error") == [(epoch, curve[epoch + 1]) for epoch in range(EPOCHS)]
        assert bench.history(run, "best/error")[0][1] == min(curve.values())
        for name in ("model.learning_rate", "model.momentum"):
            schedule = [
                (LENGTH * index, line[number]["parameters"][name]) for index, line in enumerate(steps)
            ]
            assert bench.history(run, f"hp/{name}") == schedule
            assert float(run.data.params[name]) == schedule[0][1]
        assert not bench.history(run, "hp/model.width"), "what cannot change has no schedule"
        names = {one.path for one in bench.client().list_artifacts(run.info.run_id)}
        assert "lineage.json" in names
    (parent,) = bench.runs("herd", "sweep")
    names = {one.path for one in bench.client().list_artifacts(parent.info.run_id)}
    assert {"lineage.json", "population.jsonl", "report.html"} <= names


def test_report_shows_who_copied_whom(herds):
    calm, _ = herds
    text = (calm.storage / "herd" / "report.html").read_text(encoding="utf-8")
    copies = [
        (line["generation"], step)
        for line in generations(calm)
        if line["kind"] == "generation" and line["generation"]
        for step in line["steps"]
        if step["source"] != step["member"]
    ]
    assert sorted(re.findall(r" ← (\d+)</td>", text)) == sorted(str(step["source"]) for _, step in copies)
    assert "Population" in text


def test_best_member_can_be_replayed(herds):
    _, killed = herds
    code, output = killed.run("replay", "herd")
    assert code == 0, output
    assert "the same" in output
    code, output = killed.run("replay", "herd", "--member", "7")
    assert code == 1
    assert "no completed member 7" in output


def test_kept_model_gives_its_metric_again(herds):
    import neurosweep

    calm, _ = herds
    trial = min(calm.study("herd").trials, key=lambda one: one.values[0])
    import sys

    sys.path.insert(0, str(calm.folder))
    try:
        run = calm.trials("herd")[trial.number]
        metrics = neurosweep.validate_model(f"runs:/{run.info.run_id}", tracking_uri=calm.uri)
    finally:
        sys.path.remove(str(calm.folder))
    assert metrics["val/error"] == pytest.approx(trial.values[0], rel=1e-6)
