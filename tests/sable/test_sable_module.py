import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from sklearn.metrics import r2_score
from torch.utils.data import DataLoader

from lightning_modules.parts.spikes.batch import LabelledSpikeBatch, SpikeBatch
from lightning_modules.sable.module import Sable

BuildSable = Callable[..., Sable]
Rows = torch.Tensor | slice


def _loader(batch: LabelledSpikeBatch | SpikeBatch, *parts: Rows) -> DataLoader[Any]:
    batches = [type(batch)(*(one[part] for one in batch)) for part in parts]
    return DataLoader(batches, batch_size=None, collate_fn=lambda one: one)  # type: ignore[arg-type]


def _trainer(**settings: Any) -> pl.Trainer:
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }
    return pl.Trainer(**{**quiet, **settings})


def _fit(model: Sable, trials: LabelledSpikeBatch, **settings: Any) -> pl.Trainer:
    training = SpikeBatch(trials.spikes, trials.behaviour)
    trainer = _trainer(**settings)
    pl.seed_everything(1, verbose=False)
    trainer.fit(
        model,
        _loader(training, slice(0, 12), slice(12, 24)),
        _loader(trials, slice(0, 9), slice(9, 24)),
    )
    return trainer


def test_training_batches_carry_no_session() -> None:
    assert SpikeBatch._fields == ("spikes", "behaviour")


def test_relabelling_sessions_leaves_the_trained_weights_unchanged_bit_for_bit(
    build: BuildSable, trials: LabelledSpikeBatch
) -> None:
    models = [build(), build()]
    for model, session in zip(models, (trials.session, 2 - trials.session), strict=True):
        _fit(model, trials._replace(session=session), max_epochs=3)
    first, second = (torch.nn.utils.parameters_to_vector(model.parameters()) for model in models)
    assert torch.equal(first, second)


def test_validation_scores_are_of_the_whole_set_not_means_over_batches(
    build: BuildSable, trials: LabelledSpikeBatch
) -> None:
    model = build()
    trainer = _fit(model, trials, max_epochs=1)
    with torch.no_grad():
        output = model.eval()(trials.spikes)
    truth, predicted = trials.behaviour.reshape(-1, 2).numpy(), output.behaviour.reshape(-1, 2).numpy()
    expected = r2_score(truth, predicted, multioutput="variance_weighted")
    assert trainer.callback_metrics["val/behaviour_r2"].item() == pytest.approx(expected, abs=1e-5)
    day = trials.session.repeat_interleave(trials.behaviour.shape[1]).numpy()
    sessions = [
        r2_score(truth[day == one], predicted[day == one], multioutput="variance_weighted")
        for one in range(3)
    ]
    worst = trainer.callback_metrics["val/behaviour_r2_worst_session"].item()
    assert worst == pytest.approx(min(sessions), abs=1e-5)
    variance = output.posterior.log_variance.exp()
    kl = 0.5 * (output.posterior.mean**2 + variance - 1 - variance.log()).sum(dim=1).mean()
    assert trainer.callback_metrics["val/kl"].item() == pytest.approx(kl.item(), rel=1e-4)


def test_eval_mode_decodes_the_posterior_mean_and_train_mode_a_sample(
    build: BuildSable, trials: LabelledSpikeBatch
) -> None:
    model = build(input_dropout=0.5, latent_dropout=0.5)
    model.eval()
    assert torch.equal(model(trials.spikes).latent, model(trials.spikes).posterior.mean)
    assert torch.equal(model(trials.spikes).behaviour, model(trials.spikes).behaviour)
    model.train()
    assert not torch.equal(model(trials.spikes).latent, model(trials.spikes).latent)


