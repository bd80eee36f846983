from pathlib import Path

import nibabel
import numpy as np
import pytest
from matplotlib.image import AxesImage
from scipy.spatial import procrustes
from scipy.spatial.distance import pdist

from lightning_modules.icgan.brain.figures import (
    draw_flat_sheets,
    draw_projections,
    draw_strip,
    project_strongest,
)
from lightning_modules.icgan.brain.flatten import unfold
from lightning_modules.icgan.brain.maps import grid_around, grid_of_template, map_file
from lightning_modules.icgan.synthetic.sheet import place_voxels
from lightning_modules.parts.errors import DataError

SHAPE = (64, 64, 50)
# Left-anterior-superior, as the template of Generic Object Decoding: x falls with the index.
AFFINE = np.array([[-3.0, 0, 0, 94.5], [0, 3, 0, -110], [0, 0, 3, -60.5], [0, 0, 0, 1]])


def make_places(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    cells = np.stack(np.unravel_index(rng.choice(np.prod(SHAPE), n, replace=False), SHAPE), axis=1)
    return cells, (cells @ AFFINE[:3, :3].T + AFFINE[:3, 3]).astype(np.float32)


def test_maps_come_back_from_the_file_with_their_affine(tmp_path: Path):
    _, places = make_places()
    rng = np.random.default_rng(1)
    grid = grid_of_template(places, AFFINE, SHAPE)
    for values in (rng.uniform(0, 100, 300), rng.standard_normal(300)):
        (tmp_path / "map.nii.gz").write_bytes(map_file(grid, values))
        image = nibabel.load(tmp_path / "map.nii.gz")
        assert image.header.get_xyzt_units()[0] == "mm"
        np.testing.assert_allclose(image.affine, AFFINE)
        assert nibabel.aff2axcodes(image.affine) == ("L", "A", "S")
        volume = image.get_fdata()
        assert np.isfinite(volume).sum() == 300
        # The value that a viewer shows at each voxel's place in mm.
        at = np.rint(nibabel.affines.apply_affine(np.linalg.inv(image.affine), places)).astype(int)
        np.testing.assert_allclose(volume[tuple(at.T)], values, rtol=1e-6)


def test_cells_are_those_that_the_places_were_made_of():
    cells, places = make_places()
    np.testing.assert_array_equal(grid_of_template(places, AFFINE, SHAPE).cells, cells)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda places: places + 1.5, "up to 0.50 cells off"),
        (lambda places: places + 300, "300 voxels lie outside of 64 x 64 x 50 cells"),
        (lambda places: places[[0, 0, 1]], "3 voxels lie in 2 cells"),
        (lambda places: places[:, :2], r"shape \(300, 2\), not"),
    ],
)
def test_places_of_another_grid_are_refused(change, message: str):
    _, places = make_places()
    with pytest.raises(DataError, match=message):
        grid_of_template(change(places), AFFINE, SHAPE)


def test_synthetic_sheets_fit_a_volume_of_their_own():
    places = place_voxels(np.repeat(np.arange(3), 70))
    grid = grid_around(places)
    assert nibabel.aff2axcodes(grid.affine) == ("R", "A", "S")
    np.testing.assert_allclose(grid.cells @ grid.affine[:3, :3].T + grid.affine[:3, 3], places)
    assert (grid.cells.max(axis=0) + 1 == grid.shape).all()


def test_values_of_other_voxels_are_refused():
    _, places = make_places()
    with pytest.raises(DataError, match=r"shape \(299,\) do not fit 300 voxels"):
        grid_of_template(places, AFFINE, SHAPE).volume(np.zeros(299))


def test_projections_show_what_is_farthest_from_0():
    volume = np.full((2, 3, 2), np.nan, dtype=np.float32)
    volume[0, 0, 0], volume[1, 0, 0], volume[1, 2, 1] = 2, -5, 1
    np.testing.assert_array_equal(project_strongest(volume, 0), [[-5, np.nan], [np.nan, np.nan], [np.nan, 1]])
    np.testing.assert_array_equal(project_strongest(volume, 1), [[2, np.nan], [-5, 1]])
    positive = np.random.default_rng(2).random((4, 5, 6)).astype(np.float32)
    np.testing.assert_array_equal(project_strongest(positive, 2), positive.max(axis=2))


def test_projections_are_drawn_of_all_three_planes_around_0():
    _, places = make_places()
    grid = grid_of_template(places, AFFINE, SHAPE)
    values = np.random.default_rng(3).standard_normal(300)
    figure = draw_projections(values, grid, "index")
    drawn = [one for axes in figure.axes for one in axes.images if isinstance(one, AxesImage)]
    assert [one.get_array().shape for one in drawn] == [(50, 64), (50, 64), (64, 64)]
    assert [axes.get_title() for axes in figure.axes[:3]] == [
        f"{plane}, strongest of each line" for plane in ("sagittal", "coronal", "axial")
    ]
    most = np.abs(values).max()
    assert drawn[0].get_clim() == pytest.approx((-most, most))


def test_the_strip_has_all_voxels_and_the_mean_of_each_area():
    values = np.random.default_rng(4).standard_normal(50)
    masks = {"V1": np.arange(50) < 30, "PPA": np.arange(50) >= 35}
    axes = draw_strip(values, masks, "index").axes[0]
    means = [line.get_ydata() for line in axes.lines[:2]]
    np.testing.assert_allclose(means, [[values[mask].mean()] * 2 for mask in masks.values()])
    assert axes.get_xlim() == (0, 45)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["V1", "PPA"]


def test_drawn_sheets_are_the_unfolded_voxels_with_their_values():
    # A plane that is turned in space.
    flat = 3.0 * np.stack(np.meshgrid(np.arange(6), np.arange(11), indexing="ij"), axis=-1).reshape(-1, 2)
    turned = flat @ np.linalg.qr(np.random.default_rng(5).standard_normal((3, 3)))[0][:2]
    values = np.arange(66.0)
    axes = draw_flat_sheets(values, {"V1": np.ones(66, dtype=bool)}, turned, "index").axes[0]
    drawn = np.asarray(axes.collections[0].get_offsets())
    # Ways along a grid, diagonals included, are at most 8 % longer than straight ones.
    assert procrustes(flat, drawn)[2] < 0.005
    np.testing.assert_array_equal(np.asarray(axes.collections[0].get_array()), values)


def test_a_folded_sheet_is_laid_out_as_it_was_before_it_was_folded():
    places = place_voxels(np.zeros(1000, dtype=np.int64))
    along, across = np.divmod(np.arange(1000), 20)
    before = 3.0 * np.stack([along, across], axis=1)
    assert procrustes(before, unfold(places))[2] < 0.01
    # The folds are what makes this hard: the plane in which the folded sheet is widest is no such layout.
    widest = np.linalg.svd(places - places.mean(axis=0), full_matrices=False)
    assert procrustes(before, widest[0][:, :2] * widest[1][:2])[2] > 0.3


def test_pieces_that_are_not_connected_lie_side_by_side():
    line = 3.0 * np.stack([np.arange(8), np.zeros(8), np.zeros(8)], axis=1)
    places = np.concatenate([line[:2] + [0, 90, 0], line, line[:1] - [90, 0, 0]])
    flat = unfold(places)
    np.testing.assert_allclose(pdist(flat[2:10]), pdist(line), atol=1e-9)
    np.testing.assert_allclose(np.sort(flat[:2, 0]), [21 + 9, 21 + 9 + 3])
    np.testing.assert_allclose(flat[10], [21 + 9 + 3 + 9, 0], atol=1e-9)
