"""Giving predicted features back the spread that regression shrank: as published, and without the test set's help."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.regression.spectrum import Real, as_real
from lightning_modules.parts.errors import DataError


@dataclass(frozen=True, eq=False)
class OutputScale:
    """Takes each dimension of predictions from one mean and standard deviation to those of the training features.

    Args:
        predicted_mean: Mean of predictions, float64 (D,).
        predicted_std: Their standard deviation, (D,); 0 where they do not vary, which then become the training mean.
        training_mean: Mean of the features of the training pictures, (D,).
        training_std: Their standard deviation, (D,).
    """

    predicted_mean: NDArray[np.float64]
    predicted_std: NDArray[np.float64]
    training_mean: NDArray[np.float64]
    training_std: NDArray[np.float64]

    @classmethod
    def of(cls, predictions: NDArray[Any], training_targets: NDArray[Any]) -> "OutputScale":
        """Measure predictions (m, D) and training features (n, D); standard deviations have ddof 0.

        Of the test set's own predictions, this is what the paper does, and it uses what a decoder of one picture
        does not have: the other 49. Of cross-validated predictions of training rows it does without; but those are
        of single trials, and predictions of averaged repeats vary less by noise.

        Raises:
            DataError: If the dimensions differ, or there are no rows.

        Source:
            `train_regression.py` of the paper's code: on the 50 test predictions, for instance features only.
        """
        _check(predictions, training_targets)
        mean, std = _moments(predictions)
        return cls(mean, std, *_moments(training_targets))

    @property
    def std_ratio(self) -> NDArray[np.float64]:
        """How many times less predictions vary than training features, (D,): 1 is as much; NaN of a dead dimension."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.training_std > 0, self.predicted_std / self.training_std, np.nan)

    def __call__(self, predictions: NDArray[Any]) -> Real:
        """Standardise predictions, (m, D)."""
        predictions = as_real(predictions)
        scaled = (predictions - self.predicted_mean) * _gain(self.training_std, self.predicted_std)
        return (scaled + self.training_mean).astype(predictions.dtype)


def standardise_leaving_one_out(predictions: NDArray[Any], training_targets: NDArray[Any]) -> Real:
    """Standardise each prediction by the mean and standard deviation of the others.

    Args:
        predictions: (m, D), of at least 3 pictures.
        training_targets: (n, D).

    Returns:
        (m, D).

    Raises:
        DataError: If the dimensions differ, or there are fewer than 3 predictions.

    Source:
        Specification 10.9.
    """
    _check(predictions, training_targets)
    n_others = len(predictions) - 1
    if n_others < 2:
        raise DataError(
            f"{len(predictions)} predictions leave no spread of others.", "Give at least 3 predictions."
        )
    mean, std = _moments(predictions)
    training_mean, training_std = _moments(training_targets)
    deviation = predictions - mean
    # Σ over the others of their squared distance to their own mean, from the sums over all.
    squares = (n_others + 1) * (std**2 - deviation**2 / n_others)
    others_std = np.where(squares > 1e-12 * std**2, np.sqrt(np.maximum(squares, 0) / n_others), 0.0)
    from_others = deviation * (n_others + 1) / n_others
    scaled = from_others * _gain(training_std, others_std) + training_mean
    return scaled.astype(as_real(predictions).dtype)


def _moments(rows: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean = rows.mean(axis=0, dtype=np.float64)
    std = rows.std(axis=0, dtype=np.float64)
    # Round-off leaves constant dimensions a tiny spread, by which nothing should be divided.
    round_off = 4 * np.finfo(as_real(rows).dtype).eps * np.abs(rows).max(axis=0)
    return mean, np.where(std > round_off, std, 0.0)


def _gain(training_std: NDArray[np.float64], predicted_std: NDArray[np.float64]) -> NDArray[np.float64]:
    training_std = np.broadcast_to(training_std, predicted_std.shape)
    return np.divide(training_std, predicted_std, out=np.zeros(predicted_std.shape), where=predicted_std > 0)


def _check(predictions: NDArray[Any], training_targets: NDArray[Any]) -> None:
    shapes = predictions.shape, training_targets.shape
    if any(len(shape) != 2 or not shape[0] for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise DataError(
            f"Predictions {shapes[0]} cannot be given the spread of training features {shapes[1]}.",
            "Give (rows, dimensions) of the same dimensions.",
        )
