"""Subjects of the Generic Object Decoding experiment: written, read back, and everything that can be wrong."""

import os
from dataclasses import replace

import numpy as np
import pytest
import scipy.io

from lightning_modules.icgan.recordings.bdata_files import read_bdata, write_bdata
from lightning_modules.icgan.recordings.god import find_god, god_subjects, read_god
from lightning_modules.icgan.recordings.god_writer import bdata_of, write_god
from lightning_modules.icgan.recordings.reader import read_image_sessions, subject_names
from lightning_modules.icgan.recordings.session import Shown
from lightning_modules.parts.errors import DataError

ARRAYS = ("voxels", "stimulus", "category", "shown", "run", "images", "voxel_xyz")


def assert_equal(found, expected):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
        assert getattr(found, name).dtype == getattr(expected, name).dtype, name
    assert found.stimulus_names == expected.stimulus_names
    assert found.subject == expected.subject
    assert set(found.roi) == set(expected.roi)
    for name, mask in expected.roi.items():
        np.testing.assert_array_equal(found.roi[name], mask, err_msg=name)


def rewrite(folder, change):
    """Spoil `Subject1.h5`: `change` gets the table, writable, and may return another one."""
    data = read_bdata(folder / "Subject1.h5")
    write_bdata(change(data) or data, folder / "Subject1.h5")


def column(data, key):
    return data.dataset[:, data.columns(key)[0]]


def test_written_subject_is_read_back_bit_by_bit(god_folder, session):
    assert_equal(read_god(god_folder, 1), session)


