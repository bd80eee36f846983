"""Scores of decoded behaviour day by day, and whether one model is better than another over seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import stats

from lightning_modules.parts.decoding.wiener import Signals
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.metrics import r2, r2_flat, r2_within_target
from lightning_modules.parts.spikes.windows import SpikeTrials

SCORES = ("r2", "r2_flat", "r2_within_target")


@dataclass(frozen=True)
class DayScore:
    """How well one day was decoded. What the scores mean: `parts.metrics`.

    Args:
        day: ISO date.
        gap_days: Days since the last training day.
        n_trials: Trials of that day.
        r2: Variance-weighted over dimensions.
        r2_flat: Of each time point over trials, averaged.
        r2_within_target: Against the mean trajectory of each target on that day.
        r2_of_dimension: `r2` of each dimension alone, by its name.
    """

    day: str
    gap_days: int
    n_trials: int
    r2: float
    r2_flat: float
    r2_within_target: float
    r2_of_dimension: dict[str, float]


@dataclass(frozen=True)
class Spread:
    """Mean over days and the worst day; NaN if the score of a day is."""

    mean: float
    worst: float


@dataclass(frozen=True)
class PairedComparison:
    """Difference of two models over seeds: the first minus the second.

    Args:
        difference: Mean over seeds of the difference, each the mean over days.
        t_interval: Confidence interval by Student's t, which takes the seeds' differences for normal.
        bootstrap_interval: By the percentiles of resampled seeds; too narrow for a handful of seeds.
        n_better: Seeds for which the first model is better.
        n_seeds: Seeds.
    """

    difference: float
    t_interval: tuple[float, float]
    bootstrap_interval: tuple[float, float]
    n_better: int
    n_seeds: int


def score_days(
    predicted: Signals,
    trials: SpikeTrials,
    *,
    session_names: Sequence[str],
    behaviour_names: Sequence[str],
    last_training_day: str,
) -> tuple[DayScore, ...]:
    """Score each day that has trials.

    Args:
        predicted: (K, T, D).
        trials: What was recorded; `session` counts along `session_names`.
        session_names: Names that start with the ISO date, as `name_sessions` gives them. A day's second session
            is scored by itself.
        behaviour_names: Names of the D dimensions.
        last_training_day: ISO date from which the gaps count.

    Returns:
        One score a session, in the order of `session_names`.

    Raises:
        DataError: If predictions do not fit the trials, or names and behaviour do not fit together.
    """
    if predicted.shape != trials.behaviour.shape or len(behaviour_names) != predicted.shape[-1]:
        raise DataError(
            f"Predictions of shape {predicted.shape} for {len(behaviour_names)} named dimensions do not fit "
            f"behaviour of shape {trials.behaviour.shape}.",
            "Predict exactly the trials that are scored.",
        )
    scores = []
    for position in np.unique(trials.session):
        ours = np.flatnonzero(trials.session == position)
        guess, truth = torch.as_tensor(predicted[ours]), torch.as_tensor(trials.behaviour[ours])
        day = session_names[int(position)]
        scores.append(
            DayScore(
                day=day,
                gap_days=days_between(last_training_day, day),
                n_trials=len(ours),
                r2=r2(guess, truth).item(),
                r2_flat=r2_flat(guess, truth).item(),
                r2_within_target=r2_within_target(guess, truth, torch.as_tensor(trials.target[ours])).item(),
                r2_of_dimension={
                    name: r2(guess[..., one : one + 1], truth[..., one : one + 1]).item()
                    for one, name in enumerate(behaviour_names)
                },
            )
        )
    return tuple(scores)


def days_between(earlier: str, later: str) -> int:
    """Days from one session to another; names start with an ISO date, such as `2016-06-26 (2)`."""
    return (date.fromisoformat(later[:10]) - date.fromisoformat(earlier[:10])).days


def summarise_days(scores: Sequence[DayScore]) -> dict[str, Spread]:
    """Return mean and worst day of each of `SCORES`, every day counting alike.

    Raises:
        DataError: If there is no day.
    """
    if not scores:
        raise DataError("No day was scored.", "Hold out at least one day.")
    values = {name: np.array([getattr(one, name) for one in scores]) for name in SCORES}
    return {name: Spread(float(days.mean()), float(days.min())) for name, days in values.items()}


def compare_models(
    first: ArrayLike, second: ArrayLike, *, confidence: float = 0.95, n_resamples: int = 9999, seed: int = 0
) -> PairedComparison:
    """Compare scores of two models that were trained with the same seeds and tested on the same days.

    Days are averaged first: what is repeated is the training, and the days of one trained model are not
    independent. The intervals tell what other seeds would give on these days, not what other days would.

    Args:
        first: Scores of one model, (seeds, days) or (seeds,).
        second: Of the other, the same seeds and days in the same places.
        confidence: Of the two-sided intervals.
        n_resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Raises:
        ValueError: If the scores are not paired, are of fewer than two seeds, or are not finite.
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    problems = []
    if one.shape != other.shape or one.ndim not in (1, 2):
        problems.append(f"Scores have shapes {one.shape} and {other.shape}, not the same (seeds, days).")
    elif len(one) < 2:
        problems.append(f"{len(one)} seed says nothing about other seeds; train at least 2.")
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        problems.append("Scores are not all finite; a model that failed has no difference.")
    if problems:
        raise ValueError("Models cannot be compared:\n" + "\n".join(f"  {each}" for each in problems))
    differences = (one - other).reshape(len(one), -1).mean(axis=1)
    resampled = stats.bootstrap(
        (differences,),
        np.mean,
        confidence_level=confidence,
        n_resamples=n_resamples,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    mean, error = float(differences.mean()), float(differences.std(ddof=1)) / math.sqrt(len(differences))
    reach = float(stats.t.ppf((1 + confidence) / 2, df=len(differences) - 1)) * error
    return PairedComparison(
        difference=mean,
        t_interval=(mean - reach, mean + reach),
        bootstrap_interval=(float(resampled.low), float(resampled.high)),
        n_better=int((differences > 0).sum()),
        n_seeds=len(differences),
    )
