"""Pictures of kept checkpoints in a sweep: drawn beside the search, once, and never at a trial's cost."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from neurosweep.config import SweepConfig, TrackingConfig
from neurosweep.layout import SweepFolder
from neurosweep.naming import Status
from neurosweep.records import TrialRecord
from neurosweep.sweeps.drawing import FigureDrawer

LAUNCH = (
    "launch", "drawn_lab:EXPERIMENT", "--pruner", "median", "--startup-trials", "3", "--min-epochs", "1",
    "--trainer.max_epochs", "4", "--concurrency", "1", "--tracking-uri", "sqlite:///neurosweep-runs/mlflow.db",
)  # fmt: skip
SCORES = {level: [level - 0.1 * (epoch - 2) ** 2 for epoch in range(4)] for level in range(1, 10)}


def equip(bench, repository: Path):
    source = repository / "tests" / "sweep_runs" / "drawn_lab.py"
    (bench.folder / "drawn_lab.py").write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    return bench


def pictures(bench, sweep: str) -> dict[int, dict[str, dict]]:
    """What each trial's run in MLflow shows, by trial and name."""
    found = {}
    for number, run in bench.trials(sweep).items():
        folder = Path(run.info.artifact_uri.removeprefix("file://")) / "figures"
        found[number] = {path.name: json.loads(path.read_text()) for path in folder.glob("*")}
    return found


@pytest.fixture(scope="module")
def drawn(make_bench, repository):
    """A sweep of six trials; then two are made to look undrawn, and it is resumed with one trial more."""
    bench = equip(make_bench("drawn"), repository)
    code, output = bench.run(*LAUNCH, "--name", "first", "--trials", "6")
    assert code == 0, output
    before = pictures(bench, "first")
    shutil.rmtree(
        bench.trial_file("first", 0, "figures")
    )  # as a driver leaves it that is killed before it drew
    for number in (0, 3):  # and trial 3 as one that is killed before it delivered
        delivery = bench.trial_file("first", number, "delivery.json")
        delivery.write_text(json.dumps(json.loads(delivery.read_text()) | {"figures": False}))
    code, resumed = bench.run("resume", "first", "--trials", "7")
    assert code == 0, resumed
    return bench, output, before, resumed


def test_completed_and_pruned_trials_are_drawn_with_the_weights_of_the_best_epoch_and_the_whole_curve(drawn):
    bench, _, found, _ = drawn
    states = {number: run.data.tags["neurosweep.status"] for number, run in bench.trials("first").items()}
    assert states == {0: "completed", 1: "completed", 2: "completed", 3: "pruned", 4: "completed", 5: "completed",
                      6: "completed"}  # fmt: skip
    for number, level, epochs in ((0, 5, 4), (3, 1, 1), (5, 8, 4)):
        assert set(found[number]) == {"first.png", "second.png"}
        for picture in found[number].values():
            assert picture["level"] == level
            assert picture["training"] is False
            assert picture["epochs_trained"] == min(epochs, 3)
            assert [epoch for epoch, _ in picture["curve"]] == list(range(epochs))
            assert [value for _, value in picture["curve"]] == pytest.approx(SCORES[level][:epochs], abs=1e-5)


def test_a_figures_function_that_raises_or_dies_costs_no_trial_its_result(drawn):
    bench, output, found, _ = drawn
    for number, level in ((1, 6), (2, 7)):
        assert found[number] == {}
        run = bench.trials("first")[number]
        assert run.info.status == "FINISHED"
        assert run.data.metrics["best/score"] == pytest.approx(level)
    assert "trial 1 was not drawn: RuntimeError: nothing to see" in output
    assert "trial 2 was not drawn: the process that draws died" in output


def test_a_trial_that_took_over_the_results_of_another_is_not_drawn(drawn):
    bench, _, found, _ = drawn
    assert bench.trials("first")[4].data.tags["neurosweep.origin"] == "duplicate of 0"
    assert found[4] == {}


def test_drawing_happens_in_no_worker_of_a_trial(drawn):
    bench, _, found, _ = drawn
    workers = {
        json.loads(line)["pid"]
        for number in range(6)
        if (path := bench.trial_file("first", number, "attempts.jsonl")).exists()
        for line in path.read_text().splitlines()
    }
    painters = {picture["process"] for one in found.values() for picture in one.values()}
    assert painters
    assert not painters & workers


def test_a_resume_draws_what_is_missing_and_doubles_nothing(drawn):
    bench, _, before, resumed = drawn
    after = pictures(bench, "first")
    assert set(after[6]) == {"first.png", "second.png"}
    assert after[6]["first.png"]["level"] == 9
    for number in (3, 5):  # delivered once more, or left alone: drawn by the first driver
        assert after[number] == before[number]
    assert after[0]["first.png"]["process"] != before[0]["first.png"]["process"]  # drawn anew
    assert {key: value for key, value in after[0]["first.png"].items() if key != "process"} == {
        key: value for key, value in before[0]["first.png"].items() if key != "process"
    }
    assert "trial 1 was not drawn" in resumed
    for number in range(7):
        files = sorted(path.name for path in bench.trial_file("first", number, "").iterdir())
        assert not [name for name in files if name.endswith(".tmp")]


def test_members_of_a_population_are_drawn_at_their_end(make_bench, repository):
    bench = equip(make_bench("members"), repository)
    code, output = bench.run(
        "launch", "drawn_lab:EXPERIMENT", "--trainer.max_epochs", "4", "--trials", "3", "--name", "members",
        "--model.trouble", "none", "--population", "pbt", "--generation-epochs", "2", "--try-published", "false",
    )  # fmt: skip
    assert code == 0, output
    for number, found in pictures(bench, "members").items():
        assert set(found) == {"first.png", "second.png"}, number
        assert [epoch for epoch, _ in found["first.png"]["curve"]] == [0, 1, 2, 3]


@pytest.mark.parametrize(("wanted", "figures"), [(False, "drawn_lab:draw"), (True, None)])
def test_nothing_is_drawn_where_it_is_not_wanted_or_not_known_how(tmp_path, wanted, figures):
    trial = SweepFolder(tmp_path).trial(0)
    trial.root.mkdir(parents=True)
    trial.best_checkpoint_of(2).touch()
    prepared: Any = SimpleNamespace(
        config=SweepConfig("drawn", "off", tracking=TrackingConfig(figures=wanted)),
        experiment=SimpleNamespace(figures=figures),
        folder=SweepFolder(tmp_path),
        data=None,
    )
    drawer = FigureDrawer(prepared, publish=pytest.fail)
    drawer.consider(TrialRecord(0, Status.COMPLETED, {}))
    drawer.finish(give_up=lambda: False)  # would fail without a Ray to draw with
    assert not trial.figures.exists()
