"""What voxels say about features, which the weights of a decoder do not tell: Haufe's activation patterns."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import svd

from lightning_modules.icgan.regression.spectrum import BLOCK, blocks, check_rows

TOLERANCE = 1e-6
"""Spread of a direction of predictions, relative to the widest one, below which it is taken for round-off."""


@dataclass(frozen=True, eq=False)
class ActivationPattern:
    """How each voxel changes with each decoded dimension while the others stay: A = L R, never formed as a whole.

    4,643 voxels by 24,576 dimensions would be 913 MB.

    Args:
        left: L, (V, r), r being the rank of the predictions.
        right: R, (r, D).
    """

    left: NDArray[np.float64]
    right: NDArray[np.float64]

    def columns(self, dimensions: slice | NDArray[np.int64] = slice(None)) -> NDArray[np.float64]:
        """Return the patterns of some dimensions, (V, D')."""
        return self.left @ self.right[:, dimensions]

    def l1(self) -> NDArray[np.float64]:
        """Return the sum of each voxel's absolute pattern over dimensions, (V,): for a semantic index of patterns."""
        total = np.zeros(len(self.left))
        for block in blocks(self.right.shape[1], BLOCK):
            total += np.abs(self.columns(block)).sum(axis=1)
        return total


def activation_pattern(
    voxels: NDArray[Any], predictions: NDArray[Any], *, tolerance: float = TOLERANCE
) -> ActivationPattern:
    """Turn a linear decoder around: A = cov(X) W cov(T̂)⁻¹, from its voxels and its predictions T̂ of them.

    Since cov(X) W = cov(X, T̂), neither covariance is needed. With centred T̂ = U S Vᵀ it is A = Xᵀ U S⁻¹ Vᵀ: the
    regression of voxels on predictions, with the pseudoinverse where predictions have more dimensions than rows.

    Args:
        voxels: Training rows that the decoder was fitted to, (n, V).
        predictions: What it predicts of the same rows, (n, D).
        tolerance: Directions of predictions that vary less than this much of the widest one are left out: a ridge
            decoder hardly moves along them, and their pattern would be noise.

    Raises:
        DataError: If rows do not match, or are not finite.

    Source:
        Haufe et al. 2014, NeuroImage 87, equation 6; specification 6.2.
    """
    voxels, predictions = check_rows(voxels, predictions)
    centred = predictions - predictions.mean(axis=0, dtype=np.float64)
    left, spread, right = svd(centred, full_matrices=False, check_finite=False)
    round_off = max(centred.shape) * np.finfo(predictions.dtype).eps * np.abs(predictions).max()
    kept = spread > max(tolerance * spread.max(initial=0), round_off)
    centred_voxels = voxels - voxels.mean(axis=0, dtype=np.float64)
    return ActivationPattern(centred_voxels.T @ (left[:, kept] / spread[kept]), np.asarray(right[kept]))
