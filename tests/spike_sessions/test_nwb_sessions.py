"""An NWB file with the fields of DANDI 000688, written with pynwb, against slow loops over its source."""

from datetime import UTC, datetime

import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.behavior import BehavioralTimeSeries, Position
from pynwb.file import Subject

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import read_sessions
from lightning_modules.parts.spikes.events import Alignment
from lightning_modules.parts.spikes.recordings import load_sessions

WIDTH = 0.02
CUES = [1.0, 4.0, 7.0, 10.0, 13.0, 16.0, 19.0, 22.0]
"""Go cue of each trial; the trial starts 0.5 s earlier and stops 0.613 s later."""
REWARDED = [0, 1, 5]


class Recording:
    """What goes into the file: 6 units, 2 of them in PMd; a cursor on a circle, with repeated time stamps."""

    def __init__(self) -> None:
        generator = np.random.default_rng(3)
        self.spike_times = [np.sort(generator.uniform(0, 25, n)) for n in (800, 300, 50, 0, 400, 500)]
        # Rows of the electrode table; the first three of its eight rows are PMd.
        self.electrode_rows = [3, 1, 5, 5, 7, 0]
        times = np.arange(0, 25, 0.01)
        self.times = np.insert(times, [500, 1200], times[[500, 1200]])
        phase = 2 * np.pi * 0.5 * self.times
        self.position = 4 * np.stack([np.cos(phase), np.sin(phase)], axis=1)
        self.velocity = 4 * np.pi * np.stack([-np.sin(phase), np.cos(phase)], axis=1)
        self.acceleration = -self.position * np.pi**2
        self.position[np.searchsorted(self.times, 7.3), 0] = 11.0  # trial 2 leaves the workspace
        self.acceleration[np.searchsorted(self.times, 10.2), 1] = -1600.0  # trial 3 is torn away
        self.velocity[np.searchsorted(self.times, 13.1), 0] = np.nan  # trial 4 has a gap
        self.results = ["R", "R", "R", "R", "R", "R", "F", "R"]
        self.target_ids = [3.0, 0.0, 1.0, 2.0, 4.0, 7.0, 5.0, np.nan]
        self.stops = [cue + 0.613 for cue in CUES]
        self.task = "CO"
        self.cues = CUES

    def write(self, path):
        file = NWBFile(
            session_description="reaching",
            identifier="x",
            session_start_time=datetime(2016, 10, 21, 9, tzinfo=UTC),
            subject=Subject(subject_id="C", species="Macaca mulatta", sex="M", age="P5Y"),
        )
        device = file.create_device("array")
        for area, location, n in (("PMd", "Dorsal Premotor Cortex", 3), ("M1", "Primary Motor Cortex", 5)):
            group = file.create_electrode_group(
                f"electrode_group_{area}", description=area, location=location, device=device
            )
            for _ in range(n):
                file.add_electrode(location=location, group=group, x=0.0, y=0.0, z=0.0)
        for times, row in zip(self.spike_times, self.electrode_rows, strict=True):
            file.add_unit(spike_times=times, electrodes=[row])
        module = file.create_processing_module("behavior", "cursor")
        for name, values in self.signals().items():
            series = {"data": values, "timestamps": self.times, "unit": "cm"}
            if name == "Position":
                interface = Position(name=name)
                interface.create_spatial_series(name="cursor_pos", reference_frame="centre", **series)
            else:
                interface = BehavioralTimeSeries(name=name)
                interface.add_timeseries(TimeSeries(name=f"cursor_{name[:3].lower()}", **series))
            module.add(interface)
        self.add_trials(file)
        with NWBHDF5IO(path=path, mode="w") as io:
            io.write(file)

    def signals(self):
        return {"Position": self.position, "Velocity": self.velocity, "Acceleration": self.acceleration}

    def add_trials(self, file):
        array = self.task == "RT"
        for name in ("go_cue_time_array" if array else "go_cue_time", "target_id", "result"):
            file.add_trial_column(name, name)
        columns = zip(CUES, self.cues, self.stops, self.target_ids, self.results, strict=True)
        for start, cue, stop, target, result in columns:
            cues = {"go_cue_time_array": [cue] * 4} if array else {"go_cue_time": cue}
            file.add_trial(start_time=start - 0.5, stop_time=stop, target_id=target, result=result, **cues)


