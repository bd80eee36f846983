"""Low-level descriptors: truth from scikit-image, scikit-learn and plain loops."""

import numpy as np
import pytest
from skimage.color import rgb2gray
from skimage.filters import gabor
from sklearn.preprocessing import StandardScaler

from lightning_modules.icgan.features.low_level import gabor_energy, low_level_bank, luminance_colour_grid
from lightning_modules.icgan.features.z_scores import fit_z_scores


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).random((3, 32, 32, 3), dtype=np.float32)


def cells(picture: np.ndarray) -> np.ndarray:
    """Means of the 8 x 8 cells of a picture (32, 32), by a loop."""
    return np.array([picture[r : r + 4, c : c + 4].mean() for r in range(0, 32, 4) for c in range(0, 32, 4)])


def test_gabor_energy_is_that_of_skimage(images: np.ndarray) -> None:
    energy = gabor_energy(images)
    filters = [(angle, f) for angle in (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4) for f in (0.08, 0.15, 0.25)]
    for index, (angle, frequency) in enumerate(filters):
        grey = rgb2gray(images[1].astype(np.float64))
        real, imaginary = gabor(grey, frequency, theta=angle, mode="reflect")
        np.testing.assert_allclose(energy[1, index], real**2 + imaginary**2, atol=1e-6, rtol=1e-5)


def test_bank_has_960_columns_of_energy_and_rgb_averaged_over_cells(images: np.ndarray) -> None:
    bank = low_level_bank(images)
    assert bank.shape == (3, 960)
    np.testing.assert_allclose(bank[2, 64 * 7 : 64 * 8], cells(gabor_energy(images)[2, 7]), rtol=1e-6)
    for channel in range(3):
        part = slice(64 * (12 + channel), 64 * (13 + channel))
        np.testing.assert_allclose(bank[0, part], cells(images[0, :, :, channel]), rtol=1e-5)


def test_grating_excites_the_filter_of_its_own_orientation_and_frequency_most() -> None:
    x = np.arange(64)
    for orientation, wave in ((0, x[None, :] + 0 * x[:, None]), (2, x[:, None] + 0 * x[None, :])):
        grey = 0.5 + 0.4 * np.sin(2 * np.pi * 0.15 * wave)
        energy = gabor_energy(np.repeat(grey[None, :, :, None], 3, axis=3).astype(np.float32))
        assert energy.mean(axis=(0, 2, 3)).argmax() == 3 * orientation + 1


def test_luminance_and_colour_are_192_values_and_colour_of_grey_is_zero(images: np.ndarray) -> None:
    grid = luminance_colour_grid(images)
    assert grid.shape == (3, 192)
    np.testing.assert_allclose(grid[0, :64], cells(rgb2gray(images[0])), rtol=1e-5)
    red, green, blue = np.moveaxis(images[1], 2, 0)
    np.testing.assert_allclose(grid[1, 64:128], cells(red - green), atol=1e-6)
    np.testing.assert_allclose(grid[1, 128:], cells(blue - (red + green) / 2), atol=1e-6)
    grey = np.repeat(images[..., :1], 3, axis=3)
    np.testing.assert_allclose(luminance_colour_grid(grey)[:, 64:], 0, atol=1e-6)


def test_z_scores_are_those_of_sklearn_with_training_statistics_and_constant_columns_become_zero() -> None:
    generator = np.random.default_rng(0)
    rows = generator.normal(3, 2, (40, 5)).astype(np.float32)
    rows[:, 2] = 0.1
    scores = fit_z_scores(rows[:30])
    expected = StandardScaler().fit(rows[:30].astype(np.float64)).transform(rows.astype(np.float64))
    expected[:, 2] = 0
    np.testing.assert_allclose(scores(rows), expected, atol=1e-6)
    assert scores.varies.tolist() == [True, True, False, True, True]
