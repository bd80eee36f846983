"""Figures of decoders: what is drawn is what was decoded, in the place where it is said to be."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from lightning_modules.icgan.decoder.data_module import PictureDataModule
from lightning_modules.icgan.decoder.figures import GAP, draw, montage
from lightning_modules.icgan.decoder.fitting import ALPHAS
from lightning_modules.icgan.decoder.pictures import PictureData
from lightning_modules.icgan.decoder.pixels import PIXELS, PixelDecoder
from lightning_modules.icgan.decoder.sessions import load_pixels


@pytest.fixture
def data(session_file: Path) -> PictureData:
    return load_pixels(path=str(session_file), test_categories=2)


def test_each_picture_lies_above_what_was_decoded_of_it() -> None:
    rng = np.random.default_rng(0)
    seen, decoded = rng.random((2, 5, 4, 3, 1))
    sheet = montage(seen, decoded, columns=2)
    assert sheet.shape == (3 * 2 * 6, 2 * 5, 1)
    for position in range(5):
        top, left = 12 * (position // 2) + GAP, 5 * (position % 2) + GAP
        np.testing.assert_array_equal(sheet[top : top + 4, left : left + 3], seen[position])
        np.testing.assert_array_equal(sheet[top + 6 : top + 10, left : left + 3], decoded[position])
    assert sheet.sum() == pytest.approx(seen.sum() + decoded.sum() + sheet.size - 2 * seen.size)


def test_pictures_are_means_of_held_out_trials_cut_to_what_can_be_seen(fit: Any, data: PictureData) -> None:
    module, _ = fit(data, alpha=20.0)
    figure = draw(module, PictureDataModule(data), {})["held_out_pictures"]
    (image,) = figure.axes[0].images
    truth = data.tables[PIXELS][data.stimulus].astype(np.float64)
    for position in (0, 13):
        rows = data.stimulus == position
        rest = data.category[data.stimulus] != data.category[position]
        decoder = Ridge(20.0).fit(data.voxels[rest].astype(np.float64), truth[rest])
        expected = decoder.predict(data.voxels[rows].astype(np.float64)).mean(axis=0).reshape(4, 4).clip(0, 1)
        top, left = 12 * (position // 10) + 6 + GAP, 6 * (position % 10) + GAP
        np.testing.assert_allclose(image.get_array()[top : top + 4, left : left + 4], expected, atol=1e-4)


def test_the_curve_of_penalties_is_highest_at_the_chosen_one(fit: Any, data: PictureData) -> None:
    module, _ = fit(data, alpha_from="grouped")
    (axes,) = draw(module, PictureDataModule(data), {})["penalties"].axes
    curve, mark = axes.lines
    best = ALPHAS[np.argmax(curve.get_ydata())]
    assert mark.get_xdata()[0] == pytest.approx(best)
    assert module.fitted(PIXELS).penalty.alpha == pytest.approx([best])


def test_every_figure_says_whose_decoder_it_is(fit: Any, data: PictureData) -> None:
    module, _ = fit(data)
    assert isinstance(module, PixelDecoder)
    for figure in draw(module, PictureDataModule(data), {}).values():
        assert any("not the paper's" in text.get_text() for text in figure.texts)