@pytest.fixture
def recording():
    return Recording()


def read_one(recording, tmp_path, **arguments):
    recording.write(tmp_path / "sub-C_ses-CO-20161021_behavior+ecephys.nwb")
    (session,) = read_sessions(tmp_path, **arguments)
    return session


def test_counts_are_those_of_a_slow_loop_over_m1_spikes(recording, tmp_path):
    session = read_one(recording, tmp_path, bin_width_s=WIDTH)
    motor = [unit for unit, row in enumerate(recording.electrode_rows) if row >= 3]
    assert motor == [0, 2, 3, 4]
    n_bins = 30  # 0.613 s hold 30 whole bins
    assert session.trial_lengths.tolist() == [n_bins] * len(REWARDED)
    for position, trial in enumerate(REWARDED):
        for column, unit in enumerate(motor):
            for k in range(n_bins):
                left, right = CUES[trial] + k * WIDTH, CUES[trial] + (k + 1) * WIDTH
                count = sum(left <= time < right for time in recording.spike_times[unit])
                assert session.spikes[session.trial_start[position] + k, column] == count


def test_velocity_is_interpolated_to_bin_centres_across_repeated_time_stamps(recording, tmp_path):
    session = read_one(recording, tmp_path, bin_width_s=WIDTH)
    for position, trial in enumerate(REWARDED):
        phase = np.pi * (CUES[trial] + (np.arange(30) + 0.5) * WIDTH)
        expected = 4 * np.pi * np.stack([-np.sin(phase), np.cos(phase)], axis=1)
        rows = slice(session.trial_start[position], session.trial_end[position])
        np.testing.assert_allclose(session.behaviour[rows], expected, atol=0.01)
        assert session.position is not None
        np.testing.assert_allclose(
            session.position[rows], 4 * np.stack([np.cos(phase), np.sin(phase)], axis=1), atol=0.01
        )


def test_only_clean_rewarded_trials_are_kept_and_the_others_counted(recording, tmp_path):
    session = read_one(recording, tmp_path)
    assert session.target.tolist() == [3, 0, 7]
    (units, trials) = session.notes
    assert "2 units outside M1 left out" in units
    assert "3 of 8 trials used; left out: 2 with cursor outliers, 1 with missing kinematics" in trials
    assert "1 not rewarded" in trials
    assert "1 without go cue or target" in trials


def test_electrodes_count_within_m1_and_units_within_their_electrode(recording, tmp_path):
    session = read_one(recording, tmp_path)
    assert session.electrodes is not None
    assert session.electrodes.tolist() == [0, 2, 2, 4]
    assert session.unit_ids.tolist() == [0, 0, 1, 0]
    assert (session.animal, session.date, session.bin_width_s) == ("C", "2016-10-21", 0.02)
    assert not session.units_matched_across_sessions


def test_position_can_be_decoded_instead(recording, tmp_path):
    session = read_one(recording, tmp_path, behaviour="position")
    assert session.behaviour_names == ("position_x", "position_y")
    assert session.position is not None
    np.testing.assert_array_equal(session.behaviour, session.position)


def test_trial_that_ends_on_an_edge_keeps_its_last_bin(recording, tmp_path):
    recording.stops = [cue + 0.6 for cue in CUES]
    assert set(read_one(recording, tmp_path, bin_width_s=0.2).trial_lengths) == {3}


def test_too_long_and_too_short_trials_are_left_out(recording, tmp_path):
    # With the 0.5 s before the cue, trial 0 lasts 7 s and trial 1 0.45 s.
    recording.stops[0], recording.stops[1] = CUES[0] + 6.5, CUES[1] - 0.05
    session = read_one(recording, tmp_path)
    assert session.target.tolist() == [7]
    assert "2 not 0.5 to 6 s long" in session.notes[1]


def test_random_target_session_is_refused(recording, tmp_path):
    recording.task = "RT"
    with pytest.raises(DataError, match=r"random-target session.*\n.*centre-out"):
        read_one(recording, tmp_path)


def test_session_without_rewarded_trials_is_refused_with_the_reasons(recording, tmp_path):
    recording.results = ["F"] * 8
    with pytest.raises(DataError, match=r"none of the 8 trials can be used \(8 not rewarded\)"):
        read_one(recording, tmp_path)


