"""The eigendecomposition of a kernel between training rows, which serves every penalty and every target at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from scipy.optimize import root_scalar

from lightning_modules.parts.errors import DataError

Real: TypeAlias = NDArray[np.floating[Any]]
"""float32 or float64; results have the type of the targets."""

BLOCK = 2048
"""Targets that are worked on at once: with 24,576 of them, a second copy of everything would not be small."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Eigenvalues and eigenvectors of a centred kernel between n training rows.

    Args:
        values: Eigenvalues, float64 (n,); those that are zero but for round-off are zero.
        vectors: Eigenvectors in columns, float64 (n, n).
    """

    values: NDArray[np.float64]
    vectors: NDArray[np.float64]

    @classmethod
    def of(cls, kernel: Real) -> "Spectrum":
        """Decompose a centred kernel, (n, n).

        Raises:
            DataError: If the kernel is zero, so that nothing can be regressed on it.
        """
        values, vectors = eigh(kernel.astype(np.float64, copy=False), driver="evd", check_finite=False)
        round_off = len(values) * np.finfo(np.float64).eps * np.abs(values).max(initial=0)
        values = np.where(values > round_off, values, 0.0)
        if not values.any():
            raise DataError(
                f"All of the {len(values)} training rows are the same, so nothing can be decoded from them.",
                "Give rows of several stimuli, and voxels that vary.",
            )
        return cls(values, vectors)

    @cached_property
    def rank(self) -> int:
        """Number of eigenvalues above zero: the degrees of freedom without any penalty."""
        return int(np.count_nonzero(self.values))

    def degrees_of_freedom(self, alphas: ArrayLike) -> NDArray[np.float64]:
        """Return the effective degrees of freedom df(α) = Σ λ/(λ+α) at each penalty; the intercept is not counted.

        Args:
            alphas: Penalties, any shape.

        Source:
            Hastie, Tibshirani, Friedman, Elements of Statistical Learning, equation 3.50.
        """
        penalties = check_alpha(alphas)
        return (self.values / (self.values + penalties[..., None])).sum(axis=-1)

    def alpha_for(self, fraction: float) -> float:
        """Return the penalty that leaves this fraction of the degrees of freedom: the inverse of the above.

        Args:
            fraction: Of the rank, above 0 and below 1.

        Raises:
            ValueError: If it is not.
        """
        if not 0 < fraction < 1:
            raise ValueError(f"`fraction` is {fraction}, but must be above 0 and below 1.")
        kept = self.values[self.values > 0]
        # At α = λ(1-f)/f one eigenvalue alone keeps f, so the extreme eigenvalues enclose the answer.
        low, high = (np.log(edge * (1 - fraction) / fraction) for edge in (kept.min(), kept.max()))

        def excess(log_alpha: float) -> float:
            return float(self.degrees_of_freedom(np.exp(log_alpha))) - fraction * self.rank

        return float(np.exp(root_scalar(excess, bracket=(low - 1e-6, high + 1e-6), xtol=1e-13).root))

    def solve(self, centred_targets: Real, alpha: ArrayLike) -> Real:
        """Return (K + αI)⁻¹ T, the dual coefficients.

        Args:
            centred_targets: Targets with their training mean taken off, (n, D).
            alpha: One penalty, or one for each target (D,).

        Returns:
            (n, D), of the targets' type.
        """
        penalties = np.broadcast_to(check_alpha(alpha), centred_targets.shape[1])
        vectors = self.vectors.astype(centred_targets.dtype, copy=False)
        dual = np.empty_like(centred_targets)
        for block in blocks(centred_targets.shape[1]):
            rotated = vectors.T @ centred_targets[:, block]
            rotated /= self.values[:, None] + penalties[block]
            dual[:, block] = vectors @ rotated
        return dual


def blocks(n_targets: int, size: int = BLOCK) -> Iterator[slice]:
    """Cut the targets into runs that are worked on at once."""
    for start in range(0, n_targets, size):
        yield slice(start, min(start + size, n_targets))


def mean_of(rows: Real) -> Real:
    """Mean over rows, (D,), summed in float64 and of the rows' type."""
    return rows.mean(axis=0, dtype=np.float64).astype(rows.dtype)


def as_real(values: NDArray[Any]) -> Real:
    """Return float32 as it is, and anything else as float64."""
    return values if values.dtype == np.float32 else values.astype(np.float64, copy=False)


def check_alpha(alpha: ArrayLike) -> NDArray[np.float64]:
    """Return penalties as an array.

    Raises:
        ValueError: If one is not above 0 and finite.
    """
    penalties = np.asarray(alpha, dtype=np.float64)
    if not (np.isfinite(penalties) & (penalties > 0)).all():
        raise ValueError(f"`alpha` is {alpha}, but must be above 0 and finite.")
    return penalties


def check_rows(voxels: NDArray[Any], targets: NDArray[Any]) -> tuple[Real, Real]:
    """Return voxels (n, V) and targets (n, D) as real numbers.

    Raises:
        DataError: If they are not row by row of each other, or hold values that are not finite.
    """
    problems = [
        f"{name} have shape {rows.shape}, not (rows, {columns})."
        for name, rows, columns in (("voxels", voxels, "voxels"), ("targets", targets, "dimensions"))
        if rows.ndim != 2
    ]
    if not problems and (len(voxels) != len(targets) or len(voxels) < 2):
        problems.append(
            f"{len(voxels)} rows of voxels have {len(targets)} rows of targets; at least 2 must match."
        )
    problems += [
        f"{np.count_nonzero(~np.isfinite(rows))} values of the {name} are not finite."
        for name, rows in (("voxels", voxels), ("targets", targets))
        if not np.isfinite(rows).all()
    ]
    if problems:
        raise DataError(
            f"No regression can be fitted: {' '.join(problems)}",
            "Give one row of finite values for each training block, in the same order in both.",
        )
    return as_real(voxels), as_real(targets)
