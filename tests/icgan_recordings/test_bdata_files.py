"""BData from HDF5 of both spellings and from MATLAB files; what is written."""

import os

import h5py
import numpy as np
import pytest
import scipy.io

from lightning_modules.icgan.recordings.bdata import BData
from lightning_modules.icgan.recordings.bdata_files import read_bdata, write_bdata
from lightning_modules.parts.errors import DataError

KEYS = ("VoxelData", "ROI_V1", "Label", "voxel_x")
DESCRIPTIONS = ("1 = voxel", "1 = V1", "", "x, mm")
VALUES = np.array(
    [
        [np.nan, 1, 1, 1],
        [np.nan, 1, 0, 1],
        [1, np.nan, np.nan, np.nan],
        [np.nan, -12.5, 3.25, 0],
    ]
)
DATASET = np.column_stack(
    [[3626115.019498, 1518878.010042, 13111881.007817], np.arange(9.0).reshape(3, 3) / 7]
)


def write_hdf5(path, *, dataset="dataset", metadata="metadata", table=DATASET, key_type="S"):
    with h5py.File(path, "w") as file:
        file[dataset] = table
        keys = np.array(KEYS, dtype="S") if key_type == "S" else [key + "  " for key in KEYS]
        file[f"{metadata}/key"] = keys
        file[f"{metadata}/description"] = np.array(DESCRIPTIONS, dtype="S")
        file[f"{metadata}/value"] = VALUES
        file["header/ctime"] = b"2015"


def write_mat(path, *, dataset="dataSet", metadata="metaData"):
    """The layout of the figshare files: a 1 x 1 struct of 1 x n cells of strings, padded with blanks."""
    cells = {"key": np.empty((1, 4), object), "description": np.empty((1, 4), object)}
    for index, (key, description) in enumerate(zip(KEYS, DESCRIPTIONS, strict=True)):
        cells["key"][0, index] = key.ljust(16)
        cells["description"][0, index] = description
    scipy.io.savemat(path, {dataset: DATASET, metadata: {**cells, "value": VALUES}})


def assert_is_the_table(data):
    np.testing.assert_array_equal(data.dataset, DATASET)
    np.testing.assert_array_equal(data.values, VALUES)
    assert data.dataset.dtype == np.float64
    assert (data.keys, data.descriptions) == (KEYS, DESCRIPTIONS)


@pytest.mark.parametrize(("dataset", "metadata"), [("dataset", "metadata"), ("dataSet", "metaData")])
@pytest.mark.parametrize("key_type", ["S", "str"])
def test_both_spellings_of_hdf5_are_read_alike(tmp_path, dataset, metadata, key_type):
    write_hdf5(tmp_path / "a.h5", dataset=dataset, metadata=metadata, key_type=key_type)
    assert_is_the_table(read_bdata(tmp_path / "a.h5"))


@pytest.mark.parametrize(("dataset", "metadata"), [("dataset", "metadata"), ("dataSet", "metaData")])
def test_matlab_files_are_read_alike_and_padding_is_stripped(tmp_path, dataset, metadata):
    write_mat(tmp_path / "a.mat", dataset=dataset, metadata=metadata)
    assert_is_the_table(read_bdata(tmp_path / "a.mat"))


def test_matlab_file_of_one_key_and_one_row_keeps_its_shape(tmp_path):
    value = np.array([[1.0, np.nan]])
    entries = {
        "dataSet": np.array([[2.0, 3.0]]),
        "metaData": {"key": "A ", "description": "", "value": value},
    }
    scipy.io.savemat(tmp_path / "a.mat", entries)
    data = read_bdata(tmp_path / "a.mat")
    assert data.keys == ("A",)
    np.testing.assert_array_equal(data.select("A"), [[2.0]])