def test_missing_cursor_is_refused_by_name(recording, tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "signals", lambda: {"Position": recording.position})
    with pytest.raises(DataError, match="holds no cursor velocity"):
        read_one(recording, tmp_path)


def test_muscles_are_not_read_from_nwb(recording, tmp_path):
    with pytest.raises(DataError, match=r"muscle activity is read from \.npz sessions only"):
        read_one(recording, tmp_path, behaviour="emg")


def test_trials_can_begin_before_the_go_cue(recording, tmp_path):
    alignment = Alignment("go_cue", -0.25)
    session = read_one(recording, tmp_path, bin_width_s=WIDTH, alignment=alignment)
    n_bins = 43  # 0.25 + 0.613 s
    assert session.trial_lengths.tolist() == [n_bins] * len(REWARDED)
    assert (session.go_cue - session.trial_start).tolist() == [12] * len(REWARDED)
    for position, trial in enumerate(REWARDED):
        for k in range(n_bins):
            left = CUES[trial] - 0.25 + k * WIDTH
            count = sum(left <= time < left + WIDTH for time in recording.spike_times[0])
            assert session.spikes[session.trial_start[position] + k, 0] == count


def test_trials_that_start_too_late_for_the_window_are_left_out(recording, tmp_path):
    with pytest.raises(DataError, match="that start too late for the window"):
        read_one(recording, tmp_path, alignment=Alignment("go_cue", -0.6))


def test_movement_onset_is_computed_from_the_speed_after_the_cue(recording, tmp_path):
    recording.velocity[:] = 0
    reactions = {trial: 0.15 + 0.02 * trial for trial in range(len(CUES))}
    for trial, cue in enumerate(CUES):
        tau = np.clip((recording.times - cue - reactions[trial]) / 0.3, 0, 1)
        recording.velocity[:, 1] += 30 * tau**2 * (1 - tau) ** 2
    recording.velocity[np.searchsorted(recording.times, 13.1), 0] = np.nan
    session = read_one(recording, tmp_path, bin_width_s=WIDTH, alignment=Alignment("movement_onset", -0.1))
    assert any("movement onset computed from the speed, in 7 of 8 trials" in note for note in session.notes)
    for position, trial in enumerate(REWARDED):
        # The acceleration passes half its peak 0.055 of the way into the movement; samples are 10 ms apart.
        expected = 0.613 - (reactions[trial] + 0.055 * 0.3) + 0.1
        assert session.trial_lengths[position] * WIDTH == pytest.approx(expected, abs=0.01 + WIDTH)
        first = session.trial_start[position] + 5
        speed = np.linalg.norm(session.behaviour, axis=1)
        assert speed[first - 5 : first - 1].max() < 0.05 < speed[first + 3]


def test_cursor_that_does_not_start_to_move_has_no_onset(recording, tmp_path):
    recording.velocity[:, 0], recording.velocity[:, 1] = 0, 5
    with pytest.raises(DataError, match="without movement onset"):
        read_one(recording, tmp_path, alignment=Alignment("movement_onset"))


def test_a_table_of_trials_without_go_cues_is_refused(recording, tmp_path, monkeypatch):
    def add_trials(file):
        for name in ("target_id", "result"):
            file.add_trial_column(name, name)
        for cue, stop in zip(CUES, recording.stops, strict=True):
            file.add_trial(start_time=cue, stop_time=stop, target_id=1.0, result="R")

    monkeypatch.setattr(recording, "add_trials", add_trials)
    recording.write(tmp_path / "day.nwb")
    with pytest.raises(
        DataError, match=r"day.nwb: the table of trials lacks go_cue_time\.\n.*convert the session"
    ):
        load_sessions(path=str(tmp_path), align_to="go_cue")


def test_go_cues_that_are_all_missing_are_refused_with_their_number(recording, tmp_path):
    recording.cues = [np.nan] * 8
    recording.write(tmp_path / "day.nwb")
    with pytest.raises(DataError, match=r"none of the 8 trials can be used \(.*7 without go cue or target"):
        load_sessions(path=str(tmp_path), align_to="movement_onset")
