"""Pixel scores of reconstructions. Blurred and mean pictures can win them: never to be searched for alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity

from lightning_modules.icgan.scoring.protocols import Images, Protocol, check_images, pixel_side, resize
from lightning_modules.parts.errors import DataError

SIGMA = 1.5
"""Of the Gaussian window of SSIM, pixels."""
WINDOW = 11
"""Pixels of that window along a side, which skimage cuts at 3.5 sigma."""


@dataclass(frozen=True, eq=False)
class ImageScores:
    """Scores of each of m reconstructions against its stimulus, and how pictures were compared.

    Args:
        protocol: Whose size of pictures was used.
        height: Of the pictures that were compared, pixels.
        width: Of the same.
        pixcorr: Pearson's r over all pixels and colours, (m,); 0 where a picture is uniform.
        ssim: Structural similarity of grey pictures, (m,).
        mse: Mean squared difference of pixels and colours, (m,).
    """

    protocol: Protocol
    height: int
    width: int
    pixcorr: NDArray[np.float64]
    ssim: NDArray[np.float64]
    mse: NDArray[np.float64]

    @property
    def psnr(self) -> NDArray[np.float64]:
        """Peak signal-to-noise ratio of each picture for a peak of 1, dB, (m,); infinite for identical pictures."""
        with np.errstate(divide="ignore"):
            return -10 * np.log10(self.mse)

    def means(self) -> dict[str, float]:
        """Return the mean over pictures of each score, by name."""
        scores = {"pixcorr": self.pixcorr, "ssim": self.ssim, "mse": self.mse, "psnr": self.psnr}
        return {name: float(values.mean()) for name, values in scores.items()}


def score_images(reconstructions: Images, stimuli: Images, protocol: Protocol = "native") -> ImageScores:
    """Compare reconstructions with stimuli pixel by pixel.

    Args:
        reconstructions: RGB in [0, 1], (m, height, width, 3).
        stimuli: Of the same shape.
        protocol: `native` compares pictures as they are; `brain_diffuser` and `mindeye` at 425 x 425.

    Raises:
        DataError: If pictures do not match, are not in [0, 1] or are smaller than the window of SSIM.
        ValueError: If the protocol is unknown.

    Source:
        Specification 5.2; `evaluate_reconstruction.py` of Brain-Diffuser for PixCorr and SSIM.
    """
    check_images(reconstructions, stimuli)
    side = pixel_side(protocol)
    height, width = stimuli.shape[1:3] if side is None else (side, side)
    if min(height, width) < WINDOW:
        raise DataError(
            f"Pictures of {height} x {width} pixels are smaller than the window of SSIM.",
            f"Give pictures of at least {WINDOW} x {WINDOW} pixels.",
        )
    # One at a time: 50 pictures of 425 x 425 in float64 are 200 MB twice.
    scores = np.array(
        [
            _score_pair(*(resize(one[None], side)[0] for one in pair))
            for pair in zip(reconstructions, stimuli, strict=True)
        ]
    )
    pixcorr, ssim, mse = scores.T
    return ImageScores(protocol, height, width, pixcorr, ssim, mse)


def score_at_sides(
    reconstructions: Images, stimuli: Images, sides: Sequence[int] = (224, 256, 425)
) -> dict[int, ImageScores]:
    """Score pictures resized to each of several sides, to show how much the size alone does.

    Args:
        reconstructions: (m, height, width, 3).
        stimuli: Of the same shape.
        sides: In pixels.

    Returns:
        Scores by side.

    Source:
        Specification 10.18: a reader of the paper could not reproduce its row of a baseline.
    """
    check_images(reconstructions, stimuli)
    return {side: score_images(resize(reconstructions, side), resize(stimuli, side)) for side in sides}


def _score_pair(reconstruction: Images, stimulus: Images) -> tuple[float, float, float]:
    made, seen = (one.astype(np.float64) for one in (reconstruction, stimulus))
    ssim = np.asarray(
        structural_similarity(
            rgb2gray(made),
            rgb2gray(seen),
            gaussian_weights=True,
            sigma=SIGMA,
            use_sample_covariance=False,
            data_range=1.0,
        )
    )
    return _correlate(made.ravel(), seen.ravel()), float(ssim), float(np.square(made - seen).mean())


def _correlate(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    if not (np.ptp(one) > 0 and np.ptp(other) > 0):
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
