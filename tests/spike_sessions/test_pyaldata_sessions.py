"""PyalData `.mat` files of both versions, written by the test, against slow loops over their source."""

import h5py
import numpy as np
import pytest
import scipy.io

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import align_units, read_sessions
from lightning_modules.parts.spikes.events import Alignment
from lightning_modules.parts.spikes.recordings import load_sessions

GUIDE = np.array([[1, 1], [1, 2], [7, 1], [96, 1]])


def make_trials(seed=0):
    """Six trials of 50 to 55 bins of 10 ms; 0, 2 and 5 are rewarded baseline trials without gaps."""
    generator = np.random.default_rng(seed)
    trials = []
    for number in range(6):
        length = 50 + number
        trials.append(
            {
                "monkey": "Chewie",
                "date": "10-21-2016",
                "task": "CO",
                "epoch": "AD" if number == 3 else "BL",
                "result": "F" if number == 1 else "R",
                "trial_id": float(number),
                "bin_size": 0.01,
                "target_direction": [-3 * np.pi / 4, 0.0, np.pi, 0.0, 0.0, -np.pi][number],
                "idx_go_cue": 11.0,
                "idx_trial_end": float(40 + number),
                "vel": generator.normal(size=(length, 2)),
                "pos": generator.normal(size=(length, 2)) + [0, -30],
                "M1_spikes": generator.poisson(0.3, (length, 4)).astype(float),
                "M1_unit_guide": GUIDE.astype(float),
                "PMd_spikes": generator.poisson(0.3, (length, 2)).astype(float),
            }
        )
    trials[4]["vel"][20, 1] = np.nan
    trials[0]["vel"][2, 0] = np.nan  # before the go cue, where it does no harm
    return trials


KEPT = (0, 2, 5)


def write_v5(path, trials):
    names = list(trials[0])
    table = np.zeros(len(trials), dtype=[(name, object) for name in names])
    for row, trial in zip(table, trials, strict=True):
        for name in names:
            row[name] = trial[name]
    scipy.io.savemat(path, {"trial_data": table})


def write_v73(path, trials):
    """HDF5 as MATLAB writes it: arrays transposed, a dataset of references for each field of the structs."""

    def write(file, name, value):
        if isinstance(value, str):
            dataset = file.create_dataset(name, data=np.array([[ord(letter)] for letter in value], np.uint16))
            dataset.attrs["MATLAB_class"] = np.bytes_("char")
        else:
            dataset = file.create_dataset(name, data=np.atleast_2d(value).T)
            dataset.attrs["MATLAB_class"] = np.bytes_("double")
        return dataset.ref

    with h5py.File(path, "w", userblock_size=512) as file:
        table = file.create_group("trial_data")
        table.attrs["MATLAB_class"] = np.bytes_("struct")
        for name in trials[0]:
            references = [
                write(file, f"#refs#/{name}{number}", trial[name]) for number, trial in enumerate(trials)
            ]
            table.create_dataset(name, data=np.array([references], h5py.ref_dtype).T, dtype=h5py.ref_dtype)
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, written by a test".ljust(124) + b"\x00\x02IM")


WRITERS = {"v5": write_v5, "v7.3": write_v73}


@pytest.fixture(params=WRITERS)
def write(request):
    return WRITERS[request.param]


def read_one(write, trials, tmp_path, **arguments):
    write(tmp_path / "Chewie_CO_20161021.mat", trials)
    (session,) = read_sessions(tmp_path, **arguments)
    return session


def test_rewarded_baseline_trials_are_read_from_go_cue_to_end_inclusive(write, tmp_path):
    trials = make_trials()
    session = read_one(write, trials, tmp_path)
    spikes, velocity = [], []
    for number in KEPT:
        # MATLAB bins 11 ... 40 + number, counted from 1, both included.
        for matlab_bin in range(11, 40 + number + 1):
            spikes.append(trials[number]["M1_spikes"][matlab_bin - 1])
            velocity.append(trials[number]["vel"][matlab_bin - 1])
    np.testing.assert_array_equal(session.spikes, spikes)
    np.testing.assert_allclose(session.behaviour, velocity, rtol=1e-6)
    assert session.trial_lengths.tolist() == [30, 32, 35]
    assert session.behaviour_names == ("velocity_x", "velocity_y")
    assert (session.animal, session.date, session.bin_width_s) == ("Chewie", "2016-10-21", 0.01)


