"""Scores of decoded behaviour day by day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import torch

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
