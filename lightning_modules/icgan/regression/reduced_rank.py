"""Reduced-rank ridge regression: all targets are decoded through a few directions of their space."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from lightning_modules.icgan.regression.ridge import Ridge, spectrum_of
from lightning_modules.icgan.regression.spectrum import Real, Spectrum, check_rows, mean_of


def fit_reduced_rank(
    voxels: NDArray[Any], targets: NDArray[Any], alpha: float, rank: int, *, spectrum: Spectrum | None = None
) -> Ridge:
    """Fit weights of at most a given rank: the least ‖T − XW‖² + α‖W‖² of them all, of centred X and T.

    Args:
        voxels: Training rows, (n, V).
        targets: (n, D).
        alpha: Penalty, shared by all targets.
        rank: Directions that are kept, from 1; all that there are, where the fit has fewer.
        spectrum: `spectrum_of(voxels)`, where it is known already.

    Returns:
        A decoder whose predictions span at most `rank` dimensions.

    Raises:
        DataError: If rows do not match or are not finite.
        ValueError: If the penalty is not above 0, or `rank` below 1.

    Source:
        Mukherjee, Zhu 2011, Statistical Analysis and Data Mining 4(6), "Reduced rank ridge regression and its
        kernel extensions": ridge weights projected on the first right singular vectors of the fitted values of
        rows [X; √α I]. Of X alone, as often done, the projection is not the best one.
    """
    if rank < 1:
        raise ValueError(f"`rank` is {rank}, but must be at least 1.")
    voxels, targets = check_rows(voxels, targets)
    voxel_mean, target_mean = mean_of(voxels), mean_of(targets)
    if spectrum is None:
        spectrum = spectrum_of(voxels)
    centred = targets - target_mean
    dual = spectrum.solve(centred, alpha)
    directions = _directions(spectrum, centred, alpha, rank)
    return Ridge((dual @ directions) @ directions.T, voxels - voxel_mean, voxel_mean, target_mean)


def _directions(spectrum: Spectrum, centred_targets: Real, alpha: float, rank: int) -> Real:
    """Return the first right singular vectors of the fit to the augmented rows, (D, rank), or as many as there are.

    That fit's Gram matrix is Tᵀ U Λ/(Λ+α) Uᵀ T, so the singular vectors are those of √(Λ/(Λ+α)) Uᵀ T, (n, D),
    found in the smaller of its two spaces.
    """
    rotated = spectrum.vectors.T @ centred_targets
    rotated *= np.sqrt(spectrum.values / (spectrum.values + alpha))[:, None]
    n_rows, n_targets = rotated.shape
    wide = n_rows < n_targets
    squares, vectors = eigh(rotated @ rotated.T if wide else rotated.T @ rotated)
    n_found = int(np.count_nonzero(squares > len(squares) * np.finfo(squares.dtype).eps * squares[-1]))
    rank = min(rank, n_found)
    vectors = vectors[:, ::-1][:, :rank]
    if wide:
        vectors = (rotated.T @ vectors) / np.sqrt(squares[::-1][:rank])
    return vectors.astype(centred_targets.dtype, copy=False)
