"""Optuna's samplers and pruners by the names of the configuration."""

import warnings

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, QMCSampler, RandomSampler, TPESampler

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
                return GPSampler(n_startup_trials=search.startup_trials, seed=trial_seed)
            case "cmaes":
                return CmaEsSampler(
                    n_startup_trials=search.startup_trials, seed=trial_seed, warn_independent_sampling=False
                )
            case "qmc":
                # A point of the sequence is numbered in the storage, so every trial must scramble it alike.
                return QMCSampler(
                    scramble=True, seed=derive_seed("sampler", seed), warn_independent_sampling=False
                )


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
