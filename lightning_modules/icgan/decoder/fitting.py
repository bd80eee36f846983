"""Choosing the penalty, fitting and cross-validating a decoder as its settings say, whatever its method."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightning_modules.icgan.decoder.batch import DecodingRows
from lightning_modules.icgan.decoder.settings import DecoderSettings
from lightning_modules.icgan.regression.alpha_choice import AlphaChoice, choose_alpha
from lightning_modules.icgan.regression.folds import predict_by_refitting
from lightning_modules.icgan.regression.held_out import GroupedFolds, HeldOut, LeaveOneOut, predict_held_out
from lightning_modules.icgan.regression.kernel import (
    Kernel,
    KernelRidge,
    Polynomial,
    RadialBasis,
    fit_kernel_ridge,
)
from lightning_modules.icgan.regression.reduced_rank import fit_reduced_rank
from lightning_modules.icgan.regression.ridge import Ridge, fit_ridge, linear_kernel
from lightning_modules.icgan.regression.spectrum import Real
from lightning_modules.icgan.regression.voxel_selection import SelectedRidge, fit_selected

FittedDecoder = Ridge | KernelRidge | SelectedRidge

ALPHAS: NDArray[np.float64] = np.geomspace(1.0, 1e6, 13)
"""Penalties that are tried where they are not fixed; the range of the specification's section 9."""


@dataclass(frozen=True)
class TimesVoxels:
    """A kernel times the number of voxels: a penalty then means about what it means for z-scored voxels in ridge.

    Args:
        kernel: Whose similarities are of the order of 1.
    """

    kernel: Kernel

    def __call__(self, rows: Real, others: Real) -> NDArray[np.float64]:
        """See `Kernel`."""
        return rows.shape[1] * self.kernel(rows, others)


KERNELS: dict[str, Kernel] = {"rbf": TimesVoxels(RadialBasis()), "polynomial": TimesVoxels(Polynomial())}


def decompose_folds(voxels: NDArray[Any], fold: NDArray[np.int64], settings: DecoderSettings) -> GroupedFolds:
    """Decompose what every fold's decoder is fitted to, once for all targets of the same area and kernel.

    Args:
        voxels: Training rows, of the area's voxels, (n, V).
        fold: Fold of each row, whole categories together, (n,).
        settings: Of the decoder.
    """
    return GroupedFolds.of(_kernel(voxels, settings), fold)


def choose_penalty(
    voxels: NDArray[Any], targets: NDArray[Any], folds: GroupedFolds, settings: DecoderSettings
) -> AlphaChoice | None:
    """Choose the penalty on held-out training rows; None where it is fixed.

    Args:
        voxels: Training rows, of the area's voxels, (n, V).
        targets: (n, D).
        folds: Of `decompose_folds`.
        settings: Of the decoder.
    """
    if settings.alpha_from == "fixed":
        return None
    held_out: HeldOut = folds
    if settings.alpha_from == "leave_one_out":
        held_out = LeaveOneOut.of(_kernel(voxels, settings))
    return choose_alpha(held_out, targets, ALPHAS, sharing=settings.sharing)


def fit_decoder(
    voxels: NDArray[Any], targets: NDArray[Any], alpha: ArrayLike, settings: DecoderSettings
) -> FittedDecoder:
    """Fit a decoder to training rows.

    Args:
        voxels: (n, V), of the area's voxels.
        targets: (n, D).
        alpha: Penalty, or one for each target (D,).
        settings: Of the decoder.
    """
    if settings.method in KERNELS:
        return fit_kernel_ridge(voxels, targets, alpha, kernel=KERNELS[settings.method])
    if settings.method == "reduced_rank":
        return fit_reduced_rank(voxels, targets, _one(alpha), settings.rank)
    if settings.method == "selected":
        return fit_selected(voxels, targets, _one(alpha), settings.n_selected)
    return fit_ridge(voxels, targets, alpha)


def hold_out(rows: DecodingRows, folds: GroupedFolds, alpha: ArrayLike, settings: DecoderSettings) -> Real:
    """Predict every training row by a decoder that was fitted to the other folds, (n, D).

    Args:
        rows: Of the area's voxels.
        folds: Of `decompose_folds`.
        alpha: Penalty, or one for each target (D,).
        settings: Of the decoder.
    """
    if settings.method in ("reduced_rank", "selected"):
        fit = partial(fit_decoder, alpha=alpha, settings=settings)
        return predict_by_refitting(fit, rows.voxels, rows.targets, rows.fold)
    return predict_held_out(folds, rows.targets, alpha)


def _kernel(voxels: NDArray[Any], settings: DecoderSettings) -> NDArray[Any]:
    if settings.method in KERNELS:
        return KERNELS[settings.method](voxels, voxels)
    return linear_kernel(voxels)


def _one(alpha: ArrayLike) -> float:
    """Return the penalty that all targets share, which is what the settings allow here."""
    return float(np.asarray(alpha).reshape(-1)[0])
