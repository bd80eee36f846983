"""Ridge regression from voxels to features in its dual form: small to store however many features there are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightning_modules.icgan.regression.spectrum import (
    BLOCK,
    Real,
    Spectrum,
    as_real,
    blocks,
    check_rows,
    mean_of,
)
from lightning_modules.parts.errors import DataError


@dataclass(frozen=True, eq=False)
class Ridge:
    """A linear decoder whose weights are W = XᵀC: the training voxels X and dual coefficients C are what is kept.

    24,576 targets of 4,643 voxels have weights of 456 MB, but dual coefficients of 118 MB. The weights are made of
    them where they are asked for.

    Shapes:
        n training rows, V voxels, D targets.

    Args:
        dual: C, (n, D).
        voxels: Training voxels without their mean, (n, V).
        voxel_mean: (V,).
        target_mean: (D,).
    """

    dual: Real
    voxels: Real
    voxel_mean: Real
    target_mean: Real

    @property
    def intercept(self) -> Real:
        """Prediction for voxels that are all zero, (D,)."""
        return self.target_mean - self.project(self.voxel_mean)

    def predict(self, voxels: NDArray[Any]) -> Real:
        """Decode rows of voxels (m, V) into targets (m, D)."""
        check_voxels(voxels, len(self.voxel_mean))
        return self.project(as_real(voxels) - self.voxel_mean) + self.target_mean

    def project(self, directions: NDArray[Any]) -> Real:
        """Return m·Wᵀ for voxel patterns such as the mask of an area, without forming W.

        Args:
            directions: Patterns m, (V,) or (R, V); booleans count as 1 and 0.

        Returns:
            (D,) or (R, D); without the intercept.
        """
        check_voxels(directions, len(self.voxel_mean))
        return (directions.astype(self.voxels.dtype, copy=False) @ self.voxels.T) @ self.dual

    def weights(self, targets: slice | NDArray[np.int64] = slice(None)) -> Real:
        """Return weights of some targets, (D', V)."""
        return self.dual[:, targets].T @ self.voxels

    def weight_l1(self) -> NDArray[np.float64]:
        """Return the sum of each voxel's absolute weights over all targets, float64 (V,).

        Source:
            `roi_based_analysis.py` of the paper's code, for the semantic index.
        """
        total = np.zeros(self.voxels.shape[1])
        for block in blocks(self.dual.shape[1], BLOCK):
            total += np.abs(self.weights(block)).sum(axis=0, dtype=np.float64)
        return total


def fit_ridge(
    voxels: NDArray[Any], targets: NDArray[Any], alpha: ArrayLike, *, spectrum: Spectrum | None = None
) -> Ridge:
    """Fit ridge regression with an unpenalised intercept: least ‖T − XW‖² + α‖W‖² of centred X and T.

    Args:
        voxels: Training rows, (n, V).
        targets: Features of the picture of each row, (n, D).
        alpha: One penalty, or one for each target (D,). Of sums of squares over rows, as in scikit-learn.
        spectrum: `spectrum_of(voxels)`, where several kinds of targets are decoded from the same voxels.

    Raises:
        DataError: If rows do not match, or hold values that are not finite.
        ValueError: If a penalty is not above 0.

    Source:
        Ozcelik et al. 2022 use scikit-learn's `Ridge` with alpha 500, 1 and 100 (`train_regression.py`).
    """
    voxels, targets = check_rows(voxels, targets)
    voxel_mean, target_mean = mean_of(voxels), mean_of(targets)
    if spectrum is None:
        spectrum = spectrum_of(voxels)
    dual = spectrum.solve(targets - target_mean, alpha)
    return Ridge(dual, voxels - voxel_mean, voxel_mean, target_mean)


def spectrum_of(voxels: NDArray[Any]) -> Spectrum:
    """Decompose the kernel XXᵀ of training rows (n, V), without the mean of each voxel."""
    return Spectrum.of(linear_kernel(voxels))


def linear_kernel(voxels: NDArray[Any]) -> NDArray[np.float64]:
    """Return XXᵀ of rows (n, V), without the mean of each voxel."""
    # In float64, since the smallest eigenvalues of float32 products are round-off.
    centred = voxels.astype(np.float64)
    centred -= centred.mean(axis=0)
    return centred @ centred.T


def check_voxels(rows: NDArray[Any], n_voxels: int) -> None:
    """Refuse rows of another number of voxels.

    Raises:
        DataError: With both numbers.
    """
    if rows.ndim not in (1, 2) or rows.shape[-1] != n_voxels:
        raise DataError(
            f"The decoder was fitted to {n_voxels} voxels, but got an array of shape {rows.shape}.",
            "Give (rows, voxels) with the voxels of training, in their order.",
        )
