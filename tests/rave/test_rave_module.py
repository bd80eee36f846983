import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.metrics import r2
from lightning_modules.parts.spikes.batch import LabelledSpikeBatch
from lightning_modules.parts.spikes.data_module import LabelledSpikeDataModule
from lightning_modules.parts.spikes.recordings import SpikeData, load_sessions
from lightning_modules.rave.module import Rave

BuildRave = Callable[..., Rave]
BuildTrainer = Callable[..., pl.Trainer]


class SeedSteps(pl.Callback):
    """Dropout of a step that depends on the step alone."""

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        torch.manual_seed(trainer.global_step)


def states_equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    states = one.state_dict(), other.state_dict()
    assert states[0].keys() == states[1].keys()
    return all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def spikes_of(sessions: SpikeData) -> tuple[Tensor, Tensor]:
    """Spikes of training and of validation, float32."""
    parts = sessions.training, sessions.validation
    first, second = (torch.tensor(part.spikes.astype(np.float32)) for part in parts)
    return first, second


@pytest.mark.parametrize("behaviour_weight", [1.0, 0.0])
@pytest.mark.parametrize("epochs", [1, 2])
def test_a_trial_resumed_after_any_epoch_equals_an_undisturbed_one_bit_for_bit(
    build: BuildRave,
    data: LabelledSpikeDataModule,
    build_trainer: BuildTrainer,
    tmp_path: Path,
    behaviour_weight: float,
    epochs: int,
) -> None:
    noise = {"dropout": 0.2, "behaviour_dropout": 0.2, "classifier_dropout": 0.2, "weight_decay": 0.01}

    def fit(max_epochs: int, resume: Path | None) -> tuple[Rave, pl.Trainer]:
        model = build(behaviour_weight=behaviour_weight, **noise)
        trainer = build_trainer(max_epochs=max_epochs, callbacks=[SeedSteps()])
        trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=True)
        return model, trainer

    whole, undisturbed = fit(3, None)
    fit(epochs, None)[1].save_checkpoint(tmp_path / "last.ckpt")
    resumed, trainer = fit(3, tmp_path / "last.ckpt")
    assert states_equal(whole, resumed)
    assert {name: one.item() for name, one in trainer.callback_metrics.items()} == {
        name: one.item() for name, one in undisturbed.callback_metrics.items()
    }


@pytest.mark.parametrize("behaviour_weight", [1.0, 0.0])
def test_a_reloaded_model_decodes_and_validates_as_the_one_that_was_kept(
    build: BuildRave,
    data: LabelledSpikeDataModule,
    build_trainer: BuildTrainer,
    tmp_path: Path,
    behaviour_weight: float,
) -> None:
    model = build(behaviour_weight=behaviour_weight)
    trainer = build_trainer(max_epochs=2)
    trainer.fit(model, datamodule=data)
    trainer.save_checkpoint(tmp_path / "best.ckpt")
    logged = {name: one.item() for name, one in trainer.callback_metrics.items() if name.startswith("val/")}
    loaded = Rave.load_from_checkpoint(tmp_path / "best.ckpt", weights_only=True, map_location="cpu")
    _, spikes = spikes_of(data.data)
    found, expected = loaded.eval()(spikes), model.eval()(spikes)
    assert found.log_rates is None
    for name in ("latent", "reconstruction", "behaviour"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
    # Validated with a data module whose training trials would fit another read-out.
    shuffled = replace(data.data.training, behaviour=data.data.training.behaviour[::-1].copy())
    other = LabelledSpikeDataModule(replace(data.data, training=shuffled))
    (again,) = build_trainer().validate(loaded, datamodule=other, verbose=False)
    assert again == logged


def test_behaviour_of_rave_is_sklearns_ridge_on_the_frozen_latents_of_the_training_trials(
    build: BuildRave, sessions: SpikeData, data: LabelledSpikeDataModule, build_trainer: BuildTrainer
) -> None:
    model = build(behaviour_weight=0.0, ridge_penalty=3.0, learning_rate=1e-2)
    assert model.behaviour_decoder is None
    trainer = build_trainer(max_epochs=3)
    trainer.fit(model, datamodule=data)
    seen, unseen = spikes_of(sessions)
    with torch.no_grad():
        latents = [model.eval()(one).latent.double().numpy() for one in (seen, unseen)]
        found = model(unseen).behaviour.numpy()
    reference = make_pipeline(StandardScaler(), Ridge(3.0))
    reference.fit(latents[0], sessions.training.behaviour.reshape(len(seen), -1).astype(float))
    truth = sessions.validation.behaviour
    expected = reference.predict(latents[1]).reshape(truth.shape)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3 * truth.std())
    score = r2_score(truth.reshape(-1, 2), expected.reshape(-1, 2), multioutput="variance_weighted")
    assert trainer.callback_metrics["val/behaviour_r2"].item() == pytest.approx(score, abs=1e-3)


