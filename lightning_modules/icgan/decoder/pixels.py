"""From voxels straight to the pixels of the picture: the plainest decoder, and for small pictures a good one."""

from collections.abc import Mapping

from lightning_modules.icgan.decoder.batch import DecodingBatch
from lightning_modules.icgan.decoder.module import ClosedFormDecoder
from lightning_modules.icgan.decoder.pictures import PictureData
from lightning_modules.icgan.decoder.settings import ALL_VOXELS, AlphaFrom, DecoderSettings, Method
from lightning_modules.icgan.regression.alpha_choice import Sharing
from lightning_modules.icgan.regression.spectrum import Real
from lightning_modules.icgan.scoring.protocols import Images

PIXELS = "pixels"
ORIGIN = "Pixel decoder: not the paper's; ridge regression and its relatives"


class PixelDecoder(ClosedFormDecoder):
    """Decodes pixels from voxels.

    Args:
        n_voxels: V.
        method: See `DecoderSettings`, as for what follows, and `where_open` for what pins of others mean to it.
        area: Voxels that are used.
        alpha_from: Where the penalty comes from.
        alpha: The penalty, where it is fixed.
        sharing: Whether a chosen penalty is shared.
        rank: Of `reduced_rank`.
        n_selected: Of `selected`.
        n_candidates: Of `banded`.
        rescale: Whether predictions get their spread back.

    Raises:
        ValueError: If settings are out of range or do not fit together.

    Source:
        Plain ridge regression on Miyawaki et al. 2008; Miyawaki et al. decode local image bases.
    """

    def __init__(
        self,
        *,
        n_voxels: int,
        method: Method = "ridge",
        area: str = ALL_VOXELS,
        alpha_from: AlphaFrom = "fixed",
        alpha: float = 100.0,
        sharing: Sharing = "shared",
        rank: int = 10,
        n_selected: int = 200,
        n_candidates: int = 20,
        rescale: bool = False,
    ) -> None:
        settings = DecoderSettings.where_open(
            method=method,
            area=area,
            alpha_from=alpha_from,
            alpha=alpha,
            sharing=sharing,
            rank=rank,
            n_selected=n_selected,
            n_candidates=n_candidates,
            rescale=rescale,
        )
        super().__init__({PIXELS: settings}, n_voxels=n_voxels, pictures=PIXELS, origin=ORIGIN)
        self.save_hyperparameters()

    def make_pictures(self, decoded: Mapping[str, Real], data: PictureData) -> Images:
        """Cut decoded pixels to [0, 1]."""
        return decoded[PIXELS].reshape(-1, *data.picture_shape).clip(0, 1)

    def score(self, held_out: Mapping[str, Real], batch: DecodingBatch) -> dict[str, float]:
        """Pixels have no further scores."""
        return {}
