"""Image sessions as `.npz`: written, read back, refused; the recording of Miyawaki et al. 2008."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lightning_modules.icgan.recordings.reader import read_image_sessions, subject_names
from lightning_modules.icgan.recordings.session import Shown
from lightning_modules.icgan.recordings.session_npz import REQUIRED, write_session_npz
from lightning_modules.parts.errors import DataError

RECORDINGS = Path(__file__).resolve().parents[2] / "../shared/data"


@pytest.fixture
def entries():
    generator = np.random.default_rng(0)
    return {
        "voxels": generator.normal(size=(6, 4)).astype(np.float32),
        "roi": np.array(["V1", "V1+V2", "", "V2"]),
        "stimulus": np.array([0, 1, 2, 2, 1, 0]),
        "images": generator.random((3, 5, 5)),
        "run": np.array([1, 1, 1, 2, 2, 2]),
        "subject": np.array("Ada"),
    }


def read(folder, entries):
    np.savez(folder / "ada.npz", **entries)
    return read_image_sessions(folder)[0]


def test_written_session_is_read_back_unchanged(session, tmp_path):
    write_session_npz(session, tmp_path / "one.npz")
    (found,) = read_image_sessions(tmp_path)
    for name in ("voxels", "stimulus", "category", "shown", "run", "images", "voxel_xyz"):
        np.testing.assert_array_equal(getattr(found, name), getattr(session, name), err_msg=name)
    assert found.stimulus_names == session.stimulus_names
    assert found.subject == "Subject1"
    assert {name: mask.tolist() for name, mask in found.roi.items()} == {
        name: mask.tolist() for name, mask in session.roi.items()
    }


def test_session_without_optional_entries_is_all_training_and_each_stimulus_its_own_category(
    entries, tmp_path
):
    found = read(tmp_path, entries)
    np.testing.assert_array_equal(found.shown, np.full(6, Shown.TRAINING))
    np.testing.assert_array_equal(found.category, [0, 1, 2])
    np.testing.assert_array_equal(found.roi["V1"], [True, True, False, False])
    np.testing.assert_array_equal(found.roi["V2"], [False, True, False, True])
    for channel in range(3):
        np.testing.assert_array_equal(found.images[..., channel], entries["images"].astype(np.float32))
    assert found.subject == "Ada"


def test_split_category_and_imagery_say_what_a_row_is(entries, tmp_path):
    split, imagery = np.array(["training", "training", "test"]), np.array([0, 0, 0, 0, 1, 0], bool)
    found = read(tmp_path, {**entries, "split": split, "category": np.array([7, 7, 9]), "imagery": imagery})
    expected = [Shown.TRAINING, Shown.TRAINING, Shown.TEST, Shown.TEST, Shown.IMAGERY, Shown.TRAINING]
    np.testing.assert_array_equal(found.shown, expected)
    np.testing.assert_array_equal(found.category, [7, 7, 9])


@pytest.mark.parametrize("name", REQUIRED)
def test_missing_entry_is_named(entries, tmp_path, name):
    del entries[name]
    with pytest.raises(DataError, match=rf"ada.npz is not an image session: {name} missing. It holds "):
        read(tmp_path, entries)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": np.array(["training", "test", "sealed"])}, "holds sealed(.|\n)*one of training, test"),
        ({"split": np.array(["training"])}, r"`split` has shape \(1,\) for 3 images"),
        ({"stimulus": np.array([0, 1, 2, 3, 0, 0])}, "`stimulus` goes from 0 to 3 for 3 images"),
        ({"stimulus": np.array([0, 1, 2, -1, 0, 0])}, "`stimulus` goes from -1 to 2 for 3 images"),
        ({"stimulus": np.full(6, 0.5)}, "`stimulus` is float64 of shape .*not a row of whole numbers"),
        ({"imagery": np.zeros(5, bool)}, r"`imagery` has shape \(5,\) for 6 rows"),
        ({"roi": np.arange(4)}, "`roi` is int64"),
        ({"roi": np.array(["V1"] * 3)}, "area `V1` marks 3 voxels of 4"),
        ({"images": np.full((3, 5, 5), 7.0)}, "images go from 0 to 7"),
        ({"images": np.full((3, 5, 5), 1 / 255)}, "divided by 255 twice"),
        ({"voxels": np.full((6, 4), np.nan)}, "`voxels` is float64, or holds NaN"),
        ({"category": np.array([1, 2])}, r"`category` has shape \(2,\), not \(3,\)"),
        ({"stimulus_names": np.array(["a"])}, r"`stimulus_names` has shape \(1,\) for 3 images"),
        ({"voxels": np.array([{}], dtype=object)}, "cannot be read as .npz"),
    ],
)
def test_entries_that_do_not_fit_are_refused(entries, tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, {**entries, **changes})


def test_black_and_white_integers_are_not_taken_for_nearly_black(entries, tmp_path):
    pictures = np.random.default_rng(1).integers(0, 2, (3, 5, 5))
    found = read(tmp_path, {**entries, "images": pictures.astype(np.uint8)})
    np.testing.assert_array_equal(found.images[..., 0], pictures)


def test_session_that_the_format_cannot_hold_is_refused(session, tmp_path):
    with pytest.raises(DataError, match="has no images"):
        write_session_npz(replace(session, images=None), tmp_path / "one.npz")
    shown = session.shown.copy()
    shown[1200] = Shown.TRAINING
    with pytest.raises(DataError, match="shown in training and as a test"):
        write_session_npz(replace(session, shown=shown), tmp_path / "one.npz")


def test_subject_is_picked_by_name_and_another_refused(entries, tmp_path):
    np.savez(tmp_path / "b.npz", **{**entries, "subject": np.array("Bea")})
    read(tmp_path, entries)
    assert [one.subject for one in read_image_sessions(tmp_path)] == ["Ada", "Bea"]
    assert subject_names(tmp_path) == ("Ada", "Bea")
    assert subject_names(tmp_path / "b.npz") == ("Bea",)
    (found,) = read_image_sessions(tmp_path, "Bea")
    assert found.subject == "Bea"
    with pytest.raises(DataError, match="holds no subject Cleo, but Ada, Bea"):
        read_image_sessions(tmp_path, "Cleo")


def test_a_name_is_found_and_a_subject_read_beside_one_that_cannot_be_read(entries, tmp_path):
    read(tmp_path, entries)
    np.savez(tmp_path / "b.npz", subject=np.array("Bea"))
    assert subject_names(tmp_path) == ("Ada", "Bea")
    assert read_image_sessions(tmp_path, "Ada")[0].subject == "Ada"
    with pytest.raises(DataError, match=r"b\.npz is not an image session"):
        read_image_sessions(tmp_path, "Bea")


@pytest.mark.skipif(
    not (RECORDINGS / "miyawaki").is_dir(),
    reason="the recording of Miyawaki et al. is not beside the repository",
)
def test_recording_of_miyawaki_is_read_as_it_is_described():
    """119 rows x 967 voxels of V1, 20 black-and-white pictures of 28 x 28, 3 to 8 repeats: shared/data/README.md."""
    (found,) = read_image_sessions(RECORDINGS / "miyawaki")
    assert found.voxels.shape == (119, 967)
    assert found.images.shape == (20, 28, 28, 3)
    assert set(np.unique(found.images)) == {0, 1}
    assert {name: int(mask.sum()) for name, mask in found.roi.items()} == {"V1": 967}
    assert len(found.rows(Shown.TRAINING)) == 119
    counts = np.bincount(found.stimulus)
    assert (counts.min(), counts.max()) == (3, 8)
    assert found.subject == "S1"
    with np.load(RECORDINGS / "miyawaki/miyawaki_s1.npz") as archive:
        np.testing.assert_array_equal(found.voxels, archive["voxels"])
        np.testing.assert_array_equal(
            found.images[found.stimulus][..., 1], archive["images"][archive["stimulus"]]
        )
