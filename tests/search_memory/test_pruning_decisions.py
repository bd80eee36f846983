"""Which trials the memory ends early: those that Optuna's own pruners end on the same curves, and none too late."""

from typing import Literal

import numpy as np
import optuna
import pytest
from optuna.pruners import HyperbandPruner, MedianPruner, SuccessiveHalvingPruner

from neurosweep.config import SearchConfig
from neurosweep.experiments import Objective
from neurosweep.search.decisions import decision_epochs

EPOCHS = 14
Direction = Literal["minimize", "maximize"]


def curves(trials: int) -> np.ndarray:
    """Losses that fall at different speeds to different floors, (trials, epochs)."""
    generator = np.random.default_rng(4)
    floor, speed = generator.uniform(0, 2, (trials, 1)), generator.uniform(0.05, 0.5, (trials, 1))
    noise = generator.normal(scale=0.05, size=(trials, EPOCHS))
    return floor + np.exp(-speed * np.arange(EPOCHS)) + noise


def by_hand(
    pruner: optuna.pruners.BasePruner, losses: np.ndarray, *, name: str, direction: Direction
) -> list[int | None]:
    """Ask Optuna alone; return the epoch at which each trial ends, or None for a full one.

    As in a sweep, a resource is a number of finished epochs and the last one ends by itself.
    """
    study = optuna.create_study(study_name=name, pruner=pruner, direction=direction)
    ends: list[int | None] = []
    for curve in losses:
        trial, end = study.ask(), None
        for finished, value in enumerate(curve, start=1):
            trial.report(value, finished)
            if finished < EPOCHS and trial.should_prune():
                end = finished - 1
                break
        ends.append(end)
        study.tell(
            trial,
            None if end is not None else curve[-1],
            state=optuna.trial.TrialState.PRUNED if end is not None else None,
        )
    return ends


def in_a_sweep(sweep, losses: np.ndarray, *, reopen: bool = False, apart: bool = False) -> list[int | None]:
    """Run the curves in a sweep; `apart` if they are those of another metric than the objectives, which are flat."""
    memory = sweep.open()
    ends: list[int | None] = []
    for curve in losses:
        assignment, end = memory.next(), None
        for epoch, value in enumerate(curve):
            if reopen and epoch == 5:
                memory = sweep.open()
                assert memory.next() == assignment
            judged = {"value": 5.0, "judged": value} if apart else {"value": value}
            if memory.report(assignment.number, epoch=epoch, **judged):
                end = epoch
                break
        ends.append(end)
        if end is None:
            memory.complete(assignment.number, (curve[-1],) * len(memory.objectives))
        else:
            memory.prune(assignment.number)
    return ends


PRUNERS = {
    "successive_halving": SuccessiveHalvingPruner(min_resource=3, reduction_factor=2),
    "hyperband": HyperbandPruner(min_resource=3, max_resource=EPOCHS, reduction_factor=2),
    "median": MedianPruner(n_startup_trials=4, n_warmup_steps=3),
}


@pytest.mark.parametrize("reopen", [False, True], ids=["one driver", "a new driver in every trial"])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("name", PRUNERS)
def test_trials_end_where_optunas_pruner_ends_them(make_sweep, name, direction, reopen):
    losses = curves(10) * (1 if direction == "minimize" else -1)
    sweep = make_sweep(
        search={"trials": 10, "pruner": name, "min_epochs": 3, "reduction_factor": 2, "startup_trials": 4},
        experiment={"objectives": (Objective("val/loss", direction),)},
    )
    expected = by_hand(PRUNERS[name], losses, name=sweep.config.name, direction=direction)
    assert any(end is not None for end in expected)
    assert None in expected
    assert in_a_sweep(sweep, losses, reopen=reopen) == expected


def test_no_trial_is_ended_before_its_first_epochs_or_after_its_last(make_sweep):
    worse_and_worse = np.arange(1.0, 9.0)[:, None] + np.zeros(EPOCHS)
    sweep = make_sweep(
        search={"trials": 8, "pruner": "successive_halving", "min_epochs": 9, "reduction_factor": 3}
    )
    ends = in_a_sweep(sweep, worse_and_worse)
    assert ends == [None] + [8] * 7  # nine epochs are done after epoch 8


