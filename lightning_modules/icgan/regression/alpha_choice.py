"""Which penalty: cross-validated scores of all of them, and one for all targets, for bands of them or for each."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightning_modules.icgan.regression.held_out import HeldOut, predict_held_out, rows_of
from lightning_modules.icgan.regression.spectrum import Real, blocks, check_alpha

Scoring = Literal["correlation", "r2"]
Sharing = Literal["shared", "banded", "per_target"]

N_BANDS = 8


@dataclass(frozen=True, eq=False)
class AlphaChoice:
    """Penalties that predict held-out rows best.

    The scores of the chosen penalties are the highest of several, and so a little too high: report those of rows
    that had no part in the choice.

    Args:
        alpha: Chosen penalty of each target, float64 (D,).
        alphas: Penalties that were tried, ascending, (A,).
        scores: Score of each on each target, (A, D); see `score_held_out`.
        predictions: Held-out predictions at the chosen penalties, (n, D).
    """

    alpha: NDArray[np.float64]
    alphas: NDArray[np.float64]
    scores: NDArray[np.float64]
    predictions: Real

    @property
    def curve(self) -> NDArray[np.float64]:
        """Mean score over targets at each penalty, (A,)."""
        return self.scores.mean(axis=1)

    @property
    def at_edge(self) -> float:
        """Fraction of targets whose penalty is the lowest or the highest tried: a wider range may do better."""
        return float(np.isin(self.alpha, self.alphas[[0, -1]]).mean())


def choose_alpha(
    held_out: HeldOut,
    targets: NDArray[Any],
    alphas: ArrayLike,
    *,
    sharing: Sharing = "shared",
    scoring: Scoring = "correlation",
) -> AlphaChoice:
    """Choose penalties by their score on held-out rows. Between equal scores, the higher penalty.

    Args:
        held_out: `GroupedFolds` or `LeaveOneOut` of the training rows.
        targets: (n, D).
        alphas: Penalties to try, ascending, (A,).
        sharing: `shared` is one penalty for all targets, by their mean score; `per_target` one for each;
            `banded` one for each of eight bands of equally many targets, sorted by how well each can be predicted
            at best. Targets with more signal want a lower penalty, and a band's mean is less noisy than one score.
        scoring: See `score_held_out`.

    Raises:
        ValueError: If `alphas` do not ascend, or `sharing` is unknown.
    """
    penalties = check_alpha(alphas)
    problems = []
    if penalties.ndim != 1 or not len(penalties) or (np.diff(penalties) <= 0).any():
        problems.append(f"`alphas` are {alphas}, but must be one or more numbers that ascend.")
    if sharing not in get_args(Sharing):
        problems.append(f"`sharing` is {sharing!r}, but must be one of {', '.join(get_args(Sharing))}.")
    if problems:
        raise ValueError(" ".join(problems))
    scores = score_held_out(held_out, targets, penalties, scoring)
    alpha = penalties[_best(scores, sharing)]
    return AlphaChoice(alpha, penalties, scores, predict_held_out(held_out, targets, alpha))


def score_held_out(
    held_out: HeldOut, targets: NDArray[Any], alphas: ArrayLike, scoring: Scoring = "correlation"
) -> NDArray[np.float64]:
    """Score every penalty on every target, over all rows, each predicted when it was held out.

    Predictions and truth are taken as deviations from the mean of the rows that were trained on. So a high penalty,
    which predicts that mean, scores 0: otherwise that mean, which is lower the higher the rows are that were held
    out, would correlate negatively with the truth.

    Args:
        held_out: `GroupedFolds` or `LeaveOneOut`.
        targets: (n, D).
        alphas: (A,).
        scoring: `correlation` is Pearson's r of the deviations; `r2` is 1 − Σ(t − p)² / Σ(t − training mean)².

    Returns:
        (A, D); 0 where a target never varies.
    """
    if scoring not in get_args(Scoring):
        raise ValueError(f"`scoring` is {scoring!r}, but must be one of {', '.join(get_args(Scoring))}.")
    penalties = check_alpha(alphas)
    targets = rows_of(held_out, targets)
    scores = np.empty((len(penalties), targets.shape[1]))
    for block in blocks(targets.shape[1]):
        scores[:, block] = _score_block(held_out, targets[:, block], penalties, scoring)
    # Round-off of a mean must not be scored as if it were a signal.
    return np.where(np.ptp(targets, axis=0) > 0, scores, 0.0)


def _score_block(
    held_out: HeldOut, targets: Real, penalties: NDArray[np.float64], scoring: Scoring
) -> NDArray[np.float64]:
    """Score some targets, (A, B), from sums over rows, so that no prediction is kept."""
    n_targets = targets.shape[1]
    truth, truth_squared = np.zeros(n_targets), np.zeros(n_targets)
    predicted, squared, product = (np.zeros((len(penalties), n_targets)) for _ in range(3))
    for part in held_out.parts(targets):
        truth += part.truth.sum(axis=0)
        truth_squared += np.einsum("rb,rb->b", part.truth, part.truth)
        for at, alpha in enumerate(penalties):
            deviation = part.deviation(float(alpha))
            squared[at] += np.einsum("rb,rb->b", deviation, deviation)
            product[at] += np.einsum("rb,rb->b", deviation, part.truth)
            if scoring == "correlation":
                predicted[at] += deviation.sum(axis=0)
    if scoring == "r2":
        return _ratio(2 * product - squared, truth_squared)
    n_rows = held_out.n_rows
    spread = (squared - predicted**2 / n_rows) * (truth_squared - truth**2 / n_rows)
    return _ratio(product - predicted * truth / n_rows, np.sqrt(np.maximum(spread, 0)))


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _best(scores: NDArray[np.float64], sharing: Sharing) -> NDArray[np.int64]:
    """Return the index of the best penalty of each target, (D,)."""
    n_targets = scores.shape[1]
    if sharing == "per_target":
        bands = [np.array([one]) for one in range(n_targets)]
    elif sharing == "shared":
        bands = [np.arange(n_targets)]
    else:
        by_score = np.argsort(scores.max(axis=0), kind="stable")
        bands = [band for band in np.array_split(by_score, N_BANDS) if len(band)]
    best = np.empty(n_targets, dtype=np.int64)
    for band in bands:
        means = scores[:, band].mean(axis=1)
        best[band] = len(means) - 1 - np.argmax(means[::-1])
    return best
