"""What averaging repeats does to a score, and how well anything could predict what was averaged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.recordings.normalise import AveragedPatterns, average_repeats
from lightning_modules.icgan.recordings.session import ImageSession
from lightning_modules.parts.errors import DataError

REPEATS = (1, 2, 5, 10, 20, 35)
LOWEST_CEILING = 0.1
"""Below it a correlation divided by its ceiling is mostly noise."""


@dataclass(frozen=True, eq=False)
class AveragingCurve:
    """A score by the number of repeats that were averaged.

    Args:
        repeats: Numbers of repeats, int64 (R,).
        scores: Score of each and each draw, float64 (R, N).
    """

    repeats: NDArray[np.int64]
    scores: NDArray[np.float64]

    @property
    def mean(self) -> NDArray[np.float64]:
        """Over draws, (R,)."""
        return self.scores.mean(axis=1)

    @property
    def sd(self) -> NDArray[np.float64]:
        """Over draws, (R,); 0 where all repeats were averaged, since there is one way to do so."""
        return self.scores.std(axis=1)


def averaging_curve(
    score: Callable[[AveragedPatterns], float],
    session: ImageSession,
    *,
    repeats: Sequence[int] = REPEATS,
    n_draws: int = 5,
    seed: int = 0,
) -> AveragingCurve:
    """Score averages of more and more repeats, drawn without replacement.

    Args:
        score: Scores one averaged pattern of each test stimulus.
        session: Usually z-scored.
        repeats: How many are averaged; at most as many as every test stimulus has.
        n_draws: How often so many are drawn.
        seed: Of the first draw; the following numbers are those of the others.

    Raises:
        DataError: If more repeats are asked for than a stimulus has.

    Source:
        Specification 10.10.
    """
    scores = [
        [score(average_repeats(session, n_repeats=n, seed=seed + draw)) for draw in range(n_draws)]
        for n in repeats
    ]
    return AveragingCurve(np.array(repeats), np.array(scores))


@dataclass(frozen=True, eq=False)
class NoiseCeiling:
    """How reliable averages of repeats are, column by column.

    Args:
        n_averaged: Repeats in an average.
        reliability: Correlation over stimuli of two such averages of independent repeats, (V,); NaN where a column
            never varies.
    """

    n_averaged: int
    reliability: NDArray[np.float64]

    @property
    def correlation(self) -> NDArray[np.float64]:
        """Highest correlation with the average that a prediction can have, (V,): 0 where nothing is reliable.

        The square root of the reliability, since the noise of a single average is all that a perfect prediction
        of the signal lacks.
        """
        return np.sqrt(np.maximum(self.reliability, 0))


def noise_ceiling(
    trials: NDArray[Any],
    stimulus: NDArray[np.int64],
    *,
    n_averaged: int | None = None,
    n_splits: int = 20,
    seed: int = 0,
) -> NoiseCeiling:
    """Estimate the reliability of averaged repeats from random halves of them.

    The correlation over stimuli of the means of two halves is averaged over splits and taken to the length of the
    average by the Spearman-Brown formula. Of voxels this is the ceiling of an encoding model; of features decoded
    from single trials (K, D) it is that of their profile correlation.

    Args:
        trials: One row a trial, (K, V).
        stimulus: Which stimulus each trial is of, (K,); at least 2 of each of at least 3.
        n_averaged: Repeats in the average whose ceiling is wanted; None for as many as every stimulus has.
        n_splits: Random splits.
        seed: Of the splits.

    Raises:
        DataError: If labels do not match, or there are too few repeats or stimuli.

    Source:
        Spearman 1910 and Brown 1910, British Journal of Psychology 3: r_k = k r / (1 + (k - 1) r). The ceiling as the
        square root: attenuation, Spearman 1904, American Journal of Psychology 15.
    """
    trials_of = _trials_by_stimulus(trials, stimulus)
    n_repeats = min(len(own) for own in trials_of)
    half = n_repeats // 2
    if half < 1 or len(trials_of) < 3:
        raise DataError(
            f"{len(trials_of)} stimuli with {n_repeats} or more trials have no noise ceiling.",
            "Give at least 2 trials of each of at least 3 stimuli.",
        )
    n_averaged = n_repeats if n_averaged is None else n_averaged
    rng = np.random.default_rng(seed)
    total = np.zeros(trials.shape[1])
    for _ in range(n_splits):
        drawn = np.stack([rng.permutation(own)[: 2 * half] for own in trials_of])
        first, second = (
            np.stack([trials[rows].mean(axis=0, dtype=np.float64) for rows in part])
            for part in (drawn[:, :half], drawn[:, half:])
        )
        total += _correlate_columns(first, second)
    r = total / n_splits
    longer = n_averaged / half
    # At r = -1/(k-1) the formula has a pole; a negative correlation of halves is chance and taken as none.
    r = np.maximum(r, 0)
    return NoiseCeiling(n_averaged, longer * r / (1 + (longer - 1) * r))


def normalise_by_ceiling(
    r: NDArray[np.float64], ceiling: NDArray[np.float64], lowest: float = LOWEST_CEILING
) -> NDArray[np.float64]:
    """Divide correlations by the highest they can be.

    Args:
        r: Such as profile correlations, (D,).
        ceiling: `NoiseCeiling.correlation`, (D,).
        lowest: Ceiling below which the result is NaN.

    Returns:
        (D,); 1 is all that noise allows, and chance may lift some above it.
    """
    return np.divide(r, ceiling, out=np.full(r.shape, np.nan), where=ceiling >= lowest)


def _trials_by_stimulus(trials: NDArray[Any], stimulus: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    if trials.ndim != 2 or stimulus.shape != trials.shape[:1] or not len(trials):
        raise DataError(
            f"{stimulus.shape} labels do not fit trials of shape {trials.shape}.",
            "Give (trials, columns), and the stimulus of each trial.",
        )
    return [np.flatnonzero(stimulus == one) for one in np.unique(stimulus)]


def _correlate_columns(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    one, other = (rows - rows.mean(axis=0) for rows in (one, other))
    spread = np.sqrt(np.square(one).sum(axis=0) * np.square(other).sum(axis=0))
    product = (one * other).sum(axis=0)
    return np.divide(product, spread, out=np.full(spread.shape, np.nan), where=spread > 0)
