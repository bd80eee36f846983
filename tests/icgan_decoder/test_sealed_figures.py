"""Figures of an evaluation: every pixel and bar is what was found, in the place where it is said to be."""

from dataclasses import replace

import numpy as np
from scipy.stats import sem

from lightning_modules.icgan.brain.areas import AREAS
from lightning_modules.icgan.decoder.brain_figures import draw_area_pictures, draw_brain, draw_index
from lightning_modules.icgan.decoder.brain_report import BrainReport
from lightning_modules.icgan.decoder.figures import GAP
from lightning_modules.icgan.decoder.sealed_figures import draw_averaging, draw_sheet
from lightning_modules.icgan.scoring.averaging import AveragingCurve

N, SIDE = 23, 4


def test_the_sheet_holds_all_pictures_in_their_order_with_what_belongs_to_each_below_it() -> None:
    rows = np.random.default_rng(0).random((4, N, SIDE, SIDE, 3))
    figure = draw_sheet(*rows, title="Subject 1", origin="an origin")
    side = SIDE + 2 * GAP
    for position in range(N):
        group, column = divmod(position, 10)
        (image,) = figure.axes[group].images
        for row, pictures in enumerate(rows):
            top, left = row * side + GAP, column * side + GAP
            np.testing.assert_array_equal(
                image.get_array()[top : top + SIDE, left : left + SIDE], pictures[position]
            )
    assert [one.get_text() for one in figure.axes[0].get_yticklabels()] == [
        "seen", "decoded", "nearest", "oracle",
    ]  # fmt: skip
    assert {text.get_text() for text in figure.texts} == {"Subject 1", "an origin"}


def test_the_averaging_curve_shows_means_with_the_spread_over_draws_of_the_searched_subject() -> None:
    rng = np.random.default_rng(1)
    curves = {name: AveragingCurve(np.array([1, 5, 35]), rng.random((3, 4))) for name in ("1", "2")}
    (axes,) = draw_averaging(curves, searched="2", origin="an origin").axes
    lines = [line for line in axes.lines if len(line.get_xdata()) == 3 and line.get_linestyle() == "-"]
    for name, line in zip(("1", "2"), lines, strict=True):
        np.testing.assert_allclose(line.get_ydata(), curves[name].scores.mean(axis=1))
        np.testing.assert_array_equal(line.get_xdata(), [1, 5, 35])
    (bars,) = axes.containers
    low, high = np.array(list(bars.lines[2][0].get_segments()))[:, :, 1].T
    np.testing.assert_allclose((high - low) / 2, curves["2"].scores.std(axis=1))
    assert [one.get_text() for one in axes.get_xticklabels()] == ["1", "5", "35"]


def test_bars_of_the_index_are_means_with_standard_errors_and_every_subject_is_a_dot(
    toy_report: BrainReport,
) -> None:
    figure = draw_index(toy_report)
    for axes, values in zip(figure.axes, toy_report.index.values(), strict=True):
        np.testing.assert_allclose([bar.get_height() for bar in axes.patches], values.mean(axis=0))
        (lines,) = axes.collections
        reach = np.array([one[:, 1] for one in lines.get_segments()])
        np.testing.assert_allclose(np.ptp(reach, axis=1) / 2, sem(values))
        dots = [line.get_ydata() for line in axes.lines if line.get_marker() == "."]
        np.testing.assert_allclose(dots, values)


def test_pictures_of_areas_stand_in_the_row_of_their_subject_under_their_area(
    toy_report: BrainReport,
) -> None:
    axes = np.array(draw_area_pictures(toy_report).axes).reshape(len(toy_report.subjects), len(AREAS))
    for row in range(len(axes)):
        for column, area in enumerate(AREAS):
            (image,) = axes[row, column].images
            np.testing.assert_array_equal(image.get_array(), toy_report.pictures.images[row, column])
            face = toy_report.pictures.class_scores[row, column, 0]
            assert f"face {face:.2f}" in axes[row, column].get_xlabel()
            assert axes[0, column].get_title() == area


def test_every_figure_is_signed_and_maps_need_places(toy_report: BrainReport) -> None:
    figures = draw_brain(toy_report, origin="an origin")
    assert set(figures) == {
        "semantic_index",
        "area_pictures",
        "index_strip",
        "index_flat",
        "index_projections",
    }
    for figure in figures.values():
        assert any(text.get_text() == "an origin" for text in figure.texts)
    assert "index_flat" not in draw_brain(replace(toy_report, voxel_xyz=None), origin="an origin")
