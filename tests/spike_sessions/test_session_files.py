"""`.npz` sessions, rebinning, and reading a folder."""

import numpy as np
import pytest

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import read_npz, read_sessions, rebin_session, write_npz
from lightning_modules.parts.spikes.npz import OPTIONAL, REQUIRED


@pytest.fixture
def entries(make_session, tmp_path):
    write_npz(make_session(), tmp_path / "entries.npz")
    with np.load(tmp_path / "entries.npz") as archive:
        found = dict(archive)
    (tmp_path / "entries.npz").unlink()
    return found


def test_written_session_is_read_back_unchanged_with_its_further_entries(make_session, tmp_path):
    session = make_session(
        electrodes=np.array([0, 0, 1, 2, 3]),
        position=np.ones((40, 2), np.float32),
        emg=np.ones((40, 1), np.float32),
        emg_names=("FCR",),
        active=np.array([True, True, False, True, True]),
        extra={"weather": np.array("rain")},
    )
    write_npz(session, tmp_path / "day.npz")
    again = read_npz(tmp_path / "day.npz")
    for name in REQUIRED + OPTIONAL:
        np.testing.assert_array_equal(getattr(again, name), getattr(session, name), err_msg=name)
    assert again.spikes.dtype == np.uint8
    assert str(again.extra["weather"]) == "rain"


def test_missing_entries_are_named(entries, tmp_path):
    del entries["target"], entries["animal"]
    np.savez(tmp_path / "day.npz", **entries)
    with pytest.raises(DataError, match=r"day.npz is not a spike session: target, animal missing"):
        read_sessions(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((40, 5), 0.5), "whole counts per bin"),
        (np.full((40, 5), -1), "200 negative counts, the lowest -1"),
    ],
)
def test_spikes_that_are_no_counts_are_refused(entries, tmp_path, values, message):
    np.savez(tmp_path / "day.npz", **{**entries, "spikes": values})
    with pytest.raises(DataError, match=message):
        read_sessions(tmp_path)


@pytest.mark.parametrize("suffix", [".npz", ".nwb", ".mat"])
@pytest.mark.parametrize("content", [b"", b"no recording at all, however one reads it" * 20])
def test_unreadable_file_is_refused_by_name(tmp_path, suffix, content):
    (tmp_path / f"day{suffix}").write_bytes(content)
    with pytest.raises(DataError, match=rf"day{suffix} cannot be read"):
        read_sessions(tmp_path)


def test_cut_off_file_is_refused_by_name(make_session, tmp_path):
    write_npz(make_session(), tmp_path / "day.npz")
    content = (tmp_path / "day.npz").read_bytes()
    (tmp_path / "day.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"day.npz cannot be read as .npz"):
        read_sessions(tmp_path / "day.npz")


def test_pickled_objects_are_not_loaded(entries, tmp_path):
    np.savez(tmp_path / "day.npz", **{**entries, "spikes": np.array([{}], dtype=object)})
    with pytest.raises(DataError, match=r"day.npz cannot be read.*\n.*pickled"):
        read_sessions(tmp_path)


def test_missing_path_empty_folder_and_foreign_file_are_refused(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_sessions(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no session"):
        read_sessions(tmp_path)
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(DataError, match=r"notes.txt is not one of .npz, .nwb, .mat"):
        read_sessions(tmp_path / "notes.txt")


def test_sessions_are_sorted_by_date_whatever_their_files_are_called(make_session, tmp_path):
    for name, day in (("a", "2020-03-01"), ("b", "2019-12-31"), ("c", "2020-02-01")):
        write_npz(make_session(date=day, seed=ord(name)), tmp_path / f"{name}.npz")
    (tmp_path / "._a.npz").write_bytes(b"what macOS leaves behind")
    assert [session.date for session in read_sessions(tmp_path)] == ["2019-12-31", "2020-02-01", "2020-03-01"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"animal": "Bob"}, r"differ in animal: Ada \(0.npz\); Bob \(1.npz\)"),
        ({"bin_width_s": 0.05}, r"differ in bin width \(s\): 0.1 \(0.npz\); 0.05 \(1.npz\)"),
        ({"behaviour_names": ("force_x", "force_y")}, r"differ in behaviour: velocity_x, velocity_y"),
    ],
)
def test_sessions_that_do_not_belong_together_are_refused(make_session, tmp_path, changes, message):
    write_npz(make_session(), tmp_path / "0.npz")
    write_npz(make_session(seed=1, **changes), tmp_path / "1.npz")
    with pytest.raises(DataError, match=message):
        read_sessions(tmp_path)


def test_a_copied_recording_is_refused_because_it_could_be_trained_on_and_sealed(make_session, tmp_path):
    write_npz(make_session(), tmp_path / "day.npz")
    write_npz(make_session(date="2020-02-02"), tmp_path / "day copy.npz")
    with pytest.raises(
        DataError, match=r"day.npz and day copy.npz hold the same spikes|copy.npz and day.npz"
    ):
        read_sessions(tmp_path)


def test_wider_bins_sum_spikes_and_average_behaviour_from_each_trials_first_bin(make_session):
    session = make_session(trial_start=np.array([1, 10, 21, 30]), trial_end=np.array([8, 18, 23, 38]))
    wide = rebin_session(session, 0.3)
    spikes, behaviour, lengths = [], [], []
    for start, end in zip(session.trial_start, session.trial_end, strict=True):
        lengths.append(0)
        for first in range(start, end - 2, 3):
            spikes.append(sum(session.spikes[row].astype(int) for row in range(first, first + 3)))
            behaviour.append(sum(session.behaviour[row] for row in range(first, first + 3)) / 3)
            lengths[-1] += 1
    np.testing.assert_array_equal(wide.spikes, spikes)
    np.testing.assert_allclose(wide.behaviour, behaviour, rtol=1e-5)
    assert lengths == [2, 2, 0, 2]
    assert wide.trial_lengths.tolist() == [2, 2, 2]
    assert wide.target.tolist() == [0, 1, 1]
    assert "1 trials shorter than a bin of 0.3 s left out" in wide.notes[0]


def test_wider_bins_do_not_overflow_small_integers(make_session):
    wide = rebin_session(make_session(spikes=np.full((40, 5), 200, np.uint8)), 0.4)
    assert (wide.spikes == 800).all()


@pytest.mark.parametrize("width", [0.15, 0.05, -0.1])
def test_width_that_is_no_multiple_is_refused(make_session, width):
    with pytest.raises(DataError, match=r"has bins of 0.1 s; they do not make up"):
        rebin_session(make_session(), width)