@pytest.mark.parametrize("behaviour_weight", [1.0, 0.0])
def test_behaviour_takes_part_in_the_training_of_the_encoder_in_rave_plus_alone(
    build: BuildRave, sessions: SpikeData, build_trainer: BuildTrainer, behaviour_weight: float
) -> None:
    shuffled = replace(sessions.training, behaviour=sessions.training.behaviour[::-1].copy())
    models = []
    for one in (sessions, replace(sessions, training=shuffled)):
        model = build(
            behaviour_weight=behaviour_weight, behaviour_mean=[0.0, 0.0], behaviour_scale=[1.0, 1.0]
        )
        build_trainer(max_epochs=2).fit(model, datamodule=LabelledSpikeDataModule(one))
        models.append(model)
    assert states_equal(models[0].autoencoder, models[1].autoencoder) == (not behaviour_weight)


def test_permuting_units_together_with_the_weights_that_belong_to_them_permutes_the_reconstruction(
    build: BuildRave, trials: LabelledSpikeBatch, data: LabelledSpikeDataModule
) -> None:
    model = build().double().eval()
    order = torch.randperm(10)
    means = torch.tensor(data.model_arguments["mean_counts"])[order].tolist()
    other = build(mean_counts=means).double().eval()
    flat = torch.arange(90).unflatten(0, (9, 10))[:, order].flatten()
    with torch.no_grad():
        for one in (model.autoencoder, other.autoencoder):
            one.decoder[-1].weight.mul_(1e3)  # type: ignore[operator]
        first, last = other.autoencoder.encoder[0], other.autoencoder.decoder[-1]
        for parameter, columns in ((first.weight, True), (last.weight, False), (last.bias, False)):
            assert isinstance(parameter, Tensor)
            parameter.copy_(parameter[:, flat].clone() if columns else parameter[flat].clone())
        expected, found = model(trials.spikes), other(trials.spikes[:, :, order])
    torch.testing.assert_close(found.latent, expected.latent, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.behaviour, expected.behaviour, rtol=0, atol=1e-12)
    torch.testing.assert_close(found.reconstruction, expected.reconstruction[..., order], rtol=0, atol=1e-12)


def test_what_is_decoded_of_a_trial_does_not_depend_on_the_trials_beside_it(
    build: BuildRave, trials: LabelledSpikeBatch
) -> None:
    model = build().double()
    with torch.no_grad():
        for _ in range(5):
            model.train()(trials.spikes)  # running statistics
        together = model.eval()(trials.spikes).behaviour
        alone = torch.cat([model(one[None]).behaviour for one in trials.spikes])
        torch.testing.assert_close(together, alone, rtol=0, atol=1e-10)
        assert not torch.allclose(model.train()(trials.spikes[:9]).latent, model(trials.spikes).latent[:9])


def _loader(batch: LabelledSpikeBatch, *parts: slice) -> DataLoader[Any]:
    batches = [LabelledSpikeBatch(*(one[part] for one in batch)) for part in parts]
    return DataLoader(batches, batch_size=None, collate_fn=lambda one: one)  # type: ignore[arg-type]


def test_a_single_trial_left_over_is_passed_over(
    build: BuildRave, data: LabelledSpikeDataModule, build_trainer: BuildTrainer
) -> None:
    training, models = data.train_dataloader().dataset[list(range(41))], []
    for parts in ((slice(0, 40), slice(40, 41)), (slice(0, 40),)):
        model = build()
        build_trainer(max_epochs=2).fit(model, _loader(training, *parts), data.val_dataloader())
        models.append(model)
    assert states_equal(*models)


def test_batches_of_single_trials_are_refused_with_the_cure(
    build: BuildRave, sessions: SpikeData, build_trainer: BuildTrainer
) -> None:
    with pytest.raises(DataError, match=r"single trial.*\n.*batch_size` 2 or more"):
        build_trainer(max_epochs=1).fit(build(), datamodule=LabelledSpikeDataModule(sessions, batch_size=1))


