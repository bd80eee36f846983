"""Predictions of rows that were held out: for every penalty and target from one eigendecomposition a fold."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.preprocessing import KernelCenterer

from lightning_modules.icgan.regression.spectrum import (
    Real,
    Spectrum,
    as_real,
    blocks,
    check_alpha,
    mean_of,
)
from lightning_modules.parts.errors import DataError


class Part(Protocol):
    """Rows that are held out together, for some targets: how far prediction and truth are from the training mean.

    Args:
        rows: Which rows, (r,).
        truth: True targets less the mean of the rows that were trained on, (r, B).
        mean: That mean, (B,), or (r, B) where it differs between rows.
    """

    @property
    def rows(self) -> NDArray[np.int64]: ...

    @property
    def truth(self) -> Real: ...

    @property
    def mean(self) -> Real: ...

    def deviation(self, alpha: float | NDArray[np.float64]) -> Real:
        """Return predictions less the training mean, (r, B), for one penalty or one for each target (B,)."""
        ...


class HeldOut(Protocol):
    """A way of holding rows out, decomposed once for all targets and penalties."""

    @property
    def n_rows(self) -> int:
        """Rows that were decomposed, n."""
        ...

    def parts(self, targets: Real) -> Iterator[Part]:
        """Hold each row out once, for targets (n, B)."""
        ...


@dataclass(frozen=True, eq=False)
class _FoldPart:
    rows: NDArray[np.int64]
    truth: Real
    mean: Real
    left: Real  # (r, n - r): kernel between held-out and training rows, turned into eigenvectors
    values: Real
    rotated: Real  # (n - r, B): training targets along the eigenvectors

    def deviation(self, alpha: float | NDArray[np.float64]) -> Real:
        if np.ndim(alpha):
            return self.left @ (self.rotated / (self.values[:, None] + alpha)).astype(self.left.dtype)
        return (self.left / (self.values + alpha)).astype(self.left.dtype) @ self.rotated


@dataclass(frozen=True, eq=False)
class _Fold:
    rows: NDArray[np.int64]
    others: NDArray[np.int64]
    spectrum: Spectrum
    left: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GroupedFolds:
    """Cross-validation over folds of rows; make it with `of`."""

    n_rows: int
    folds: tuple[_Fold, ...]

    @classmethod
    def of(cls, kernel: Real, fold: NDArray[np.int64]) -> "GroupedFolds":
        """Decompose the kernel of the other folds for each fold.

        Args:
            kernel: Between all rows, (n, n); `linear_kernel` or another one. Each fold centres it by its own
                training rows.
            fold: Fold of each row, (n,), such as `grouped_folds` gives.

        Raises:
            DataError: If there is only one fold.
        """
        names = np.unique(fold)
        if len(names) < 2 or fold.shape != (len(kernel),):
            raise DataError(
                f"{len(names)} folds of {fold.shape} rows cannot hold out {len(kernel)} rows in turn.",
                "Give one fold number a row, and at least two folds.",
            )
        return cls(len(kernel), tuple(_decompose(kernel, fold == name) for name in names))

    def parts(self, targets: Real) -> Iterator[Part]:
        """See `HeldOut`."""
        dtype = targets.dtype
        for one in self.folds:
            known = targets[one.others]
            mean = mean_of(known)
            rotated = one.spectrum.vectors.T.astype(dtype, copy=False) @ (known - mean)
            left = one.left.astype(dtype, copy=False)
            yield _FoldPart(one.rows, targets[one.rows] - mean, mean, left, one.spectrum.values, rotated)


@dataclass(frozen=True, eq=False)
class _LeftOut:
    rows: NDArray[np.int64]
    truth: Real
    mean: Real
    centred: Real
    spectrum: Spectrum
    rotated: Real

    def deviation(self, alpha: float | NDArray[np.float64]) -> Real:
        values, vectors = self.spectrum.values, self.spectrum.vectors
        shrinkage = values[:, None] / (values[:, None] + alpha)  # (n, 1) or (n, B)
        leverage = (vectors**2 @ shrinkage).astype(self.rotated.dtype)
        vectors = vectors.astype(self.rotated.dtype, copy=False)
        fitted = vectors @ (self.rotated * shrinkage.astype(self.rotated.dtype))
        # 1/n is the intercept's part in the leverage.
        error = (self.centred - fitted) / (1 - leverage - 1 / len(self.rows))
        return self.truth - error


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Every row held out by itself, in closed form from one decomposition of all rows; make it with `of`.

    Rows of the same stimulus are in training with the row that is left out: not for repeated stimuli.

    Source:
        Specification 7.2: eᵢ = (T − HT)ᵢ / (1 − Hᵢᵢ − 1/n) with H = U Λ/(Λ+α) Uᵀ of centred rows.
    """

    n_rows: int
    spectrum: Spectrum

    @classmethod
    def of(cls, kernel: Real) -> "LeaveOneOut":
        """Decompose a kernel between all rows, (n, n)."""
        return cls(len(kernel), Spectrum.of(KernelCenterer().fit_transform(kernel)))

    def parts(self, targets: Real) -> Iterator[Part]:
        """See `HeldOut`."""
        n_rows = self.n_rows
        centred = targets - mean_of(targets)
        truth = (n_rows / (n_rows - 1)) * centred
        rotated = self.spectrum.vectors.T.astype(targets.dtype, copy=False) @ centred
        yield _LeftOut(np.arange(n_rows), truth, targets - truth, centred, self.spectrum, rotated)


def predict_held_out(held_out: HeldOut, targets: NDArray[Any], alpha: ArrayLike) -> Real:
    """Predict every row from the rows that it was held out of.

    Args:
        held_out: `GroupedFolds` or `LeaveOneOut`.
        targets: (n, D).
        alpha: One penalty, or one for each target (D,).

    Returns:
        (n, D).
    """
    penalties = check_alpha(alpha)
    targets = rows_of(held_out, targets)
    predictions = np.empty_like(targets)
    for block in blocks(targets.shape[1]):
        own = penalties[block] if penalties.ndim else float(penalties)
        for part in held_out.parts(targets[:, block]):
            predictions[part.rows, block] = part.mean + part.deviation(own)
    return predictions


def rows_of(held_out: HeldOut, targets: NDArray[Any]) -> Real:
    """Return targets as real numbers.

    Raises:
        DataError: If they are not as many rows as were decomposed, or not finite.
    """
    if targets.ndim != 2 or len(targets) != held_out.n_rows or not np.isfinite(targets).all():
        raise DataError(
            f"Targets of shape {targets.shape} are not {held_out.n_rows} rows of finite values.",
            "Give (rows, dimensions) in the order of the rows of the kernel.",
        )
    return as_real(targets)


def _decompose(kernel: Real, held: NDArray[np.bool_]) -> _Fold:
    rows, others = np.flatnonzero(held), np.flatnonzero(~held)
    centrer = KernelCenterer()
    spectrum = Spectrum.of(centrer.fit_transform(kernel[np.ix_(others, others)]))
    left = centrer.transform(kernel[np.ix_(rows, others)]) @ spectrum.vectors
    return _Fold(rows, others, spectrum, left)
