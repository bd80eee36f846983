"""A trial that is killed, wherever that is, ends as if it had never been."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_flatten

from neurosweep.trials import checkpoints, reporting
from neurosweep.trials.setup import Pace

EPOCHS = 3
POINTS = ("before the best weights", "before the last state", "before the report", "after the report")


class Killed(BaseException):
    """What a kill looks like from inside: no handler of ordinary errors sees it."""


def same(one: Any, other: Any) -> bool:
    """Whether two checkpoints hold the same bits."""
    leaves, shape = tree_flatten(one)
    others, other_shape = tree_flatten(other)
    return shape == other_shape and all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for a, b in zip(leaves, others, strict=True)
    )


def trained_state(bench: Any) -> dict[str, Any]:
    state = bench.last_state()
    return {name: state[name] for name in ("state_dict", "optimizer_states", "lr_schedulers", "global_step")}


def kill_at(monkeypatch: pytest.MonkeyPatch, point: str, epoch: int) -> Callable[[int], None]:
    """Arrange for a kill at a point of an epoch; return what is to be called after each report."""
    save, send = checkpoints._save, reporting.EpochReporter._send

    def save_or_die(trainer, content, path):
        if trainer.current_epoch == epoch and point == POINTS[path.name.startswith("last")]:
            raise Killed
        save(trainer, content, path)

    def send_or_die(reporter):
        if any(report.epoch == epoch for report in reporter._unsent) and point == POINTS[2]:
            raise Killed
        send(reporter)

    def die(reported: int) -> None:
        if reported == epoch and point == POINTS[3]:
            raise Killed

    monkeypatch.setattr(checkpoints, "_save", save_or_die)
    monkeypatch.setattr(reporting.EpochReporter, "_send", send_or_die)
    return die


@pytest.fixture(scope="module")
def undisturbed(make_learner):
    """A trial that ran in one go, and how it ended. Tests only look at it."""
    bench = make_learner("undisturbed", epochs=EPOCHS)
    return bench, bench.run()


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("epoch", range(EPOCHS))
def test_a_trial_killed_at_any_point_of_any_epoch_ends_bit_for_bit_as_an_undisturbed_one(
    make_learner, undisturbed, monkeypatch, point, epoch
):
    whole, ending = undisturbed
    best_epochs = {report["epoch"] for report in whole.reports if report["best_epoch"] == report["epoch"]}
    if point == POINTS[0] and epoch not in best_epochs:
        pytest.skip("this epoch is not the best so far, so no best weights are written")
    bench = make_learner("killed", epochs=EPOCHS)
    with monkeypatch.context() as patch:
        die = kill_at(patch, point, epoch)
        with pytest.raises(Killed):
            bench.run(die)
    resumed = bench.run()
    assert resumed == ending
    assert bench.told() == whole.told()
    assert same(trained_state(bench), trained_state(whole))
    assert [path.name for path in bench.folder.root.glob("best-*")] == [
        path.name for path in whole.folder.root.glob("best-*")
    ]
    assert not list(bench.folder.root.glob(".*tmp")), "a scratch file was left"


def test_a_kill_in_the_middle_of_an_epoch_repeats_that_epoch_alone(make_learner, undisturbed, monkeypatch):
    import trial_lab

    whole, ending = undisturbed
    bench = make_learner("killed", epochs=EPOCHS)
    step, trained = trial_lab.Learner.training_step, []

    def step_or_die(module, batch, batch_index):
        trained.append((module.current_epoch, batch_index))
        if trained.count((1, 1)) == 1 and trained[-1] == (1, 1):
            raise Killed
        return step(module, batch, batch_index)

    monkeypatch.setattr(trial_lab.Learner, "training_step", step_or_die)
    with pytest.raises(Killed):
        bench.run()
    before = list(trained)
    assert bench.run() == ending
    assert before == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert trained[len(before) :] == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    assert same(trained_state(bench), trained_state(whole))


@pytest.mark.parametrize(
    "scheduler",
    [
        "step",
        "epoch",
        "plateau",
    ],
)
@pytest.mark.parametrize("epoch", [0, 2])
def test_a_learning_rate_schedule_goes_on_where_the_kill_met_it(make_learner, monkeypatch, scheduler, epoch):
    whole = make_learner("undisturbed", epochs=5, scheduler=scheduler)
    ending = whole.run()
    bench = make_learner("killed", epochs=5, scheduler=scheduler)
    with monkeypatch.context() as patch:
        die = kill_at(patch, POINTS[3], epoch)
        with pytest.raises(Killed):
            bench.run(die)
    assert bench.run() == ending
    assert bench.told() == whole.told()
    assert same(trained_state(bench), trained_state(whole))


RARELY = Pace(decisions=(3,), checkpoint_share=0.0, report_seconds=1e9)
"""Checkpoints and reports after the third epoch and the last alone, however long it takes."""


@pytest.mark.parametrize("epoch", range(5))
def test_a_trial_that_seldom_writes_loses_nothing_by_a_kill_but_time(make_learner, monkeypatch, epoch):
    import trial_lab

    whole = make_learner("undisturbed", epochs=5)
    ending = whole.run()
    bench = make_learner("killed", epochs=5, pace=RARELY)
    validate, trained = trial_lab.Learner.validation_step, []

    def validate_or_die(module, batch, batch_index):
        trained.append(module.current_epoch)
        if trained.count(epoch) == 1 and trained[-1] == epoch:
            raise Killed
        return validate(module, batch, batch_index)

    monkeypatch.setattr(trial_lab.Learner, "validation_step", validate_or_die)
    with pytest.raises(Killed):
        bench.run()
    assert bench.run() == ending
    begun_again = 3 if epoch >= 3 else 0
    assert trained == [*range(epoch + 1), *range(begun_again, 5)]
    assert bench.told() == whole.told()
    assert same(trained_state(bench), trained_state(whole))
    (kept,) = bench.folder.root.glob("best-*")
    assert kept.name == whole.folder.best_checkpoint.name
    assert same(
        torch.load(kept, weights_only=True), torch.load(whole.folder.best_checkpoint, weights_only=True)
    )


@pytest.mark.parametrize("epoch", [1, 3, 4])
def test_what_a_checkpoint_holds_but_no_report_has_told_is_told_by_the_next_attempt(
    make_learner, undisturbed, monkeypatch, epoch
):
    whole = make_learner("undisturbed", epochs=5)
    ending = whole.run()
    written_not_told = Pace(checkpoint_share=float("inf"), report_seconds=1e9)
    bench = make_learner("killed", epochs=5, pace=written_not_told)
    with monkeypatch.context() as patch:
        kill_at(patch, POINTS[1], epoch)
        with pytest.raises(Killed):
            bench.run()
    assert [report["epoch"] for report in bench.reports] == [0], "the rest was to be told later"
    assert bench.last_state()["epoch"] == epoch - 1
    assert bench.run() == ending
    assert bench.told() == whole.told()


def test_a_report_that_the_driver_did_not_take_is_told_by_the_next_attempt(make_learner):
    whole = make_learner("undisturbed", epochs=5)
    whole.run()
    bench = make_learner("killed", epochs=5, pace=Pace((3,), checkpoint_share=0.0, report_seconds=1e9))

    def stop(epoch: int) -> None:
        if epoch == 2 and len(bench.reports) == 3:
            del bench.reports[1:]  # Tune has thrown away what it had not fetched
            raise SystemExit

    with pytest.raises(SystemExit):
        bench.run(stop)
    bench.run()
    assert bench.told() == whole.told()


def test_every_epoch_killed_in_turn_is_still_the_same_trial(make_learner, undisturbed):
    whole, ending = undisturbed
    bench = make_learner("killed", epochs=EPOCHS)

    def die(epoch: int) -> None:
        if sum(report["epoch"] == epoch for report in bench.reports) == 1:
            raise Killed

    for _ in range(EPOCHS):
        with pytest.raises(Killed):
            bench.run(die)
    assert bench.run() == ending
    assert bench.told() == whole.told()
    assert same(trained_state(bench), trained_state(whole))
    attempts = bench.folder.attempts.read_text(encoding="utf-8").splitlines()
    assert len(attempts) == EPOCHS + 1


def test_a_finished_trial_that_is_run_again_reports_its_last_epoch_once_and_trains_nothing(make_learner):
    whole = make_learner("whole", epochs=2)
    ending = whole.run()
    before = trained_state(whole)
    told = len(whole.reports)
    assert whole.run() == ending
    assert whole.reports[told:] == [whole.reports[told - 1]]
    assert same(trained_state(whole), before)


def test_a_resumed_report_keeps_its_timestamps_so_that_mlflow_sees_the_same_points(make_learner):
    bench = make_learner("killed", epochs=EPOCHS)

    def die(epoch: int) -> None:
        if epoch == 1 and len(bench.reports) == 2:
            raise Killed

    with pytest.raises(Killed):
        bench.run(die)
    bench.run()
    first, second = [report for report in bench.reports if report["epoch"] == 1]
    assert first == second


@pytest.mark.parametrize("left", [0, 100, 2000])
def test_a_damaged_checkpoint_means_beginning_anew_not_a_failed_trial(make_learner, undisturbed, left):
    whole, ending = undisturbed
    bench = make_learner("damaged", epochs=EPOCHS)
    bench.run()
    last = bench.folder.last_checkpoint
    last.write_bytes(last.read_bytes()[:left])
    assert bench.run() == ending
    assert same(trained_state(bench), trained_state(whole))


def test_weights_of_an_epoch_that_was_never_reported_are_gone_when_the_trial_reports_again(make_learner):
    bench = make_learner("killed", epochs=EPOCHS)

    def die(epoch: int) -> None:
        if epoch == 1:
            raise Killed

    with pytest.raises(Killed):
        bench.run(die)
    # What a kill between the two checkpoints of epoch 2 leaves, and one amid writing.
    stray = bench.folder.best_checkpoint_of(2)
    stray.write_bytes(b"weights")
    (bench.folder.root / ".last.ckpt.4711.tmp").write_bytes(b"half")
    pruned_with = []

    def prune(epoch: int) -> None:
        pruned_with.extend(sorted(path.name for path in bench.folder.root.glob("*best-*")))
        raise SystemExit

    with pytest.raises(SystemExit):
        bench.run(prune)
    assert pruned_with == [f"best-{bench.reports[-1]['best_epoch']:06d}.ckpt"]
    assert list(bench.folder.root.glob(".*.tmp")) == []
