"""Ranking against orders sorted by hand and fronts found by brute force."""

import dataclasses
import math

import numpy as np
import pytest

from neurosweep.comparison import best_record, best_seen
from neurosweep.comparison.ranking import pareto_ranks, ranked_trials
from neurosweep.experiments import Objective
from neurosweep.naming import Failure, Status
from neurosweep.records import TrialRecord

MAXIMIZE = (Objective("val/behaviour_r2", "maximize"),)
MINIMIZE = (Objective("val/loss", "minimize"),)
BOTH = (MAXIMIZE[0], Objective("cost/epoch_seconds", "minimize"))


def trial(number, status, *, values=None, curve=None, failure=None):
    return TrialRecord(
        number=number, status=status, parameters={}, values=values, curve=curve or {}, failure=failure
    )


MIXED = [
    trial(0, Status.FAILED, curve={0: 0.99}, failure=Failure.DIVERGED),
    trial(1, Status.COMPLETED, values=(0.4,)),
    trial(2, Status.WAITING),
    trial(3, Status.PRUNED, curve={0: 0.1, 1: 0.3, 2: 0.2}),
    trial(4, Status.COMPLETED, values=(0.7,)),
    trial(5, Status.RUNNING, curve={0: 0.1}),
    trial(6, Status.PRUNED, curve={0: 0.5}),
    trial(7, Status.INTERRUPTED, curve={0: 0.2}),
    trial(8, Status.COMPLETED, values=(-0.1,)),
    trial(9, Status.PRUNED),
    trial(10, Status.FAILED, failure=Failure.RAISED),
]


def order(records, objectives):
    return [one.record.number for one in ranked_trials(records, objectives)]


def test_trials_come_as_completed_pruned_unfinished_waiting_failed_each_by_value():
    assert order(MIXED, MAXIMIZE) == [4, 1, 8, 6, 3, 9, 7, 5, 2, 0, 10]


def test_smaller_values_come_first_where_the_objective_is_minimized():
    assert order(MIXED, MINIMIZE) == [8, 1, 4, 3, 6, 9, 5, 7, 2, 0, 10]


def test_the_order_of_the_records_does_not_matter():
    assert order(MIXED[::-1], MAXIMIZE) == order(MIXED, MAXIMIZE)


@pytest.mark.parametrize(
    ("objectives", "places"),
    [(MAXIMIZE, [(3, 1), (4, 2), (1, 3), (0, 4), (2, 5)]), (BOTH, [(3, 1), (1, 1), (4, 2), (0, 3), (2, 4)])],
    ids=["one objective", "two objectives"],
)
def test_trials_that_violate_a_constraint_come_after_all_that_keep_it(objectives, places):
    values = [(0.99, 1.0), (0.5, 1.0), (0.98, 2.0), (0.7, 3.0), (0.6, 4.0)]
    records = [
        dataclasses.replace(
            trial(number, Status.COMPLETED, values=pair[: len(objectives)]),
            violations={"cost/size": 2.0 if number in (0, 2) else -1.0},
        )
        for number, pair in enumerate(values)
    ]
    assert [(one.record.number, one.rank) for one in ranked_trials(records, objectives)] == places
    assert best_record(records, objectives) is records[3]
    assert best_record([records[0], records[2]], objectives) is None


def test_a_duplicate_comes_after_its_original():
    copy = dataclasses.replace(trial(0, Status.COMPLETED, values=(0.7,)), duplicate_of=4)
    records = [copy, trial(4, Status.COMPLETED, values=(0.7,))]
    assert order(records, MAXIMIZE) == [4, 0]


def test_equal_values_share_a_rank_and_the_next_one_is_skipped():
    records = [trial(n, Status.COMPLETED, values=(v,)) for n, v in enumerate([0.5, 0.9, 0.5, 0.1])]
    ranked = ranked_trials(records, MAXIMIZE)
    assert [(one.record.number, one.rank) for one in ranked] == [(1, 1), (0, 2), (2, 2), (3, 4)]


def test_only_completed_trials_have_a_rank_and_failed_ones_have_no_score():
    for one in ranked_trials(MIXED, MAXIMIZE):
        assert (one.rank is not None) == (one.record.status is Status.COMPLETED)
        assert one.record.status is not Status.FAILED or one.scores == (None,)


def test_the_best_trial_is_the_best_completed_one_even_if_a_pruned_one_saw_a_better_value():
    records = [
        trial(0, Status.COMPLETED, values=(0.2,)),
        trial(1, Status.PRUNED, curve={0: 0.8}),
        trial(2, Status.COMPLETED, values=(0.3,)),
    ]
    best = best_record(records, MAXIMIZE)
    assert best is not None
    assert best.number == 2


def test_there_is_no_best_trial_where_none_completed():
    assert best_record([], MAXIMIZE) is None
    assert best_record([one for one in MIXED if one.status is not Status.COMPLETED], MAXIMIZE) is None


def test_best_value_seen_is_the_earliest_of_equal_ones_and_passes_over_nan():
    record = trial(0, Status.PRUNED, curve={3: 0.6, 0: math.nan, 1: 0.6, 2: 0.1})
    assert best_seen(record, MAXIMIZE[0]) == (1, 0.6)
    assert best_seen(record, MINIMIZE[0]) == (2, 0.1)
    assert best_seen(trial(1, Status.PRUNED, curve={0: math.nan}), MAXIMIZE[0]) is None


@pytest.mark.parametrize("seed", range(5))
def test_pareto_ranks_equal_those_of_peeling_fronts_by_brute_force(seed):
    generator = np.random.default_rng(seed)
    values = [tuple(row) for row in generator.integers(0, 6, size=(40, 2)).astype(float)]  # with ties

    def dominated(index, others):
        more, less = values[index]
        return any(a >= more and b <= less and (a, b) != (more, less) for a, b in (values[o] for o in others))

    expected, left, front = {}, set(range(len(values))), 1
    while left:
        outer = {index for index in left if not dominated(index, left)}
        expected.update(dict.fromkeys(outer, front))
        left, front = left - outer, front + 1
    assert pareto_ranks(values, BOTH) == [expected[index] for index in range(len(values))]


def test_several_objectives_order_by_front_and_then_by_the_first_objective():
    values = [(0.9, 9.0), (0.5, 1.0), (0.4, 2.0), (0.7, 9.5), (0.8, 3.0)]
    records = [trial(number, Status.COMPLETED, values=pair) for number, pair in enumerate(values)]
    ranked = ranked_trials(records, BOTH)
    assert [(one.record.number, one.rank) for one in ranked] == [(0, 1), (4, 1), (1, 1), (3, 2), (2, 2)]
    best = best_record(records, BOTH)
    assert best is not None
    assert best.number == 0


@pytest.mark.parametrize("values", [None, (0.1, 0.2), (math.nan,)])
def test_a_completed_trial_without_a_number_for_each_objective_is_refused(values):
    with pytest.raises(ValueError, match=r"Trial 3 is completed with the values .* val/behaviour_r2"):
        ranked_trials([trial(3, Status.COMPLETED, values=values)], MAXIMIZE)
