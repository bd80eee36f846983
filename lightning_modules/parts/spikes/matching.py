"""Units of every session brought to the same mean and spread: adaptation to a new day that needs no labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_modules.parts.spikes.windows import SpikeTrials


@dataclass(frozen=True, eq=False)
class SessionMatching:
    """The average training day, which every session is made to look like.

    Roots of counts are compared, whose spread depends little on the rate.

    Args:
        mean: Mean over days of the mean root count of each unit, (N,).
        scale: Root of the mean over days of the variance of root counts, (N,).
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    def match(self, spikes: NDArray[Any]) -> NDArray[np.float32]:
        """Return what one session's counts would be on the average day.

        A unit that never changes on this day, such as a silent one, is set to its mean.

        Args:
            spikes: Trials of one session, as many as there are, (K, T, N).

        Returns:
            Not whole any more, 0 or more, float32 (K, T, N).
        """
        roots = np.sqrt(spikes.astype(np.float64))
        deviation = roots.std(axis=(0, 1))
        standard = (roots - roots.mean(axis=(0, 1))) / np.where(deviation > 0, deviation, 1.0)
        return np.square(np.maximum(standard * self.scale + self.mean, 0.0)).astype(np.float32)

    def match_sessions(self, trials: SpikeTrials) -> SpikeTrials:
        """Return trials with each session matched by itself; see `match`."""
        spikes = np.empty(trials.spikes.shape, dtype=np.float32)
        for session in np.unique(trials.session):
            ours = trials.session == session
            spikes[ours] = self.match(trials.spikes[ours])
        return SpikeTrials(spikes, trials.behaviour, trials.target, trials.session)  # type: ignore[arg-type]


def average_day(days: Sequence[NDArray[Any]]) -> SessionMatching:
    """Average the statistics of the training days, every day counting alike.

    Args:
        days: Counts of each day's trials, (K, T, N).
    """
    roots = [np.sqrt(day.astype(np.float64)) for day in days]
    means = np.mean([one.mean(axis=(0, 1)) for one in roots], axis=0)
    variances = np.mean([one.var(axis=(0, 1)) for one in roots], axis=0)
    return SessionMatching(means, np.sqrt(variances))
