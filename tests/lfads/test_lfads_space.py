import inspect
from importlib.resources import files
from typing import Any

import optuna
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pytorch_lightning import Trainer

from lightning_modules.lfads.module import Lfads
from lightning_modules.parts.spikes.data_module import SpikeDataModule
from lightning_modules.parts.spikes.recordings import load_sessions
from neurosweep.search.pinned import sample_space
from search_spaces.lfads.published import SAME_GROUP
from search_spaces.lfads.space import lfads_space

OWNERS: dict[str, Any] = {"model": Lfads, "data": SpikeDataModule, "trainer": Trainer}
OF_A_CONTROLLER = {
    "model.controller_hidden", "model.input_encoder_hidden", "model.input_kl_weight", "model.controller_l2",
}  # fmt: skip


def test_published_values_are_a_complete_point_of_the_space() -> None:
    trial = optuna.trial.FixedTrial(dict(SAME_GROUP))
    lfads_space(trial)  # type: ignore[arg-type]  # raises where a value is missing
    assert set(trial.params) == set(SAME_GROUP)
    for name, distribution in trial.distributions.items():
        value = SAME_GROUP[name]
        if isinstance(distribution, CategoricalDistribution):
            assert value in distribution.choices, name
        else:
            assert isinstance(distribution, FloatDistribution | IntDistribution)
            assert distribution.low <= value <= distribution.high, name
            if distribution.step:
                assert (value - distribution.low) % distribution.step == 0, name


def test_published_values_are_the_defaults_of_the_module() -> None:
    """`lightning_modules/lfads/README.md` says so."""
    defaults = {name: one.default for name, one in inspect.signature(Lfads).parameters.items()}
    for dotted, value in SAME_GROUP.items():
        section, name = dotted.split(".")
        assert section != "model" or defaults[name] == value, name


def test_every_name_is_an_argument_and_sampled_points_build_a_model() -> None:
    measured: dict[str, Any] = {
        "n_units": 2, "n_bins": 3, "bin_width_s": 0.02, "behaviour_names": ["x"], "mean_counts": [0.1, 0.2],
        "behaviour_mean": [0.0], "behaviour_scale": [1.0],
    }  # fmt: skip
    for pins in ({}, {"model.controller_dim": 2}):
        for point in sample_space(lfads_space, pins, draws=8):
            for dotted in point:
                section, name = dotted.split(".")
                assert name in inspect.signature(OWNERS[section]).parameters, dotted
            settings = {name[6:]: one for name, one in {**point, **pins}.items() if name.startswith("model.")}
            model = Lfads(**measured, **settings)
            assert (model.input_encoder is not None) == bool(pins)


def test_settings_of_a_controller_are_searched_only_where_one_is_pinned() -> None:
    for point in sample_space(lfads_space, {}, draws=10):
        assert point["model.controller_dim"] == 0
        assert not OF_A_CONTROLLER & set(point)
    for point in sample_space(lfads_space, {"model.controller_dim": 2}, draws=10):
        assert set(point) >= OF_A_CONTROLLER


def test_every_setting_of_the_sweep_file_exists() -> None:
    content = yaml.safe_load(files("search_spaces.lfads").joinpath("sweep.yaml").read_text())
    owners = {"model": [Lfads], "trainer": [Trainer], "data": [SpikeDataModule, load_sessions]}
    for section, possible in owners.items():
        known = {one for owner in possible for one in inspect.signature(owner).parameters}
        assert set(content.get(section, {})) <= known
