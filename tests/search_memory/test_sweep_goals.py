"""Target and plateau, against slow loops over the trials in the order of their end."""

import datetime
import random

import pytest

from neurosweep.experiments import Objective
from neurosweep.naming import Failure, Status
from neurosweep.records import TrialRecord
from neurosweep.search.goals import reached, trials_since_best

NOON = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC)


def trial(
    number: int, value: float | None, *, minute: int | None = None, status=Status.COMPLETED
) -> TrialRecord:
    ended = None if minute is None else NOON + datetime.timedelta(minutes=minute)
    return TrialRecord(number, status, {}, values=None if value is None else (value,), ended=ended)


@pytest.mark.parametrize(
    ("direction", "target", "expected"),
    [("maximize", 0.8, True), ("maximize", 0.81, False), ("minimize", 0.5, True), ("minimize", 0.49, False)],
)
def test_target_is_reached_by_a_completed_trial_that_is_at_least_as_good(direction, target, expected):
    records = [trial(0, 0.5), trial(1, 0.8), trial(2, None, status=Status.FAILED)]
    assert reached(records, Objective("val/score", direction), target) is expected


def test_target_is_not_reached_by_the_curve_of_a_trial_that_is_not_completed():
    running = TrialRecord(0, Status.RUNNING, {}, curve={0: 0.99})
    assert not reached([running], Objective("val/score", "maximize"), 0.9)


@pytest.mark.parametrize("seed", range(20))
def test_plateau_is_the_length_of_the_last_stretch_without_a_better_value(seed):
    chance = random.Random(seed)
    records = []
    for number in range(30):
        kind = chance.choice(
            [Status.COMPLETED, Status.COMPLETED, Status.PRUNED, Status.FAILED, Status.RUNNING]
        )
        value = round(chance.random(), 1) if kind is Status.COMPLETED else None
        records.append(
            trial(
                number, value, minute=None if kind is Status.RUNNING else chance.randrange(500), status=kind
            )
        )
    chance.shuffle(records)
    told = sorted((one for one in records if one.ended), key=lambda one: (one.ended, one.number))
    told = [one for one in told if one.status is not Status.FAILED]
    values = [one.values[0] if one.values else float("-inf") for one in told]
    best = values.index(max(values))  # the earliest of equals: equal is not better
    assert trials_since_best(records, Objective("val/score", "maximize")) == len(values) - 1 - best


def test_plateau_does_not_begin_before_the_first_completed_trial():
    pruned = [trial(number, None, minute=number, status=Status.PRUNED) for number in range(9)]
    assert trials_since_best(pruned, Objective("val/score", "maximize")) == 0


def test_failed_trials_do_not_count_towards_a_plateau():
    failed = TrialRecord(
        1, Status.FAILED, {}, failure=Failure.RAISED, ended=NOON + datetime.timedelta(minutes=5)
    )
    assert trials_since_best([trial(0, 1.0, minute=0), failed], Objective("val/score", "maximize")) == 0
