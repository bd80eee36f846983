"""Whether one configuration is better than another over seeds."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


@dataclass(frozen=True)
class PairedComparison:
    """Difference of two models over seeds: the first minus the second.

    Args:
        difference: Mean over seeds of the difference, each the mean over test sets.
        t_interval: Confidence interval by Student's t, which takes the seeds' differences for normal.
        bootstrap_interval: By the percentiles of resampled seeds; too narrow for a handful of seeds.
        n_greater: Seeds for which the first model scores more.
        n_seeds: Seeds.
    """

    difference: float
    t_interval: tuple[float, float]
    bootstrap_interval: tuple[float, float]
    n_greater: int
    n_seeds: int


def compare_seeds(
    first: ArrayLike, second: ArrayLike, *, confidence: float = 0.95, n_resamples: int = 9999, seed: int = 0
) -> PairedComparison:
    """Compare scores of two models that were trained with the same seeds and tested on the same data.

    Test sets, such as days, are averaged first: what is repeated is the training, and the test sets of one trained
    model are not independent. The intervals tell what other seeds would give on these sets, not what others would.

    Args:
        first: Scores of one model, (seeds, test sets) or (seeds,).
        second: Of the other, the same seeds and test sets in the same places.
        confidence: Of the two-sided intervals.
        n_resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Raises:
        ValueError: If the scores are not paired, are of fewer than two seeds, or are not finite.
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    problems = []
    if one.shape != other.shape or one.ndim not in (1, 2):
        problems.append(f"Scores have shapes {one.shape} and {other.shape}, not the same (seeds, test sets).")
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
        n_greater=int((differences > 0).sum()),
        n_seeds=len(differences),
    )
