"""Whether scores come from what was seen before: test pictures in the training of networks, near and far ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from lightning_modules.icgan.scoring.nearest import Nearest, nearest, unit_rows
from lightning_modules.parts.errors import DataError

FARTHEST_FRACTION = 1 / 3


@dataclass(frozen=True, eq=False)
class StimulusSubsets:
    """Parts of the test set that a report scores apart.

    Args:
        members: Whether each of the m stimuli is in a subset, bool (m,) by the subset's name: `all`; `in_pretraining`
            and `not_in_pretraining`; `farthest_third`, least like any training picture.
        nearest: The nearest training picture of each stimulus in true features.
    """

    members: Mapping[str, NDArray[np.bool_]]
    nearest: Nearest


def split_test_set(
    truth: NDArray[Any], training: NDArray[Any], in_pretraining: NDArray[np.bool_] | None
) -> StimulusSubsets:
    """Split the test stimuli by what the networks and the decoder have seen.

    Args:
        truth: Features of the test stimuli, (m, D).
        training: Features of the training pictures of the decoder, (N, D).
        in_pretraining: Whether each test photograph was in the training of generator and feature network, (m,); of
            the 50 of Generic Object Decoding 20 are in ILSVRC-2012's. None for pictures made by us, of which none is.

    Raises:
        DataError: If there is not one entry for each stimulus.

    Source:
        Specification 10.12; `stimulus_info_ImageNetTest.csv` of the Generic Object Decoding repository.
    """
    found = nearest(truth, training)
    n_stimuli = len(truth)
    members = {"all": np.ones(n_stimuli, dtype=np.bool_)}
    if in_pretraining is not None:
        if in_pretraining.shape != (n_stimuli,) or in_pretraining.dtype != np.bool_:
            raise DataError(
                f"`in_pretraining` is {in_pretraining.dtype} {in_pretraining.shape} for {n_stimuli} stimuli.",
                "Give one boolean for each test stimulus, in their order.",
            )
        members |= {"in_pretraining": in_pretraining, "not_in_pretraining": ~in_pretraining}
    farthest = np.zeros(n_stimuli, dtype=np.bool_)
    n_farthest = round(n_stimuli * FARTHEST_FRACTION)
    farthest[np.argsort(found.cosine[:, 0], kind="stable")[:n_farthest]] = True
    members["farthest_third"] = farthest
    return StimulusSubsets(members, found)


class SubsetScore(NamedTuple):
    """A score of some of the stimuli.

    Args:
        n: How many.
        mean: NaN if none.
        sem: Standard error over stimuli; NaN for fewer than 2.
    """

    n: int
    mean: float
    sem: float


def score_subsets(
    scores: NDArray[np.float64], members: Mapping[str, NDArray[np.bool_]]
) -> dict[str, SubsetScore]:
    """Average a score that was computed on the whole test set over each subset.

    So identification keeps the distractors of the whole set, and numbers of subsets compare.

    Args:
        scores: Of each stimulus, (m,), such as `Identification.correct` or `ImageScores.pixcorr`.
        members: `StimulusSubsets.members`.
    """
    return {name: _mean_and_sem(scores[member]) for name, member in members.items()}


@dataclass(frozen=True)
class OutputDimensions:
    """How many dimensions predictions and true features of the same pictures spread over.

    Args:
        predicted: Effective rank of predictions.
        truth: Effective rank of the truth.
    """

    predicted: float
    truth: float

    @property
    def ratio(self) -> float:
        """Far below 1, predictions have collapsed to few distinct outputs."""
        return self.predicted / self.truth


def output_dimensions(predicted: NDArray[Any], truth: NDArray[Any]) -> OutputDimensions:
    """Compare the effective ranks of predictions and truth, (m, D) each.

    Source:
        Shirakawa et al. 2024, "Spurious reconstruction from brain activity", arXiv:2405.10078: output dimension
        collapse. As effective rank, which they do not use: see `effective_rank`.
    """
    return OutputDimensions(effective_rank(predicted), effective_rank(truth))


def effective_rank(rows: NDArray[Any]) -> float:
    """Return exp of the entropy of the singular values of rows without their mean, (m, D).

    Returns:
        From 1 (all on a line) to the smaller of m - 1 and D (as much in every direction); 0 if all rows are the same.

    Raises:
        DataError: If rows are not a matrix of finite values.

    Source:
        Roy and Vetterli 2007, "The effective rank", EUSIPCO: p = sigma / sum sigma, exp(-sum p log p).
    """
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise DataError(
            f"Rows of shape {rows.shape} have no rank.", "Give (rows, dimensions) of finite values."
        )
    centred = rows - rows.mean(axis=0, dtype=np.float64)
    singular = np.linalg.svd(centred, compute_uv=False)
    # Round-off of rows that are all the same.
    singular = singular[singular > max(rows.shape) * np.finfo(np.float64).eps * np.abs(rows).max(initial=0)]
    if not len(singular):
        return 0.0
    share = singular / singular.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def cluster_folds(features: NDArray[Any], n_clusters: int, seed: int) -> NDArray[np.int64]:
    """Put training pictures into clusters of their features, to be held out whole.

    A decoder that only tells clusters apart fails on the one that it has not seen.

    Args:
        features: (N, D); their direction counts.
        n_clusters: Clusters, and so folds.
        seed: Of the start of k-means.

    Returns:
        Cluster of each picture, from 0, int64 (N,).

    Source:
        Specification 10.13.
    """
    found = KMeans(n_clusters, n_init="auto", random_state=seed).fit(unit_rows(features))
    return np.asarray(found.labels_, dtype=np.int64)


def _mean_and_sem(scores: NDArray[np.float64]) -> SubsetScore:
    n = len(scores)
    mean = float(scores.mean()) if n else float("nan")
    sem = float(scores.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
    return SubsetScore(n, mean, sem)
