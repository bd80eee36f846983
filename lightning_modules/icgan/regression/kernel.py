"""Kernel ridge regression: similarity of voxel patterns by a radial basis function or a polynomial."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import KernelCenterer

from lightning_modules.icgan.regression.ridge import check_voxels
from lightning_modules.icgan.regression.spectrum import Real, Spectrum, as_real, check_rows, mean_of

Kernel: TypeAlias = Callable[[Real, Real], NDArray[np.float64]]
"""Similarity of rows (m, V) and rows (n, V), float64 (m, n)."""


@dataclass(frozen=True)
class RadialBasis:
    """exp(−γ d²/V) of the squared distance d² between z-scored patterns of V voxels.

    Args:
        gamma: γ, above 0. At 0.5, two independent patterns have a similarity of about exp(−1).

    Raises:
        ValueError: If it is not above 0.
    """

    gamma: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.gamma < np.inf:
            raise ValueError(f"`gamma` is {self.gamma}, but must be above 0 and finite.")

    def __call__(self, rows: Real, others: Real) -> NDArray[np.float64]:
        """See `Kernel`."""
        return rbf_kernel(_double(rows), _double(others), gamma=self.gamma / rows.shape[1])


@dataclass(frozen=True)
class Polynomial:
    """(γ ⟨x, y⟩/V + offset)^degree of patterns of V voxels.

    Args:
        degree: 1 or more.
        gamma: γ, above 0.
        offset: 0 or more; weighs the terms of lower degree.

    Raises:
        ValueError: If arguments are out of range; all problems at once.
    """

    degree: int = 2
    gamma: float = 1.0
    offset: float = 1.0

    def __post_init__(self) -> None:
        problems = []
        if self.degree < 1:
            problems.append(f"`degree` is {self.degree}, but must be at least 1.")
        if not 0 < self.gamma < np.inf:
            problems.append(f"`gamma` is {self.gamma}, but must be above 0 and finite.")
        if not 0 <= self.offset < np.inf:
            problems.append(f"`offset` is {self.offset}, but must be 0 or more and finite.")
        if problems:
            raise ValueError(" ".join(problems))

    def __call__(self, rows: Real, others: Real) -> NDArray[np.float64]:
        """See `Kernel`."""
        product = _double(rows) @ _double(others).T
        return (self.gamma / rows.shape[1] * product + self.offset) ** self.degree


@dataclass(frozen=True, eq=False)
class KernelRidge:
    """A decoder that is linear in the similarities to its training rows.

    Args:
        kernel: How similar two patterns are.
        dual: Coefficients, (n, D).
        voxels: Training rows, (n, V).
        centrer: Takes the training mean off similarities in the kernel's own space, so that the intercept is free.
        target_mean: (D,).
    """

    kernel: Kernel
    dual: Real
    voxels: Real
    centrer: KernelCenterer
    target_mean: Real

    def predict(self, voxels: NDArray[Any]) -> Real:
        """Decode rows of voxels (m, V) into targets (m, D)."""
        check_voxels(voxels, self.voxels.shape[1])
        similarity = self.centrer.transform(self.kernel(np.atleast_2d(as_real(voxels)), self.voxels))
        return similarity.astype(self.dual.dtype, copy=False) @ self.dual + self.target_mean


def fit_kernel_ridge(
    voxels: NDArray[Any], targets: NDArray[Any], alpha: ArrayLike, *, kernel: Kernel
) -> KernelRidge:
    """Fit kernel ridge regression with an unpenalised intercept.

    The penalty is chosen as for ridge regression, by `choose_alpha` on `kernel(voxels, voxels)`.

    Args:
        voxels: Training rows, (n, V).
        targets: (n, D).
        alpha: One penalty, or one for each target (D,).
        kernel: Such as `RadialBasis()` or `Polynomial()`.

    Raises:
        DataError: If rows do not match, or hold values that are not finite.
        ValueError: If a penalty is not above 0.
    """
    voxels, targets = check_rows(voxels, targets)
    centrer, target_mean = KernelCenterer(), mean_of(targets)
    spectrum = Spectrum.of(centrer.fit_transform(kernel(voxels, voxels)))
    return KernelRidge(kernel, spectrum.solve(targets - target_mean, alpha), voxels, centrer, target_mean)


def _double(rows: Real) -> NDArray[np.float64]:
    return rows.astype(np.float64, copy=False)
