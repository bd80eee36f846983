import inspect
from importlib.resources import files
from typing import Any

import optuna
import pytest
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pytorch_lightning import Trainer

from lightning_modules.parts.spikes.data_module import LabelledSpikeDataModule
from lightning_modules.parts.spikes.recordings import load_sessions
from lightning_modules.rave.module import Rave
from neurosweep.experiments import find_experiment
from neurosweep.search.pinned import sample_space
from search_spaces.rave.published import LAPTOP
from search_spaces.rave.space import rave_space

OWNERS: dict[str, Any] = {"model": Rave, "data": LabelledSpikeDataModule, "trainer": Trainer}


def test_published_values_are_a_complete_point_of_the_space() -> None:
    trial = optuna.trial.FixedTrial(dict(LAPTOP))
    rave_space(trial)  # type: ignore[arg-type]  # raises where a value is missing
    assert set(trial.params) == set(LAPTOP)
    for name, distribution in trial.distributions.items():
        value = LAPTOP[name]
        if isinstance(distribution, CategoricalDistribution):
            assert value in distribution.choices, name
        else:
            assert isinstance(distribution, FloatDistribution | IntDistribution)
            assert distribution.low <= value <= distribution.high, name
            if distribution.step:
                assert (value - distribution.low) % distribution.step == 0, name


def test_published_values_are_the_defaults_of_the_module() -> None:
    """`lightning_modules/rave/README.md` says so."""
    defaults = {name: one.default for name, one in inspect.signature(Rave).parameters.items()}
    for dotted, value in LAPTOP.items():
        section, name = dotted.split(".")
        assert section != "model" or defaults[name] == value, name


@pytest.mark.parametrize("behaviour_weight", [1.0, 0.0])
def test_every_name_is_an_argument_and_sampled_points_build_a_model(behaviour_weight: float) -> None:
    measured: dict[str, Any] = {
        "n_units": 2, "n_bins": 3, "bin_width_s": 0.02, "behaviour_names": ["x"], "mean_counts": [0.1, 0.2],
        "behaviour_mean": [0.0], "behaviour_scale": [1.0], "n_sessions": 2,
    }  # fmt: skip
    pins = {"model.behaviour_weight": behaviour_weight}
    for point in sample_space(rave_space, pins, draws=8):
        for dotted in point:
            section, name = dotted.split(".")
            assert name in inspect.signature(OWNERS[section]).parameters, dotted
        settings = {name[6:]: one for name, one in {**point, **pins}.items() if name.startswith("model.")}
        model = Rave(**measured, **settings)
        assert (model.behaviour_decoder is None) == (not behaviour_weight)


def test_the_read_out_is_searched_only_where_behaviour_takes_no_part_in_training() -> None:
    for point in sample_space(rave_space, {}, draws=10):
        assert point["model.behaviour_weight"] == 1.0
        assert "model.behaviour_dropout" in point
        assert "model.ridge_penalty" not in point
    for point in sample_space(rave_space, {"model.behaviour_weight": 0.0}, draws=10):
        assert "model.behaviour_dropout" not in point
        assert "model.ridge_penalty" in point


def test_nothing_of_the_trainer_is_searched_that_lightning_refuses_with_two_optimizers() -> None:
    for point in sample_space(rave_space, {}, draws=4):
        assert not any(name.startswith("trainer.") for name in point)


def test_what_a_population_changes_is_searched() -> None:
    (point,) = sample_space(rave_space, {}, draws=1)
    assert set(find_experiment("rave-plus").mutable) <= set(point)


def test_every_setting_of_the_sweep_file_exists() -> None:
    content = yaml.safe_load(files("search_spaces.rave").joinpath("sweep.yaml").read_text())
    owners = {"model": [Rave], "trainer": [Trainer], "data": [LabelledSpikeDataModule, load_sessions]}
    for section, possible in owners.items():
        known = {one for owner in possible for one in inspect.signature(owner).parameters}
        assert set(content.get(section, {})) <= known
