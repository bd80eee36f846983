"""Constraints, two objectives, a metric to prune on, duplicates and a warm start, through the whole path."""

import pandas as pd
import pytest

LAUNCH = (
    "launch", "searched_lab:EXPERIMENT", "--sampler", "nsga2", "--pruner", "median", "--startup-trials", "2",
    "--min-epochs", "1", "--trainer.max_epochs", "4", "--concurrency", "1",
)  # fmt: skip


@pytest.fixture(scope="module")
def searched(make_bench, repository):
    bench = make_bench("searched")
    source = repository / "tests" / "sweep_runs" / "searched_lab.py"
    (bench.folder / "searched_lab.py").write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    code, output = bench.run(*LAUNCH, "--name", "first", "--trials", "6")
    assert code == 0, output
    return bench, output


def board(bench, sweep: str) -> pd.DataFrame:
    return pd.read_csv(bench.storage / sweep / "leaderboard.csv")


def test_leaderboard_ranks_fronts_with_infeasible_trials_behind_and_duplicates_after_their_originals(
    searched,
):
    frame = board(searched[0], "first")
    columns = ["trial", "status", "rank", "val/score", "feasible", "epochs", "origin"]
    rows = frame[columns].astype(object).where(frame[columns].notna(), None).to_numpy().tolist()
    assert rows == [
        [1, "completed", 1.0, 2.75, True, 4, "published"],
        [2, "completed", 1.0, 2.75, True, 4, "duplicate of 1"],
        [5, "completed", 1.0, 0.75, True, 4, "published"],
        [0, "completed", 2.0, 5.75, False, 4, "published"],
        [3, "pruned", None, 4.0, True, 1, "published"],
        [4, "pruned", None, 4.0, True, 1, "duplicate of 3"],
    ]


def test_best_of_the_sweep_keeps_the_constraint(searched):
    bench, _ = searched
    (parent,) = bench.runs("first", "sweep")
    assert parent.data.metrics["best/score"] == 2.75


def test_hypervolume_of_the_front_is_told_and_logged(searched):
    """(2.75, 9) and (0.75, 1) up to (0, 25): 2.75 x 16 + 0.75 x 24 - 0.75 x 16."""
    bench, output = searched
    (parent,) = bench.runs("first", "sweep")
    assert parent.data.metrics["best/hypervolume"] == 50
    assert "hypervolume  50 (reference point val/score = 0, val/size = 25)" in output
    assert "hypervolume is 50 (reference" in (bench.storage / "first" / "report.html").read_text("utf-8")


def test_mlflow_tells_infeasible_trials_and_duplicates(searched):
    bench, _ = searched
    runs = bench.trials("first")
    tags = {number: run.data.tags for number, run in runs.items()}
    assert {number: tag["neurosweep.feasible"] for number, tag in tags.items()} == {
        0: "false", 1: "true", 2: "true", 3: "true", 4: "true", 5: "true",
    }  # fmt: skip
    assert tags[2]["neurosweep.origin"] == "duplicate of 1"
    assert [runs[number].info.status for number in range(6)] == [
        "FINISHED", "FINISHED", "FINISHED", "KILLED", "KILLED", "FINISHED",
    ]  # fmt: skip
    for original, copy in ((1, 2), (3, 4)):
        best = {key: value for key, value in runs[original].data.metrics.items() if key.startswith("best/")}
        assert best["best/epoch"] == (3 if original == 1 else 0)
        assert runs[copy].data.metrics == best, "a duplicate has the values of its original and no history"
        assert not bench.trial_file("first", copy, "last.ckpt").exists()
    assert bench.history(runs[3], "val/pace") == [(0, 0.0)]


def test_report_and_figures_are_whole(searched):
    bench, _ = searched
    report = (bench.storage / "first" / "report.html").read_text(encoding="utf-8")
    assert "feasible" in report
    assert "duplicate of 3" in report
    for name in ("pareto_front", "history"):
        figure = (bench.storage / "first" / "figures" / f"{name}.html").read_text(encoding="utf-8")
        assert "could not draw" not in figure


def test_a_warm_start_of_the_same_settings_learns_from_every_trial_that_was_run(searched):
    bench, _ = searched
    code, output = bench.run(*LAUNCH, "--name", "second", "--trials", "2", "--warm-start", "first")
    assert code == 0, output
    origins = [trial.user_attrs["origin"] for trial in bench.study("second").trials]
    assert origins == ["first/0", "first/1", "first/3", "first/5", "published", "published"]
    assert list(board(bench, "second")["trial"]) == [5, 4]
    assert set(bench.trials("second")) == {4, 5}
    _, status = bench.run("status", "second")
    assert "2/2" in status


def test_a_warm_start_under_other_settings_tries_the_best_configurations_first(searched):
    bench, _ = searched
    code, output = bench.run(
        "launch", "searched_lab:EXPERIMENT", "--trainer.max_epochs", "2", "--warm-start", "first", "--dry-run"
    )  # fmt: skip
    assert code == 0, output
    assert "first: other data or settings, so its 2 best configurations are tried first" in output
    code, output = bench.run(*LAUNCH, "--model.level", "2", "--warm-start", "first", "--dry-run")
    assert code == 0, output
    assert "other data or settings" in output
    code, output = bench.run(*LAUNCH, "--warm-start", "first", "--dry-run")
    assert "first: 3 completed and 1 pruned trials as evidence" in output
    assert "on val/pace" in output
    assert "val/latency at most 25" in output


def test_an_unknown_earlier_sweep_is_refused_before_anything_starts(searched):
    bench, _ = searched
    code, output = bench.run(*LAUNCH, "--name", "third", "--warm-start", "first,frist")
    assert code == 2
    assert "There is no earlier sweep `frist`" in output
    assert "Did you mean `first`?" in output
    assert not (bench.storage / "third").exists()