def test_several_workers_are_refused(
    build: BuildRave,
    data: LabelledSpikeDataModule,
    build_trainer: BuildTrainer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trainer = build_trainer(max_epochs=1)
    monkeypatch.setattr(type(trainer), "world_size", 2)
    with pytest.raises(DataError, match="one worker, but there are 2"):
        trainer.fit(build(), datamodule=data)


def test_validation_metrics_are_of_the_whole_set_not_means_over_batches(
    build: BuildRave, data: LabelledSpikeDataModule, build_trainer: BuildTrainer
) -> None:
    model = build(reconstruction_weight=2.0, behaviour_weight=0.5)
    trainer = build_trainer(max_epochs=1)
    validation = data.val_dataloader().dataset[list(range(24))]
    trainer.fit(model, data.train_dataloader(), _loader(validation, slice(0, 5), slice(5, 24)))
    logged = trainer.callback_metrics
    with torch.no_grad():
        output = model.eval()(validation.spikes)
        reconstruction = (output.reconstruction - model.input(validation.spikes)).square().mean().item()
    scaled = ((output.behaviour - validation.behaviour) / model.behaviour_scale).square().mean().item()
    assert logged["val/reconstruction_mse"].item() == pytest.approx(reconstruction, rel=1e-5)
    assert logged["val/loss"].item() == pytest.approx(2 * reconstruction + 0.5 * scaled, rel=1e-5)
    truth, predicted = (one.flatten(0, 1).numpy() for one in (validation.behaviour, output.behaviour))
    score = r2_score(truth, predicted, multioutput="variance_weighted")
    assert logged["val/behaviour_r2"].item() == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("behaviour_weight", [1.0, 0.0])
def test_everything_promised_is_logged_and_finite(
    build: BuildRave, data: LabelledSpikeDataModule, build_trainer: BuildTrainer, behaviour_weight: float
) -> None:
    trainer = build_trainer(max_epochs=1)
    trainer.fit(build(behaviour_weight=behaviour_weight), datamodule=data)
    expected = {
        "train/loss", "train/reconstruction_mse", "train/session_cross_entropy", "train/session_accuracy",
        "val/loss", "val/reconstruction_mse", "val/behaviour_r2", "val/behaviour_r2_flat",
        "val/behaviour_r2_within_target", "val/behaviour_r2_worst_session",
    }  # fmt: skip
    expected |= {"train/behaviour_mse"} if behaviour_weight else set()
    assert set(trainer.callback_metrics) == expected
    assert all(math.isfinite(value) for value in trainer.callback_metrics.values())


@pytest.mark.parametrize("behaviour_weight", [1.0, 0.0])
def test_non_finite_weights_show_as_a_score_that_is_not_finite(
    build: BuildRave, data: LabelledSpikeDataModule, build_trainer: BuildTrainer, behaviour_weight: float
) -> None:
    trainer = build_trainer(max_epochs=2)
    trainer.fit(build(behaviour_weight=behaviour_weight, learning_rate=1e30), datamodule=data)
    assert not math.isfinite(trainer.callback_metrics["val/behaviour_r2"])


def test_spikes_of_another_shape_are_refused_with_both_shapes_named(build: BuildRave) -> None:
    with pytest.raises(ValueError, match=r"9 bins and 10 units but got spikes of shape \(2, 12, 10\)"):
        build()(torch.zeros(2, 12, 10))


def test_all_wrong_settings_are_named_at_once(build: BuildRave) -> None:
    with pytest.raises(ValueError, match="Rave cannot be built") as caught:
        build(
            latent_dim=0, classifier_steps=0, behaviour_layers=-1, dropout=1.0, smoothing_bins=-1.0,
            gradient_clip=0.0, domain_weight=math.inf, n_sessions=1, mean_counts=[1.0],
        )  # fmt: skip
    for problem in (
        "`latent_dim` is 0, but must be a whole number of at least 1.",
        "`classifier_steps` is 0, but must be a whole number of at least 1.",
        "`behaviour_layers` is -1, but must be a whole number of at least 0.",
        "`dropout` is 1.0, but must be from 0 to below 1.",
        "`smoothing_bins` is -1.0, but must be 0 or more.",
        "`gradient_clip` is 0.0, but must be above 0.",
        "`domain_weight` is inf, but must be 0 or more.",
        "`n_sessions` is 1, but a session classifier needs at least 2 training sessions",
        "`mean_counts` has 1 entries, but n_units is 10.",
    ):
        assert problem in str(caught.value)
    with pytest.raises(
        ValueError, match="`width` is 7, but is halved from layer to layer and must be at least 8"
    ):
        build(width=7, layers=4)


def test_a_data_module_without_session_labels_is_refused_with_the_cure(
    build: BuildRave, data: LabelledSpikeDataModule
) -> None:
    unlabelled = {name: one for name, one in data.model_arguments.items() if name != "n_sessions"}
    with pytest.raises(ValueError, match=r"`n_sessions` is 0.*launch `rave-plus`"):
        Rave(**unlabelled)


class LabelledRows:
    """Trials as the data sets of the data module give them."""

    def __init__(self, batch: LabelledSpikeBatch) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return len(self.batch.spikes)

    def __getitem__(self, rows: list[int]) -> LabelledSpikeBatch:
        return LabelledSpikeBatch(*(one[rows] for one in self.batch))


@pytest.mark.parametrize("behaviour_weight", [1.0, 0.0])
def test_on_generated_sessions_it_decodes_an_unseen_day_about_as_well_as_ridge_on_all_counts(
    build_trainer: BuildTrainer, behaviour_weight: float
) -> None:
    """Few epochs and classifier steps, days without drift; measured: RAVE+ .92, RAVE .94, ridge .90."""
    sessions = load_sessions(preset="none", trials_per_session=64, n_units=48)
    data = LabelledSpikeDataModule(sessions)
    pl.seed_everything(0, verbose=False)
    small: dict[str, Any] = {"classifier_layers": 1, "classifier_steps": 2}
    model = Rave(**data.model_arguments, behaviour_weight=behaviour_weight, **small)
    trainer = build_trainer(max_epochs=20, check_val_every_n_epoch=20)
    trainer.fit(model, datamodule=data)
    seen, unseen = spikes_of(sessions)
    reference = make_pipeline(StandardScaler(), RidgeCV([1e2, 1e3, 1e4]))
    reference.fit(seen.flatten(1).numpy(), sessions.training.behaviour.reshape(len(seen), -1))
    predicted = reference.predict(unseen.flatten(1).numpy()).reshape(sessions.validation.behaviour.shape)
    truth = torch.tensor(sessions.validation.behaviour)
    ridge = r2(torch.tensor(predicted), truth)
    assert ridge > 0.85
    assert trainer.callback_metrics["val/behaviour_r2"] > ridge - 0.05
    if behaviour_weight:
        return
    # The control: behaviour of other trials cannot be decoded.
    training = data.train_dataloader().dataset[list(range(len(seen)))]
    shuffled = training._replace(behaviour=training.behaviour[torch.randperm(len(seen))])
    model.eval().fit_readout(LabelledRows(shuffled))  # type: ignore[arg-type]
    with torch.no_grad():
        assert r2(model(unseen).behaviour, truth) < 0.1


def test_the_domain_term_hides_the_session_from_a_probe_that_finds_it_otherwise(
    build_trainer: BuildTrainer,
) -> None:
    """RAVE on days that drift; a support vector machine on frozen latents; measured .76 and .49, chance is .33."""
    sessions = load_sessions(preset="strong", trials_per_session=48, n_units=32, n_bins=12)
    accuracies = []
    for domain_weight in (0.0, 1.0):
        data = LabelledSpikeDataModule(sessions)
        pl.seed_everything(0, verbose=False)
        small: dict[str, Any] = {"width": 128, "layers": 2, "classifier_layers": 1, "classifier_steps": 3}
        model = Rave(**data.model_arguments, domain_weight=domain_weight, behaviour_weight=0.0, **small)
        build_trainer(max_epochs=20, limit_val_batches=0).fit(model, data.train_dataloader())
        with torch.no_grad():
            latents = model.eval()(spikes_of(sessions)[0]).latent.numpy()
        probe = make_pipeline(StandardScaler(), SVC())
        accuracies.append(cross_val_score(probe, latents, sessions.training.session, cv=5).mean())
    assert accuracies[0] > 0.6
    assert accuracies[1] < accuracies[0] - 0.15
