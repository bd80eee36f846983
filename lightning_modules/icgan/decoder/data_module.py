"""All training rows as one batch, for decoders that are fitted in one step."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from lightning_modules.icgan.decoder.batch import DecodingBatch
from lightning_modules.icgan.decoder.picture_input import PictureInput
from lightning_modules.icgan.decoder.pictures import PictureData


class PictureDataModule(pl.LightningDataModule):
    """One batch of all rows, the same for training and validation: in validation every row is held out.

    Args:
        data: What `load_pixels` or `load_targets` returned.
    """

    def __init__(self, data: PictureData) -> None:
        super().__init__()
        self.data = data

    @property
    def model_arguments(self) -> dict[str, Any]:
        """Arguments of the module that the data decides."""
        return {"n_voxels": self.data.voxels.shape[1]}

    @property
    def description(self) -> dict[str, Any]:
        """What a decoder must remember of its subject; JSON-ready."""
        return PictureInput.of(self.data).as_dict()

    def train_dataloader(self) -> DataLoader[DecodingBatch]:
        """Every row, in one batch."""
        return self._loader()

    def val_dataloader(self) -> DataLoader[DecodingBatch]:
        """The same rows: the module holds each of them out."""
        return self._loader()

    def _loader(self) -> DataLoader[DecodingBatch]:
        data = self.data
        batch = DecodingBatch(
            voxels=torch.from_numpy(data.voxels),
            stimulus=torch.from_numpy(data.stimulus),
            fold=torch.from_numpy(data.fold),
            tables={name: torch.from_numpy(table) for name, table in data.tables.items()},
            areas={name: torch.from_numpy(mask) for name, mask in data.roi.items()},
        )
        # A list is a map-style dataset of one item; collating would copy it.
        return DataLoader([batch], batch_size=None, collate_fn=_unchanged)  # type: ignore[arg-type]


def _unchanged(batch: DecodingBatch) -> DecodingBatch:
    return batch
