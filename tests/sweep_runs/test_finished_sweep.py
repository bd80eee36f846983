"""A sweep that ran undisturbed: what it printed, wrote and put into MLflow."""

import subprocess
import sys

import optuna
import pandas as pd
import pytest
import yaml
from optuna.trial import TrialState

STATES = {TrialState.COMPLETE: ("FINISHED", "completed"), TrialState.PRUNED: ("KILLED", "pruned")}


def test_every_trial_has_one_run_in_the_state_that_the_study_says(finished):
    bench, _ = finished
    runs, trials = bench.trials("first"), bench.study("first").trials
    assert sorted(runs) == list(range(8))
    for trial in trials:
        run = runs[trial.number]
        assert (run.info.status, run.data.tags["neurosweep.status"]) == STATES[trial.state]


def test_both_completed_and_pruned_trials_occur(finished):
    bench, _ = finished
    assert {trial.state for trial in bench.study("first").trials} == set(STATES)


def test_runs_hold_the_searched_and_pinned_parameters(finished):
    bench, _ = finished
    for number, run in bench.trials("first").items():
        searched = bench.study("first").trials[number].params
        expected = {name: str(value) for name, value in searched.items()} | {"trainer.max_epochs": "20"}
        assert run.data.params == expected


def test_metric_history_is_what_the_pruner_saw_epoch_by_epoch(finished):
    bench, _ = finished
    for number, run in bench.trials("first").items():
        reported = bench.study("first").trials[number].intermediate_values
        expected = [(step - 1, value) for step, value in sorted(reported.items())]
        assert bench.history(run, "val/mse") == expected


def test_children_belong_to_the_parent_and_carry_where_they_come_from(finished):
    bench, _ = finished
    (parent,) = bench.runs("first", "sweep")
    assert parent.info.status == "FINISHED"
    for run in bench.trials("first").values():
        tags = run.data.tags
        assert tags["mlflow.parentRunId"] == parent.info.run_id
        assert tags["neurosweep.data_hash"] == parent.data.tags["neurosweep.data_hash"]
        assert int(tags["neurosweep.seed"]) > 0
        assert "torch=" in tags["neurosweep.versions"]
        assert tags["neurosweep.attempt"] == "1"


def test_parent_holds_leaderboard_figures_study_and_report(finished):
    bench, _ = finished
    (parent,) = bench.runs("first", "sweep")
    client = bench.client()
    artifacts = {one.path for one in client.list_artifacts(parent.info.run_id)}
    assert {"leaderboard.csv", "report.html", "study.journal", "figures", "inputs"} <= artifacts
    figures = {one.path for one in client.list_artifacts(parent.info.run_id, "figures")}
    names = ("history", "importances", "parallel_coordinate", "slices")
    assert {f"figures/{name}.html" for name in names} <= figures
    (data,) = parent.inputs.dataset_inputs
    assert data.dataset.name == "lab-decoder-data"


def test_leaderboard_in_mlflow_is_sorted_by_the_metric_that_the_runs_hold(finished, tmp_path):
    bench, _ = finished
    (parent,) = bench.runs("first", "sweep")
    board = pd.read_csv(
        bench.client().download_artifacts(parent.info.run_id, "leaderboard.csv", str(tmp_path))
    )
    completed = board[board["status"] == "completed"]
    assert list(completed["val/mse"]) == sorted(completed["val/mse"])
    for row in completed.itertuples():
        run = bench.trials("first")[row.trial]
        history = bench.history(run, "val/mse")
        assert board.loc[row.Index, "val/mse"] == pytest.approx(min(value for _, value in history))
        assert run.data.metrics["best/mse"] == pytest.approx(board.loc[row.Index, "val/mse"])


def test_saved_study_can_be_opened_from_mlflow(finished, tmp_path):
    bench, _ = finished
    (parent,) = bench.runs("first", "sweep")
    path = bench.client().download_artifacts(parent.info.run_id, "study.journal", str(tmp_path))
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(path))
    assert len(optuna.load_study(study_name="first", storage=storage).trials) == 8


def test_every_model_reloads_without_ray_and_gives_the_logged_metric_again(finished):
    bench, _ = finished
    code = (
        "import sys, json, neurosweep\n"
        "values = {u: neurosweep.validate_model(u, tracking_uri=sys.argv[1])['val/mse'] for u in sys.argv[2:]}\n"
        "loaded = {'ray', 'optuna'} & set(sys.modules)\n"
        "print(json.dumps([values, sorted(loaded)]))"
    )
    experiments = [one.experiment_id for one in bench.client().search_experiments()]
    models = {f"models:/{one.model_id}": one for one in bench.client().search_logged_models(experiments)}
    assert len(models) == 8
    found = subprocess.run(
        [sys.executable, "-c", code, bench.uri, *models],
        cwd=bench.folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    values, loaded = yaml.safe_load(found.stdout.splitlines()[-1])
    assert loaded == []
    for uri, model in models.items():
        run = bench.client().get_run(model.source_run_id)
        assert values[uri] == pytest.approx(run.data.metrics["best/mse"], abs=1e-5)
        assert model.status == "READY"


def test_output_ends_with_what_a_user_needs(finished):
    bench, output = finished
    assert "8/8 trials done" in output
    assert "pruned" in output
    assert str(bench.storage / "first" / "report.html") in output
    assert "neurosweep ui" in output
    assert "neurosweep.load_model(" in output
    assert "model.learning_rate" in output


def test_second_launch_of_the_name_is_refused_with_the_resume_command(finished):
    bench, _ = finished
    code, output = bench.run("launch", "my_lab:EXPERIMENT", "--name", "first")
    assert code == 2
    assert "neurosweep resume first" in output


def test_resuming_a_finished_sweep_with_more_trials_adds_them(make_bench):
    bench = make_bench("more")
    assert bench.run("launch", "my_lab:EXPERIMENT", "--name", "grows", "--trials", "2")[0] == 0
    before = {number: run.info.run_id for number, run in bench.trials("grows").items()}
    code, output = bench.run("resume", "grows", "--trials", "4")
    assert code == 0, output
    after = {number: run.info.run_id for number, run in bench.trials("grows").items()}
    assert sorted(after) == [0, 1, 2, 3]
    assert {number: after[number] for number in before} == before


def test_status_and_leaderboard_tell_the_same_best_trial(finished):
    bench, _ = finished
    study = bench.study("first")
    _, status = bench.run("status", "first")
    assert f"(trial {study.best_trial.number})" in status
    assert "finished" in status
    _, board = bench.run("leaderboard", "first", "--csv")
    assert int(board.splitlines()[1].split(",")[1]) == study.best_trial.number


def test_resolved_configuration_launches_the_same_trials_again(finished, make_bench):
    bench, _ = finished
    config = yaml.safe_load((bench.storage / "first" / "sweep.yaml").read_text(encoding="utf-8"))
    assert config["experiment"] == "my_lab:EXPERIMENT"
    other = make_bench("again")
    config |= {"storage": str(other.storage), "name": "again"}
    config["search"] |= {"trials": 2, "sampler": "random"}
    (other.folder / "sweep.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    code, output = other.run("launch", "sweep.yaml")
    assert code == 0, output
    # Both begin with random trials, drawn from the sweep's seed and the trial's number alone.
    assert other.study("again").trials[0].params == bench.study("first").trials[0].params
