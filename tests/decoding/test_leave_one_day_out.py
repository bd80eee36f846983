"""Leave-one-day-out: what the copies see, what they are judged on, and that the kept model knows nothing of them."""

from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from sklearn.metrics import r2_score

from lightning_modules.lfads.across_days import LfadsAcrossDays
from lightning_modules.lfads.module import Lfads
from lightning_modules.parts.decoding.inference import infer
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.data_module import SpikeDataModule
from lightning_modules.parts.spikes.recordings import load_sessions
from lightning_modules.rave.across_days import RaveAcrossDays
from lightning_modules.rave.module import Rave
from lightning_modules.sable.across_days import SableAcrossDays
from lightning_modules.sable.module import Sable

DATA = {"trials_per_session": 16, "n_units": 9, "n_bins": 8, "generated_bin_width_s": 0.09, "n_sessions": 4}
TINY = {
    "latent_dim": 4,
    "encoder_hidden": 6,
    "encoder_width": 6,
    "generator_hidden": 6,
    "factor_dim": 3,
    "behaviour_hidden": 6,
    "behaviour_width": 6,
    "latent_dropout": 0.1,
}


@pytest.fixture(scope="module")
def data():
    return load_sessions(**DATA, leave_one_day_out=True)


def fit(module, data_module, *, epochs: int = 3, clip: float | None = 0.05):
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        gradient_clip_val=clip,
    )
    trainer.fit(module, datamodule=data_module)
    return module, {name: float(value) for name, value in trainer.callback_metrics.items()}


def train(data, **arguments):
    """Train with copies; the order of trials, the weights and the noise follow from the seeds."""
    data_module = SpikeDataModule(data, batch_size=12, seed=3)
    pl.seed_everything(1, verbose=False)
    return fit(SableAcrossDays(**data_module.model_arguments, **TINY, **arguments), data_module)


