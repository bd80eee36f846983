"""A sweep's winner on sealed days: trained again over seeds, scored, counted and compared, as a user does it."""

import json

import numpy as np
import pytest
from sklearn.metrics import r2_score

from lightning_modules.parts.decoding.inference import infer
from lightning_modules.parts.decoding.read_in import fit_read_in
from lightning_modules.parts.spikes import cut_trials, generate_sessions
from lightning_modules.parts.spikes.recordings import load_sessions
from neurosweep import load_model
from neurosweep.comparison import read_evaluation
from neurosweep.errors import DataError
from neurosweep.layout import SweepFolder
from neurosweep.sweeps.evaluation import evaluate

TINY = {"trials_per_session": 24, "n_units": 8, "n_bins": 8, "generated_bin_width_s": 0.09, "n_sessions": 3}
SMALL = ("encoder_hidden", "encoder_width", "generator_hidden", "behaviour_hidden", "behaviour_width")


def launch(bench, name, *more):
    sizes = [f"--model.{one}=6" for one in SMALL]
    data = [f"--data.{one}={value}" for one, value in TINY.items()]
    code, output = bench.run(
        "launch", "sable", "--name", name, "--trials=2", "--trainer.max_epochs=2", "--data.test_sessions=1",
        *sizes, *data, *more,
    )  # fmt: skip
    assert code == 0, output


@pytest.fixture(scope="module")
def evaluated(make_bench):
    """Two sweeps of a family and its control, evaluated with two seeds."""
    bench = make_bench("evaluated")
    launch(bench, "one")
    launch(bench, "two", "--model.variant=no_reversal")
    outputs = {}
    for name in ("one", "two"):
        code, outputs[name] = bench.run("evaluate", name, "--seeds=2")
        assert code == 0, outputs[name]
    return bench, outputs


def sealed_day():
    settings = {**TINY, "bin_width_s": TINY["generated_bin_width_s"]}
    del settings["generated_bin_width_s"]
    days = generate_sessions(preset="default", seed=0, behaviour="position", **settings)
    return cut_trials(days[-1], n_bins=8, session_index=0)


def training_spikes():
    return load_sessions(**TINY, test_sessions=1, leave_one_day_out=True).training.spikes


def retrained(bench, name):
    found = read_evaluation(SweepFolder(bench.storage / name))
    return found, f"{name}-evaluation-{found.trial}"


def test_every_seed_has_a_model_whose_score_sklearn_finds_again(evaluated):
    bench, _ = evaluated
    found, sweep = retrained(bench, "one")
    day = sealed_day()
    scores = []
    for number in range(2):
        (checkpoint,) = bench.trial_file(sweep, number, "").glob("best-*.ckpt")
        decoded = load_model(checkpoint)(torch_of(day.spikes)).behaviour.detach().numpy()
        scores.append(
            r2_score(day.behaviour.reshape(-1, 2), decoded.reshape(-1, 2), multioutput="variance_weighted")
        )
    assert [one["test/behaviour_r2"] for one in found.scores] == pytest.approx(scores, abs=1e-5)
    assert scores[0] != scores[1]


def torch_of(spikes):
    import torch

    return torch.tensor(spikes.astype(np.float32))


def test_scores_are_metrics_of_the_models_runs_and_the_sweeps_run_has_all(evaluated, tmp_path):
    bench, _ = evaluated
    found, sweep = retrained(bench, "one")
    runs = bench.trials(sweep)
    for number, scores in enumerate(found.scores):
        assert {name: runs[number].data.metrics[name] for name in scores} == pytest.approx(scores)
    (parent,) = bench.runs("one", "sweep")
    file = bench.client().download_artifacts(parent.info.run_id, "evaluation.json", str(tmp_path))
    with open(file, encoding="utf-8") as text:
        assert json.load(text)["sealed"] == found.sealed


def test_models_of_one_evaluation_differ_in_their_seeds_alone_and_pair_with_those_of_another(evaluated):
    bench, _ = evaluated
    found, sweep = retrained(bench, "one")
    other, _ = retrained(bench, "two")
    assert found.seeds == other.seeds
    assert len(set(found.seeds)) == 2
    first, second = (run.data.params for _, run in sorted(bench.trials(sweep).items()))
    assert first == second
    assert {name: first[name] for name in found.parameters} == {
        name: str(value) for name, value in found.parameters.items()
    }


