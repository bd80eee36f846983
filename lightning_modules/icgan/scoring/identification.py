"""Identifying what was seen: is a prediction more like its own stimulus than like others?"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import comb
from scipy.stats import binom

from lightning_modules.parts.errors import DataError

Direction = Literal["among_stimuli", "among_predictions"]


@dataclass(frozen=True, eq=False)
class Identification:
    """Pairwise ("2-way") identification; chance is 0.5.

    Shapes:
        m predictions of S stimuli. Several predictions may be of one stimulus, such as its trials: they are never
        each other's distractors.

    Args:
        direction: `among_stimuli`: each prediction against its own stimulus and every other one, as in
            Brain-Diffuser's code. `among_predictions`: each stimulus against a prediction of it and every
            prediction of another stimulus.
        wins: If prediction i were of stimulus j, the fraction of distractors that are less similar, float64 (m, S).
            Ties are failures.
        stimulus: Which stimulus each prediction is of, int64 (m,).
    """

    direction: Direction
    wins: NDArray[np.float64]
    stimulus: NDArray[np.int64]

    @property
    def correct(self) -> NDArray[np.float64]:
        """Fraction of pairs in which each prediction is identified, (m,)."""
        return self.wins[np.arange(len(self.stimulus)), self.stimulus]

    @property
    def accuracy(self) -> float:
        """Fraction of pairs that are identified, mean over predictions."""
        return float(self.correct.mean())

    def null(self, n_permutations: int, seed: int) -> NDArray[np.float64]:
        """Return accuracies with the labels of the stimuli permuted, all pairs jointly, (n_permutations,)."""
        rng = np.random.default_rng(seed)
        n_stimuli = self.wins.shape[1]
        # Σᵢ wins[i, π(sᵢ)] = Σₛ table[s, π(s)] with the rows of each stimulus added up.
        table = np.zeros((n_stimuli, n_stimuli))
        np.add.at(table, self.stimulus, self.wins)
        labels = rng.permuted(np.tile(np.arange(n_stimuli), (n_permutations, 1)), axis=1)
        return table[np.arange(n_stimuli), labels].sum(axis=1) / len(self.stimulus)

    def p_value(self, n_permutations: int = 10_000, seed: int = 0) -> float:
        """Return the permutation p: how often permuted labels are identified as well, the real ones counted in."""
        null = self.null(n_permutations, seed)
        # Sums in another order differ in the last digits, and must not turn a tie into a lower p.
        return float((1 + np.count_nonzero(null >= self.accuracy - 1e-12)) / (1 + n_permutations))

    @property
    def public_code_p(self) -> float:
        """Binomial p of public code: it counts all pairs as independent, which they are not, and so is too low."""
        n_pairs = len(self.stimulus) * (self.wins.shape[1] - 1)
        return float(binom.sf(round(self.accuracy * n_pairs) - 1, n_pairs, 0.5))


def correlate(
    predictions: NDArray[Any], stimuli: NDArray[Any], centre: NDArray[Any] | None = None
) -> NDArray[np.float64]:
    """Return Pearson's correlation over dimensions of each prediction with each stimulus.

    Args:
        predictions: (m, D).
        stimuli: Features of the stimuli, (S, D).
        centre: Subtracted from both first, (D,): the training mean. Without it a score measures the shrinkage of
            predictions towards that mean as much as their information.

    Returns:
        (m, S); 0 where one of the two does not vary, since nothing can be told from it.

    Raises:
        DataError: If the dimensions differ, or values are not finite.
    """
    _check_features(predictions, stimuli, centre)
    shift = 0.0 if centre is None else centre.astype(np.float64)
    return _standard(predictions, shift) @ _standard(stimuli, shift).T


def identify(
    similarity: NDArray[np.float64], stimulus: NDArray[np.int64], direction: Direction = "among_stimuli"
) -> Identification:
    """Compare the similarity of each pair of prediction and stimulus with that of distractors.

    Args:
        similarity: Higher is more alike, (m, S), such as `correlate` gives.
        stimulus: Which stimulus each prediction is of, (m,); `np.arange(m)` where each has one prediction.
        direction: See `Identification`.

    Raises:
        DataError: If labels do not fit the similarities, or nothing can be a distractor.
        ValueError: If the direction is unknown.

    Source:
        `pairwise_corr_all` of Brain-Diffuser's `evaluate_reconstruction.py`.
    """
    if direction not in get_args(Direction):
        raise ValueError(
            f"`direction` is {direction!r}, but must be one of {', '.join(get_args(Direction))}."
        )
    _check_labels(similarity, stimulus)
    if direction == "among_stimuli":
        wins = _rank(similarity) / (similarity.shape[1] - 1)
    else:
        wins = _wins_among_predictions(similarity, stimulus)
    return Identification(direction, wins, stimulus)


def count_better(similarity: NDArray[np.float64], stimulus: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the other stimuli that are at least as similar to each prediction as its own, int64 (m,).

    The rank of the own stimulus is one more; its median over predictions is the median rank.
    """
    _check_labels(similarity, stimulus)
    own = np.take_along_axis(similarity, stimulus[:, None], axis=1)
    return (similarity >= own).sum(axis=1) - 1


