"""The study hands out every trial once, remembers it over any kill, and says in plain words what became of it."""

import ast
import dataclasses
import os
import subprocess
import sys
import warnings
from datetime import UTC, datetime, timedelta

import optuna
import pytest

from neurosweep.naming import Failure, Status
from neurosweep.search.seeds import derive_seed
from neurosweep.search.study import open_study
from neurosweep.search.trial_records import records_of

PUBLISHED = {"published": "memory_spaces:PUBLISHED"}


def drain(memory):
    """Hand out what is left, and complete it."""
    handed = []
    while (assignment := memory.next()) is not None:
        handed.append(assignment)
        memory.complete(assignment.number, (float(len(handed)),))
    return handed


def test_a_sweep_begins_with_the_published_values_exactly_as_they_are_written(make_sweep):
    memory = make_sweep(experiment=PUBLISHED).open()
    first, second, third = memory.next(), memory.next(), memory.next()
    assert first.parameters == {
        "model.gain": 7.5,  # outside the space, and kept
        "model.depth": 4,
        "model.kind": "wide",
        "model.width": 48,
        "data.batch_size": 24,
    }
    assert [type(value) for value in first.parameters.values()] == [float, int, str, int, int]
    assert second.parameters.items() >= {"model.gain": -1.0, "model.kind": "plain"}.items()
    assert set(second.parameters) == {"model.gain", "model.depth", "model.kind", "data.batch_size"}
    assert -3 <= third.parameters["model.gain"] <= 3
    assert [record.origin for record in memory.records()] == ["published", "published", "sampled"]


def test_published_values_can_be_left_out(make_sweep):
    memory = make_sweep(experiment=PUBLISHED, search={"try_published": False}).open()
    assert {memory.record(one.number).origin for one in drain(memory)} == {"sampled"}


@pytest.mark.parametrize(
    ("pins", "gains"),
    [
        ({"model": {"kind": "plain"}}, [-1.0]),  # the wide point means another model
        ({"model": {"kind": "wide"}}, [7.5]),
        ({"model": {"kind": "other"}}, [7.5, -1.0]),  # neither is nearer
        ({"model": {"depth": 1}}, [7.5, -1.0]),
        ({"model": {"depth": "deep"}}, [7.5, -1.0]),  # the plain point says nothing of depth
    ],
)
def test_published_points_of_another_branch_than_the_pinned_one_are_left_out(make_sweep, pins, gains):
    memory = make_sweep(experiment=PUBLISHED, **pins).open()
    begun = [one for one in drain(memory) if memory.record(one.number).origin == "published"]
    assert [one.parameters["model.gain"] for one in begun] == gains


@pytest.mark.parametrize("trials", [1, 2, 5])
def test_a_sweep_has_as_many_trials_as_it_was_asked_for_the_published_included(make_sweep, trials):
    sweep = make_sweep(experiment=PUBLISHED, search={"trials": trials})
    assert [one.number for one in drain(sweep.open())] == list(range(trials))
    assert sweep.open().next() is None
    assert len(sweep.open().records()) == trials


def test_trials_that_failed_or_were_pruned_count(make_sweep):
    memory = make_sweep(search={"trials": 3}).open()
    memory.fail(memory.next().number, Failure.RAISED, "no")
    memory.prune(memory.next().number)
    assert memory.next().number == 2
    assert memory.next() is None


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_new_driver_hands_out_what_was_unfinished_first_and_unchanged(make_sweep, sampler):
    sweep = make_sweep(experiment=PUBLISHED, search={"sampler": sampler})
    killed = sweep.open()
    before = [killed.next() for _ in range(4)]
    killed.complete(1, (0.5,))
    del killed

    memory = sweep.open()
    assert [record.status for record in memory.records()] == [
        Status.INTERRUPTED,
        Status.COMPLETED,
        Status.INTERRUPTED,
        Status.INTERRUPTED,
    ]
    again = [memory.next() for _ in range(3)]
    assert again == [before[0], before[2], before[3]]
    assert memory.next().number == 4
    assert [record.attempts for record in memory.records()] == [2, 1, 2, 2, 1]


def test_a_published_trial_that_was_never_handed_out_is_still_the_next_one(make_sweep):
    sweep = make_sweep(experiment=PUBLISHED)
    first = sweep.open().next()
    memory = sweep.open()
    assert memory.next() == first
    assert memory.next().parameters["model.gain"] == -1.0
    assert [record.origin for record in memory.records()] == ["published", "published"]


