"""Choosing the penalty, fitting and cross-validating a decoder as its settings say, whatever its method."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightning_modules.icgan.decoder.batch import DecodingRows
from lightning_modules.icgan.decoder.settings import DecoderSettings
from lightning_modules.icgan.regression.alpha_choice import choose_alpha
from lightning_modules.icgan.regression.banded import choose_bands, partition
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

MOST_DIMENSIONS = 256
"""Of a kind of target that the areas' penalties are chosen by; of more, so many are taken, evenly spread. With all of
24 576 every ratio that is tried would take minutes."""


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


class Penalty(NamedTuple):
    """How much the weights of one kind of target are penalised.

    Args:
        alpha: One penalty for all targets, (1,), or one for each, (D,).
        gain: By how much each voxel is enlarged first, (V,), where areas have penalties of their own; else None.
        weights: Of each area relative to their mean, by its name; a greater one is penalised less. Else empty.
    """

    alpha: NDArray[np.float64]
    gain: Real | None = None
    weights: Mapping[str, float] = {}

    @property
    def value(self) -> float | NDArray[np.float64]:
        """What regressions take: a number, or one for each target (D,)."""
        return float(self.alpha[0]) if len(self.alpha) == 1 else self.alpha

    def enlarge(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Return voxels (m, V) as they are regressed on."""
        return voxels if self.gain is None else voxels * self.gain


def decompose_folds(voxels: NDArray[Any], fold: NDArray[np.int64], settings: DecoderSettings) -> GroupedFolds:
    """Decompose what every fold's decoder is fitted to, once for all targets of the same voxels and kernel.

    Args:
        voxels: Training rows, as they are regressed on, (n, V).
        fold: Fold of each row, whole categories together, (n,).
        settings: Of the decoder.
    """
    return GroupedFolds.of(_kernel(voxels, settings), fold)


def choose_penalty(
    rows: DecodingRows,
    areas: Mapping[str, NDArray[np.bool_]],
    folds: Callable[[], GroupedFolds],
    settings: DecoderSettings,
) -> Penalty:
    """Choose penalties on held-out training rows, where they are not fixed.

    Args:
        rows: Of the voxels that are used.
        areas: Whether each of these voxels belongs to an area, (V,) by its name. For `banded` each voxel counts in
            the smallest of its areas; its penalties are those of up to 256 dimensions.
        folds: Gives `decompose_folds` of these rows.
        settings: Of the decoder.
    """
    fixed = settings.alpha_from == "fixed"
    if settings.method == "banded":
        n_targets = rows.targets.shape[1]
        some = np.unique(np.linspace(0, n_targets - 1, MOST_DIMENSIONS).round().astype(np.int64))
        choice = choose_bands(
            rows.voxels,
            rows.targets[:, some],
            partition(areas),
            rows.fold,
            alphas=settings.alpha if fixed else ALPHAS,
            n_candidates=settings.n_candidates,
        )
        return Penalty(np.array([choice.alpha]), choice.gain, choice.weights)
    if fixed:
        return Penalty(np.array([settings.alpha]))
    leave_one_out = settings.alpha_from == "leave_one_out"
    held_out: HeldOut = LeaveOneOut.of(_kernel(rows.voxels, settings)) if leave_one_out else folds()
    return Penalty(_shortest(choose_alpha(held_out, rows.targets, ALPHAS, sharing=settings.sharing).alpha))


def fit_decoder(
    voxels: NDArray[Any], targets: NDArray[Any], alpha: ArrayLike, settings: DecoderSettings
) -> FittedDecoder:
    """Fit a decoder to training rows.

    Args:
        voxels: As they are regressed on, (n, V).
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


def hold_out(
    rows: DecodingRows, folds: Callable[[], GroupedFolds], alpha: ArrayLike, settings: DecoderSettings
) -> Real:
    """Predict every training row by a decoder that was fitted to the other folds, (n, D).

    Args:
        rows: Of voxels as they are regressed on.
        folds: Gives `decompose_folds` of these rows; not called where there is no closed form.
        alpha: Penalty, or one for each target (D,).
        settings: Of the decoder.
    """
    if settings.method in ("reduced_rank", "selected"):
        fit = partial(fit_decoder, alpha=alpha, settings=settings)
        return predict_by_refitting(fit, rows.voxels, rows.targets, rows.fold)
    return predict_held_out(folds(), rows.targets, alpha)


def _kernel(voxels: NDArray[Any], settings: DecoderSettings) -> NDArray[Any]:
    if settings.method in KERNELS:
        return KERNELS[settings.method](voxels, voxels)
    return linear_kernel(voxels)


def _one(alpha: ArrayLike) -> float:
    """Return the penalty that all targets share, which is what the settings allow here."""
    return float(np.asarray(alpha).reshape(-1)[0])


def _shortest(alpha: NDArray[np.float64]) -> NDArray[np.float64]:
    """One number where all targets share a penalty, so that nothing is done target by target."""
    return alpha[:1] if (alpha == alpha[0]).all() else alpha
