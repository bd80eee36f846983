"""How trials end: what is kept of good ones, and what is said of bad ones."""

import errno
import gc
import logging
import math
import os
from pathlib import Path

import pytest
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from neurosweep.naming import Failure
from neurosweep.trials import checkpoints, run
from neurosweep.trials.arguments import merge_parameters, split_data_settings
from neurosweep.trials.failures import classify, is_full_disk

TOO_MUCH = 2**44
"""Numbers that no machine has room for; 64 TiB."""


@pytest.mark.parametrize(
    ("scores", "best"),
    [((1.0, 3.0, 2.0), 1), ((5.0, 4.0, 3.0), 0), ((1.0, 2.0, 3.0), 2), ((2.0, 2.0, 1.0), 0)],
    ids=["in the middle", "first", "last", "the first of two equals"],
)
def test_the_only_kept_weights_are_those_of_the_best_epoch(make_scripted, scores, best):
    bench = make_scripted(*scores)
    ending = bench.run()
    (kept,) = bench.folder.root.glob("best-*")
    assert kept == bench.folder.best_checkpoint
    state = torch.load(kept, weights_only=True)
    assert state["state_dict"]["epochs_trained"].item() == best + 1
    assert "optimizer_states" not in state
    assert ending.values == (max(scores),)
    assert [report["best_epoch"] for report in bench.reports][-1] == best
    assert [report["objectives"] for report in bench.reports] == [[score] for score in scores]


def test_every_epoch_is_reported_with_its_metrics_its_seconds_and_the_memory(make_learner):
    bench = make_learner("reported", epochs=2)
    bench.run()
    for epoch, report in enumerate(bench.reports):
        points = {key: (value, step) for key, value, step, _ in report["points"]}
        assert set(points) == {"train/loss", "val/mse", "cost/epoch_seconds", "cost/worker_memory_mb"}
        assert {step for _, step in points.values()} == {epoch}
        assert points["val/mse"][0] == report["objectives"][0]
        assert 0 < points["cost/epoch_seconds"][0] < 60
        assert 50 < points["cost/worker_memory_mb"][0] < 16_000


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_objective_that_is_no_number_fails_the_trial_but_is_in_its_curve(make_scripted, value):
    bench = make_scripted(1.0, value, 3.0)
    ending = bench.run()
    assert (ending.failure, ending.values) == (Failure.DIVERGED, None)
    assert "val/score" in ending.message
    assert str(value) in ending.message
    assert "epoch 1" in ending.message
    told = [report["objectives"][0] for report in bench.reports]
    assert told[0] == 1.0
    assert told[1:] == pytest.approx([value], nan_ok=True)
    assert bench.folder.best_checkpoint == bench.folder.best_checkpoint_of(0)
    assert "DivergedError" in bench.folder.failure.read_text(encoding="utf-8")


def test_a_module_that_does_not_log_its_objective_is_told_what_it_logs_instead(make_scripted):
    ending = make_scripted(1.0, 2.0, log_as="val/scroe").run()
    assert ending.failure is Failure.RAISED
    assert "does not log val/score" in ending.message
    assert "it logs val/only_once, val/scroe" in ending.message


def test_a_trial_without_an_epoch_is_told_so(make_scripted):
    bench = make_scripted(1.0)
    bench.epochs = 0
    ending = bench.run()
    assert ending.failure is Failure.RAISED
    assert "without a validated epoch" in ending.message


def test_what_a_module_raises_ends_the_trial_and_its_traceback_is_kept(make_scripted, lab, monkeypatch):
    def training_step(module, batch, batch_index):
        raise ValueError("the spikes\nare upside down")

    monkeypatch.setattr(lab.Scripted, "training_step", training_step)
    bench = make_scripted(1.0)
    ending = bench.run()
    assert ending.failure is Failure.RAISED
    assert ending.message == "ValueError: the spikes are upside down"
    assert "in training_step" in bench.folder.failure.read_text(encoding="utf-8")


