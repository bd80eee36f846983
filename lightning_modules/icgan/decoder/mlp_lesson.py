"""What a multilayer perceptron learns from: rows outside the held-out fold, and noise that is like theirs."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.icgan.decoder.batch import DecodingBatch
from lightning_modules.icgan.regression.ridge import fit_ridge, spectrum_of
from lightning_modules.icgan.regression.spectrum import Real

HELD_OUT_FOLD = 0
"""Fold whose categories the network never learns from."""


class Lesson(NamedTuple):
    """Training rows of one kind of target.

    Args:
        voxels: (n, V).
        residuals: What features do not tell of them, (n, V).
        features: Of the C different stimuli, (C, D).
        own: Which of them each row is of, int64 (n,).
    """

    voxels: Tensor
    residuals: Tensor
    features: Tensor
    own: Tensor

    @classmethod
    def of(cls, batch: DecodingBatch, kind: str) -> "Lesson":
        """Take the rows outside the held-out fold.

        Args:
            batch: All rows.
            kind: Name of the target.
        """
        others = ~is_held_out(batch)
        kept, own = torch.unique(batch.stimulus[others], return_inverse=True)
        voxels, features = batch.voxels[others], batch.tables[kind][kept]
        noise = residuals(voxels.cpu().numpy(), features[own].cpu().numpy())
        return cls(voxels, torch.from_numpy(noise).to(voxels.device), features, own)


def is_held_out(batch: DecodingBatch) -> Tensor:
    """Whether each row is of the held-out fold, bool (n,)."""
    return batch.fold == HELD_OUT_FOLD


def residuals(voxels: NDArray[Any], features: NDArray[Any]) -> Real:
    """Return what features do not tell of rows of voxels, float32 (n, V): noise with its correlations over voxels.

    By ridge regression from features to voxels with half of the degrees of freedom.

    Args:
        voxels: (n, V).
        features: Of the stimulus of each row, (n, D).
    """
    spectrum = spectrum_of(features)
    encoder = fit_ridge(features, voxels, spectrum.alpha_for(0.5), spectrum=spectrum)
    return (voxels - encoder.predict(features)).astype(np.float32)
