"""The paper's decoder: instance features, noise and dense vector from voxels, and a picture made of the three."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.decoder.batch import DecodingBatch
from lightning_modules.icgan.decoder.module import ClosedFormDecoder
from lightning_modules.icgan.decoder.painting import paint
from lightning_modules.icgan.decoder.pictures import PictureData
from lightning_modules.icgan.decoder.settings import ALL_VOXELS, AlphaFrom, DecoderSettings
from lightning_modules.icgan.decoder.targets import DENSE, INSTANCE, JUDGE, NOISE, PICTURE, TargetData
from lightning_modules.icgan.features.small_net import embed
from lightning_modules.icgan.regression.spectrum import Real
from lightning_modules.icgan.scoring.identification import correlate, identify
from lightning_modules.icgan.scoring.images import score_images
from lightning_modules.icgan.scoring.latents import Latents
from lightning_modules.icgan.scoring.protocols import Images
from lightning_modules.parts.errors import DataError

N_PAINTED = 1200
"""Held-out training rows that pictures are made of in validation, at most: of single trials little is decoded, so that
fewer would leave the objective to chance. Seconds of work for pictures of 32 pixels."""

ORIGIN = (
    "IC-GAN decoding: three ridge regressions, generator [code]; warm start in place of inversion, rescaling by "
    "held-out rows [inferred]; synthetic data"
)


class IcganDecoder(ClosedFormDecoder):
    """Three ridge regressions from voxels, and the generator that makes a picture of what they decode.

    The generator is not part of the checkpoint: it comes with the data, in validation and in evaluation.

    Args:
        n_voxels: V.
        instance_alpha: Penalty of the features h, where it is fixed.
        noise_alpha: Of the noise z.
        dense_alpha: Of the dense vector d.
        alpha_from: Where penalties come from: `fixed`, or chosen by held-out categories (`grouped`).
        instance_rescale: Whether decoded h gets back the spread of training features, measured on held-out rows.
        noise_rescale: The same of z.
        dense_rescale: The same of d.
        instance_area: Voxels that h is decoded from.
        spatial_area: Voxels that z and d are decoded from.

    Raises:
        ValueError: If a setting is out of range.

    Source:
        Ozcelik et al. 2022, `train_regression.py` and `reconstruct_images.py`: penalties 500, 1 and 100, all voxels;
        h alone standardised, by the test predictions themselves.
    """

    def __init__(
        self,
        *,
        n_voxels: int,
        instance_alpha: float = 500.0,
        noise_alpha: float = 1.0,
        dense_alpha: float = 100.0,
        alpha_from: AlphaFrom = "fixed",
        instance_rescale: bool = True,
        noise_rescale: bool = False,
        dense_rescale: bool = False,
        instance_area: str = ALL_VOXELS,
        spatial_area: str = ALL_VOXELS,
    ) -> None:
        def settings(alpha: float, rescale: bool, area: str) -> DecoderSettings:
            return DecoderSettings(alpha=alpha, alpha_from=alpha_from, rescale=rescale, area=area)

        of_kinds = {
            INSTANCE: settings(instance_alpha, instance_rescale, instance_area),
            NOISE: settings(noise_alpha, noise_rescale, spatial_area),
            DENSE: settings(dense_alpha, dense_rescale, spatial_area),
        }
        super().__init__(of_kinds, n_voxels=n_voxels, pictures=PICTURE, origin=ORIGIN)
        self.save_hyperparameters()

    def decode(self, voxels: NDArray[np.float32]) -> Latents:
        """Decode normalised voxels (m, V) into what a picture is made of."""
        return Latents(*(self.fitted(kind).predict(voxels) for kind in (INSTANCE, NOISE, DENSE)))

    def make_pictures(self, decoded: Mapping[str, Real], data: PictureData) -> Images:
        """Let the generator that comes with the data make them.

        Raises:
            DataError: If the data has no generator.
        """
        if not isinstance(data, TargetData):
            raise DataError("There is no generator in this data.", "Read it with `load_targets`.")
        return paint(data.generator.build(), Latents(*(decoded[kind] for kind in (INSTANCE, NOISE, DENSE))))

    def score(self, held_out: Mapping[str, Real], batch: DecodingBatch) -> dict[str, float]:
        """Make pictures of some held-out rows, and compare them with what was seen.

        Returns:
            `val/pixcorr` and `val/ssim` of pictures and stimuli, and `val/semantic_identification`: each picture among
            all training pictures in a network that no target comes from, after the mean has been taken off.
        """
        rows = np.unique(
            np.linspace(0, len(batch.stimulus) - 1, N_PAINTED).round().astype(np.int64)
        )  # spread evenly
        stimulus = batch.stimulus.cpu().numpy()[rows]
        data: TargetData = self.trainer.datamodule.data  # type: ignore[attr-defined]
        made = self.make_pictures({kind: predicted[rows] for kind, predicted in held_out.items()}, data)
        pictures, features = (batch.tables[name].cpu().numpy() for name in (PICTURE, JUDGE))
        scores = score_images(made, pictures[stimulus].reshape(made.shape))
        alike = correlate(embed(data.judge.build(), made), features, features.mean(axis=0, dtype=np.float64))
        return {
            "val/pixcorr": float(scores.pixcorr.mean()),
            "val/ssim": float(scores.ssim.mean()),
            "val/semantic_identification": identify(alike, stimulus).accuracy,
        }