def test_memory_that_the_machine_does_not_have_is_out_of_memory():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(TOO_MUCH)
    assert type(caught.value) is RuntimeError
    assert classify(caught.value) is Failure.OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80 GiB"), Failure.OUT_OF_MEMORY),
        (MemoryError(), Failure.OUT_OF_MEMORY),
        (FloatingPointError("overflow encountered in exp"), Failure.DIVERGED),
        (ValueError("a shape does not fit"), Failure.RAISED),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), Failure.RAISED),
    ],
)
def test_an_error_is_known_for_what_it_is_even_where_another_was_raised_from_it(error, failure):
    assert classify(error) is failure
    wrapped = RuntimeError("the batch could not be trained")
    wrapped.__cause__ = error
    assert classify(wrapped) is failure


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_lightning_torch_and_the_system_all_say_that_a_disk_is_full():
    state = {"weights": torch.zeros(200_000)}
    with pytest.raises(OSError, match="No space left") as of_lightning:
        TorchCheckpointIO().save_checkpoint(state, "/dev/full")
    with pytest.raises((OSError, RuntimeError)) as of_torch, open("/dev/full", "wb") as file:
        torch.save(state, file)
    with pytest.raises(RuntimeError) as of_its_zip_writer:
        torch.save(state, "/dev/full")
    with pytest.raises(OSError, match="No space left") as of_system, open("/dev/full", "wb") as file:
        file.write(b"0" * 100_000)
    assert is_full_disk(of_lightning.value)
    assert is_full_disk(of_torch.value)
    assert is_full_disk(of_its_zip_writer.value)
    assert is_full_disk(of_system.value)
    assert not is_full_disk(PermissionError(errno.EACCES, "Permission denied"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_the_trial_unfinished_and_it_ends_well_once_there_is_room(
    make_scripted, monkeypatch, number
):
    bench = make_scripted(1.0, 3.0, 2.0)
    with monkeypatch.context() as patch:

        def no_room(trainer, content, path):
            if trainer.current_epoch == 1:
                raise OSError(number, os.strerror(number))
            save(trainer, content, path)

        save = checkpoints._save
        patch.setattr(checkpoints, "_save", no_room)
        ending = bench.run()
    assert ending.storage_full
    assert ending.failure is None
    assert str(bench.folder.root) in ending.message
    assert not bench.folder.failure.exists()
    assert bench.run().values == (3.0,)
    assert [report["epoch"] for report in bench.reports] == [0, 0, 1, 2]


def test_a_kill_during_a_checkpoint_leaves_the_older_one_whole(make_scripted, monkeypatch):
    bench = make_scripted(1.0, 2.0)

    def torn(path):
        Path(path).write_bytes(b"half a checkpoint")
        raise SystemExit

    original = TorchCheckpointIO.save_checkpoint

    def save_checkpoint(plugin, content, path, storage_options=None):
        if content["epoch"] == 1:
            torn(path)
        original(plugin, content, path, storage_options)

    with monkeypatch.context() as patch:
        patch.setattr(TorchCheckpointIO, "save_checkpoint", save_checkpoint)
        with pytest.raises(SystemExit):
            bench.run()
    assert bench.last_state()["epoch"] == 0
    assert bench.run().values == (2.0,)


@pytest.mark.parametrize("fails", [False, True])
def test_a_worker_keeps_nothing_of_a_trial_that_has_ended(make_learner, lab, monkeypatch, fails):
    # pytest's own log handler would keep the traceback, and with it the module.
    monkeypatch.setattr(logging.getLogger(run.__name__), "disabled", True)
    if fails:
        monkeypatch.setattr(lab.Learner, "validation_step", lambda *_: [].pop())
    gc.collect()
    before = len(lab.Learner.LIVING)
    ending = make_learner("forgotten", epochs=1).run()
    assert (ending.failure is not None) == fails
    assert len(lab.Learner.LIVING) == before


def test_a_trial_without_gpus_sees_none(make_scripted, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    make_scripted(1.0).run()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_searched_values_take_their_place_among_the_fixed_ones_and_change_neither():
    fixed = {"model": {"width": 3}, "trainer": {"max_epochs": 2}}
    searched = {"model.depth": 4, "data.batch_size": 8, "trainer.gradient_clip_val": 1.0}
    assert merge_parameters(fixed, searched) == {
        "model": {"width": 3, "depth": 4},
        "data": {"batch_size": 8},
        "trainer": {"max_epochs": 2, "gradient_clip_val": 1.0},
    }
    assert fixed == {"model": {"width": 3}, "trainer": {"max_epochs": 2}}


def test_data_settings_go_to_the_reader_to_the_data_module_or_to_both(lab):
    of_load, of_module = split_data_settings(
        {"gain": 2.0, "batch_size": 4, "shared": 3, "recording": 5}, load=lab.load, data_module=lab.Data
    )
    assert of_load == {"gain": 2.0, "shared": 3}
    assert of_module == {"batch_size": 4, "shared": 3}
