"""What is refused before a population starts, and what the plan says of it."""

from dataclasses import replace

import pytest

from neurosweep.config import PopulationConfig
from neurosweep.config_files import dump_config, parse_config, read_yaml, resolve_config
from neurosweep.errors import ConfigError
from neurosweep.experiments import Experiment, Objective
from neurosweep.options import build_parser, spell_out
from neurosweep.search.population.initial import initial_population
from neurosweep.sweeps.checks import check_config
from neurosweep.sweeps.population_checks import population_lines
from neurosweep.sweeps.preparation import experiment_of

PARTS = {
    "summary": "", "module": "population_lab:NoisyDescent", "data_module": "population_lab:Data",
    "load": "population_lab:load", "objectives": (Objective("val/error", "minimize"),),
}  # fmt: skip


def configured(**sections):
    return resolve_config(
        "population_lab:EXPERIMENT",
        {"population": {"method": "pbt"}, "trainer": {"max_epochs": 20}, **sections},
    )


def test_population_takes_sampler_and_pruner_out(population_lab, tmp_path):
    config = configured()
    assert (config.search.sampler, config.search.pruner) == ("random", "none")
    check_config(config, population_lab.EXPERIMENT)
    path = tmp_path / "sweep.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert parse_config(read_yaml(path), source="") == config


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"search": {"pruner": "median"}}, "`search.pruner` is 'median'"),
        ({"search": {"sampler": "tpe"}}, "`search.sampler` is 'tpe'"),
        ({"search": {"trials": 1}}, "at least 2 members"),
        ({"population": {"method": "pbt", "generation_epochs": 20}}, "below the 20"),
        ({"trainer": {"max_epochs": 20, "check_val_every_n_epoch": 2}}, "`trainer.check_val_every_n_epoch`"),
        ({"model": {"learning_rate": 0.1, "momentum": 0.0}}, "Nothing is left"),
    ],
)
def test_what_does_not_fit_a_population_is_refused(population_lab, sections, said):
    with pytest.raises(ConfigError, match=said):
        check_config(configured(**sections), population_lab.EXPERIMENT)


@pytest.mark.parametrize(
    "population",
    [
        {"quantile": 0.6},
        {"explore_weight": 1.0},
        {"perturbation_factors": []},
        {"resample_probability": 2},
        {"generation_epochs": 0},
        {"method": "pbt3"},
    ],
)
def test_settings_out_of_range_are_refused(population_lab, population):
    with pytest.raises(ConfigError, match=f"population.{next(iter(population))}"):
        configured(population={"method": "pbt", **population})


@pytest.mark.parametrize(
    ("mutable", "said"),
    [
        ((), "does not say which parameters may change"),
        (("model.learning_rat",), "Did you mean `model.learning_rate`"),
        (("data.seed",), "which all members of a population share"),
    ],
)
def test_experiment_must_say_what_may_change(population_lab, mutable, said):
    experiment = Experiment(name="other", space="population_lab:space", mutable=mutable, **PARTS)
    with pytest.raises(ConfigError, match=said):
        check_config(configured(), experiment)


def test_several_objectives_are_refused(population_lab):
    parts = {**PARTS, "objectives": (Objective("val/error", "minimize"), Objective("val/r2", "maximize"))}
    experiment = Experiment(
        name="other", space="population_lab:space", mutable=("model.learning_rate",), **parts
    )
    with pytest.raises(ConfigError, match="several objectives"):
        check_config(configured(), experiment)


def test_several_objectives_of_which_the_first_prunes_are_judged_by_it(population_lab, monkeypatch):
    first = Objective("val/error", "minimize")
    parts = {**PARTS, "objectives": (first, Objective("val/r2", "maximize")), "prune_on": first}
    experiment = Experiment(
        name="other", space="population_lab:space", mutable=("model.learning_rate",), **parts
    )
    monkeypatch.setattr(population_lab, "EXPERIMENT", experiment)
    config = configured()
    judged = experiment_of(config)
    check_config(config, judged)
    assert judged.objectives == (first,)
    assert judged.judged == first
    alone = replace(config, population=PopulationConfig())
    assert experiment_of(alone) == experiment


def test_parameter_that_decides_of_another_cannot_change(population_lab, monkeypatch):
    def branching(trial):
        if trial.suggest_categorical("model.schedule", ["none", "exponential"]) == "none":
            trial.suggest_float("model.momentum", 0.0, 0.5)

    monkeypatch.setattr(population_lab, "branching", branching, raising=False)
    experiment = Experiment(
        name="other", space="population_lab:branching", mutable=("model.schedule", "model.momentum"), **PARTS
    )
    with pytest.raises(ConfigError, match=r"`model.momentum` to some members"):
        check_config(configured(), experiment)


def test_first_generation_shares_what_cannot_change(population_lab, monkeypatch):
    published = [
        {"model.learning_rate": 0.3, "model.width": 5},
        {"model.learning_rate": 0.2, "model.width": 2},
    ]
    monkeypatch.setattr(population_lab, "PUBLISHED", published, raising=False)
    experiment = Experiment(
        name="other", space="population_lab:space", published="population_lab:PUBLISHED",
        mutable=("model.learning_rate", "model.momentum"), **PARTS,
    )  # fmt: skip
    initial = initial_population(configured(search={"trials": 5}, model={"momentum": 0.1}), experiment)
    assert [one["model.width"] for one in initial.members] == [5] * 5
    assert [one["model.learning_rate"] for one in initial.members[:2]] == [0.3, 0.2]
    assert len({one["model.learning_rate"] for one in initial.members}) == 5
    assert list(initial.distributions) == ["model.learning_rate"]
    assert initial.published == 2
    assert initial == initial_population(
        configured(search={"trials": 5}, model={"momentum": 0.1}), experiment
    )


def test_plan_says_what_changes_and_what_is_shared(population_lab):
    lines = dict(population_lines(configured(), population_lab.EXPERIMENT))
    assert lines["population"] == "4 generations of 5 epochs; every member runs 20 epochs in all"
    assert lines["changed"] == "model.learning_rate, model.momentum"
    assert lines["shared"].startswith("model.width=")


def test_short_form_of_the_command_line():
    given = build_parser().parse_args(
        spell_out(["launch", "sable", "--population", "bt_pbt", "--generation-epochs", "3"]), defaults=False
    )
    assert given["launch"]["population"].as_dict() == {"method": "bt_pbt", "generation_epochs": 3}


def test_sable_can_be_trained_as_a_population():
    from neurosweep.experiments import SABLE, SABLE_PAPER_SIZE

    for experiment in (SABLE, SABLE_PAPER_SIZE):
        config = resolve_config(experiment.name, {"population": {"method": "bt_pbt"}})
        check_config(config, experiment)
        assert set(initial_population(config, experiment).distributions) == set(experiment.mutable)