def test_left_out_trials_are_counted_by_reason(write, tmp_path):
    (note,) = read_one(write, make_trials(), tmp_path).notes
    assert "3 of 6 trials used" in note
    assert "1 not rewarded, 1 outside the baseline, 1 with missing kinematics" in note


def test_targets_are_numbered_by_direction_and_pi_is_minus_pi(write, tmp_path):
    """-3π/4 is target 0, π and -π are both target 7, as in round((direction + π) / (π/4)) - 1."""
    assert read_one(write, make_trials(), tmp_path).target.tolist() == [0, 7, 7]


def test_bins_are_combined_within_trials(write, tmp_path):
    trials = make_trials()
    session = read_one(write, trials, tmp_path, bin_width_s=0.03, behaviour="position")
    spikes, position = [], []
    for number in (0, 2, 4, 5):  # the gap of trial 4 is in its velocity, which is not decoded here
        for first in range(10, 40 + number - 2, 3):
            spikes.append(trials[number]["M1_spikes"][first : first + 3].sum(axis=0))
            position.append(trials[number]["pos"][first : first + 3].mean(axis=0))
    np.testing.assert_array_equal(session.spikes, spikes)
    np.testing.assert_allclose(session.behaviour, position, rtol=1e-5)


def test_units_of_one_electrode_are_pooled_by_the_unit_guide(write, tmp_path):
    session = read_one(write, make_trials(), tmp_path)
    aligned = align_units([session], "channel")
    expected = np.zeros((len(session.spikes), 96), dtype=int)
    for column, electrode in enumerate(GUIDE[:, 0]):
        expected[:, electrode - 1] += session.spikes[:, column]
    np.testing.assert_array_equal(aligned.sessions[0].spikes, expected)


DRYAD_NAMES = {
    "target_direction": "tgtDir",
    "idx_trial_start": "idx_startTime",
    "idx_target_on": "idx_tgtOnTime",
    "idx_go_cue": "idx_goCueTime",
    "idx_trial_end": "idx_endTime",
}


def older_release(end):
    """Trials as in Dryad 10.5061/dryad.xd2547dkt: other names, no epochs, gaps in the velocity, some empty cues."""
    trials = make_trials()
    for trial in trials:
        trial |= {"idx_trial_start": 1.0, "idx_target_on": 4.0}
        del trial["epoch"], trial["date"]
    trials[3]["idx_go_cue"] = np.zeros((0, 0))
    names = {**DRYAD_NAMES, "idx_trial_end": end}
    return [{names.get(name, name): value for name, value in trial.items()} for trial in trials]


@pytest.mark.parametrize("end", ["idx_endTime", "idx_trial_end"])
def test_camel_case_names_of_the_older_release_are_understood(write, tmp_path, end):
    trials = older_release(end)
    session = read_one(write, trials, tmp_path)
    spikes = [trials[number]["M1_spikes"][10 : 40 + number] for number in KEPT]
    np.testing.assert_array_equal(session.spikes, np.concatenate(spikes))
    assert session.target.tolist() == [0, 7, 7]
    assert session.date == "2016-10-21"  # from the file's name
    (note,) = session.notes
    assert "1 not rewarded, 1 without go cue, end or target, 1 with missing kinematics" in note