def test_a_trial_that_is_worst_at_its_last_epoch_alone_is_full(make_sweep):
    losses = np.ones((6, EPOCHS))
    losses[:, -1] = np.arange(2, 8)
    sweep = make_sweep(search={"trials": 6, "pruner": "median", "startup_trials": 1, "min_epochs": 1})
    assert in_a_sweep(sweep, losses) == [None] * 6


def test_without_a_pruner_every_trial_is_full(make_sweep):
    sweep = make_sweep(search={"trials": 4, "pruner": "none"})
    assert in_a_sweep(sweep, curves(4)) == [None] * 4


@pytest.mark.parametrize("reopen", [False, True], ids=["one driver", "a new driver in every trial"])
@pytest.mark.parametrize("count", [1, 2], ids=["one objective", "two objectives"])
@pytest.mark.parametrize("name", PRUNERS)
def test_another_metric_than_the_objectives_is_judged_as_optuna_judges_an_objective(
    make_sweep, name, count, reopen
):
    losses = -curves(10)
    sweep = make_sweep(
        search={
            "sampler": "tpe",  # it would trip over curves that Optuna cannot have with several objectives
            "trials": 10,
            "pruner": name,
            "min_epochs": 3,
            "reduction_factor": 2,
            "startup_trials": 4,
        },
        experiment={
            "objectives": (Objective("val/loss", "minimize"), Objective("cost/size", "minimize"))[:count],
            "prune_on": Objective("val/r2", "maximize"),
        },
    )
    expected = by_hand(PRUNERS[name], losses, name=sweep.config.name, direction="maximize")
    assert any(end is not None for end in expected)
    assert None in expected
    assert in_a_sweep(sweep, losses, reopen=reopen, apart=True) == expected
    for record, end in zip(sweep.open().records(), expected, strict=True):
        assert record.curve == dict.fromkeys(range(EPOCHS if end is None else end + 1), 5.0)


@pytest.mark.parametrize("name", PRUNERS)
def test_a_verdict_that_a_kill_cut_off_is_given_again(make_sweep, name):
    losses = curves(10)
    search = {"trials": 10, "pruner": name, "min_epochs": 3, "reduction_factor": 2, "startup_trials": 4}
    sweep = make_sweep(search=search)
    memory, cut_off = sweep.open(), 0
    for curve in losses:
        number = memory.next().number
        for epoch, value in enumerate(curve):
            if memory.report(number, epoch=epoch, value=value):
                memory = sweep.open()  # the driver died before it told that the trial is pruned
                assert memory.next().number == number
                assert not memory.report(number, epoch=epoch - 1, value=curve[epoch - 1])
                assert memory.report(number, epoch=epoch, value=value)
                memory.prune(number)
                cut_off += 1
                break
        else:
            memory.complete(number, (curve[-1],))
    assert cut_off > 1


def test_several_objectives_are_not_pruned_on_their_own(make_sweep):
    objectives = (Objective("val/loss", "minimize"), Objective("val/r2", "maximize"))
    sweep = make_sweep(
        search={"trials": 3, "pruner": "median", "startup_trials": 0, "min_epochs": 1},
        experiment={"objectives": objectives},
    )
    memory = sweep.open()
    for value in range(3):
        number = memory.next().number
        assert not any(memory.report(number, epoch=epoch, value=float(value)) for epoch in range(EPOCHS))
        memory.complete(number, (float(value), 0.5))
    assert [record.values for record in memory.records()] == [(0.0, 0.5), (1.0, 0.5), (2.0, 0.5)]


@pytest.mark.parametrize("name", PRUNERS)
def test_no_pruner_ends_a_trial_where_the_workers_do_not_wait_for_it(name):
    search = SearchConfig(pruner=name, min_epochs=3, reduction_factor=2, startup_trials=4)
    epochs = decision_epochs(search, max_epochs=EPOCHS)
    ends = by_hand(PRUNERS[name], curves(60), name="decisions", direction="minimize")
    found = {end + 1 for end in ends if end is not None}
    assert found, "nothing was pruned"
    assert found <= set(epochs)
    assert set(epochs) == ({3, 6, 12} if name != "median" else set(range(1, EPOCHS)))
    assert decision_epochs(SearchConfig(pruner="none"), max_epochs=EPOCHS) == ()
