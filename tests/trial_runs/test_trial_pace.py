"""How often a trial writes and reports, and that what it keeps in memory meanwhile is not lost."""

import math

import pytest
import torch

from neurosweep.layout import TrialFolder
from neurosweep.naming import Failure
from neurosweep.trials import checkpoints
from neurosweep.trials.checkpoints import CheckpointWriter
from neurosweep.trials.setup import Pace

RARELY = Pace(checkpoint_share=0.0, report_seconds=1e9)


@pytest.fixture
def written(monkeypatch) -> list[tuple[str, int]]:
    """Name and epoch of each checkpoint, in the order in which they are written."""
    names: list[tuple[str, int]] = []
    save = checkpoints._save

    def note(trainer, content, path):
        names.append((path.name, trainer.current_epoch))
        save(trainer, content, path)

    monkeypatch.setattr(checkpoints, "_save", note)
    return names


def test_short_epochs_travel_together_and_checkpoints_precede_the_report_of_a_decision(
    make_scripted, written
):
    bench = make_scripted(1.0, 4.0, 2.0, 3.0, 5.0, pace=Pace((3,), checkpoint_share=0.0, report_seconds=1e9))
    sent, on_disk = [], []

    def look(epoch: int) -> None:
        sent.append(epoch)
        on_disk.append([name for name, _ in written])

    assert bench.run(look).values == (5.0,)
    assert sent == [0, 2, 4], "the first epoch is news, the third may end the trial, the fifth is the last"
    assert [report["epoch"] for report in bench.reports] == [0, 1, 2, 3, 4]
    pair = ["best-000001.ckpt", "last.ckpt"]
    assert on_disk == [[], pair, [*pair, "best-000004.ckpt", "last.ckpt"]]
    assert [epoch for _, epoch in written] == [2, 2, 4, 4]


def test_weights_held_in_memory_are_those_of_their_epoch_and_not_of_the_one_that_writes_them(make_scripted):
    bench = make_scripted(1.0, 4.0, 2.0, pace=RARELY)
    bench.run()
    (kept,) = bench.folder.root.glob("best-*")
    assert kept == bench.folder.best_checkpoint_of(1)
    content = torch.load(kept, weights_only=True)
    assert (content["epoch"], content["state_dict"]["epochs_trained"].item()) == (1, 2)
    assert bench.last_state()["state_dict"]["epochs_trained"].item() == 3


def test_validation_every_other_epoch_does_not_step_over_a_decision(make_scripted, written):
    bench = make_scripted(*range(6), pace=Pace((3,), checkpoint_share=0.0, report_seconds=1e9))
    bench.trainer["check_val_every_n_epoch"] = 2
    sent = []
    bench.run(sent.append)
    assert sent == [1, 3, 5]
    assert ("last.ckpt", 3) in written


def test_a_trial_that_diverges_keeps_its_best_weights_and_its_whole_curve(make_scripted):
    bench = make_scripted(1.0, 3.0, 2.0, math.nan, 1.0, pace=RARELY)
    assert bench.run().failure is Failure.DIVERGED
    assert [report["epoch"] for report in bench.reports] == [0, 1, 2, 3]
    (kept,) = bench.folder.root.glob("best-*")
    assert torch.load(kept, weights_only=True)["state_dict"]["epochs_trained"].item() == 2


def test_a_trial_that_raises_keeps_its_best_weights_and_its_whole_curve(make_scripted):
    bench = make_scripted(1.0, 3.0, pace=RARELY)
    bench.epochs = 3  # there is no third score
    assert bench.run().failure is Failure.RAISED
    assert [report["epoch"] for report in bench.reports] == [0, 1]
    assert bench.folder.best_checkpoint == bench.folder.best_checkpoint_of(1)


def test_a_sweep_that_stops_leaves_the_epoch_that_was_reported_last(make_scripted):
    bench = make_scripted(1.0, 3.0, 2.0, 4.0, pace=Pace(checkpoint_share=0.0, report_seconds=0.0))

    def stop(epoch: int) -> None:
        if epoch == 2 and len(bench.reports) == 3:
            raise SystemExit

    with pytest.raises(SystemExit):
        bench.run(stop)
    assert bench.last_state()["epoch"] == 2
    assert bench.folder.best_checkpoint == bench.folder.best_checkpoint_of(1)
    assert bench.run().values == (4.0,)
    assert [report["epoch"] for report in bench.reports] == [0, 1, 2, 2, 3]


@pytest.mark.parametrize("limit", ["steps", "the module"])
def test_a_trial_that_another_limit_ends_is_whole(make_scripted, lab, monkeypatch, limit):
    bench = make_scripted(*range(9), pace=RARELY)
    if limit == "steps":
        bench.trainer["max_steps"] = 9  # three an epoch
    else:

        def stop(module):
            module.trainer.should_stop = module.current_epoch == 2

        monkeypatch.setattr(lab.Scripted, "on_validation_epoch_end", stop)
    assert bench.run().values == (2.0,)
    assert [report["epoch"] for report in bench.reports] == [0, 1, 2]
    assert bench.folder.best_checkpoint == bench.folder.best_checkpoint_of(2)
    assert bench.last_state()["callbacks"]["EpochReporter"]["epoch"] == 2


def test_checkpoints_take_their_share_of_the_time_and_no_more(make_scripted, tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])

    def slow(trainer, content, path):
        now[0] += 1.0  # two files: a checkpoint takes 2 s

    class Standstill:
        current_epoch = 0

    monkeypatch.setattr(checkpoints, "_save", slow)
    monkeypatch.setattr(checkpoints, "_content", lambda trainer, *, weights_only: {})
    writer = CheckpointWriter(TrialFolder(tmp_path), share=0.05)
    assert writer.due, "the first one is written at once"
    writer.write(Standstill(), best_epoch=0)
    now[0] += 39.9
    assert not writer.due
    now[0] += 0.2
    assert writer.due
