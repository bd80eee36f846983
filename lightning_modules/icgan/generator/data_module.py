"""Neighbour-conditioned batches of what `load_pictures` returns."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lightning_modules.icgan.decoder.painting import as_state
from lightning_modules.icgan.generator.neighbour_data import NeighbourDataModule
from lightning_modules.icgan.generator.picture_source import PictureSource


class GeneratorDataModule(NeighbourDataModule):
    """Batches of training pictures, and the held-out instances.

    Args:
        data: The pictures.
        k: Neighbours of each instance.
        batch_size: Pictures in a training batch.
        steps_per_epoch: Batches that make an epoch.
        flip: Whether a real picture may be mirrored left to right.
        warm: Whether to start from the warm-started generator, if there is one; else from random weights.
        seed: Of the draws.

    Raises:
        DataError: If instances have no k neighbours.
        ValueError: If `batch_size` or `steps_per_epoch` are out of range.
    """

    def __init__(
        self,
        data: PictureSource,
        *,
        k: int = 10,
        batch_size: int = 64,
        steps_per_epoch: int = 100,
        flip: bool = True,
        warm: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(
            data.images,
            data.h,
            data.validation_h,
            data.extractor(),
            k=k,
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            flip=flip,
            seed=seed,
        )
        self.data = data
        self._warm = warm

    @property
    def first_weights(self) -> Mapping[str, Tensor] | None:
        """State of the warm-started generator; None where it is not wanted."""
        return as_state(self.data.warm.weights) if self._warm and self.data.warm is not None else None

    @property
    def model_arguments(self) -> dict[str, Any]:
        """Arguments of the module that the data decides, plain Python."""
        return {"h_dim": self.data.sizes.h_dim, "preset": self.data.sizes.name}