def test_a_kill_while_parameters_are_drawn_loses_neither_the_trial_nor_what_was_drawn(make_sweep):
    from memory_spaces import Killed

    sweep = make_sweep(search={"trials": 2})
    with pytest.raises(Killed):
        sweep.open(space="memory_spaces:dying_space").next()
    (half,) = records_of(open_study(sweep.config, sweep.folder, sweep.experiment.objectives), {})
    drawn = half.parameters
    assert set(drawn) == {"model.gain", "model.depth"}

    memory = sweep.open()
    whole = memory.next()
    assert whole.number == half.number
    assert whole.parameters.items() >= drawn.items()
    assert {"model.kind", "data.batch_size"} <= set(whole.parameters)
    assert memory.next().number == 1
    assert memory.next() is None


def test_a_kill_while_a_published_trial_is_drawn_keeps_its_values(make_sweep):
    from memory_spaces import PUBLISHED as values
    from memory_spaces import Killed

    sweep = make_sweep(experiment=PUBLISHED)
    with pytest.raises(Killed):
        sweep.open(space="memory_spaces:dying_space").next()
    assert sweep.open().next().parameters == values[0]


def test_more_trials_can_be_asked_of_a_finished_sweep(make_sweep):
    sweep = make_sweep(search={"trials": 2})
    drain(sweep.open())
    more = dataclasses.replace(
        sweep,
        config=dataclasses.replace(sweep.config, search=dataclasses.replace(sweep.config.search, trials=4)),
    )
    assert [one.number for one in drain(more.open())] == [2, 3]


def test_an_ending_is_told_once_whatever_comes_after_it(make_sweep):
    memory = make_sweep().open()
    number = memory.next().number
    memory.complete(number, (0.25,))
    memory.complete(number, (9.0,))
    memory.prune(number)
    memory.fail(number, Failure.RAISED, "too late")
    record = memory.record(number)
    assert (record.status, record.values, record.failure) == (Status.COMPLETED, (0.25,), None)


def test_an_older_driver_cannot_change_what_a_newer_one_has_told(make_sweep):
    sweep = make_sweep()
    older = sweep.open()
    number = older.next().number
    newer = sweep.open()
    newer.next()
    newer.complete(number, (0.25,))
    older.complete(number, (9.0,))
    assert sweep.open().record(number).values == (0.25,)


def test_a_failed_trial_has_a_reason_and_no_value(make_sweep):
    sweep = make_sweep()
    memory = sweep.open()
    number = memory.next().number
    memory.report(number, epoch=0, value=3.0)
    memory.fail(number, Failure.DIVERGED, "val/loss = nan after epoch 1.")
    record = sweep.open().record(number)
    assert record.status is Status.FAILED
    assert (record.failure, record.failure_message) == (Failure.DIVERGED, "val/loss = nan after epoch 1.")
    assert record.values is None
    assert record.curve == {0: 3.0}


def test_a_pruned_trial_keeps_its_curve_by_epoch_from_zero(make_sweep):
    sweep = make_sweep()
    memory = sweep.open()
    number = memory.next().number
    for epoch, value in enumerate((3.0, 2.5, 2.25)):
        memory.report(number, epoch=epoch, value=value)
    memory.prune(number)
    record = sweep.open().record(number)
    assert (record.status, record.values) == (Status.PRUNED, None)
    assert record.curve == {0: 3.0, 1: 2.5, 2: 2.25}


def test_an_epoch_that_is_reported_again_after_a_kill_changes_nothing(make_sweep):
    sweep = make_sweep()
    memory = sweep.open()
    number = memory.next().number
    memory.report(number, epoch=0, value=3.0)
    memory = sweep.open()
    memory.next()
    memory.report(number, epoch=0, value=3.0)
    memory.report(number, epoch=1, value=2.0)
    assert memory.record(number).curve == {0: 3.0, 1: 2.0}


def test_records_tell_when_a_trial_was_handed_out_and_when_it_ended_in_utc(make_sweep):
    sweep = make_sweep()
    memory = sweep.open()
    before = datetime.now(UTC)
    number = memory.next().number
    running = memory.record(number)
    assert (running.status, running.ended, running.seconds) == (Status.RUNNING, None, None)
    between = datetime.now(UTC)
    memory.complete(number, (1.0,))
    after = datetime.now(UTC)
    record = sweep.open().record(number)
    assert record.started is not None
    assert record.ended is not None
    assert before <= record.started <= between <= record.ended <= after
    assert record.started.utcoffset() == timedelta(0)
    assert record.seconds == (record.ended - record.started).total_seconds()