def test_samples_have_the_mean_and_variance_of_the_posterior(
    build: BuildSable, trials: LabelledSpikeBatch
) -> None:
    model = build().train().requires_grad_(False)
    output = model(trials.spikes[:1].expand(4000, -1, -1))
    mean, variance = output.posterior.mean[0], output.posterior.log_variance[0].exp()
    torch.testing.assert_close(
        output.latent.mean(dim=0), mean, rtol=0, atol=5 * (variance.max() / 4000) ** 0.5
    )
    torch.testing.assert_close(output.latent.var(dim=0), variance, rtol=0.15, atol=0)


def test_before_training_rates_start_at_the_mean_counts(
    build: BuildSable, trials: LabelledSpikeBatch
) -> None:
    model = build().eval()
    assert model.neural_decoder is not None
    with torch.no_grad():
        model.neural_decoder.log_rates.weight.zero_()
        log_rates = model(trials.spikes).log_rates
    torch.testing.assert_close(log_rates.exp().mean(dim=(0, 1)), trials.spikes.mean(dim=(0, 1)))


def test_a_silent_unit_starts_at_a_finite_log_rate(build: BuildSable, trials: LabelledSpikeBatch) -> None:
    silent = build(mean_counts=[0.0] * 10)
    output = silent.eval()(trials.spikes)
    assert torch.isfinite(output.log_rates).all()


@pytest.mark.parametrize("variant", ["sable", "behaviour_only"])
def test_a_checkpoint_loaded_without_arbitrary_objects_gives_identical_outputs(
    build: BuildSable, trials: LabelledSpikeBatch, tmp_path: Path, variant: str
) -> None:
    model = build(variant=variant)
    trainer = _fit(model, trials, max_epochs=1)
    trainer.save_checkpoint(tmp_path / "best.ckpt", weights_only=True)
    loaded = Sable.load_from_checkpoint(tmp_path / "best.ckpt", weights_only=True, map_location="cpu")
    expected, found = model.eval()(trials.spikes), loaded.eval()(trials.spikes)
    assert torch.equal(found.behaviour, expected.behaviour)
    if variant == "sable":
        assert torch.equal(found.log_rates, expected.log_rates)


def test_a_resumed_trial_goes_on_with_its_warmups_and_reaches_the_same_weights(
    build: BuildSable, trials: LabelledSpikeBatch, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        "reversal_schedule": "linear",
        "reversal_warmup_steps": 10,
        "kl_warmup_steps": 10,
    }
    training = SpikeBatch(trials.spikes, trials.behaviour)

    class SeedEpochs(pl.Callback):
        def on_train_batch_start(
            self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
        ) -> None:
            torch.manual_seed(trainer.global_step)

    def fit(model: Sable, epochs: int, resume: Path | None) -> pl.Trainer:
        trainer = _trainer(max_epochs=epochs, callbacks=[SeedEpochs()])
        loaders = _loader(training, slice(0, 12), slice(12, 24)), _loader(trials, slice(0, 24))
        trainer.fit(model, *loaders, ckpt_path=resume, weights_only=True)
        return trainer

    whole = build(**settings)
    fit(whole, 4, None)
    fit(build(**settings), 2, None).save_checkpoint(tmp_path / "last.ckpt")
    resumed = build(**settings)
    trainer = fit(resumed, 4, tmp_path / "last.ckpt")
    assert trainer.callback_metrics["train/reversal_strength"].item() == pytest.approx(0.7 * 8 / 10)
    vectors = [torch.nn.utils.parameters_to_vector(one.parameters()) for one in (whole, resumed)]
    assert torch.equal(*vectors)


def test_it_learns_eight_trials_by_heart(build: BuildSable, trials: LabelledSpikeBatch) -> None:
    few = LabelledSpikeBatch(*(one[:8] for one in trials))
    wide = {"encoder_hidden": 16, "encoder_width": 16, "behaviour_hidden": 16, "behaviour_width": 16}
    model = build(learning_rate=1e-2, kl_weight=0.01, reversal_strength=0.1, latent_dim=6, **wide)
    trainer = _trainer(max_epochs=150, check_val_every_n_epoch=150)
    trainer.fit(model, _loader(SpikeBatch(few.spikes, few.behaviour), slice(0, 8)), _loader(few, slice(0, 8)))
    assert trainer.callback_metrics["val/behaviour_r2"] > 0.9


