"""The read-out of behaviour: sklearn's ridge, fitted to training trials alone, kept with the weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lightning_modules.lfads.module import Lfads
from lightning_modules.parts.readout import ridge
from lightning_modules.parts.spikes.data_module import SpikeDataModule
from lightning_modules.parts.spikes.recordings import SpikeData

BuildLfads = Callable[..., Lfads]
BuildTrainer = Callable[..., pl.Trainer]


def sklearn_trajectories(model: Lfads, sessions: SpikeData, penalty: float) -> NDArray[np.floating[Any]]:
    """Trajectories of the validation trials, from factors and ridge fitted to the training trials."""
    with torch.no_grad():
        features = [
            model.eval()(torch.tensor(part.spikes.astype(np.float32))).factors.flatten(1).double().numpy()
            for part in (sessions.training, sessions.validation)
        ]
    reference = make_pipeline(StandardScaler(), Ridge(penalty))
    reference.fit(features[0], sessions.training.behaviour.reshape(len(features[0]), -1).astype(float))
    return reference.predict(features[1]).reshape(sessions.validation.behaviour.shape)


@pytest.mark.parametrize(("n_trials", "n_features"), [(50, 12), (12, 50)])
def test_ridge_is_sklearns_with_more_trials_and_with_more_features(n_trials: int, n_features: int) -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(n_trials, n_features)) * generator.uniform(0.01, 20, n_features) + 3
    features[:, 4] = 0.1  # a factor that never varies
    targets = generator.normal(size=(n_trials, 5)) - 7
    reference = make_pipeline(StandardScaler(), Ridge(2.5)).fit(features, targets)
    weight, bias = ridge(torch.tensor(features), torch.tensor(targets), 2.5)
    fresh = generator.normal(size=(20, n_features)) * 3
    fresh[:, 4] = 0.1
    np.testing.assert_allclose(
        fresh @ weight.numpy() + bias.numpy(), reference.predict(fresh), rtol=1e-9, atol=1e-9
    )
    assert not weight[4].any()


def test_factors_that_are_not_finite_give_behaviour_that_is_not_finite() -> None:
    features = torch.randn(20, 3)
    features[4, 1] = torch.nan
    weight, bias = ridge(features, torch.randn(20, 2), 1.0)
    assert not torch.isfinite(features[:1].double() @ weight + bias).any()


def test_before_training_the_mean_behaviour_is_decoded(build: BuildLfads, data: SpikeDataModule) -> None:
    model = build().eval()
    found = model(torch.zeros(2, 9, 10)).behaviour
    expected = data.data.training.behaviour.mean(axis=(0, 1))
    torch.testing.assert_close(found, torch.tensor(expected).expand(2, 9, 2))


@pytest.mark.parametrize("controller_dim", [0, 2])
def test_validated_behaviour_is_sklearns_from_the_training_trials(
    build: BuildLfads, sessions: SpikeData, build_trainer: BuildTrainer, controller_dim: int
) -> None:
    model = build(ridge_penalty=3.0, controller_dim=controller_dim)
    trainer = build_trainer(max_epochs=3)
    trainer.fit(model, datamodule=SpikeDataModule(sessions, batch_size=16))
    expected = sklearn_trajectories(model, sessions, 3.0)
    with torch.no_grad():
        found = model.eval()(torch.tensor(sessions.validation.spikes.astype(np.float32))).behaviour.numpy()
    scale = sessions.training.behaviour.std()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 * scale)
    truth = sessions.validation.behaviour
    score = 1 - ((truth - expected) ** 2).sum() / ((truth - truth.mean(axis=(0, 1))) ** 2).sum()
    assert trainer.callback_metrics["val/behaviour_r2"].item() == pytest.approx(score, abs=1e-3)


def readout_after(
    build: BuildLfads, build_trainer: BuildTrainer, data: SpikeDataModule, **settings: Any
) -> dict[str, torch.Tensor]:
    model = build(**settings)
    pl.seed_everything(1, verbose=False)
    build_trainer(max_epochs=2).fit(model, datamodule=data)
    return model.readout.state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def test_the_read_out_does_not_depend_on_the_batches_that_an_epoch_shows(
    build: BuildLfads, sessions: SpikeData, build_trainer: BuildTrainer
) -> None:
    """At a learning rate that changes no weight: other orders, sizes and draws of trials, equal bit for bit."""
    few = sessions.training.select(np.arange(31))  # unequal sessions: a balanced epoch leaves trials out
    uneven = replace(sessions, training=few)
    orders: list[dict[str, Any]] = [{"seed": 0}, {"seed": 7}, {"batch_size": 5}, {"session_balanced": False}]
    found = [
        readout_after(build, build_trainer, SpikeDataModule(uneven, **order), learning_rate=1e-30)
        for order in orders
    ]
    assert found[0]["weight"].any()
    assert all(same(found[0], one) for one in found[1:])


def test_no_validation_trial_reaches_the_read_out(
    build: BuildLfads, sessions: SpikeData, build_trainer: BuildTrainer
) -> None:
    other = replace(
        sessions,
        validation=replace(
            sessions.validation,
            behaviour=-sessions.validation.behaviour,
            spikes=sessions.validation.spikes[::-1].copy(),
        ),
    )
    first, second = (readout_after(build, build_trainer, SpikeDataModule(one)) for one in (sessions, other))
    assert same(first, second)


def test_behaviour_takes_no_part_in_the_training_of_the_network(
    build: BuildLfads, sessions: SpikeData, build_trainer: BuildTrainer
) -> None:
    shuffled = replace(
        sessions, training=replace(sessions.training, behaviour=sessions.training.behaviour[::-1].copy())
    )
    vectors, readouts = [], []
    for one in (sessions, shuffled):
        model = build(behaviour_mean=[0.0, 0.0], behaviour_scale=[1.0, 1.0])
        pl.seed_everything(1, verbose=False)
        build_trainer(max_epochs=2).fit(model, datamodule=SpikeDataModule(one))
        vectors.append(torch.nn.utils.parameters_to_vector(model.parameters()))
        readouts.append(model.readout.state_dict())
    assert torch.equal(*vectors)
    assert not same(*readouts)


@pytest.mark.parametrize("controller_dim", [0, 2])
def test_a_reloaded_model_validates_with_the_read_out_that_was_kept(
    build: BuildLfads, data: SpikeDataModule, build_trainer: BuildTrainer, tmp_path: Path, controller_dim: int
) -> None:
    model = build(controller_dim=controller_dim)
    trainer = build_trainer(max_epochs=2)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "best.ckpt")
    logged = {name: one.item() for name, one in trainer.callback_metrics.items() if name.startswith("val/")}
    loaded = Lfads.load_from_checkpoint(tmp_path / "best.ckpt", weights_only=True, map_location="cpu")
    spikes = torch.tensor(data.data.validation.spikes.astype(np.float32))
    found, expected = loaded.eval()(spikes), model.eval()(spikes)
    assert torch.equal(found.behaviour, expected.behaviour)
    assert torch.equal(found.log_rates, expected.log_rates)
    # Validated with a data module whose training trials would fit another read-out.
    shuffled = replace(
        data.data, training=replace(data.data.training, behaviour=data.data.training.behaviour[::-1].copy())
    )
    (again,) = build_trainer().validate(loaded, datamodule=SpikeDataModule(shuffled), verbose=False)
    assert again == logged
