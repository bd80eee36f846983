"""Banded ridge regression: a penalty of its own for each area of the brain, by himalaya."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from himalaya.kernel_ridge import MultipleKernelRidgeCV
from himalaya.scoring import correlation_score, r2_score
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import PredefinedSplit

from lightning_modules.icgan.regression.alpha_choice import Scoring
from lightning_modules.icgan.regression.ridge import check_voxels
from lightning_modules.icgan.regression.spectrum import Real, as_real, check_alpha, check_rows, mean_of
from lightning_modules.parts.errors import DataError


@dataclass(frozen=True, eq=False)
class BandedRidge:
    """A linear decoder with one penalty for each band of voxels and each target: 1/weight of the band.

    Args:
        bands: Names of the R bands.
        members: Whether a voxel belongs to a band, bool (R, V); voxels of no band are not used.
        band_weights: Of each band's kernel, (R, D).
        dual: (n, D).
        voxels: Training voxels without their mean, (n, V).
        voxel_mean: (V,).
        intercept: For voxels at their mean, (D,).
        scores: Cross-validated score of the chosen weights, (D,): the highest of many, so a little too high.
    """

    bands: tuple[str, ...]
    members: NDArray[np.bool_]
    band_weights: Real
    dual: Real
    voxels: Real
    voxel_mean: Real
    intercept: Real
    scores: Real

    def predict(self, voxels: NDArray[Any]) -> Real:
        """Decode rows of voxels (m, V) into targets (m, D)."""
        return self.predict_by_band(voxels).sum(axis=0) + self.intercept

    def predict_by_band(self, voxels: NDArray[Any]) -> Real:
        """Return what each band adds to the prediction, (R, m, D)."""
        check_voxels(voxels, len(self.voxel_mean))
        centred = np.atleast_2d(as_real(voxels) - self.voxel_mean)
        return np.stack(
            [
                (centred[:, own] @ self.voxels[:, own].T) @ (self.dual * weights)
                for own, weights in zip(self.members, self.band_weights, strict=True)
            ]
        )


def fit_banded(
    voxels: NDArray[Any],
    targets: NDArray[Any],
    bands: Mapping[str, NDArray[np.bool_]],
    fold: NDArray[np.int64],
    *,
    alphas: Sequence[float],
    n_candidates: int = 100,
    per_target: bool = True,
    scoring: Scoring = "correlation",
    seed: int = 0,
) -> BandedRidge:
    """Choose the weight of each band by random search over Dirichlet samples, and fit.

    Plain ridge regression is the first candidate: with equal weights 1/R, a penalty α is one of R·α on all voxels
    that are in one band.

    Args:
        voxels: Training rows, (n, V).
        targets: (n, D).
        bands: Whether each voxel belongs to an area, (V,) by its name. Voxels of two bands count in both.
        fold: Fold of each row, (n,), such as `grouped_folds` gives.
        alphas: Overall penalties to try with each candidate.
        n_candidates: Samples of the bands' weights.
        per_target: Whether every target has weights of its own.
        scoring: What is maximised, as a mean over folds.
        seed: Of the samples.

    Raises:
        DataError: If rows do not match or are not finite, or a band has no voxels or another number of them.
        ValueError: If a penalty is not above 0.

    Source:
        Dupré la Tour, Eickenberg, Nunez-Elizalde, Gallant 2022, NeuroImage 264:119728; himalaya's
        `MultipleKernelRidgeCV` with the solver `random_search`.
    """
    voxels, targets = check_rows(voxels, targets)
    penalties = check_alpha(list(alphas))
    _check_bands(bands, voxels.shape[1])
    voxel_mean, target_mean = mean_of(voxels), mean_of(targets)
    centred = voxels - voxel_mean
    splitter: Any = PredefinedSplit(fold)  # himalaya hints at a number, and takes scikit-learn's splitters
    search = MultipleKernelRidgeCV(
        kernels="precomputed",
        solver="random_search",
        cv=splitter,
        fit_intercept=True,
        random_state=seed,
        force_cpu=True,
        solver_params={
            "n_iter": n_candidates,
            "alphas": penalties.astype(voxels.dtype),
            "local_alpha": per_target,
            "score_func": correlation_score if scoring == "correlation" else r2_score,
            "n_targets_batch": 1024,
            "n_targets_batch_refit": 256,
            "progress_bar": False,
        },
    )
    kernels = np.stack([centred[:, own] @ centred[:, own].T for own in bands.values()])
    search.fit(kernels, targets - target_mean)
    best = search.cv_scores_.argmax(axis=0) if per_target else search.cv_scores_.mean(axis=1).argmax()
    return BandedRidge(
        bands=tuple(bands),
        members=np.stack(list(bands.values())),
        band_weights=np.exp(search.deltas_),
        dual=search.dual_coef_,
        voxels=centred,
        voxel_mean=voxel_mean,
        intercept=target_mean + search.intercept_,
        scores=search.cv_scores_[best, np.arange(targets.shape[1])],
    )


class BandChoice(NamedTuple):
    """Penalties of bands that all targets share: one penalty, and how much each voxel is enlarged before it.

    Args:
        alpha: Penalty on the enlarged voxels.
        weights: Of each band, relative to their mean: the band's own penalty is alpha/weight.
        gain: Root of its band's weight for each voxel, (V,).
    """

    alpha: float
    weights: dict[str, float]
    gain: Real


def partition(areas: Mapping[str, NDArray[np.bool_]]) -> dict[str, NDArray[np.bool_]]:
    """Give each voxel to the smallest of its areas, so that none counts twice; areas left without voxels drop out.

    Of an area made of others, such as all of visual cortex, the voxels remain that none of the others has.

    Args:
        areas: Whether each voxel belongs to an area, (V,) by its name. Voxels of no area belong to no band.
    """
    bands: dict[str, NDArray[np.bool_]] = {}
    taken = np.zeros(len(next(iter(areas.values()), ())), dtype=np.bool_)
    for name, mask in sorted(areas.items(), key=lambda area: int(area[1].sum())):
        if (mask & ~taken).any():
            bands[name] = mask & ~taken
        taken |= mask
    return bands


def choose_bands(
    voxels: NDArray[Any],
    targets: NDArray[Any],
    bands: Mapping[str, NDArray[np.bool_]],
    fold: NDArray[np.int64],
    *,
    alphas: ArrayLike,
    n_candidates: int,
) -> BandChoice:
    """Choose penalties of bands that all targets share, so that what follows is plain ridge on enlarged voxels.

    The first candidate is plain ridge: equal weights.

    Args:
        voxels: Training rows, (n, V).
        targets: (n, D).
        bands: Whether each voxel belongs to a band, (V,) by its name; every voxel in one, such as `partition` gives.
        fold: Fold of each row, (n,).
        alphas: Penalties to try with each candidate; of one, only the weights are chosen.
        n_candidates: See `fit_banded`.
    """
    n_bands = len(bands)
    penalties = check_alpha(alphas).reshape(-1)
    # himalaya's weights sum to one, ours have a mean of one.
    fitted = fit_banded(
        voxels,
        targets,
        bands,
        fold,
        alphas=list(penalties / n_bands),
        n_candidates=n_candidates,
        per_target=False,
    )
    own = fitted.band_weights[:, 0].astype(np.float64)
    alpha = n_bands / own.sum()
    # Of the penalties that were tried, without the round-off of float32.
    alpha = float(penalties[np.abs(np.log(penalties / alpha)).argmin()])
    weights = own / own.mean()
    gain = np.sqrt(weights @ fitted.members)
    return BandChoice(
        alpha, dict(zip(bands, weights.tolist(), strict=True)), gain.astype(fitted.voxels.dtype)
    )


def _check_bands(bands: Mapping[str, NDArray[np.bool_]], n_voxels: int) -> None:
    problems = [] if bands else ["there is none."]
    for name, own in bands.items():
        if own.shape != (n_voxels,) or own.dtype != np.bool_:
            problems.append(f"`{name}` is {own.dtype} {own.shape}, not bool ({n_voxels},).")
        elif not own.any():
            problems.append(f"`{name}` has no voxels.")
    if problems:
        raise DataError(
            f"These bands of voxels cannot have penalties: {' '.join(problems)}",
            "Give a mask over all voxels for each area, and leave empty areas out.",
        )
