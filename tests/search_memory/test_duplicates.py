"""A configuration that has been tried is not trained again."""

import pytest
from optuna.trial import TrialState

from neurosweep.comparison import best_record, leaderboard
from neurosweep.experiments import Constraint, Objective
from neurosweep.naming import Failure, Status

FINITE = {"space": "memory_spaces:finite_space"}


def score(parameters) -> float:
    return float(parameters.get("model.width", 3.5))


def run(memory) -> list[int]:
    """Run what is left, width 5 pruned; return the numbers of the trials that were trained."""
    trained = []
    while (assignment := memory.next()) is not None:
        trained.append(assignment.number)
        value = score(assignment.parameters)
        memory.report(assignment.number, epoch=0, value=value)
        if value == 5:
            memory.prune(assignment.number)
        else:
            memory.complete(assignment.number, (value,))
    return trained


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2", "qmc"])
def test_a_space_of_seven_points_is_trained_seven_times_at_most_however_many_trials(make_sweep, sampler):
    sweep = make_sweep(search={"sampler": sampler, "trials": 40, "generation_size": 5}, experiment=FINITE)
    memory = sweep.open()
    trained = run(memory)
    records = sweep.open().records()
    assert len(records) == 40
    assert len(trained) == len({str(record.parameters) for record in records}) <= 7
    assert sorted(memory.take_settled()) == [
        record.number for record in records if record.duplicate_of is not None
    ]
    assert set(trained).isdisjoint(memory.take_settled())
    for record in records:
        if record.number in trained:
            assert (record.origin, record.duplicate_of, record.attempts) == ("sampled", None, 1)
            continue
        original = records[record.duplicate_of]
        assert record.origin == f"duplicate of {original.number}"
        assert original.number in trained
        assert original.parameters == record.parameters
        assert (original.status, original.values, original.curve) == (
            record.status,
            record.values,
            record.curve,
        )
        assert record.attempts == 0
    assert best_record(records, memory.objectives).number in trained
    assert set(leaderboard(records, memory.objectives)["origin"]) >= {"sampled"}


def test_repeats_are_run_if_that_is_asked_for(make_sweep):
    sweep = make_sweep(search={"trials": 20, "duplicates": "run"}, experiment=FINITE)
    assert run(sweep.open()) == list(range(20))


def test_a_sweep_in_which_everything_is_pinned_repeats_over_seeds(make_sweep):
    sweep = make_sweep(search={"trials": 4}, experiment=FINITE, model={"kind": "plain"})
    assert run(sweep.open()) == [0, 1, 2, 3]
    assert len({record.seed for record in sweep.open().records()}) == 4


def test_trials_that_failed_or_are_under_way_are_no_originals(make_sweep):
    memory = make_sweep(
        search={"trials": 4}, experiment={**FINITE, "published": "memory_spaces:TWICE"}
    ).open()
    failed, under_way = memory.next(), memory.next()
    assert failed.parameters == under_way.parameters
    memory.fail(failed.number, Failure.OUT_OF_MEMORY, "no")
    third = memory.next()
    assert third.parameters == failed.parameters
    memory.complete(under_way.number, (1.0,))
    memory.fail(third.number, Failure.RAISED, "no")
    assert [record.duplicate_of for record in memory.records()][:3] == [None, None, None]


def test_a_published_configuration_that_repeats_another_takes_over_everything_that_is_known(make_sweep):
    objectives = (Objective("val/loss", "minimize"), Objective("val/size", "minimize"))
    sweep = make_sweep(
        search={"trials": 3, "try_published": True},
        experiment={
            **FINITE,
            "published": "memory_spaces:TWICE",
            "objectives": objectives,
            "constraints": (Constraint("cost/size", at_most=1.0),),
        },
    )
    memory = sweep.open()
    first = memory.next().number
    memory.report(first, epoch=0, value=2.0)
    memory.report(first, epoch=1, value=1.5)
    memory.complete(first, (1.5, 4.0), constrained=(3.0,))
    assert memory.next() is None
    original, *copies = sweep.open().records()
    assert [copy.origin for copy in copies] == ["duplicate of 0", "duplicate of 0"]
    for copy in copies:
        assert (copy.values, copy.curve, copy.violations) == (
            (1.5, 4.0),
            {0: 2.0, 1: 1.5},
            {"cost/size": 2.0},
        )
        assert copy.status is Status.COMPLETED
    assert original.duplicate_of is None


@pytest.mark.parametrize("noted", [False, True], ids=["before it was noted", "before it was told"])
def test_a_kill_while_a_trial_takes_over_results_is_made_up_for(make_sweep, monkeypatch, noted):
    sweep = make_sweep(search={"trials": 3}, experiment={**FINITE, "published": "memory_spaces:TWICE"})
    memory = sweep.open()
    number = memory.next().number
    memory.report(number, epoch=0, value=2.0)
    memory.complete(number, (2.0,))
    half_done = memory.study.ask()
    memory._draw(half_done)
    if noted:
        half_done.set_user_attr("duplicate_of", number)
        half_done.report(2.0, 1)
    again = sweep.open()
    assert again.next() is None
    assert [(one.duplicate_of, one.values, one.curve) for one in again.records()[1:]] == [
        (0, (2.0,), {0: 2.0})
    ] * 2
    assert {trial.state for trial in again.study.trials} == {TrialState.COMPLETE}


@pytest.mark.parametrize("reopen", [False, True], ids=["one driver", "a new driver for every trial"])
def test_duplicates_do_not_compete_at_a_rung(make_sweep, reopen):
    """Of four trials two pass; six copies of the best would leave a place to them alone."""
    search = {"trials": 20, "pruner": "successive_halving", "min_epochs": 1, "reduction_factor": 2}
    verdicts = []
    for duplicates in ("reuse", "run"):
        sweep = make_sweep(
            name=duplicates,
            search={**search, "duplicates": duplicates},
            experiment={**FINITE, "published": "memory_spaces:BEST_THEN_OTHERS"},
        )
        memory = sweep.open()
        while (assignment := memory.next()) is not None:
            pruned = memory.report(assignment.number, epoch=0, value=score(assignment.parameters))
            if assignment.parameters == {"model.kind": "wide", "model.width": 2}:
                verdicts.append(pruned)
                break
            memory.complete(assignment.number, (score(assignment.parameters),))
            memory = sweep.open() if reopen else memory
    assert verdicts == [False, True]
