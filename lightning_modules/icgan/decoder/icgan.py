"""The paper's decoder, and relatives: features, noise and dense vector from voxels, and a picture of the three."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.decoder.batch import DecodingBatch
from lightning_modules.icgan.decoder.module import ClosedFormDecoder
from lightning_modules.icgan.decoder.painting import paint
from lightning_modules.icgan.decoder.pictures import PictureData
from lightning_modules.icgan.decoder.settings import (
    ALL_VOXELS,
    AlphaFrom,
    DecoderSettings,
    Method,
)
from lightning_modules.icgan.decoder.targets import DENSE, INSTANCE, JUDGE, KINDS, NOISE, PICTURE, TargetData
from lightning_modules.icgan.regression.alpha_choice import Sharing
from lightning_modules.icgan.regression.spectrum import Real
from lightning_modules.icgan.scoring.identification import correlate, identify
from lightning_modules.icgan.scoring.images import score_images
from lightning_modules.icgan.scoring.latents import Latents
from lightning_modules.icgan.scoring.protocols import Images
from lightning_modules.parts.errors import DataError

ORIGIN = (
    "IC-GAN decoding: three ridge regressions, generator [code]; warm start or inversion, rescaling by held-out rows "
    "[inferred]"
)

SpatialMethod = Literal["ridge", "banded", "reduced_rank"]


class LatentDecoder(ClosedFormDecoder):
    """Decodes features h, noise z and dense vector d, of which the generator makes a picture.

    The generator is not part of the checkpoint: it comes with the data, in validation and in evaluation.
    """

    def decode(self, voxels: NDArray[np.float32]) -> Latents:
        """Decode normalised voxels (m, V) into what a picture is made of."""
        return Latents(*(self.predict(kind, voxels) for kind in KINDS))

    def make_pictures(self, decoded: Mapping[str, Real], data: PictureData) -> Images:
        """Let the generator that comes with the data make them.

        Raises:
            DataError: If the data has no generator.
        """
        if not isinstance(data, TargetData):
            raise DataError("There is no generator in this data.", "Read it with `load_targets`.")
        return paint(data.generator.build(), Latents(*(decoded[kind] for kind in KINDS)))

    def score(self, held_out: Mapping[str, Real], batch: DecodingBatch) -> dict[str, float]:
        """Make pictures of some held-out rows, and compare them with what was seen.

        Returns:
            `val/pixcorr` and `val/ssim` of pictures and stimuli, and `val/semantic_identification`: each picture among
            all training pictures in a network that no target comes from, after the mean has been taken off.
        """
        data: TargetData = self.trainer.datamodule.data  # type: ignore[attr-defined]
        scored = self.held_out_rows(batch)
        spread = np.linspace(0, len(scored) - 1, data.n_painted)
        rows = np.unique(spread.round().astype(np.int64))
        stimulus = batch.stimulus.cpu().numpy()[scored[rows]]
        made = self.make_pictures({kind: predicted[rows] for kind, predicted in held_out.items()}, data)
        pictures, features = (batch.tables[name].cpu().numpy() for name in (PICTURE, JUDGE))
        scores = score_images(made, pictures[stimulus].reshape(made.shape))
        alike = correlate(data.judge.embed(made), features, features.mean(axis=0, dtype=np.float64))
        return {
            "val/pixcorr": float(scores.pixcorr.mean()),
            "val/ssim": float(scores.ssim.mean()),
            "val/semantic_identification": identify(alike, stimulus).accuracy,
        }


class IcganDecoder(LatentDecoder):
    """Three regressions from voxels, and the generator that makes a picture of what they decode.

    Args:
        n_voxels: V.
        instance_method: Of the features h; see `DecoderSettings`, and `where_open` for what pins of others mean to it.
        spatial_method: Of the noise z and the dense vector d.
        instance_alpha: Penalty of h, where it is fixed.
        noise_alpha: Of z.
        dense_alpha: Of d.
        alpha_from: Where penalties come from: `fixed`, or chosen by held-out categories (`grouped`).
        sharing: Whether chosen penalties are shared by all dimensions, where the method leaves that open.
        instance_rank: Directions that `reduced_rank` keeps of h, at most.
        spatial_rank: Of z and of d.
        n_selected: Voxels that `selected` takes for each dimension.
        n_candidates: Ratios between areas that `banded` tries.
        instance_rescale: Whether decoded h gets back the spread of training features, measured on held-out rows.
        noise_rescale: The same of z.
        dense_rescale: The same of d.
        instance_match_length: Whether each decoded h is stretched to the mean length of training features.
        noise_shrink_factor: How far decoded z goes from its mean, relative to how far it would.
        dense_shrink_factor: The same of d.
        instance_area: Voxels that h is decoded from.
        spatial_area: Voxels that z and d are decoded from.

    Raises:
        ValueError: If settings are out of range or do not fit together.

    Source:
        Ozcelik et al. 2022, `train_regression.py` and `reconstruct_images.py`: ridge regression with penalties 500, 1
        and 100, all voxels; h alone standardised, by the test predictions themselves. All else is not theirs.
    """

    def __init__(
        self,
        *,
        n_voxels: int,
        instance_method: Method = "ridge",
        spatial_method: SpatialMethod = "ridge",
        instance_alpha: float = 500.0,
        noise_alpha: float = 1.0,
        dense_alpha: float = 100.0,
        alpha_from: AlphaFrom = "fixed",
        sharing: Sharing = "shared",
        instance_rank: int = 30,
        spatial_rank: int = 30,
        n_selected: int = 500,
        n_candidates: int = 20,
        instance_rescale: bool = True,
        noise_rescale: bool = False,
        dense_rescale: bool = False,
        instance_match_length: bool = False,
        noise_shrink_factor: float = 1.0,
        dense_shrink_factor: float = 1.0,
        instance_area: str = ALL_VOXELS,
        spatial_area: str = ALL_VOXELS,
    ) -> None:
        def settings(method: Method, **others: Any) -> DecoderSettings:
            return DecoderSettings.where_open(
                method=method, alpha_from=alpha_from, sharing=sharing, n_candidates=n_candidates, **others
            )

        spatial = partial(settings, spatial_method, rank=spatial_rank, area=spatial_area)
        of_kinds = {
            INSTANCE: settings(
                instance_method,
                alpha=instance_alpha,
                rank=instance_rank,
                n_selected=n_selected,
                rescale=instance_rescale,
                match_length=instance_match_length,
                area=instance_area,
            ),
            NOISE: spatial(alpha=noise_alpha, rescale=noise_rescale, shrink_factor=noise_shrink_factor),
            DENSE: spatial(alpha=dense_alpha, rescale=dense_rescale, shrink_factor=dense_shrink_factor),
        }
        super().__init__(of_kinds, n_voxels=n_voxels, pictures=PICTURE, origin=ORIGIN)
        self.save_hyperparameters()