def test_a_record_is_waiting_running_interrupted_or_final(make_sweep):
    sweep = make_sweep(experiment=PUBLISHED)
    memory = sweep.open()
    assert [record.status for record in memory.records()] == [Status.WAITING, Status.WAITING]
    number = memory.next().number
    assert memory.records()[0].status is Status.RUNNING
    assert memory.live == {number}
    memory.release_live()
    assert memory.records()[0].status is Status.INTERRUPTED
    assert memory.live == frozenset()


def test_pinned_values_are_in_no_trial_of_the_study_and_in_every_record(make_sweep):
    sweep = make_sweep(
        experiment=PUBLISHED,
        model={"gain": 2.25, "kind": "wide"},
        data={"batch_size": 7},
        search={"trials": 4},
    )
    memory = sweep.open()
    handed = drain(memory)
    assert {frozenset(one.parameters) for one in handed} == {frozenset({"model.depth", "model.width"})}
    assert handed[0].parameters == {"model.depth": 4, "model.width": 48}
    for trial in memory.study.get_trials():
        assert not set(trial.params) & {"model.gain", "model.kind", "data.batch_size"}
    for record in memory.records():
        pinned = {"model.gain": 2.25, "model.kind": "wide", "data.batch_size": 7, "trainer.max_epochs": 14}
        assert record.parameters.items() >= pinned.items()


def test_trials_have_seeds_of_their_own_that_the_sweep_and_the_number_decide(make_sweep):
    seeds = [one.seed for one in drain(make_sweep(name="one", seed=0).open())]
    others = [one.seed for one in drain(make_sweep(name="other", seed=1).open())]
    repeated = [one.seed for one in drain(make_sweep(name="again", seed=0).open())]
    assert len({*seeds, *others}) == 12
    assert repeated == seeds
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_seed_is_the_same_in_every_process():
    parts = [("trial", 0, 7), ("sampler", 3, 1), ("shuffle", 12345, 0)]
    program = (
        f"from neurosweep.search.seeds import derive_seed; print([derive_seed(*one) for one in {parts}])"
    )
    for hash_seed in ("1", "2"):
        output = subprocess.check_output(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": hash_seed}, text=True
        )
        assert ast.literal_eval(output) == [derive_seed(*one) for one in parts]


def test_parts_of_a_seed_do_not_run_together():
    seeds = {derive_seed("trial", sweep, number) for sweep in range(60) for number in range(60)}
    assert len(seeds) == 3600
    assert derive_seed("trial", 1, 23) != derive_seed("trial", 12, 3)


def test_a_kill_between_two_published_values_loses_none_of_them(make_sweep, monkeypatch):
    sweep = make_sweep(experiment=PUBLISHED, search={"trials": 4})
    enqueue = optuna.Study.enqueue_trial
    calls = []

    def enqueue_or_die(study, *arguments, **keywords):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        enqueue(study, *arguments, **keywords)

    monkeypatch.setattr(optuna.Study, "enqueue_trial", enqueue_or_die)
    with pytest.raises(KeyboardInterrupt):
        sweep.open()
    memory = sweep.open()
    assert [one.parameters["model.gain"] for one in drain(memory)][:2] == [7.5, -1.0]
    assert [record.origin for record in sweep.open().records()] == ["published"] * 2 + ["sampled"] * 2


def test_a_report_that_a_resume_repeats_changes_nothing_and_warns_nobody(make_sweep):
    sweep = make_sweep()
    killed = sweep.open()
    number = killed.next().number
    killed.report(number, epoch=0, value=3.0)
    resumed = sweep.open()
    resumed.next()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resumed.report(number, epoch=0, value=3.0)
    assert resumed.record(number).curve == {0: 3.0}


def test_an_epoch_that_is_trained_and_reported_again_changes_nothing_and_warns_of_nothing(
    make_sweep, recwarn
):
    sweep = make_sweep(search={"pruner": "median", "startup_trials": 2, "min_epochs": 1, "trials": 4})
    memory = sweep.open()
    for value in (1.0, 1.0):
        number = memory.next().number
        for epoch in range(4):
            assert not memory.report(number, epoch=epoch, value=value)
        memory.complete(number, (value,))
    number = memory.next().number
    for epoch in range(3):  # better than the median of the others, 1.0
        assert not memory.report(number, epoch=epoch, value=0.5)
    memory = sweep.open()
    assert memory.next().number == number
    for epoch in range(3):  # a little different, as on another GPU
        assert not memory.report(number, epoch=epoch, value=0.6)
    assert dict(memory.record(number).curve) == {0: 0.5, 1: 0.5, 2: 0.5}
    assert not [one for one in recwarn if "already reported" in str(one.message)]
