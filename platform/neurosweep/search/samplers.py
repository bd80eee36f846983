"""Optuna's samplers and pruners by the names of the configuration."""

import warnings
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import FrozenTrial

from neurosweep.config import SearchConfig
from neurosweep.search.seeds import derive_seed


def build_sampler(search: SearchConfig, *, seed: int, number: int) -> BaseSampler:
    """Build the sampler that proposes trial `number`.

    It is built anew, with a seed of its own, for every trial: what it proposes then depends on the study alone,
    not on how often the driver was restarted on the way.

    Args:
        search: Names the sampler.
        seed: The sweep's seed.
        number: Number of the trial that it will propose.
    """
    with warnings.catch_warnings():
        # Multivariate TPE, GP and QMC are marked experimental in Optuna 5; the user chose them by name.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        trial_seed = derive_seed("sampler", seed, number)
        match search.sampler:
            case "tpe":
                return TPESampler(
                    n_startup_trials=search.startup_trials,
                    multivariate=True,
                    group=True,  # conditional parameters are modelled jointly with their own branch
                    constant_liar=True,  # several trials run at once
                    seed=trial_seed,
                )
            case "random":
                return RandomSampler(seed=trial_seed)
            case "gp":
                return GPSampler(
                    n_startup_trials=search.startup_trials, seed=trial_seed, warn_independent_sampling=False
                )
            case "cmaes":
                return CmaEsSampler(
                    n_startup_trials=search.startup_trials, seed=trial_seed, warn_independent_sampling=False
                )
            case "qmc":
                return _NumberedQMC(number, seed=derive_seed("sampler", seed))
            case "nsga2":
                return _OrderedNSGAII(population_size=search.generation_size, seed=trial_seed)


class _NumberedQMC(QMCSampler):
    """Gives each trial the point of its number, by a sequence that all trials scramble alike.

    Optuna counts the points handed out, and a kill in the middle of a draw makes it skip one.
    """

    def __init__(self, number: int, *, seed: int) -> None:
        super().__init__(scramble=True, seed=seed, warn_independent_sampling=False)
        self._number = number

    def _find_sample_id(self, study: optuna.Study, search_space: dict[str, Any]) -> int:
        return self._number


class _OrderedNSGAII(NSGAIISampler):
    """Keeps the parents of a generation in the order of their numbers, and inherits conditional parameters.

    Optuna has parents in the order of selection in the process that selects them, and by number once they are read
    back from the study: a restart would cross other ones. It crosses those parameters alone that all trials have, and
    draws the others at random: of a space with branches it would search little more than which branch to take.
    """

    def select_parent(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        return sorted(super().select_parent(study, generation), key=lambda trial: trial.number)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Take a parameter that not all trials have from the parent that is most like the child so far.

        As other parameters it is drawn at random in the first generation, and where it mutates.
        """
        donors = (
            []
            if param_name in self.infer_relative_search_space(study, trial)
            else self._parents(study, trial)
        )
        donors = [one for one in donors if one.distributions.get(param_name) == param_distribution]
        if donors:
            likeness = [
                sum(one.params.get(name) == value for name, value in trial.params.items()) for one in donors
            ]
            nearest = [one for one, like in zip(donors, likeness, strict=True) if like == max(likeness)]
            donor = nearest[self._rng.rng.choice(len(nearest))]
            if self._rng.rng.rand() >= 1 / len(donor.params):
                return donor.params[param_name]
        return super().sample_independent(study, trial, param_name, param_distribution)

    def _parents(self, study: optuna.Study, trial: FrozenTrial) -> list[FrozenTrial]:
        return self.get_parent_population(study, self.get_trial_generation(study, trial))


def proposals_ahead(search: SearchConfig, *, slots: int) -> int:
    """Return how many proposals to have ready: as asked for, or one for the sampler that takes seconds.

    With one slot nothing waits but the loop itself, and what is proposed stays the same over restarts.
    """
    if search.ask_ahead is not None:
        return search.ask_ahead
    return 1 if search.sampler == "gp" and slots > 1 else 0


def build_pruner(search: SearchConfig, *, max_epochs: int) -> BasePruner:
    """Build the pruner; its resource is the number of finished epochs.

    Args:
        search: Names the pruner.
        max_epochs: Epochs of a full trial.
    """
    match search.pruner:
        case "successive_halving":
            return SuccessiveHalvingPruner(
                min_resource=search.min_epochs, reduction_factor=search.reduction_factor
            )
        case "hyperband":
            return HyperbandPruner(
                min_resource=search.min_epochs,
                max_resource=max_epochs,
                reduction_factor=search.reduction_factor,
            )
        case "median":
            return MedianPruner(n_startup_trials=search.startup_trials, n_warmup_steps=search.min_epochs)
        case "none":
            return NopPruner()