def same_weights(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_the_kept_model_is_bit_for_bit_the_one_trained_alone(data):
    kept, _ = train(data)
    alone = SpikeDataModule(replace(data, leave_one_day_out=False), batch_size=12, seed=3)
    pl.seed_everything(1, verbose=False)
    model, _ = fit(Sable(**alone.model_arguments, **TINY), alone)
    assert same_weights(kept.model, model)


def test_a_copy_never_hears_of_the_day_that_it_is_judged_on(data):
    before, _ = train(data)
    day = data.training.session == 1
    generator = np.random.default_rng(0)
    spikes, behaviour = data.training.spikes.copy(), data.training.behaviour.copy()
    spikes[day] = generator.poisson(3.0, spikes[day].shape)
    behaviour[day] = 100 * generator.standard_normal(behaviour[day].shape) + 50
    changed = replace(data.training, spikes=spikes, behaviour=behaviour)
    after, _ = train(replace(data, training=changed, validation=changed))
    assert same_weights(before.copies[1], after.copies[1])
    assert before.copies[1].hparams["mean_counts"] == after.copies[1].hparams["mean_counts"]
    for copy_before, copy_after in zip(before.copies[::2], after.copies[::2], strict=True):
        assert not same_weights(copy_before, copy_after)


def test_statistics_of_a_copy_are_numpys_of_the_other_days(data):
    folds = SpikeDataModule(data).model_arguments["folds"]
    assert len(folds) == 3
    for day, fold in enumerate(folds):
        others = data.training.session != day
        spikes, behaviour = data.training.spikes[others], data.training.behaviour[others].astype(float)
        np.testing.assert_allclose(fold["mean_counts"], spikes.mean(axis=(0, 1)))
        np.testing.assert_allclose(fold["behaviour_mean"], behaviour.mean(axis=(0, 1)))
        np.testing.assert_allclose(fold["behaviour_scale"], behaviour.std(axis=(0, 1)))


def test_scores_are_sklearns_of_each_copy_on_its_own_day(data):
    module, logged = train(data)
    scores = []
    for day, copy in enumerate(module.copies):
        ours = data.training.session == day
        decoded = infer(copy, data.training.spikes[ours]).behaviour.reshape(-1, 2)
        truth = data.training.behaviour[ours].reshape(-1, 2)
        scores.append(r2_score(truth, decoded, multioutput="variance_weighted"))
    assert logged["val/behaviour_r2"] == pytest.approx(np.mean(scores), abs=1e-6)
    assert logged["val/behaviour_r2_worst_session"] == pytest.approx(min(scores), abs=1e-6)
    found = [logged[f"val/behaviour_r2_without_{day}"] for day in range(3)]
    assert found == pytest.approx(scores, abs=1e-6)


def test_which_trial_is_of_which_day_does_not_change_the_kept_model(data):
    kept, _ = train(data)
    relabelled = replace(data.training, session=(data.training.session + 1) % 3)
    # The order of trials in an epoch is balanced over sessions, so it is kept as it was.
    module = SpikeDataModule(data, batch_size=12, seed=3)
    module._training = SpikeDataModule(replace(data, training=relabelled))._training
    pl.seed_everything(1, verbose=False)
    other, _ = fit(SableAcrossDays(**module.model_arguments, **TINY), module)
    assert same_weights(kept.model, other.model)
    assert not same_weights(kept.copies[0], other.copies[0])


def test_decoding_is_the_kept_models_or_the_mean_of_all(data):
    spikes = torch.tensor(data.training.spikes.astype(np.float32))
    plain, _ = train(data, ensemble=False)
    torch.testing.assert_close(plain.eval()(spikes).behaviour, plain.model(spikes).behaviour)
    pooled, _ = train(data, ensemble=True)
    members = [one.eval()(spikes).behaviour for one in (pooled.model, *pooled.copies)]
    torch.testing.assert_close(pooled.eval()(spikes).behaviour, sum(members) / 4)
    torch.testing.assert_close(pooled(spikes).latent, pooled.model(spikes).latent)


def test_a_checkpoint_brings_back_the_model_and_its_copies(data, tmp_path):
    module, _ = train(data)
    trainer = module.trainer
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    again = SableAcrossDays.load_from_checkpoint(tmp_path / "one.ckpt", weights_only=True)
    assert same_weights(module, again)
    assert module.copies[2].hparams["behaviour_mean"] == again.copies[2].hparams["behaviour_mean"]


@pytest.mark.parametrize("n_sessions", [2, 3])
def test_of_fewer_than_three_training_days_trials_are_held_out(n_sessions):
    settings = {**DATA, "n_sessions": n_sessions, "test_sessions": n_sessions - 2}
    found = load_sessions(**settings, leave_one_day_out=True)
    plain = load_sessions(**settings, validation_sessions=0)
    assert not found.leave_one_day_out
    np.testing.assert_array_equal(found.training.spikes, plain.training.spikes)
    np.testing.assert_array_equal(found.validation.spikes, plain.validation.spikes)
    data_module = SpikeDataModule(found)
    module, logged = fit(SableAcrossDays(**data_module.model_arguments, **TINY), data_module, epochs=1)
    decoded = infer(module, found.validation.spikes).behaviour.reshape(-1, 2)
    expected = r2_score(found.validation.behaviour.reshape(-1, 2), decoded, multioutput="variance_weighted")
    assert logged["val/behaviour_r2"] == pytest.approx(expected, abs=1e-6)


def test_all_but_the_sealed_days_train_and_whole_validation_days_beside_them_are_refused(data):
    assert data.session_names == ("2025-01-01", "2025-01-02", "2025-01-03")
    assert data.sealed_sessions == ("2025-01-04",)
    with pytest.raises(DataError, match=r"`validation_sessions` is 1.*\n.*leave_one_day_out false"):
        load_sessions(**DATA, leave_one_day_out=True, validation_sessions=1)


FAMILIES = {
    "lfads": (
        LfadsAcrossDays,
        Lfads,
        {"latent_dim": 4, "encoder_hidden": 5, "generator_hidden": 5, "factor_dim": 3},
    ),
    "rave": (RaveAcrossDays, Rave, {"latent_dim": 4, "width": 8, "layers": 1, "n_sessions": 3}),
    "rave read out": (
        RaveAcrossDays,
        Rave,
        {"latent_dim": 4, "width": 8, "layers": 1, "n_sessions": 3, "behaviour_weight": 0.0},
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_rivals_are_kept_as_trained_alone_and_judged_by_copies_that_never_hear_of_their_day(data, family):
    across, alone, sizes = FAMILIES[family]
    clip = None if alone is Rave else 0.05

    def run(found, kind):
        data_module = SpikeDataModule(found, batch_size=12, seed=3)
        arguments = {**data_module.model_arguments, **sizes}
        pl.seed_everything(1, verbose=False)
        if kind is alone:
            del arguments["folds"]
        return fit(kind(**arguments), data_module, clip=clip)

    kept, logged = run(data, across)
    model, _ = run(data, alone)
    assert same_weights(kept.model, model)
    scores = []
    for day, one in enumerate(kept.copies):
        ours = data.training.session == day
        decoded = infer(one, data.training.spikes[ours]).behaviour.reshape(-1, 2)
        truth = data.training.behaviour[ours].reshape(-1, 2)
        scores.append(r2_score(truth, decoded, multioutput="variance_weighted"))
    assert logged["val/behaviour_r2"] == pytest.approx(np.mean(scores), abs=1e-5)
    day = data.training.session == 2
    behaviour = data.training.behaviour.copy()
    behaviour[day] = 50 - 3 * behaviour[day]
    changed = replace(data.training, behaviour=behaviour)
    other, _ = run(replace(data, training=changed, validation=changed), across)
    assert states_equal(kept.copies[2], other.copies[2])
    assert not states_equal(kept.copies[0], other.copies[0])


def states_equal(one, other):
    ours, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)
