"""NSGA-II where a parameter decides which others there are: children inherit those too."""

import optuna
import pytest
from optuna.samplers import NSGAIISampler

from neurosweep.config import SearchConfig
from neurosweep.search.samplers import build_sampler

GENERATION, TRIALS = 8, 48


def space(trial: optuna.Trial) -> tuple[float, float]:
    """Two branches with a parameter each, and one that all have."""
    kind = trial.suggest_categorical("kind", ["a", "b"])
    value = trial.suggest_float(f"{kind}_value", 0, 1)
    return value, (1 - value) ** 2 + (0.1 if kind == "b" else 0)


def inherited(study: optuna.Study) -> float:
    """Share of later trials whose conditional value some earlier trial of the same branch has."""
    trials, later = study.get_trials(deepcopy=False), []
    for trial in trials[GENERATION:]:
        name = f"{trial.params['kind']}_value"
        before = {one.params.get(name) for one in trials[: trial.number]}
        later.append(trial.params[name] in before)
    return sum(later) / len(later)


def run(seed: int, *, plain: bool = False) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["minimize", "minimize"])
    for number in range(TRIALS):
        search = SearchConfig(sampler="nsga2", generation_size=GENERATION)
        study.sampler = build_sampler(search, seed=seed, number=number)
        if plain:
            study.sampler = NSGAIISampler(population_size=GENERATION, seed=seed + number)
        trial = study.ask()
        study.tell(trial, space(trial))
    return study


@pytest.mark.parametrize("seed", [0, 1])
def test_children_inherit_parameters_that_only_some_trials_have(seed: int):
    """Each is drawn anew with a probability of 1/2, as a trial has two parameters; Optuna's own draws all of them."""
    assert inherited(run(seed, plain=True)) == 0
    assert 0.25 < inherited(run(seed)) < 0.75


def test_the_same_trials_come_out_again():
    first, second = ([one.params for one in run(3).trials] for _ in range(2))
    assert first == second
