"""Folds that hold out whole categories, and predictions of decoders that have to be fitted anew for each."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.regression.spectrum import Real, check_rows
from lightning_modules.parts.errors import DataError


class Decoder(Protocol):
    """What every `fit_…` of this folder returns."""

    def predict(self, voxels: NDArray[Any]) -> Real:
        """Decode rows of voxels (m, V) into targets (m, D)."""
        ...


def grouped_folds(category: NDArray[np.int64], n_folds: int, seed: int) -> NDArray[np.int64]:
    """Put whole categories into folds of as equal numbers of rows as that allows.

    Args:
        category: Category of each row, (n,).
        n_folds: How many folds.
        seed: Of the order in which categories of the same size are dealt.

    Returns:
        Fold of each row, from 0, int64 (n,).

    Raises:
        DataError: If there are fewer categories than folds.
    """
    _, member, counts = np.unique(category, return_inverse=True, return_counts=True)
    if not 2 <= n_folds <= len(counts):
        raise DataError(
            f"{len(counts)} categories cannot be held out in {n_folds} folds.",
            f"Ask for at least 2 folds, and for at most {len(counts)}.",
        )
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order], kind="stable")]
    fold_of_category = np.empty(len(counts), dtype=np.int64)
    sizes = np.zeros(n_folds, dtype=np.int64)
    for one in order:
        smallest = int(sizes.argmin())
        fold_of_category[one] = smallest
        sizes[smallest] += counts[one]
    return fold_of_category[member]


def predict_by_refitting(
    fit: Callable[[Real, Real], Decoder], voxels: NDArray[Any], targets: NDArray[Any], fold: NDArray[np.int64]
) -> Real:
    """Predict every row with a decoder fitted to the other folds: for decoders without a closed form.

    Args:
        fit: Makes a decoder with `predict` of voxels (n', V) and targets (n', D).
        voxels: (n, V).
        targets: (n, D).
        fold: Fold of each row, (n,).

    Returns:
        (n, D).
    """
    voxels, targets = check_rows(voxels, targets)
    predictions = np.empty_like(targets)
    for name in np.unique(fold):
        held = fold == name
        predictions[held] = fit(voxels[~held], targets[~held]).predict(voxels[held])
    return predictions
