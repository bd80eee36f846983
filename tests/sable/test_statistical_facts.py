"""What training must bring about on generated days, over five animals: section 9.2 of the specification.

Nothing here says which model decodes unseen days best: that is a question, put by `rivals_on_presets.py`.
"""

import importlib.util
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from lightning_modules.parts.decoding.inference import infer
from lightning_modules.parts.decoding.probes import probe_session, probe_target
from neurosweep.trials.build import quiet_lightning

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

SEEDS = range(5)
UPDATES = 1600
MODELS = ("sable", "no_reversal", "stop_gradient", "behaviour_only", "rave-plus")
CHANCE = 1 / 5
"""Of telling five training days with as many trials each apart."""


def _load_benchmark() -> ModuleType:
    path = Path(__file__).resolve().parents[1] / "benchmarks" / "rivals_on_presets.py"
    spec = importlib.util.spec_from_file_location("rivals_on_presets", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["rivals_on_presets"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rivals = _load_benchmark()


@dataclass(frozen=True)
class Trained:
    """What is asked of a model that was trained on the training days of an animal."""

    session_probe: float
    target_probe: float
    bits_per_spike: float


@pytest.fixture(scope="module", autouse=True)
def one_quiet_thread():
    quiet_lightning()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def animal(preset, seed):
    return rivals.load_sessions(**rivals.DAYS, preset=preset, generator_seed=seed)


def r2(model, spikes, behaviour):
    decoded = infer(model, spikes).behaviour
    flat = behaviour.reshape(-1, behaviour.shape[-1])
    return r2_score(flat, decoded.reshape(flat.shape), multioutput="variance_weighted")


@pytest.fixture(scope="module")
def exchangeable():
    """Probes and bits per spike of each model, an array over seeds."""
    found = {name: [] for name in MODELS}
    for seed in SEEDS:
        data = animal("exchangeable", seed)
        for name in MODELS:
            model, validated = rivals.train_model(name, data, seed, UPDATES)
            latents = [infer(model, part.spikes).latents for part in (data.training, data.validation)]
            found[name].append(
                Trained(
                    session_probe=probe_session(latents[0], data.training.session).accuracy,
                    target_probe=probe_target(
                        latents[0], data.training.target, latents[1], data.validation.target
                    ).accuracy,
                    bits_per_spike=validated.get("val/bits_per_spike", np.nan),
                )
            )
    return {
        name: {field: np.array([getattr(one, field) for one in each]) for field in Trained.__annotations__}
        for name, each in found.items()
    }


def test_the_reversal_takes_the_session_out_of_the_latent(exchangeable):
    with_reversal = exchangeable["sable"]["session_probe"]
    without = exchangeable["no_reversal"]["session_probe"]
    assert without.mean() >= 0.70
    assert with_reversal.mean() <= 0.60
    assert (without - with_reversal).mean() >= 0.2
    assert (without > with_reversal).all()


def test_the_reversal_costs_the_reconstruction_a_part_and_not_all(exchangeable):
    """On held-out trials of the training days."""
    with_reversal = exchangeable["sable"]["bits_per_spike"]
    without = exchangeable["no_reversal"]["bits_per_spike"]
    assert (without > with_reversal).all()
    assert (with_reversal > 0).all()


def test_what_behaviour_needs_stays_in_the_latent_of_every_model(exchangeable):
    for name in MODELS:
        assert exchangeable[name]["target_probe"].mean() >= 0.85, name


def test_the_session_classifier_of_rave_plus_is_deceived(exchangeable):
    assert exchangeable["rave-plus"]["session_probe"].mean() <= CHANCE + 0.15


def test_without_drift_nothing_is_lost_on_later_days():
    validated, tested = [], []
    for seed in SEEDS:
        data, sealed = rivals.animal("none", seed)
        model, metrics = rivals.train_model("no_reversal", data, seed, UPDATES)
        validated.append(metrics["val/behaviour_r2"])
        tested.append(sealed.score([model]).scores[0]["test/behaviour_r2"])
    assert np.mean(validated) >= 0.93
    assert np.mean(tested) == pytest.approx(np.mean(validated), abs=0.03)


@pytest.mark.parametrize("name", ["sable", "no_reversal"])
@pytest.mark.parametrize("shuffled", ["behaviour", "spikes"])
def test_what_is_shuffled_over_trials_teaches_nothing(name, shuffled):
    data = animal("default", 0)
    order = np.random.default_rng(0).permutation(len(data.training))
    training = replace(data.training, **{shuffled: getattr(data.training, shuffled)[order]})
    # The epoch is the one with the best held-out trials, so that a little above 0 is chance.
    model, _ = rivals.train_model(name, replace(data, training=training), 0, 400)
    assert r2(model, data.validation.spikes, data.validation.behaviour) < 0.1


def test_time_reversed_spikes_cannot_be_decoded():
    data = animal("default", 0)
    model, _ = rivals.train_model("sable", data, 0, UPDATES)
    validation = data.validation
    forward = r2(model, validation.spikes, validation.behaviour)
    assert r2(model, np.ascontiguousarray(validation.spikes[:, ::-1]), validation.behaviour) < forward - 0.5