def test_same_session_gives_the_same_bytes(god_folder, session, tmp_path):
    write_god(session, tmp_path / "again")
    names = ["Subject1.h5", "imageID_test.csv", "imageID_training.csv", "images_256.npz"]
    assert sorted(path.name for path in god_folder.iterdir()) == names
    for name in names:
        assert (god_folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_matlab_file_of_a_subject_is_read_as_its_hdf5(god_folder, session):
    """In the figshare `.mat` the three labels come first, the id is called `Label` and is padded with blanks."""
    data = bdata_of(session)
    order = np.r_[0, 1, data.dataset.shape[1] - 1, 2 : data.dataset.shape[1] - 1]
    keys = np.empty((1, len(data.keys)), object)
    keys[0] = [key.replace("stimulus_id", "Label").ljust(20) for key in data.keys]
    struct = {"key": keys, "description": keys, "value": data.values[:, order]}
    (god_folder / "Subject1.h5").unlink()
    scipy.io.savemat(god_folder / "Subject1.mat", {"dataSet": data.dataset[:, order], "metaData": struct})
    assert_equal(read_god(god_folder, 1), session)


def test_imagery_is_written_as_the_category_alone_as_in_the_published_events(session):
    ids = column(bdata_of(session), "stimulus_id")
    np.testing.assert_array_equal(ids[2950:], session.category[session.stimulus[2950:]])
    assert (ids[:1200] % 1 > 0).all()


def test_session_without_visual_cortex_gets_one_of_all_voxels(session, tmp_path):
    roi = {"V1": session.roi["V1"]}
    write_god(replace(session, roi=roi), tmp_path)
    found = read_god(tmp_path, 1).roi
    assert set(found) == {"V1", "VC"}
    assert found["VC"].all()


def test_imagined_category_is_matched_to_its_test_image_whatever_the_image_number(god_folder, session):
    def with_images(data):
        column(data, "stimulus_id")[2950:] += 0.000077

    rewrite(god_folder, with_images)
    np.testing.assert_array_equal(read_god(god_folder, 1).stimulus[2950:], session.stimulus[2950:])


def test_subjects_share_a_folder_and_each_is_found_by_name_or_number(god_folder, make_session):
    write_god(make_session(seed=5, subject="Subject3"), god_folder)
    assert god_subjects(god_folder) == [1, 3]
    assert [one.subject for one in read_image_sessions(god_folder)] == ["Subject1", "Subject3"]
    assert subject_names(god_folder) == ("Subject1", "Subject3")
    for asked in ("3", "Subject3"):
        (found,) = read_image_sessions(god_folder, asked)
        assert_equal(found, make_session(seed=5, subject="Subject3"))
    (found,) = read_image_sessions(god_folder / "Subject3.h5")
    assert found.subject == "Subject3"
    with pytest.raises(DataError, match=r"no data of subject 4 in .*(.|\n)*source=synthetic"):
        read_image_sessions(god_folder, "4")


def test_subject_who_saw_other_images_is_refused_in_the_same_folder(god_folder, make_session):
    other = make_session(subject="Subject2", images=np.zeros((1250, 6, 5, 3), np.float32))
    with pytest.raises(
        DataError, match=r"images_256.npz is there and holds other images than those of Subject2"
    ):
        write_god(other, god_folder)
    names = ("n00000001_1", *other.stimulus_names[1:])
    category = np.r_[1, other.category[1:]]
    with pytest.raises(DataError, match=r"imageID_training.csv is there and holds other images"):
        write_god(replace(other, stimulus_names=names, category=category), god_folder)


def test_sessions_that_the_files_cannot_hold_are_refused(session, tmp_path):
    with pytest.raises(DataError, match="the categories are not the synsets"):
        write_god(replace(session, category=session.category + 1), tmp_path)
    stimulus = session.stimulus.copy()
    stimulus[1200] = 3
    with pytest.raises(DataError, match="1 stimuli were shown in training and as a test, 0 neither"):
        write_god(replace(session, stimulus=stimulus), tmp_path)
    with pytest.raises(DataError, match="Subject 'Ada' has no number"):
        write_god(replace(session, subject="Ada"), tmp_path)
    with pytest.raises(DataError, match="'disc' is no stimulus name"):
        write_god(replace(session, stimulus_names=("disc", *session.stimulus_names[1:])), tmp_path)


def test_files_are_looked_for_in_the_order_of_the_specification(tmp_path):
    (tmp_path / "fmri_data").mkdir()
    (tmp_path / "sub-02").mkdir()
    for name in ("sbj_2.npz", "fmri_data/Subject2.mat", "Subject2.h5"):
        (tmp_path / name).touch()
    for name in ("Subject2.h5", "fmri_data/Subject2.mat", "sub-02", "sbj_2.npz"):
        assert find_god(tmp_path, 2) == tmp_path / name
        (tmp_path / name).rename(tmp_path / f"{(tmp_path / name).name}.gone")


def test_folder_of_the_authors_layout_is_read(god_folder, session):
    """`KamitaniData/fmri_data/Subject1.h5` beside `KamitaniData/imageID_*.csv`."""
    (god_folder / "fmri_data").mkdir()
    (god_folder / "Subject1.h5").rename(god_folder / "fmri_data" / "Subject1.h5")
    assert_equal(read_image_sessions(god_folder)[0], session)


def test_no_file_is_refused_with_names_tried_download_ids_and_the_way_without_data(tmp_path):
    with pytest.raises(DataError) as caught:
        read_god(tmp_path, 3)
    for text in (
        *("Subject3.h5", "Subject3.mat", "sub-03", "sbj_3.npz"),
        *("7387130", "24080120", "24080132", "15049646", "15049658", "13663487", "13663499"),
        "use source=synthetic to run without data",
    ):
        assert text in str(caught.value)
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "nowhere.h5"):
        with pytest.raises(DataError, match="use source=synthetic to run without data"):
            read_image_sessions(path)


@pytest.mark.parametrize("key", ["ROI_VC", "DataType", "Run", "VoxelData", "stimulus_id"])
def test_missing_key_is_refused_with_the_available_keys(god_folder, key):
    def drop(data):
        kept = [index for index, name in enumerate(data.keys) if name != key]
        keys, descriptions = (tuple(part[index] for index in kept) for part in (data.keys, data.descriptions))
        return replace(data, keys=keys, descriptions=descriptions, values=data.values[kept])

    rewrite(god_folder, drop)
    with pytest.raises(DataError, match=rf"Subject1.h5 has no key `{key}`. Available keys: .*ROI_V1"):
        read_god(god_folder, 1)


