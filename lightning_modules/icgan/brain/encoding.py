"""What an area carries: its voxels predicted from features, and features decoded from its voxels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightning_modules.icgan.brain.areas import Masks, area_means
from lightning_modules.icgan.regression.alpha_choice import score_held_out
from lightning_modules.icgan.regression.folds import Decoder
from lightning_modules.icgan.regression.held_out import GroupedFolds
from lightning_modules.icgan.regression.ridge import linear_kernel
from lightning_modules.icgan.regression.spectrum import Real, check_rows
from lightning_modules.icgan.scoring.identification import correlate, identify, profile_correlation
from lightning_modules.parts.errors import DataError

ALPHAS = np.logspace(0, 6, 13)


@dataclass(frozen=True, eq=False)
class VariancePartition:
    """Cross-validated R² of each voxel from two banks of features, and what each bank alone explains.

    Args:
        first: R² from the first bank, (V,).
        second: From the second, (V,).
        both: From both together, (V,).
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    both: NDArray[np.float64]

    @property
    def first_only(self) -> NDArray[np.float64]:
        """What is lost without the first bank, (V,); chance may take it below 0."""
        return self.both - self.second

    @property
    def second_only(self) -> NDArray[np.float64]:
        """What is lost without the second bank, (V,)."""
        return self.both - self.first

    @property
    def shared(self) -> NDArray[np.float64]:
        """What either bank explains, (V,)."""
        return self.first + self.second - self.both

    def of_areas(self, masks: Masks) -> dict[str, NDArray[np.float64]]:
        """Return the mean of each part within each area, (R,) by the part's name."""
        names = ("first", "second", "both", "first_only", "second_only", "shared")
        return {name: area_means(getattr(self, name), masks) for name in names}


def partition_variance(
    first: NDArray[Any],
    second: NDArray[Any],
    voxels: NDArray[Any],
    fold: NDArray[np.int64],
    *,
    alphas: ArrayLike = ALPHAS,
) -> VariancePartition:
    """Predict voxels from two banks of features by ridge regression, each alone and both together.

    Banks are z-scored. Every voxel has its own penalty in each of the three, chosen by the same held-out rows that
    its R² is of: a little too high, alike for all three. One penalty serves both banks.

    Args:
        first: Features such as h of the picture of each row, (n, D).
        second: Such as low-level descriptors, (n, D').
        voxels: (n, V).
        fold: Fold of each row, (n,), such as `grouped_folds` gives.
        alphas: Penalties to try, ascending.

    Raises:
        DataError: If rows do not match, or are not finite.

    Source:
        Lescroart, Stansbury and Gallant 2015, Frontiers in Computational Neuroscience 9:135; specification 6.2.
    """
    banks = [_standardise(check_rows(voxels, bank)[1]) for bank in (first, second)]

    def explain(bank: NDArray[np.float64]) -> NDArray[np.float64]:
        held_out = GroupedFolds.of(linear_kernel(bank), fold)
        return score_held_out(held_out, voxels, alphas, "r2").max(axis=0)

    return VariancePartition(explain(banks[0]), explain(banks[1]), explain(np.concatenate(banks, axis=1)))


class AreaDecoding(NamedTuple):
    """How well features are decoded from one area alone.

    Args:
        n_voxels: Of the area.
        profile: Mean over dimensions of the correlation over test stimuli.
        pairwise: Identification of each prediction among all test stimuli, both less the training mean.
    """

    n_voxels: int
    profile: float
    pairwise: float


def decode_by_area(
    fit: Callable[[Real, Real], Decoder],
    training: tuple[NDArray[Any], NDArray[Any]],
    test: tuple[NDArray[Any], NDArray[Any]],
    masks: Masks,
) -> dict[str, AreaDecoding]:
    """Train a decoder on the voxels of each area alone, and score it.

    Areas differ in their number of voxels, which alone makes some decode better.

    Args:
        fit: Makes a decoder of voxels (n, V') and targets (n, D).
        training: Voxels (n, V) and targets (n, D).
        test: Voxels (m, V) and targets (m, D), one row a stimulus.
        masks: Areas.

    Raises:
        DataError: If the number of voxels differs between training, test and masks.

    Source:
        Specification 6.2.
    """
    (voxels, targets), (test_voxels, truth) = training, test
    counts = {voxels.shape[1], test_voxels.shape[1], *(len(mask) for mask in masks.values())}
    if len(counts) != 1:
        raise DataError(
            f"Training, test and masks have different numbers of voxels: {sorted(counts)}.",
            "Take all from one session.",
        )
    centre = targets.mean(axis=0, dtype=np.float64)
    found = {}
    for name, mask in masks.items():
        predicted = fit(voxels[:, mask], targets).predict(test_voxels[:, mask])
        identified = identify(correlate(predicted, truth, centre), np.arange(len(truth)))
        profile = float(np.nanmean(profile_correlation(predicted, truth)))
        found[name] = AreaDecoding(int(mask.sum()), profile, identified.accuracy)
    return found


def _standardise(bank: NDArray[Any]) -> NDArray[np.float64]:
    centred = bank - bank.mean(axis=0, dtype=np.float64)
    std = centred.std(axis=0)
    # Round-off leaves constant features a tiny spread, by which nothing should be divided.
    varies = std > 1e-6 * np.abs(bank).max(axis=0)
    return centred[:, varies] / std[varies]
