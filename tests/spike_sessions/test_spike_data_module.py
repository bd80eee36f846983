"""What reaches the model: no leak from validation, no session label, an order that survives a resume."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import SpikeTrials, epoch_order, generate_sessions, write_npz
from lightning_modules.parts.spikes.batch import LabelledSpikeBatch, SpikeBatch
from lightning_modules.parts.spikes.data_module import SpikeDataModule
from lightning_modules.parts.spikes.recordings import load_sessions

TINY = {"trials_per_session": 24, "n_units": 8, "n_bins": 6}


@pytest.fixture(scope="module")
def data():
    return load_sessions(**TINY)


@pytest.fixture(scope="module")
def few_days():
    return load_sessions(n_sessions=3, **TINY)


def rows(trials):
    return {
        trials.spikes[trial].tobytes() + trials.behaviour[trial].tobytes() for trial in range(len(trials))
    }


def test_five_days_are_three_to_train_one_to_validate_and_one_sealed(data):
    assert data.session_names == ("2025-01-01", "2025-01-02", "2025-01-03", "2025-01-04")
    assert data.sealed_sessions == ("2025-01-05",)
    assert np.bincount(data.training.session).tolist() == [24, 24, 24]
    assert np.bincount(data.validation.session).tolist() == [0, 0, 0, 24]
    assert set(data.splits) == {"training", "validation"}
    assert any("sealed: 2025-01-05" in note for note in data.notes)


def test_opened_trials_are_those_of_the_opened_days_and_none_of_the_sealed_one(data):
    sessions = generate_sessions(n_sessions=5, bin_width_s=0.03, **TINY)
    blocks = [session.spikes.reshape(24, 6, 8) for session in sessions]
    np.testing.assert_array_equal(data.training.spikes, np.concatenate(blocks[:3]))
    np.testing.assert_array_equal(data.validation.spikes, blocks[3])
    sealed = {trial.tobytes() for trial in blocks[4]}
    for split in data.splits.values():
        assert sealed.isdisjoint(trial.tobytes() for trial in split.spikes)


def test_held_out_trials_are_in_no_training_set(few_days):
    assert few_days.sealed_sessions == ()
    assert rows(few_days.training).isdisjoint(rows(few_days.validation))
    assert len(few_days.training) + len(few_days.validation) == 72
    # A fifth of 24 trials, from each session.
    assert np.bincount(few_days.validation.session).tolist() == [5, 5, 5]


def test_normalisation_is_computed_from_training_trials_only(few_days):
    arguments = SpikeDataModule(few_days).model_arguments
    trials = few_days.training
    for unit in range(8):
        total = sum(int(count) for trial in trials.spikes for count in trial[:, unit])
        assert arguments["mean_counts"][unit] == pytest.approx(total / (len(trials) * 6))
    for axis in range(2):
        values = [float(value) for trial in trials.behaviour for value in trial[:, axis]]
        mean = sum(values) / len(values)
        assert arguments["behaviour_mean"][axis] == pytest.approx(mean)
        variance = sum((value - mean) ** 2 for value in values) / len(values)
        assert arguments["behaviour_scale"][axis] == pytest.approx(variance**0.5)


@pytest.mark.parametrize("which", ["data", "few_days"])
def test_other_validation_trials_leave_training_and_model_arguments_bit_identical(which, request):
    data = request.getfixturevalue(which)
    changed = replace(
        data,
        validation=replace(
            data.validation, spikes=data.validation.spikes + 3, behaviour=data.validation.behaviour * -100
        ),
    )
    one, other = SpikeDataModule(data), SpikeDataModule(changed)
    assert one.model_arguments == other.model_arguments
    for batch, again in zip(one.train_dataloader(), other.train_dataloader(), strict=True):
        assert torch.equal(batch.spikes, again.spikes)
        assert torch.equal(batch.behaviour, again.behaviour)


def test_changed_validation_and_sealed_days_on_disk_leave_training_bit_identical(tmp_path):
    sessions = generate_sessions(n_sessions=5, seed=1, **TINY)
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        for day, session in enumerate(sessions):
            if folder == "other" and day >= 3:
                # Louder, moved elsewhere, and cut shorter: none of it may reach training.
                session = replace(
                    session,
                    spikes=session.spikes * 2 + day,
                    behaviour=session.behaviour + 50,
                    trial_end=session.trial_end - (day == 4),
                )
            write_npz(session, tmp_path / folder / f"{day}.npz")
    one, other = (load_sessions(path=str(tmp_path / folder)) for folder in ("one", "other"))
    np.testing.assert_array_equal(one.training.spikes, other.training.spikes)
    np.testing.assert_array_equal(one.training.behaviour, other.training.behaviour)
    assert SpikeDataModule(one).model_arguments == SpikeDataModule(other).model_arguments
    assert not np.array_equal(one.validation.spikes, other.validation.spikes)


def test_training_batches_carry_no_session_label(data):
    module = SpikeDataModule(data, batch_size=10)
    batches = list(module.train_dataloader())
    assert all(type(batch) is SpikeBatch and batch._fields == ("spikes", "behaviour") for batch in batches)
    assert [len(batch.spikes) for batch in batches] == [10] * 7 + [2]
    assert len(module.train_dataloader()) == 8
    assert batches[0].spikes.dtype == batches[0].behaviour.dtype == torch.float32


def test_validation_comes_in_one_batch_with_labels_and_raw_units(data):
    (batch,) = SpikeDataModule(data).val_dataloader()
    assert type(batch) is LabelledSpikeBatch
    np.testing.assert_array_equal(batch.spikes, data.validation.spikes)
    np.testing.assert_array_equal(batch.behaviour, data.validation.behaviour)
    np.testing.assert_array_equal(batch.session, data.validation.session)
    np.testing.assert_array_equal(batch.target, data.validation.target)


def test_model_arguments_are_plain_python(data):
    arguments = SpikeDataModule(data).model_arguments
    assert (arguments["n_units"], arguments["n_bins"], arguments["bin_width_s"]) == (8, 6, 0.03)
    assert arguments["behaviour_names"] == ["position_x", "position_y"]
    for value in arguments.values():
        parts = value if isinstance(value, list) else [value]
        assert {type(part) for part in parts} <= {int, float, str}


def test_dimension_that_never_moves_gets_the_scale_one(data):
    still = data.training.behaviour.copy()
    still[..., 1] = 0.1
    module = SpikeDataModule(replace(data, training=replace(data.training, behaviour=still)))
    assert module.model_arguments["behaviour_scale"][1] == 1.0


def test_without_balance_every_epoch_shows_every_trial_once():
    session = np.repeat([0, 1], [3, 9])
    for epoch in range(3):
        assert sorted(epoch_order(session, seed=0, epoch=epoch, balanced=False)) == list(range(12))


def test_balanced_sessions_contribute_equally_and_show_all_their_trials_in_time():
    session = np.repeat([0, 1, 2], [2, 5, 14])
    seen = np.zeros(21, dtype=int)
    for epoch in range(60):
        order = epoch_order(session, seed=0, epoch=epoch, balanced=True)
        assert np.bincount(session[order]).tolist() == [7, 7, 7]
        seen += np.bincount(order, minlength=21)
    # A session's trials are shown 60 * 7 / size times each, give or take 5 binomial standard deviations.
    for one, size in enumerate((2, 5, 14)):
        expected = 60 * 7 / size
        assert np.abs(seen[session == one] - expected).max() < 5 * np.sqrt(expected)


def test_balanced_sessions_of_equal_size_show_every_trial_once():
    order = epoch_order(np.repeat([0, 1, 2], 24), seed=1, epoch=5, balanced=True)
    assert sorted(order) == list(range(72))


def test_sessions_are_mixed_within_batches_and_orders_differ_by_seed_and_epoch():
    session = np.repeat([0, 1, 2], 40)
    orders = [epoch_order(session, seed=s, epoch=e, balanced=True) for s, e in ((0, 0), (0, 1), (1, 0))]
    assert all(len(np.unique(session[order[:20]])) == 3 for order in orders)
    assert len({order.tobytes() for order in orders}) == 3


class Recorder(pl.LightningModule):
    """Keeps the first spike counts of every training batch it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.shown: list[bytes] = []

    def training_step(self, batch):
        self.shown.append(batch.spikes.numpy().tobytes())
        return self.weight * batch.spikes.mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(data, tmp_path, *, epochs, resume=None):
    module = Recorder()
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(module, datamodule=SpikeDataModule(data, batch_size=16, seed=3), ckpt_path=resume)
    trainer.save_checkpoint(tmp_path / f"after-{epochs}.ckpt")
    return module.shown