def test_openings_are_counted_over_all_sweeps_that_sealed_the_same_recordings(evaluated):
    bench, outputs = evaluated
    lines = (bench.storage / "openings.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["sweep"] for line in lines][:2] == ["one", "two"]
    assert "opened for the first time" in outputs["one"]
    assert f"scoring 2 models on {next(iter(retrained(bench, 'one')[0].sealed))}" in outputs["one"]
    assert "opened 1 times before" in outputs["two"]
    assert [one.sweep for one in read_evaluation(SweepFolder(bench.storage / "two")).openings] == ["one"]


def test_compare_shows_the_paired_difference_and_refuses_what_was_not_evaluated(evaluated):
    bench, _ = evaluated
    code, output = bench.run("compare", "one", "two", "--csv")
    assert code == 0, output
    header, _, second = (line.split(",") for line in output.strip().splitlines()[-3:])
    row = dict(zip(header, second, strict=True))
    one, two = (read_evaluation(SweepFolder(bench.storage / name)) for name in ("one", "two"))
    differences = [
        b["test/behaviour_r2"] - a["test/behaviour_r2"] for a, b in zip(one.scores, two.scores, strict=True)
    ]
    assert float(row["difference"]) == pytest.approx(np.mean(differences))
    assert float(row["difference_low"]) < np.mean(differences) < float(row["difference_high"])
    code, output = bench.run("compare", "one", f"two-evaluation-{two.trial}")
    assert code == 1
    assert "has not been evaluated" in output


def test_models_that_are_trained_already_are_not_trained_again(evaluated):
    bench, _ = evaluated
    found, sweep = retrained(bench, "one")
    attempts = [bench.trial_file(sweep, number, "attempts.jsonl").read_text() for number in range(2)]
    again = evaluate("one", storage=str(bench.storage), seeds=2)
    assert again.scores == found.scores
    assert [bench.trial_file(sweep, number, "attempts.jsonl").read_text() for number in range(2)] == attempts


def test_the_kept_model_is_scored_without_training(evaluated):
    bench, _ = evaluated
    code, output = bench.run("evaluate", "two", "--seeds=0")
    assert code == 0, output
    found = read_evaluation(SweepFolder(bench.storage / "two"))
    (checkpoint,) = bench.trial_file("two", found.trial, "").glob("best-*.ckpt")
    day = sealed_day()
    decoded = load_model(checkpoint)(torch_of(day.spikes)).behaviour.detach().numpy()
    expected = r2_score(day.behaviour.reshape(-1, 2), decoded.reshape(-1, 2), multioutput="variance_weighted")
    assert found.scores[0]["test/behaviour_r2"] == pytest.approx(expected, abs=1e-5)


def test_a_sweep_that_sealed_nothing_is_refused_before_anything_is_trained(evaluated):
    bench, _ = evaluated
    launch(bench, "open", "--data.test_sessions=0")
    with pytest.raises(DataError, match="No session is sealed"):
        evaluate("open", storage=str(bench.storage), seeds=2)
    assert not list(bench.storage.glob("open-evaluation-*"))


def test_what_adapts_is_scored_on_request_in_a_table_and_under_names_of_its_own(evaluated):
    bench, _ = evaluated
    before, sweep = retrained(bench, "one")
    code, output = bench.run("evaluate", "one", "--seeds=2", "--adapt")
    assert code == 0, output
    found, _ = retrained(bench, "one")
    day, training = sealed_day(), training_spikes()
    for number, scores in enumerate(found.scores):
        (checkpoint,) = bench.trial_file(sweep, number, "").glob("best-*.ckpt")
        model = load_model(checkpoint)
        decoded = infer(model, fit_read_in(model, training, day.spikes)(day.spikes)).behaviour
        expected = r2_score(
            day.behaviour.reshape(-1, 2), decoded.reshape(-1, 2), multioutput="variance_weighted"
        )
        assert scores["test_adapted/behaviour_r2"] == pytest.approx(expected, abs=1e-4)
        assert before.scores[number].items() <= scores.items()
        metrics = bench.trials(sweep)[number].data.metrics
        assert metrics["test_adapted/behaviour_r2"] == scores["test_adapted/behaviour_r2"]
    first, _, adapted = output.partition("adapted")
    assert "test_adapted" not in first
    assert {"model", "z_scored", "read_in_ensemble"} <= {
        line.split()[0] for line in adapted.splitlines() if line.strip()
    }
    assert "The alignment `cycle` could not be fitted: The days have" in output