def test_wrong_row_counts_are_refused_with_the_counts_and_read_when_asked(god_folder, session):
    rewrite(god_folder, lambda data: replace(data, dataset=data.dataset[10:-3]))
    message = (
        r"3437 rows, by DataType: training 1190 \(expected 1200\), test 1750 \(expected 1750\), imagery 497 "
        r"\(expected 500\)(.|\n)*strict=False"
    )
    with pytest.raises(DataError, match=message):
        read_god(god_folder, 1)
    found = read_god(god_folder, 1, strict=False)
    np.testing.assert_array_equal(found.voxels, session.voxels[10:-3])
    assert [len(found.rows(kind)) for kind in Shown] == [1190, 1750, 497]


def test_training_ids_outside_the_order_file_are_refused_with_the_first_five(god_folder):
    def shift(data):
        column(data, "stimulus_id")[:7] = 99.000001 + np.arange(7)

    rewrite(god_folder, shift)
    with pytest.raises(DataError) as caught:
        read_god(god_folder, 1)
    assert "7 training rows have an id that is not in imageID_training.csv" in str(caught.value)
    assert "99.000001, 100.000001, 101.000001, 102.000001, 103.000001." in str(caught.value)
    assert "float32" not in str(caught.value)


def test_ids_that_went_through_float32_are_refused_with_a_hint(god_folder):
    def cast(data):
        ids = column(data, "stimulus_id")
        ids[:] = ids.astype(np.float32)

    rewrite(god_folder, cast)
    with pytest.raises(DataError, match=r"not in imageID_training.csv(.|\n)*truncated to float32"):
        read_god(god_folder, 1)


def test_image_of_the_order_file_that_was_never_shown_is_refused_by_its_id(god_folder):
    def twice(data):
        ids = column(data, "stimulus_id")
        ids[ids == 1518878 + 65 / 1e6] = 1518878 + 66 / 1e6

    rewrite(god_folder, twice)
    with pytest.raises(DataError) as caught:
        read_god(god_folder, 1)
    assert "2 images of imageID_training.csv were not shown equally often (1 times each)" in str(caught.value)
    assert "1518878.000065 (0 times), 1518878.000066 (2 times); 1 were never shown" in str(caught.value)


def test_test_image_without_its_35_repeats_is_refused(god_folder):
    def other(data):
        ids = column(data, "stimulus_id")
        ids[np.flatnonzero(ids == 1443537)[0]] = 1443540 + 3 / 1e6

    rewrite(god_folder, other)
    with pytest.raises(DataError, match=r"equally often \(35 times each\).*\(34 times\), .*\(36 times\)"):
        read_god(god_folder, 1)


def test_rows_of_an_unknown_kind_are_refused(god_folder):
    def other(data):
        column(data, "DataType")[-1] = 4

    rewrite(god_folder, other)
    with pytest.raises(DataError, match=r"imagery 499 \(expected 500\)"):
        read_god(god_folder, 1)
    with pytest.raises(DataError, match=r"holds \[4\]"):
        read_god(god_folder, 1, strict=False)


def test_bad_voxels_are_counted_and_refused_dropped_or_zeroed(god_folder, session):
    def spoil(data):
        data.dataset[17, 2] = np.nan  # voxel 0
        data.dataset[:, 11] = 3.5  # voxel 9, in LOC and FFA

    rewrite(god_folder, spoil)
    message = (
        r"2 of 14 voxels cannot be used: 1 hold NaN or infinity, 1 never change(.|\n)*'drop'(.|\n)*'zero'"
    )
    with pytest.raises(DataError, match=message):
        read_god(god_folder, 1)
    good = np.array([voxel not in (0, 9) for voxel in range(14)])
    dropped = read_god(god_folder, 1, bad_voxels="drop")
    np.testing.assert_array_equal(dropped.voxels, session.voxels[:, good])
    np.testing.assert_array_equal(dropped.voxel_xyz, session.voxel_xyz[good])
    np.testing.assert_array_equal(dropped.roi["FFA"], session.roi["FFA"][good])
    zeroed = read_god(god_folder, 1, bad_voxels="zero")
    np.testing.assert_array_equal(zeroed.voxels, np.where(good, session.voxels, 0))
    assert "2 of 14 voxels" in dropped.notes[-1]
    assert "set to 0" in zeroed.notes[-1]
    with pytest.raises(ValueError, match="`bad_voxels` is 'keep', but must be one of refuse, drop, zero"):
        read_god(god_folder, 1, bad_voxels="keep")