def test_encoder_gradient_norms_add_up_to_the_gradient_of_the_loss(
    build: BuildSable, trials: LabelledSpikeBatch
) -> None:
    model = build(behaviour_weight=0.0, kl_weight=0.0)
    batch = SpikeBatch(trials.spikes, trials.behaviour)
    model.training_step(batch, 0).backward()
    total = torch.cat(
        [one.grad.flatten() for one in model.encoder.parameters() if one.grad is not None]
    ).norm()
    norms = model._encoder_gradients
    assert norms["train/encoder_grad_neural"].item() == pytest.approx(total.item(), rel=1e-5)
    assert norms["train/encoder_grad_behaviour"] == norms["train/encoder_grad_kl"] == 0


def test_everything_promised_is_logged_and_finite(build: BuildSable, trials: LabelledSpikeBatch) -> None:
    logged = _fit(build(), trials, max_epochs=1).callback_metrics
    assert set(logged) == {
        "train/loss", "train/behaviour_mse", "train/neural_nll", "train/kl", "train/reversal_strength",
        "train/encoder_grad_behaviour", "train/encoder_grad_neural", "train/encoder_grad_kl",
        "val/loss", "val/kl", "val/bits_per_spike", "val/behaviour_r2", "val/behaviour_r2_flat",
        "val/behaviour_r2_within_target", "val/behaviour_r2_worst_session",
    }  # fmt: skip
    assert all(math.isfinite(value) for value in logged.values())


def test_non_finite_weights_show_as_a_nan_score(build: BuildSable, trials: LabelledSpikeBatch) -> None:
    model = build(learning_rate=1e30)
    logged = _fit(model, trials, max_epochs=3).callback_metrics
    assert not math.isfinite(logged["val/behaviour_r2"])


def test_spikes_of_another_shape_are_refused_with_both_shapes_named(build: BuildSable) -> None:
    with pytest.raises(ValueError, match=r"12 bins and 10 units but got spikes of shape \(2, 12, 9\)"):
        build()(torch.zeros(2, 12, 9))


def test_all_wrong_settings_are_named_at_once(build: BuildSable) -> None:
    with pytest.raises(ValueError, match="Sable cannot be built") as caught:
        build(latent_dim=0, input_dropout=1.0, learning_rate=-1.0, variant="rave", mean_counts=[1.0])
    for problem in (
        "`latent_dim` is 0, but must be a whole number of at least 1.",
        "`input_dropout` is 1.0, but must be from 0 to below 1.",
        "`learning_rate` is -1.0, but must be above 0.",
        "`variant` is 'rave', but must be one of sable, no_reversal, stop_gradient, behaviour_only, session",
        "`mean_counts` has 1 entries, but n_units is 10.",
    ):
        assert problem in str(caught.value)


def test_statistics_that_cannot_be_used_are_refused(build: BuildSable) -> None:
    with pytest.raises(ValueError, match="`behaviour_scale` must be above 0"):
        build(behaviour_scale=[1.0, 0.0])
    with pytest.raises(ValueError, match="`behaviour_mean` holds values that are not finite"):
        build(behaviour_mean=[math.nan, 0.0])
    with pytest.raises(ValueError, match="`behaviour_names` is empty"):
        build(behaviour_names=[], behaviour_mean=[], behaviour_scale=[])


def test_paper_size_has_the_number_of_parameters_that_the_specification_counted(build: BuildSable) -> None:
    from search_spaces.sable.published import PAPER

    settings = {name[6:]: value for name, value in PAPER.items() if name.startswith("model.")}
    model = build(**{**settings, "n_units": 96, "mean_counts": [0.2] * 96})
    assert sum(one.numel() for one in model.parameters()) == pytest.approx(12.93e6, abs=0.005e6)
