"""Ridge regression that reads each target from the voxels that correlate most with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from lightning_modules.icgan.regression.ridge import check_voxels
from lightning_modules.icgan.regression.spectrum import (
    Real,
    as_real,
    blocks,
    check_alpha,
    check_rows,
    mean_of,
)

WEIGHT_BLOCK = 512


@dataclass(frozen=True, eq=False)
class SelectedRidge:
    """A linear decoder that uses k voxels for each target.

    Args:
        selected: Voxels of each target, ascending, int64 (D, k).
        coefficients: Their weights, (D, k).
        voxel_mean: (V,).
        target_mean: (D,).
    """

    selected: NDArray[np.int64]
    coefficients: Real
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
        """Return m·Wᵀ for voxel patterns m, (V,) or (R, V), without the intercept: (D,) or (R, D)."""
        check_voxels(directions, len(self.voxel_mean))
        directions = directions.astype(self.coefficients.dtype, copy=False)
        n_targets = len(self.selected)
        parts = [directions @ self.weights(block).T for block in blocks(n_targets, WEIGHT_BLOCK)]
        return np.concatenate(parts, axis=-1)

    def weights(self, targets: slice | NDArray[np.int64] = slice(None)) -> Real:
        """Return weights of some targets, (D', V), zero where a voxel was not selected."""
        selected, coefficients = self.selected[targets], self.coefficients[targets]
        weights = np.zeros((len(selected), len(self.voxel_mean)), dtype=coefficients.dtype)
        np.put_along_axis(weights, selected, coefficients, axis=1)
        return weights

    def weight_l1(self) -> Real:
        """Return the sum of each voxel's absolute weights over all targets, float64 (V,)."""
        sizes = np.abs(self.coefficients).ravel()
        total = np.bincount(self.selected.ravel(), sizes, minlength=len(self.voxel_mean))
        return total.astype(np.float64, copy=False)


def fit_selected(voxels: NDArray[Any], targets: NDArray[Any], alpha: float, n_voxels: int) -> SelectedRidge:
    """Fit ridge regression of each target on the voxels that correlate most with it in the training rows.

    Targets then need not be combinations of the training pictures' features, all with the same coefficients, as
    those of one ridge regression with a shared penalty are.

    Args:
        voxels: Training rows, (n, V).
        targets: (n, D).
        alpha: Penalty.
        n_voxels: k, of all V at most: with fewer voxels in the recording, all are used.

    Raises:
        DataError: If rows do not match, or hold values that are not finite.
        ValueError: If the penalty is not above 0, or `n_voxels` below 1.

    Source:
        Horikawa, Kamitani 2017 and `god_config.py` of its code: 500 voxels for each unit in an area, 1000 in all of
        visual cortex, by the absolute correlation in training.
    """
    check_alpha(alpha)
    if n_voxels < 1:
        raise ValueError(f"`n_voxels` is {n_voxels}, but must be at least 1.")
    voxels, targets = check_rows(voxels, targets)
    voxel_mean, target_mean = mean_of(voxels), mean_of(targets)
    centred, centred_targets = voxels - voxel_mean, targets - target_mean
    selected = _most_correlated(centred, centred_targets, min(n_voxels, centred.shape[1]))
    # A Gram matrix of all voxels is made once; what a target needs of it is then only picked out. With more voxels
    # than rows the dual form is the smaller one.
    kind = _Primal if selected.shape[1] <= len(centred) else _Dual
    solver = kind(centred.astype(np.float64, copy=False), alpha)
    coefficients = np.empty(selected.shape, dtype=targets.dtype)
    for block in blocks(len(selected), WEIGHT_BLOCK):
        solver.solve(selected[block], centred_targets[:, block], out=coefficients[block])
    return SelectedRidge(selected, coefficients, voxel_mean, target_mean)


class _Primal:
    def __init__(self, centred: NDArray[np.float64], alpha: float) -> None:
        self.centred = centred
        self.gram = centred.T @ centred
        self.gram[np.diag_indices_from(self.gram)] += alpha

    def solve(self, selected: NDArray[np.int64], targets: Real, out: Real) -> None:
        """Fill the coefficients (B, k) of some targets (n, B)."""
        products = self.centred.T @ targets  # (V, B)
        for own, chosen in _same_voxels(selected):
            # Rows, then columns, is twice as fast as both at once; a transposed symmetric matrix is one in Fortran's
            # order, which is not copied again.
            gram = self.gram[chosen][:, chosen].T
            factor = cho_factor(gram, overwrite_a=True, check_finite=False)
            out[own] = cho_solve(factor, products[np.ix_(chosen, own)], check_finite=False).T


class _Dual:
    def __init__(self, centred: NDArray[np.float64], alpha: float) -> None:
        self.by_voxel = np.ascontiguousarray(centred.T)
        self.alpha = alpha

    def solve(self, selected: NDArray[np.int64], targets: Real, out: Real) -> None:
        """Fill the coefficients (B, k) of some targets (n, B)."""
        for own, chosen in _same_voxels(selected):
            rows = self.by_voxel[chosen]  # (k, n)
            kernel = rows.T @ rows
            kernel[np.diag_indices_from(kernel)] += self.alpha
            factor = cho_factor(kernel.T, overwrite_a=True, check_finite=False)
            out[own] = (rows @ cho_solve(factor, targets[:, own], check_finite=False)).T


def _same_voxels(selected: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Group targets that use the same voxels: which targets, and their voxels (k,)."""
    of_voxels: dict[bytes, list[int]] = {}
    for target, chosen in enumerate(selected):
        of_voxels.setdefault(chosen.tobytes(), []).append(target)
    for targets in of_voxels.values():
        yield np.array(targets), selected[targets[0]]


def _most_correlated(centred: Real, centred_targets: Real, n_voxels: int) -> NDArray[np.int64]:
    """Return the voxels of the highest absolute correlation with each target, ascending, (D, k)."""
    # The target's own norm is the same for all voxels.
    norms = np.linalg.norm(centred, axis=0)
    scaled = centred / np.where(norms > 0, norms, 1)
    selected = np.empty((centred_targets.shape[1], n_voxels), dtype=np.int64)
    for block in blocks(centred_targets.shape[1], WEIGHT_BLOCK):
        sizes = np.abs(centred_targets[:, block].T @ scaled)  # (B, V)
        if n_voxels < sizes.shape[1]:
            selected[block] = np.argpartition(-sizes, n_voxels - 1, axis=1)[:, :n_voxels]
        else:
            selected[block] = np.arange(n_voxels)
    selected.sort(axis=1)
    return selected