@pytest.mark.filterwarnings("ignore")
def test_resumed_training_sees_the_batches_that_an_uninterrupted_one_would_have_seen(data, tmp_path):
    whole = fit(data, tmp_path, epochs=4)
    begun = fit(data, tmp_path, epochs=2)
    resumed = fit(data, tmp_path, epochs=4, resume=tmp_path / "after-2.ckpt")
    assert begun + resumed == whole
    assert len(set(whole)) == len(whole)


def test_batches_can_be_built_from_read_only_arrays(data):
    """As Ray's object store hands them out."""
    frozen = SpikeTrials(
        *(getattr(data.training, name).copy() for name in ("spikes", "behaviour", "target", "session"))
    )
    for values in (frozen.spikes, frozen.behaviour, frozen.target, frozen.session):
        values.flags.writeable = False
    batch = next(iter(SpikeDataModule(replace(data, training=frozen)).train_dataloader()))
    batch.spikes.add_(1)
    assert np.array_equal(frozen.spikes, data.training.spikes)


def test_batch_size_of_nothing_is_refused(data):
    with pytest.raises(DataError, match="`batch_size` is 0"):
        SpikeDataModule(data, batch_size=0)


def test_velocity_of_generated_sessions_can_be_decoded_at_wider_bins():
    data = load_sessions(behaviour="velocity", bin_width_s=0.06, **TINY)
    assert data.behaviour_names == ("velocity_x", "velocity_y")
    assert data.training.spikes.shape == (72, 3, 8)
    assert data.bin_width_s == 0.06


def test_two_recordings_of_one_day_have_different_names(tmp_path, make_session):
    for number in range(2):
        write_npz(make_session(seed=number), tmp_path / f"{number}.npz")
    data = load_sessions(path=str(tmp_path), validation_fraction=0.5)
    assert data.session_names == ("2020-02-01", "2020-02-01 (2)")


def test_reading_recordings_does_not_import_torch():
    command = "import sys, lightning_modules.parts.spikes.recordings; sys.exit('torch' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", command], cwd=root, check=False).returncode == 0
