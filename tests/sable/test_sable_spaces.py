import inspect
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import optuna
import pytest
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pytorch_lightning import Trainer

from lightning_modules.parts.spikes.data_module import SpikeDataModule
from lightning_modules.parts.spikes.recordings import load_sessions
from lightning_modules.sable.module import Sable
from neurosweep.config_files import resolve_config
from neurosweep.search.pinned import PinnedTrial, sample_space
from search_spaces.sable.published import LAPTOP, PAPER
from search_spaces.sable.space import laptop_space, paper_space

PAIRS = [(laptop_space, LAPTOP), (paper_space, PAPER)]


@pytest.mark.parametrize(("space", "published"), PAIRS)
def test_published_values_are_a_complete_point_of_their_space(
    space: Any, published: Mapping[str, Any]
) -> None:
    trial = optuna.trial.FixedTrial(dict(published))
    space(trial)  # raises where a value is missing
    assert set(trial.params) == set(published)
    for name, distribution in trial.distributions.items():
        value = published[name]
        if isinstance(distribution, CategoricalDistribution):
            assert value in distribution.choices, name
        else:
            assert isinstance(distribution, FloatDistribution | IntDistribution)
            assert distribution.low <= value <= distribution.high, name
            if distribution.step:
                assert (value - distribution.low) % distribution.step == 0, name


@pytest.mark.parametrize(("space", "published"), PAIRS)
def test_every_name_is_an_argument_of_the_constructor_it_is_meant_for(
    space: Any, published: Mapping[str, Any]
) -> None:
    owners = {"model": Sable, "data": SpikeDataModule, "trainer": Trainer}
    for point in sample_space(space, {}, draws=50):
        for dotted in point:
            section, name = dotted.split(".")
            assert name in inspect.signature(owners[section]).parameters, dotted


@pytest.mark.parametrize("space", [laptop_space, paper_space])
def test_sampled_points_build_a_model_or_name_no_problem(space: Any) -> None:
    measured: dict[str, Any] = {
        "n_units": 2, "n_bins": 3, "bin_width_s": 0.02, "behaviour_names": ["x"], "mean_counts": [0.1, 0.2],
        "behaviour_mean": [0.0], "behaviour_scale": [1.0],
    }  # fmt: skip
    for point in sample_space(space, {}, draws=5):
        model = Sable(
            **measured, **{name[6:]: one for name, one in point.items() if name.startswith("model.")}
        )
        assert model.variant == "sable"


def test_warmup_of_the_reversal_is_searched_only_where_it_warms_up() -> None:
    points = sample_space(laptop_space, {}, draws=60)
    schedules = {point["model.reversal_schedule"] for point in points}
    assert schedules == {"constant", "linear", "dann"}
    for point in points:
        warms_up = point["model.reversal_schedule"] != "constant"
        assert ("model.reversal_warmup_steps" in point) == warms_up


@pytest.mark.parametrize(
    ("variant", "searched"), [("no_reversal", {"model.neural_weight"}), ("behaviour_only", set[str]())]
)
def test_a_pinned_variant_takes_what_it_does_not_use_out_of_the_search(
    variant: str, searched: set[str]
) -> None:
    neural = {"model.neural_weight", "model.generator_hidden", "model.factor_dim"}
    for space in (laptop_space, paper_space):
        for point in sample_space(space, {"model.variant": variant}, draws=20):
            assert not any("reversal" in name for name in point)
            assert (set(point) & neural) - {"model.generator_hidden", "model.factor_dim"} == searched


def test_spaces_ask_only_what_a_pinned_trial_can_answer() -> None:
    trial = PinnedTrial(optuna.create_study().ask(), {"model.latent_dim": 7})
    laptop_space(trial)  # type: ignore[arg-type]
    assert trial.met == {"model.latent_dim"}


@pytest.mark.parametrize("name", ["sweep.yaml", "paper_size.yaml", "smoke.yaml"])
def test_every_setting_of_the_files_exists(name: str) -> None:
    content = yaml.safe_load(files("search_spaces.sable").joinpath(name).read_text())
    owners = {"model": [Sable], "trainer": [Trainer], "data": [SpikeDataModule, load_sessions]}
    for section, possible in owners.items():
        known = {one for owner in possible for one in inspect.signature(owner).parameters}
        assert set(content.get(section, {})) <= known


def test_experiments_resolve_to_configurations_that_hold_their_files() -> None:
    laptop = resolve_config("sable", {})
    assert (laptop.search.trials, laptop.trainer["max_epochs"]) == (16, 40)
    assert laptop.search.pruner == "successive_halving"
    assert resolve_config("sable-paper-size", {}).data["n_units"] == 96
    smoke = resolve_config(str(files("search_spaces.sable").joinpath("smoke.yaml")), {})
    assert (smoke.experiment, smoke.trainer["max_epochs"]) == ("sable", 2)