def test_older_release_is_loaded_at_wider_bins_by_electrode(write, tmp_path):
    trials = older_release("idx_endTime")
    write(tmp_path / "Chewie_CO_20150313.mat", trials)
    data = load_sessions(
        path=str(tmp_path),
        bin_width_s=0.02,
        units="channel",
        min_training_sessions=1,
        validation_fraction=0.3,
    )
    assert data.session_names == ("2015-03-13",)
    assert data.training.spikes.shape == (2, 15, 96)
    cut = {trial.tobytes() for trial in [*data.training.spikes, *data.validation.spikes]}
    for number in KEPT:
        pooled = np.zeros((15, 96), data.training.spikes.dtype)
        for column, electrode in enumerate(GUIDE[:, 0]):
            for k in range(15):
                pooled[k, electrode - 1] += int(
                    trials[number]["M1_spikes"][10 + 2 * k : 12 + 2 * k, column].sum()
                )
        assert pooled.tobytes() in cut


def test_trials_begin_at_the_recorded_movement_onset(write, tmp_path):
    trials = make_trials()
    for number, trial in enumerate(trials):
        trial["idx_movement_on"] = 20.0 + number
    session = read_one(write, trials, tmp_path, alignment=Alignment("movement_onset", -0.05))
    rows = [trials[number]["M1_spikes"][19 + number - 5 : 40 + number] for number in KEPT]
    starts = zip(session.trial_start, session.trial_end, strict=True)
    for row, (start, end) in zip(rows, starts, strict=True):
        np.testing.assert_array_equal(session.spikes[start:end], row)
    assert (session.movement_onset - session.trial_start).tolist() == [5] * 3


def test_trials_begin_before_the_go_cue_unless_the_window_touches_a_gap(write, tmp_path):
    trials = make_trials()
    session = read_one(write, trials, tmp_path, alignment=Alignment("go_cue", -0.05))
    assert session.trial_lengths.tolist() == [35, 37, 40]
    assert (session.go_cue - session.trial_start).tolist() == [5] * 3
    # Trial 0 has a gap in its third bin, and 0.1 s before the cue is its first.
    assert read_one(write, trials, tmp_path, alignment=Alignment("go_cue", -0.1)).trial_lengths.tolist() == [
        42,
        45,
    ]


def test_movement_onset_is_computed_where_the_file_has_none(write, tmp_path):
    trials = make_trials()
    for number, trial in enumerate(trials):
        tau = np.clip((np.arange(len(trial["vel"])) - 18 - number) / 30, 0, 1)
        trial["vel"] = 30 * np.stack([tau**2 * (1 - tau) ** 2, 0 * tau], axis=1)
    session = read_one(write, trials, tmp_path, alignment=Alignment("movement_onset"))
    # 0.055 of 30 bins after the true onset; trial 1 fails, trial 3 is outside the baseline.
    ends = {number: 40 + number for number in (0, 2, 4, 5)}
    first = [end - length for end, length in zip(ends.values(), session.trial_lengths, strict=True)]
    assert np.abs(np.array(first) - [18 + number + 0.055 * 30 for number in ends]).max() <= 1
    assert "movement onset computed from the speed, in 4 of 4 trials" in session.notes[-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vel": None}, r"the trials lack vel\. They hold M1_spikes"),
        ({"M1_spikes": None, "PMd_spikes": None}, r"holds no M1 spikes, but no spikes at all"),
        ({"result": "F"}, r"none of the 6 trials can be used \(6 not rewarded\)"),
        ({"idx_go_cue": np.nan}, r"without go cue, end or target"),
    ],
)
def test_trials_that_cannot_be_used_are_refused(write, tmp_path, change, message):
    trials = [
        {name: value for name, value in {**trial, **change}.items() if value is not None}
        for trial in make_trials()
    ]
    with pytest.raises(DataError, match=message):
        read_one(write, trials, tmp_path)


def test_file_with_several_variables_is_refused(tmp_path):
    scipy.io.savemat(tmp_path / "day.mat", {"a": 1, "b": 2})
    with pytest.raises(DataError, match=r"holds 2 variables \(a, b\), not one array of trials"):
        read_sessions(tmp_path)


def test_file_without_a_date_is_refused(tmp_path):
    trials = [{name: value for name, value in trial.items() if name != "date"} for trial in make_trials()]
    write_v5(tmp_path / "chewie.mat", trials)
    with pytest.raises(DataError, match=r"chewie.mat names no date"):
        read_sessions(tmp_path)