@pytest.mark.parametrize("name", ["Subject1.h5", "imageID_training.csv", "images_256.npz"])
def test_pointers_are_refused_wherever_they_lie(god_folder, name):
    (god_folder / name).unlink()
    os.symlink("../.git/annex/objects/aa/bb/MD5E", god_folder / name)
    with pytest.raises(DataError, match=rf"{name} is a pointer file, content not fetched"):
        read_image_sessions(god_folder)


def test_missing_order_file_is_refused_with_where_to_get_it(god_folder):
    (god_folder / "imageID_test.csv").unlink()
    with pytest.raises(
        DataError, match=r"imageID_test.csv is missing(.|\n)*KamitaniLab/GenericObjectDecoding"
    ):
        read_god(god_folder, 1)


def test_order_files_that_share_an_image_are_refused(god_folder):
    first = (god_folder / "imageID_training.csv").read_text().splitlines(keepends=True)[0]
    with (god_folder / "imageID_test.csv").open("a") as file:
        file.write(first)
    with pytest.raises(DataError, match="share 1 images"):
        read_god(god_folder, 1)


@pytest.fixture
def mindvis(session, god_folder):
    """`sbj_4.npz` as MinD-Vis packs it, its test rows averages over 35 repeats."""
    training, test = session.rows(Shown.TRAINING), session.rows(Shown.TEST)
    averages = [
        session.voxels[test][session.stimulus[test] == stimulus].mean(axis=0)
        for stimulus in range(1200, 1250)
    ]
    arrays = {
        "arr_0": session.voxels[training],
        "arr_1": session.voxels[test],
        "arr_2": np.stack(averages),
        "arr_3": session.stimulus[training],
        **session.roi,
    }
    np.savez(god_folder / "sbj_4.npz", **arrays)
    return arrays


def test_subject_of_mindvis_is_read_with_averaged_test_rows(mindvis, god_folder, session):
    (found,) = read_image_sessions(god_folder, "4")
    assert found.subject == "Subject4"
    assert subject_names(god_folder) == ("Subject1", "Subject4")
    np.testing.assert_array_equal(found.voxels, np.concatenate([mindvis["arr_0"], mindvis["arr_2"]]))
    np.testing.assert_array_equal(found.stimulus, np.r_[session.stimulus[:1200], 1200:1250])
    assert [len(found.rows(kind)) for kind in Shown] == [1200, 50, 0]
    assert set(found.roi) == {"V1", "LOC", "FFA", "VC"}
    assert "runs are not known" in found.notes[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arr_3": np.arange(1200) + 1}, "which of 1200 images it is of"),
        ({"arr_2": np.zeros((49, 14))}, "arr_2 has 49 rows for 50 test images"),
        (
            {"arr_0": np.zeros((1200, 3))},
            r"arr_0 \(1200, 3\) and arr_2 \(50, 14\) are no rows of the same voxels",
        ),
        ({"arr_2": None}, "lacks arr_2. It holds arr_0, arr_3, V1"),
    ],
)
def test_spoiled_files_of_mindvis_are_refused(mindvis, god_folder, change, message):
    arrays = {name: values for name, values in {**mindvis, **change}.items() if values is not None}
    np.savez(god_folder / "sbj_4.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_god(god_folder, 4)
