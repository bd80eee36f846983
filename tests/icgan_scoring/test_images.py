import numpy as np
import pytest
from PIL import Image
from scipy.stats import pearsonr
from skimage.color import rgb2gray
from skimage.data import astronaut
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from lightning_modules.icgan.scoring.images import score_at_sides, score_images
from lightning_modules.icgan.scoring.protocols import network_side, resize
from lightning_modules.parts.errors import DataError


def make_pairs(n: int = 3, side: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    stimuli = rng.random((n, side, side, 3)).astype(np.float32)
    made = (0.6 * stimuli + 0.4 * rng.random(stimuli.shape)).astype(np.float32)
    return made, stimuli


def test_native_scores_are_those_of_scipy_and_skimage():
    made, stimuli = make_pairs()
    scores = score_images(made, stimuli)
    for at, (one, other) in enumerate(zip(made.astype(float), stimuli.astype(float), strict=True)):
        assert scores.pixcorr[at] == pytest.approx(pearsonr(one.ravel(), other.ravel()).statistic, abs=1e-12)
        assert scores.mse[at] == pytest.approx(mean_squared_error(one, other), rel=1e-12)
        assert scores.psnr[at] == pytest.approx(peak_signal_noise_ratio(other, one, data_range=1), rel=1e-9)
        expected = structural_similarity(
            rgb2gray(one),
            rgb2gray(other),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1.0,
        )
        assert scores.ssim[at] == pytest.approx(expected, abs=1e-12)
    assert (scores.protocol, scores.height, scores.width) == ("native", 40, 40)
    assert scores.means()["pixcorr"] == pytest.approx(scores.pixcorr.mean())


def test_a_picture_is_identical_to_itself():
    _, stimuli = make_pairs()
    means = score_images(stimuli, stimuli).means()
    assert means["pixcorr"] == pytest.approx(1)
    assert means["ssim"] == pytest.approx(1)
    assert (means["mse"], means["psnr"]) == (0, np.inf)


def test_a_uniform_picture_correlates_with_nothing():
    made, stimuli = make_pairs()
    scores = score_images(np.full_like(made, 0.3), stimuli)
    assert scores.pixcorr.tolist() == [0, 0, 0]


@pytest.mark.parametrize("side", [17, 32, 425])
def test_pictures_are_resized_as_pillow_does(side: int):
    picture = (astronaut()[:64, :64] / 255).astype(np.float32)
    ours = resize(picture[None], side)[0]
    for colour in range(3):
        pillows = Image.fromarray(picture[..., colour], mode="F").resize(
            (side, side), Image.Resampling.BILINEAR
        )
        np.testing.assert_allclose(ours[..., colour], np.asarray(pillows), atol=2e-6)


def test_protocols_of_the_scenes_data_set_compare_at_425_pixels():
    made, stimuli = make_pairs(n=1, side=64)
    scores = score_images(made, stimuli, "mindeye")
    large = [
        np.stack(
            [
                np.asarray(
                    Image.fromarray(one[0, ..., c], mode="F").resize((425, 425), Image.Resampling.BILINEAR)
                )
                for c in range(3)
            ]
        )
        for one in (made, stimuli)
    ]
    assert scores.height == scores.width == 425
    assert scores.protocol == "mindeye"
    assert scores.pixcorr[0] == pytest.approx(np.corrcoef(large[0].ravel(), large[1].ravel())[0, 1], abs=1e-5)
    # Eleven pixels of an enlarged picture see less of it: the protocol alone moves the score.
    assert abs(scores.ssim[0] - score_images(made, stimuli).ssim[0]) > 0.02


def test_scores_at_several_sides_say_their_side():
    made, stimuli = make_pairs(n=1)
    scores = score_at_sides(made, stimuli, sides=(20, 40))
    assert {side: one.height for side, one in scores.items()} == {20: 20, 40: 40}
    assert scores[40].ssim[0] == score_images(made, stimuli).ssim[0]
    assert scores[20].ssim[0] != scores[40].ssim[0]


def test_networks_get_the_sizes_of_their_protocol():
    assert [
        network_side("mindeye", one) for one in ("alexnet", "inception", "clip", "swav", "efficientnet")
    ] == [
        256,
        342,
        224,
        224,
        255,
    ]
    assert network_side("brain_diffuser", "inception") == network_side("brain_diffuser", None) == 224
    assert network_side("native", "inception") is None
    with pytest.raises(ValueError, match="none for another network"):
        network_side("mindeye", None)
    with pytest.raises(ValueError, match="'takagi', but must be one of native"):
        network_side("takagi", None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: images * 255, "go from .* not within"),
        (lambda images: images - 0.1, "go from -0.09"),
        (lambda images: np.where(images > 0.99, np.nan, images), "go from nan"),
        (lambda images: images[:, :-1], r"shape \(3, 39, 40, 3\), stimuli \(3, 40, 40, 3\)"),
        (lambda images: (images * 255).astype(np.uint8), "are uint8, not fractions"),
        (lambda images: images[..., 0], r"not \(pictures, height, width, 3\)"),
    ],
)
def test_unusable_pictures_are_refused(change, message: str):
    made, stimuli = make_pairs()
    with pytest.raises(DataError, match=message):
        score_images(change(made), stimuli)


def test_pictures_smaller_than_the_window_of_ssim_are_refused():
    made, stimuli = make_pairs(side=8)
    with pytest.raises(DataError, match="8 x 8 pixels are smaller"):
        score_images(made, stimuli)
