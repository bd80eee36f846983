"""Training rows for decoders that must know how many features there are before they see them."""

from typing import Any

from lightning_modules.icgan.decoder.data_module import PictureDataModule
from lightning_modules.icgan.decoder.targets import INSTANCE


class FeatureDataModule(PictureDataModule):
    """One batch of all rows.

    Args:
        data: What `load_targets` returned.
    """

    @property
    def model_arguments(self) -> dict[str, Any]:
        """Arguments of the module that the data decides."""
        return {**super().model_arguments, "n_features": self.data.tables[INSTANCE].shape[1]}