def n_way(similarity: NDArray[np.float64], stimulus: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """Return the chance that each prediction picks its own stimulus from n, the others drawn at random, (m,).

    Args:
        similarity: (m, S).
        stimulus: (m,).
        n: Candidates, the own stimulus included, from 2 to S; n = S is exact top-1 retrieval.

    Raises:
        ValueError: If n is out of range.

    Source:
        Specification 5.2: P(n) = C(S−1−b, n−1) / C(S−1, n−1) with b stimuli at least as similar as the own one.
    """
    n_stimuli = similarity.shape[1]
    if not 2 <= n <= n_stimuli:
        raise ValueError(f"`n` is {n}, but must be from 2 to the {n_stimuli} stimuli.")
    worse = n_stimuli - 1 - count_better(similarity, stimulus)
    return np.asarray(comb(worse, n - 1) / comb(n_stimuli - 1, n - 1))


def profile_correlation(predictions: NDArray[Any], truth: NDArray[Any]) -> NDArray[np.float64]:
    """Return Pearson's r over pictures for each dimension, (D,).

    Args:
        predictions: (m, D).
        truth: (m, D).

    Returns:
        NaN where the truth does not vary, and 0 where only the prediction does not.

    Source:
        bdpy's `evals.profile_correlation`.
    """
    _check_pairs(predictions, truth)
    expected = _standard(truth.T, 0.0)
    r = np.einsum("dm,dm->d", _standard(predictions.T, 0.0), expected)
    return np.where(expected.any(axis=1), r, np.nan)


def pattern_correlation(
    predictions: NDArray[Any],
    truth: NDArray[Any],
    training_mean: NDArray[Any],
    training_std: NDArray[Any],
) -> NDArray[np.float64]:
    """Return Pearson's r over dimensions for each picture, both z-scored by training features first, (m,).

    Args:
        predictions: (m, D).
        truth: (m, D).
        training_mean: (D,).
        training_std: (D,); dimensions of which it is 0 are left out.

    Source:
        bdpy's `evals.pattern_correlation`.
    """
    _check_pairs(predictions, truth)
    alive = training_std > 0
    rows = ((one[:, alive] - training_mean[alive]) / training_std[alive] for one in (predictions, truth))
    predicted, expected = (_standard(one, 0.0) for one in rows)
    return np.einsum("md,md->m", predicted, expected)


def _standard(rows: NDArray[Any], shift: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return rows less their mean and of length 1; rows that do not vary, but for round-off, become 0."""
    precision = np.finfo(np.result_type(rows.dtype, np.float32)).eps
    rows = rows.astype(np.float64)
    largest = np.abs(rows).max(axis=1, keepdims=True, initial=0)
    rows -= shift
    rows -= rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    varies = lengths > 4 * precision * largest * np.sqrt(rows.shape[1])
    return np.where(varies, rows, 0.0) / np.where(varies, lengths, 1.0)


def _rank(similarity: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count the entries of the same row that are lower than each entry."""
    ordered = np.sort(similarity, axis=1)
    return np.stack([np.searchsorted(row, values) for row, values in zip(ordered, similarity, strict=True)])


def _wins_among_predictions(
    similarity: NDArray[np.float64], stimulus: NDArray[np.int64]
) -> NDArray[np.float64]:
    lower = _rank(similarity.T).T.astype(np.float64)  # among all predictions
    n_others = np.empty(len(stimulus))
    for one in np.unique(stimulus):
        own = stimulus == one
        lower[own] -= _rank(similarity[own].T).T
        n_others[own] = np.count_nonzero(~own)
    return lower / n_others[:, None]


def _check_labels(similarity: NDArray[np.float64], stimulus: NDArray[np.int64]) -> None:
    problems = []
    if similarity.ndim != 2 or stimulus.shape != similarity.shape[:1]:
        problems.append(f"{stimulus.shape} labels do not fit similarities {similarity.shape}.")
    elif np.unique(stimulus).size < 2:
        problems.append("there are not two stimuli with predictions.")
    elif stimulus.min() < 0 or stimulus.max() >= similarity.shape[1]:
        problems.append(
            f"labels go from {stimulus.min()} to {stimulus.max()} of {similarity.shape[1]} stimuli."
        )
    elif not np.isfinite(similarity).all():
        problems.append(f"{np.count_nonzero(~np.isfinite(similarity))} similarities are not finite.")
    if problems:
        raise DataError(
            f"Nothing can be identified: {' '.join(problems)}",
            "Give similarities (predictions, stimuli), and for each prediction the column of its own stimulus.",
        )


def _check_features(
    predictions: NDArray[Any], stimuli: NDArray[Any], centre: NDArray[Any] | None = None
) -> None:
    problems = []
    if predictions.ndim != 2 or stimuli.ndim != 2 or predictions.shape[1] != stimuli.shape[1]:
        problems.append(f"predictions {predictions.shape} and stimuli {stimuli.shape} differ in dimensions.")
    elif centre is not None and centre.shape != stimuli.shape[1:]:
        problems.append(f"the centre has shape {centre.shape}, not {stimuli.shape[1:]}.")
    for name, rows in (("predictions", predictions), ("stimuli", stimuli)):
        if not np.isfinite(rows).all():
            problems.append(f"{np.count_nonzero(~np.isfinite(rows))} values of the {name} are not finite.")
    if problems:
        raise DataError(
            f"Features cannot be compared: {' '.join(problems)}", "Give (rows, dimensions) of finite values."
        )


def _check_pairs(predictions: NDArray[Any], truth: NDArray[Any]) -> None:
    _check_features(predictions, truth)
    if len(predictions) != len(truth):
        raise DataError(
            f"{len(predictions)} predictions have {len(truth)} truths.", "Give one row of each a picture."
        )
