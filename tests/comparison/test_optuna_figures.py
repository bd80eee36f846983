"""Figures: the traces are those of the study, and what cannot be drawn says why."""

import base64
import json
import re
import warnings
from html import unescape

import numpy as np
import optuna
import pytest

from neurosweep.comparison import figures, write_figures
from neurosweep.comparison.figures import NotDrawableError, importances
from neurosweep.experiments import Objective
from neurosweep.layout import SweepFolder

R2 = (Objective("val/behaviour_r2", "maximize"),)
SINGLE = {"history", "importances", "parallel_coordinate", "slices", "intermediate_values"}


def figures_in(path):
    """Parse the plotly figures embedded in a page."""
    found = re.findall(
        r'<script type="application/json">(.*?)</script>', path.read_text("utf-8"), flags=re.DOTALL
    )
    return [json.loads(text) for text in found]


def numbers(array):
    """Decode an array of a plotly figure, which may be packed."""
    if isinstance(array, dict):
        return np.frombuffer(base64.b64decode(array["bdata"]), dtype=np.dtype(array["dtype"])).tolist()
    return list(array)


def study_of(values, *, parameters):
    study = optuna.create_study(direction="maximize")
    distributions: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.FloatDistribution(0.0, 10.0) for name in parameters[0]
    }
    for value, chosen in zip(values, parameters, strict=True):
        study.add_trial(optuna.trial.create_trial(value=value, params=chosen, distributions=distributions))
    return study


def text_of(path):
    return unescape(path.read_text("utf-8"))


def test_every_figure_of_a_sweep_is_a_page_in_its_folder(sweep):
    written = write_figures(study=sweep.study, folder=sweep.folder, objectives=sweep.objectives)
    assert set(written) == SINGLE
    for name, path in written.items():
        assert path == sweep.folder.figures / f"{name}.html"
        assert len(figures_in(path)) == 1
        assert path.read_text("utf-8").count("plotly.js v") == 1


def test_the_history_holds_the_completed_values_of_the_study(sweep):
    path = write_figures(study=sweep.study, folder=sweep.folder, objectives=sweep.objectives)["history"]
    (figure,) = figures_in(path)
    points = dict(zip(numbers(figure["data"][0]["x"]), numbers(figure["data"][0]["y"]), strict=True))
    completed = {one.number: one.value for one in sweep.study.trials if one.state.name == "COMPLETE"}
    assert points == completed


def test_intermediate_values_hold_every_curve_of_the_study(sweep):
    path = write_figures(study=sweep.study, folder=sweep.folder, objectives=sweep.objectives)[
        "intermediate_values"
    ]
    (figure,) = figures_in(path)
    drawn = sorted(tuple(numbers(trace["y"])) for trace in figure["data"])
    reported = [tuple(v for _, v in sorted(one.intermediate_values.items())) for one in sweep.study.trials]
    finished = [one.state.name in ("COMPLETE", "PRUNED") for one in sweep.study.trials]
    assert drawn == sorted(curve for curve, kept in zip(reported, finished, strict=True) if kept)


def test_two_objectives_have_a_pareto_front_and_a_chart_each(two_objective_sweep):
    sweep = two_objective_sweep
    written = write_figures(study=sweep.study, folder=sweep.folder, objectives=sweep.objectives)
    assert set(written) == SINGLE | {"pareto_front"}
    assert len(figures_in(written["history"])) == 2
    (front,) = figures_in(written["pareto_front"])
    drawn = {
        pair for trace in front["data"] for pair in zip(numbers(trace["x"]), numbers(trace["y"]), strict=True)
    }
    assert drawn == {tuple(one.values) for one in sweep.study.trials}
    assert "No trial has reported a value to the pruner." in text_of(written["intermediate_values"])


def test_a_sweep_of_failed_trials_has_pages_that_say_so(failed_sweep):
    sweep = failed_sweep
    written = write_figures(study=sweep.study, folder=sweep.folder, objectives=sweep.objectives)
    assert set(written) == SINGLE
    for name in SINGLE - {"intermediate_values"}:
        assert "No trial has completed" in text_of(written[name])
        assert not figures_in(written[name])
        assert "plotly.js v" not in written[name].read_text("utf-8")


@pytest.mark.parametrize(
    ("values", "parameters", "reason"),
    [
        ([0.1], [{"a": 1.0}], "1 trial has completed; this figure needs at least 2."),
        ([0.1, 0.2], [{"a": 1.0}, {"a": 1.0}], "Every parameter has a single value"),
        ([0.1, 0.1], [{"a": 1.0}, {"a": 2.0}], "do not differ in their value"),
        ([float("inf"), 0.1], [{"a": 1.0}, {"a": 2.0}], "do not differ in their value"),
    ],
)
def test_importances_that_cannot_be_told_say_why(tmp_path, values, parameters, reason):
    folder = SweepFolder(tmp_path / "s")
    study = study_of(values, parameters=parameters)
    written = write_figures(study=study, folder=folder, objectives=R2)
    assert reason in text_of(written["importances"])
    with pytest.raises(NotDrawableError, match=re.escape(reason)):
        importances(study=study, objectives=R2, index=0)


def test_the_parameter_that_makes_the_objective_is_the_most_important_one_every_time():
    generator = np.random.default_rng(0)
    chosen = [
        {"model.matters": float(a), "model.noise": float(b)} for a, b in generator.uniform(0, 10, (40, 2))
    ]
    study = study_of([one["model.matters"] ** 2 for one in chosen], parameters=chosen)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shares = importances(study=study, objectives=R2, index=0)
    assert list(shares) == ["model.matters", "model.noise"]
    assert shares["model.matters"] > 0.9
    assert sum(shares.values()) == pytest.approx(1.0)
    assert importances(study=study, objectives=R2, index=0) == shares


def test_importances_are_of_the_parameters_that_every_completed_trial_has(sweep):
    completed = [set(one.params) for one in sweep.study.trials if one.state.name == "COMPLETE"]
    shared, all_of_them = set.intersection(*completed), set.union(*completed)
    assert "model.reversal_warmup_steps" in all_of_them - shared  # conditional on the schedule
    assert set(importances(study=sweep.study, objectives=sweep.objectives, index=0)) == shared


def test_a_pinned_parameter_has_no_slice(tmp_path):
    study = study_of(
        [0.1, 0.3, 0.2], parameters=[{"a": x, "b": 3 - x, "pinned": 1.0} for x in (0.5, 1.0, 2.0)]
    )
    (figure,) = figures_in(
        write_figures(study=study, folder=SweepFolder(tmp_path / "s"), objectives=R2)["slices"]
    )
    assert sorted(tuple(numbers(trace["x"])) for trace in figure["data"]) == [
        (0.5, 1.0, 2.0),
        (2.5, 2.0, 1.0),
    ]


def test_a_figure_that_optuna_cannot_draw_costs_only_its_own_page(sweep, monkeypatch, caplog):
    def broken(*_args, **_kwargs):
        raise RuntimeError("<b>no luck</b>")

    monkeypatch.setattr(figures.visualization, "plot_slice", broken)
    written = write_figures(study=sweep.study, folder=sweep.folder, objectives=sweep.objectives)
    assert "RuntimeError: &lt;b&gt;no luck&lt;/b&gt;" in written["slices"].read_text("utf-8")
    assert figures_in(written["history"])
    assert "Sweep sable-first: the figure slices cannot be drawn." in caplog.text
