"""Trials of earlier sweeps: held against the space, evidence for sampler and pruner, never the sweep's own."""

import contextlib
import dataclasses

import pytest
from optuna.trial import TrialState

from neurosweep.experiments import Objective
from neurosweep.naming import Failure, Status
from neurosweep.search.earlier import EarlierTrials, as_evidence, fit_space
from neurosweep.search.trial_records import OwnTrials

WIDE = {"model.gain": 0.5, "model.depth": 2, "model.kind": "wide", "model.width": 9, "data.batch_size": 16}
PLAIN = {name: value for name, value in {**WIDE, "model.kind": "plain"}.items() if name != "model.width"}


@pytest.mark.parametrize(
    ("parameters", "fits"),
    [
        (WIDE, True),
        (PLAIN, True),
        ({**WIDE, "model.gain": 3.0}, True),
        ({**WIDE, "model.gain": 3.1}, False),
        ({**WIDE, "model.depth": 7}, False),
        ({**WIDE, "model.kind": "deep"}, False),
        ({**WIDE, "data.batch_size": 15}, False),
        ({**PLAIN, "model.width": 9}, False),
        ({**WIDE, "model.colour": "red"}, False),
        ({name: value for name, value in WIDE.items() if name != "model.width"}, False),
    ],
)
def test_a_trial_fits_a_space_that_would_ask_for_all_of_it_and_offer_each_value(parameters, fits):
    from memory_spaces import space

    found = fit_space(space, {}, parameters)
    assert (found is not None) == fits
    if found is not None:
        assert set(found) == set(parameters)


def test_what_is_pinned_now_is_not_asked_for_and_what_was_pinned_then_may_be():
    from memory_spaces import finite_space, space

    assert set(fit_space(space, {"model.gain": 9.0}, WIDE) or ()) == set(WIDE) - {"model.gain"}
    then = {name: value for name, value in WIDE.items() if name != "model.depth"}
    assert fit_space(space, {}, then) is None
    assert set(fit_space(space, {}, then, fixed={"model.depth": 3, "trainer.max_epochs": 9}) or ()) == set(
        WIDE
    )
    assert fit_space(space, {}, then, fixed={"model.depth": 30}) is None
    assert set(fit_space(finite_space, {"model.kind": "plain"}, {"model.kind": "plain"}) or {"x"}) == {"x"}


def loss(parameters) -> float:
    return (parameters["model.gain"] - 2) ** 2 + parameters["model.depth"] / 10


def finished_sweep(make_sweep, *, failing: int = 5, **parts):
    """A random sweep of twelve trials over the numeric space; every fourth pruned at epoch 3, one failed."""
    sweep = make_sweep(
        name="earlier",
        search={"trials": 12},
        experiment={"space": "memory_spaces:numeric_space", **parts},
    )
    memory = sweep.open()
    while (assignment := memory.next()) is not None:
        number, value = assignment.number, loss(assignment.parameters)
        for epoch in range(4):
            memory.report(number, epoch=epoch, value=value + 3 - epoch, judged=-value)
        if number == failing:
            memory.fail(number, Failure.RAISED, "no")
        elif number % 4 == 1:
            memory.prune(number)
        else:
            memory.complete(number, (value,) * len(memory.objectives))
    return memory


def evidence_of(study) -> EarlierTrials:
    from memory_spaces import numeric_space

    states = (TrialState.COMPLETE, TrialState.PRUNED)
    return EarlierTrials(
        tuple(
            as_evidence(
                trial,
                origin=f"earlier/{trial.number}",
                distributions=fit_space(numeric_space, {}, trial.params),
            )
            for trial in study.get_trials(states=states)
        )
    )


def later(make_sweep, **search):
    return make_sweep(
        name="later",
        seed=5,
        search={"trials": 6, **search},
        experiment={"space": "memory_spaces:numeric_space"},
    )