def test_what_is_written_is_read_bit_by_bit_and_the_bytes_are_always_the_same(tmp_path):
    data = BData(DATASET, KEYS, DESCRIPTIONS, VALUES)
    write_bdata(data, tmp_path / "a.h5")
    write_bdata(data, tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    again = read_bdata(tmp_path / "a.h5")
    assert again.dataset.tobytes() == DATASET.tobytes()
    assert_is_the_table(again)


def test_columns_are_found_by_key_wherever_they_are():
    data = BData(DATASET, KEYS, DESCRIPTIONS, VALUES)
    np.testing.assert_array_equal(data.columns("ROI_V1"), [1, 3])
    np.testing.assert_array_equal(data.select("Label"), DATASET[:, :1])
    np.testing.assert_array_equal(data.numbers("voxel_x", of="VoxelData"), [-12.5, 3.25, 0])
    order = [2, 0, 3, 1]
    moved = BData(DATASET[:, order], KEYS, DESCRIPTIONS, VALUES[:, order])
    np.testing.assert_array_equal(moved.select("Label"), data.select("Label"))
    np.testing.assert_array_equal(moved.columns("ROI_V1"), [2, 3])


def test_missing_key_is_refused_with_the_available_ones():
    data = BData(DATASET, KEYS, DESCRIPTIONS, VALUES, source="Subject1.h5")
    with pytest.raises(
        DataError, match=r"Subject1.h5 has no key `ROI_VC`. Available keys: VoxelData, ROI_V1, Label"
    ):
        data.columns("ROI_VC")


@pytest.mark.parametrize(("dataset", "metadata"), [("data", "metadata"), ("dataset", "meta")])
def test_hdf5_without_its_parts_is_refused_with_what_it_holds(tmp_path, dataset, metadata):
    write_hdf5(tmp_path / "a.h5", dataset=dataset, metadata=metadata)
    with pytest.raises(DataError, match=rf"a.h5 is no BData(.|\n)*It holds .*{metadata}/value"):
        read_bdata(tmp_path / "a.h5")


def test_matlab_file_without_its_parts_is_refused_with_what_it_holds(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"dataSet": DATASET, "labels": 3})
    with pytest.raises(DataError, match=r"a.mat is no BData.*It holds dataSet, labels"):
        read_bdata(tmp_path / "a.mat")


def test_float32_dataset_is_refused(tmp_path):
    write_hdf5(tmp_path / "a.h5", table=DATASET.astype(np.float32))
    with pytest.raises(DataError, match="dataset is float32, in which stimulus ids lose"):
        read_bdata(tmp_path / "a.h5")


def test_table_and_metadata_of_different_widths_are_refused(tmp_path):
    write_hdf5(tmp_path / "a.h5", table=DATASET[:, :3])
    with pytest.raises(DataError, match=r"a.h5: dataset \(3, 3\), 4 keys.*\(4, 4\) do not fit together"):
        read_bdata(tmp_path / "a.h5")


@pytest.mark.parametrize("suffix", [".h5", ".mat"])
@pytest.mark.parametrize("content", [b"", b"no table at all, however one reads it" * 40])
def test_unreadable_file_is_refused_by_name(tmp_path, suffix, content):
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(DataError, match=rf"a{suffix} cannot be read"):
        read_bdata(tmp_path / f"a{suffix}")


def test_version_7_3_of_matlab_is_refused_by_name(tmp_path):
    write_hdf5(tmp_path / "a.h5")
    # MATLAB 7.3 files are HDF5 behind 512 bytes that say so.
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "a.mat").write_bytes(header.ljust(512, b"\0") + (tmp_path / "a.h5").read_bytes())
    with pytest.raises(DataError, match=r"is a MATLAB 7.3 file"):
        read_bdata(tmp_path / "a.mat")


@pytest.mark.parametrize(
    "text",
    [
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 119537664\n",
        "/annex/objects/MD5E-s47050240--d3838199e41b308ebf537b6548f2b809.h5\n",
        "../.git/annex/objects/5j/7Z/MD5E-s47050240--d38.h5/MD5E-s47050240--d38.h5",
    ],
)
@pytest.mark.parametrize("suffix", [".h5", ".mat"])
def test_pointer_files_are_refused(tmp_path, text, suffix):
    (tmp_path / f"a{suffix}").write_text(text)
    with pytest.raises(DataError, match="pointer file, content not fetched"):
        read_bdata(tmp_path / f"a{suffix}")


def test_broken_link_is_a_pointer_and_a_whole_one_is_not(tmp_path):
    os.symlink("../.git/annex/objects/5j/7Z/MD5E", tmp_path / "broken.h5")
    with pytest.raises(
        DataError, match=r"broken.h5 is a pointer file, content not fetched(.|\n)*datalad get"
    ):
        read_bdata(tmp_path / "broken.h5")
    write_hdf5(tmp_path / "a.h5")
    os.symlink(tmp_path / "a.h5", tmp_path / "whole.h5")
    assert_is_the_table(read_bdata(tmp_path / "whole.h5"))
