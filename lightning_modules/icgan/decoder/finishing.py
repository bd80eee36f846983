"""What is done to predictions after regression: spread given back, distance from the mean, length."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.decoder.batch import DecodingRows
from lightning_modules.icgan.regression.spectrum import Real, as_real, mean_of
from lightning_modules.icgan.regression.standardise import OutputScale


@dataclass(frozen=True, eq=False)
class Finishing:
    """Turns predictions of one kind of target into what a picture is made of, in the order of the arguments.

    Args:
        scale: Gives predictions back the spread that regression shrank; None leaves it.
        shrink_factor: How far predictions go from the mean, relative to how far they would; 1 leaves them.
        mean: Of the training rows' targets, (D,).
        length: That each prediction is stretched to; None leaves it.
    """

    scale: OutputScale | None
    shrink_factor: float
    mean: Real
    length: float | None

    @classmethod
    def of(
        cls,
        targets: NDArray[Any],
        *,
        held_out: NDArray[Any] | None,
        shrink_factor: float = 1.0,
        match_length: bool,
    ) -> "Finishing":
        """Measure what is asked for.

        Args:
            targets: Of the training rows, (n, D).
            held_out: Predictions of rows that were held out, (m, D), for the spread; None where it is left.
            shrink_factor: See above.
            match_length: Whether predictions are stretched to the mean length of the targets.
        """
        targets = as_real(targets)
        lengths = np.linalg.norm(targets, axis=1) if match_length else None
        return cls(
            scale=None if held_out is None else OutputScale.of(held_out, targets),
            shrink_factor=shrink_factor,
            mean=mean_of(targets),
            length=None if lengths is None else float(lengths.mean(dtype=np.float64)),
        )

    def __call__(self, predictions: NDArray[Any], mean: Real | None = None) -> Real:
        """Finish predictions (m, D).

        Args:
            predictions: As regressed.
            mean: Of the rows that the decoder was fitted to, (D,), where they are not all training rows: of rows
                that were held out, the mean of all would tell a little of their category.
        """
        finished = predictions if self.scale is None else self.scale(predictions)
        if self.shrink_factor != 1:
            centre = self.mean if mean is None else mean
            finished = (centre + self.shrink_factor * (finished - centre)).astype(finished.dtype)
        if self.length is not None:
            lengths = np.linalg.norm(finished, axis=1, keepdims=True)
            finished = finished * (self.length / np.where(lengths > 0, lengths, 1)).astype(finished.dtype)
        return finished

    def held_out(self, predictions: Real, rows: DecodingRows) -> Real:
        """Finish predictions of all rows (n, D), each of a decoder that did not see the row's fold."""
        finished = np.empty_like(predictions)
        for name in np.unique(rows.fold):
            held = rows.fold == name
            finished[held] = self(predictions[held], mean_of(as_real(rows.targets[~held])))
        return finished