def test_evidence_is_in_the_study_and_in_no_record_number_or_total(make_sweep):
    earlier = evidence_of(finished_sweep(make_sweep).study)
    assert len(earlier.evidence) == 11
    sweep = later(make_sweep)
    memory = sweep.open(earlier=earlier)
    numbers = []
    while (assignment := memory.next()) is not None:
        numbers.append(assignment.number)
        memory.complete(assignment.number, (0.0,))
    assert numbers == list(range(11, 17))
    records = sweep.open(earlier=earlier).records()
    assert [record.number for record in records] == numbers
    assert {record.status for record in records} == {Status.COMPLETED}
    assert len(memory.study.trials) == 17
    assert len(OwnTrials(memory.study).trials) == 6
    (first, *_) = memory.study.trials
    assert (first.user_attrs["origin"], first.user_attrs["evidence"]) == ("earlier/0", True)


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_sampler_goes_on_from_evidence_as_if_the_trials_were_its_own(make_sweep, sampler):
    own = finished_sweep(make_sweep, failing=-1).study
    search = {"sampler": sampler, "trials": 16, "startup_trials": 8}
    parts = {"experiment": {"space": "memory_spaces:numeric_space"}, "seed": 5}
    longer, later = (make_sweep(name=name, search=search, **parts) for name in ("longer", "later"))
    memory = longer.open()
    memory.study.add_trials(own.get_trials())
    picks = []
    for memory in (longer.open(), later.open(earlier=evidence_of(own))):
        picks.append([])
        for _ in range(4):
            assignment = memory.next()
            picks[-1].append((assignment.number, assignment.parameters))
            memory.complete(assignment.number, (loss(assignment.parameters),))
    assert picks[0] == picks[1]
    assert [number for number, _ in picks[0]] == [12, 13, 14, 15]


def test_a_pruner_judges_against_evidence(make_sweep):
    earlier = evidence_of(finished_sweep(make_sweep).study)
    completed = sum(trial.state is TrialState.COMPLETE for trial in earlier.evidence)
    for name, given, verdict in (("with", earlier, True), ("without", None, False)):
        sweep = make_sweep(
            name=name,
            search={"pruner": "median", "startup_trials": completed, "min_epochs": 1},
            experiment={"space": "memory_spaces:numeric_space"},
        )
        memory = sweep.open(earlier=given)
        number = memory.next().number
        assert memory.report(number, epoch=2, value=1e6) is verdict


def test_a_metric_that_is_judged_apart_travels_with_the_evidence(make_sweep):
    objectives = (Objective("val/loss", "minimize"), Objective("val/size", "minimize"))
    parts = {"objectives": objectives, "prune_on": Objective("val/r2", "maximize")}
    earlier = evidence_of(finished_sweep(make_sweep, **parts).study)
    sweep = make_sweep(
        search={"pruner": "median", "startup_trials": 3, "min_epochs": 1, "sampler": "nsga2"},
        experiment={"space": "memory_spaces:numeric_space", **parts},
    )
    memory = sweep.open(earlier=earlier)
    number = memory.next().number
    assert not memory.report(number, epoch=2, value=1e6, judged=10.0)
    assert memory.report(number, epoch=3, value=1e6, judged=-1e6) is False, "the best epoch so far counts"
    worse = memory.next().number
    assert memory.report(worse, epoch=2, value=0.0, judged=-1e6)


@pytest.mark.parametrize("writes", range(0, 16, 3))
def test_a_kill_while_the_beginning_is_laid_down_doubles_and_loses_nothing(make_sweep, monkeypatch, writes):
    from optuna.storages.journal import JournalFileBackend

    class Killed(BaseException):
        pass

    openings = (("warm start other/3", {"model.gain": 1.0}), ("warm start other/1", {"model.gain": 2.0}))
    earlier = dataclasses.replace(evidence_of(finished_sweep(make_sweep).study), openings=openings)
    sweep = later(make_sweep)
    whole, left = JournalFileBackend.append_logs, [writes + 3]  # the study itself takes three

    def append_logs(self, logs):
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        whole(self, logs)

    monkeypatch.setattr(JournalFileBackend, "append_logs", append_logs)
    with contextlib.suppress(Killed):
        sweep.open(earlier=earlier)
    monkeypatch.setattr(JournalFileBackend, "append_logs", whole)
    for _ in range(2):
        memory = sweep.open(earlier=earlier)
        origins = [trial.user_attrs["origin"] for trial in memory.study.trials]
        assert origins == [
            *(trial.user_attrs["origin"] for trial in earlier.evidence),
            "warm start other/3",
            "warm start other/1",
        ]
    memory.next()
    again = sweep.open(
        earlier=dataclasses.replace(earlier, openings=(*openings, ("late", {"model.gain": 0.0})))
    )
    assert len(again.study.trials) == 13, "a sweep that has begun takes nothing more"
    assert [record.origin for record in again.records()] == ["warm start other/3", "warm start other/1"]
