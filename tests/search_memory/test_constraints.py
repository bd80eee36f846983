"""Bounds that the best trial must keep, and memory, whose lack a sampler learns to avoid."""

import pytest
from optuna.trial import TrialState

from neurosweep.comparison import best_record
from neurosweep.experiments import Constraint, Objective
from neurosweep.naming import Failure, Status

SMALL, BRIGHT = Constraint("cost/size", at_most=10.0), Constraint("val/light", at_least=0.5, at_most=2.0)


@pytest.mark.parametrize(
    ("constraint", "value", "violation"),
    [
        (SMALL, 12.5, 2.5),
        (SMALL, 10.0, 0.0),
        (SMALL, 4.0, -6.0),
        (BRIGHT, 0.25, 0.25),
        (BRIGHT, 1.0, -0.5),
        (BRIGHT, 3.5, 1.5),
        (SMALL, float("nan"), 1.0),
        (SMALL, float("inf"), float("inf")),
    ],
)
def test_a_violation_is_the_distance_beyond_the_bound(constraint, value, violation):
    assert constraint.violation(value) == violation


def test_a_better_trial_that_violates_a_constraint_is_not_the_best(make_sweep):
    sweep = make_sweep(search={"trials": 3}, experiment={"constraints": (SMALL, BRIGHT)})
    memory = sweep.open()
    for loss, size in ((1.0, 30.0), (2.0, 9.0), (3.0, 8.0)):
        memory.complete(memory.next().number, (loss,), constrained=(size, 1.0))
    records = sweep.open().records()
    assert [record.feasible for record in records] == [False, True, True]
    assert records[0].violations == {"cost/size": 20.0, "val/light": -0.5}
    assert best_record(records, memory.objectives) is records[1]
    assert memory.study.best_trial.number == 1


def test_a_pruned_trial_has_its_violations_too(make_sweep):
    memory = make_sweep(experiment={"constraints": (SMALL,)}).open()
    number = memory.next().number
    memory.prune(number, constrained=(11.0,))
    assert memory.record(number).violations == {"cost/size": 1.0}


def test_out_of_memory_is_a_failure_for_people_and_a_constraint_for_the_study(make_sweep):
    sweep = make_sweep()
    memory = sweep.open()
    number = memory.next().number
    memory.report(number, epoch=0, value=1.0)
    memory.fail(number, Failure.OUT_OF_MEMORY, "80 GiB")
    record = sweep.open().record(number)
    assert (record.status, record.failure, record.failure_message) == (
        Status.FAILED,
        Failure.OUT_OF_MEMORY,
        "80 GiB",
    )
    assert (record.values, record.violations) == (None, {})
    assert memory.study.trials[number].state is TrialState.PRUNED
    assert memory.study.trials[number].constraints == {"memory": 1.0}


@pytest.mark.parametrize(
    ("failure", "state"), [("out_of_memory", TrialState.PRUNED), ("raised", TrialState.FAIL)]
)
def test_a_failure_that_was_noted_when_the_driver_died_is_told_by_the_next_one(make_sweep, failure, state):
    sweep = make_sweep()
    memory = sweep.open()
    number = memory.next().number
    memory._live[number].set_user_attr("failure", failure)
    assert sweep.open().next().number == number + 1
    assert sweep.open().records()[number].failure == failure
    assert sweep.open().study.trials[number].state is state


def out_of_memory(make_sweep, *, sampler: str, trials: int, told_as: Failure, seed: int) -> int:
    """Count the trials that meet a wall beyond which a steadily better objective cannot be had."""
    sweep = make_sweep(
        name=f"wall-{told_as}-{seed}",
        seed=seed,
        search={"sampler": sampler, "trials": trials, "startup_trials": 10},
        experiment={
            "space": "memory_spaces:numeric_space",
            "objectives": (Objective("val/r2", "maximize"),),
        },
    )
    memory, met = sweep.open(), 0
    while (assignment := memory.next()) is not None:
        gain = assignment.parameters["model.gain"]
        if gain > 1.0:
            memory.fail(assignment.number, told_as, "beyond the wall")
            met += assignment.number >= 10
        else:
            memory.complete(assignment.number, (gain,))
    return met


@pytest.mark.parametrize(("sampler", "trials", "seeds"), [("tpe", 60, 3), ("gp", 22, 1)])
def test_a_sampler_avoids_a_region_that_runs_out_of_memory_and_not_one_that_merely_fails(
    make_sweep, sampler, trials, seeds
):
    met = {
        told_as: [
            out_of_memory(make_sweep, sampler=sampler, trials=trials, told_as=told_as, seed=seed)
            for seed in range(seeds)
        ]
        for told_as in (Failure.OUT_OF_MEMORY, Failure.RAISED)
    }
    assert sum(met[Failure.OUT_OF_MEMORY]) < 0.6 * sum(met[Failure.RAISED]), met
