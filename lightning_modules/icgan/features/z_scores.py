"""Columns brought to mean 0 and standard deviation 1 by the statistics of training rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CONSTANT = 1e-6
"""A column whose standard deviation is below this share of its size counts as constant; rounding makes as much."""


@dataclass(frozen=True, eq=False)
class ZScores:
    """Mean and standard deviation of training rows; constant columns become 0.

    Args:
        mean: (D,).
        sd: Standard deviation (ddof 0), 0 where a column is constant, (D,).
    """

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]

    def __call__(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Z-score rows (m, D)."""
        inverse = np.divide(1.0, self.sd, out=np.zeros_like(self.sd), where=self.sd > 0)
        return (rows - self.mean) * inverse

    @property
    def varies(self) -> NDArray[np.bool_]:
        """Whether a column varies at all: features of a ReLU may be dead, (D,)."""
        return self.sd > 0


def fit_z_scores(training: NDArray[Any]) -> ZScores:
    """Measure training rows (n, D)."""
    rows = np.asarray(training, dtype=np.float64)
    mean, sd = rows.mean(axis=0), rows.std(axis=0)
    return ZScores(mean, np.where(sd > _CONSTANT * np.sqrt(mean**2 + sd**2), sd, 0.0))


def z_scored(rows: NDArray[Any], n_training: int) -> NDArray[np.float64]:
    """Z-score rows (m, D), the first `n_training` of which are the training rows."""
    return fit_z_scores(rows[:n_training])(rows)
