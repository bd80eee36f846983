"""Movement onset against the closed form of a minimum-jerk reach, and trials that begin at an event."""

import numpy as np
import pytest
from scipy.optimize import brentq

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import generate_sessions, read_npz, rebin_session, write_npz
from lightning_modules.parts.spikes.events import Alignment, align_trials, find_onsets, onset_of
from lightning_modules.parts.spikes.recordings import load_sessions
from lightning_modules.parts.spikes.session import NO_EVENT
from lightning_modules.parts.spikes.synthetic import generate_recording


def acceleration(tau):
    return 60 * tau * (1 - tau) * (1 - 2 * tau)


PEAK_TAU = (3 - np.sqrt(3)) / 6
HALF_RISE = brentq(lambda tau: acceleration(tau) - acceleration(PEAK_TAU) / 2, 0, PEAK_TAU)
"""Part of a minimum-jerk movement after which its acceleration passes half of its peak: 0.055."""


@pytest.mark.parametrize(("reaction", "duration"), [(0.2, 0.36), (0.05, 0.8), (0.4, 0.25)])
def test_onset_is_where_acceleration_passes_half_its_peak(reaction, duration):
    step = 0.001
    tau = np.clip((np.arange(0, 1.2, step) - reaction) / duration, 0, 1)
    onset = onset_of(30 * tau**2 * (1 - tau) ** 2)
    assert onset * step == pytest.approx(reaction + HALF_RISE * duration, abs=1.5 * step)


@pytest.mark.parametrize("scale", [1e-3, 5e4])
def test_onset_does_not_depend_on_the_unit_of_the_speed(scale):
    speed = np.array([0, 1, 1, 0, 1, 6, 15, 22, 24, 20, 9, 2.0])
    assert onset_of(scale * speed) == onset_of(speed) == 4


def test_a_twitch_before_the_reach_is_no_onset():
    assert onset_of(np.array([0, 2, 0, 0, 0, 8, 16, 18, 9, 0.0])) == 4


@pytest.mark.parametrize(
    "speed", [np.zeros(9), np.linspace(9, 0, 9), np.array([10, 12, 9, 5, 1.0]), np.zeros(0)]
)
def test_trials_at_rest_or_in_mid_movement_have_no_onset(speed):
    assert onset_of(speed) == NO_EVENT


@pytest.mark.parametrize("width", [0.01, 0.02, 0.03])
def test_onsets_of_generated_reaches_are_found_within_a_bin(width):
    recording = generate_recording(
        n_sessions=1, bin_width_s=width, n_bins=round(0.9 / width), behaviour="velocity", n_units=2
    )
    session, reaches = recording.sessions[0], recording.truth[0].reaches
    centres = (find_onsets(session) - session.trial_start + 0.5) * width
    expected = reaches.reaction_s + HALF_RISE * reaches.duration_s
    assert np.abs(centres - expected).max() <= width
    recorded = session.movement_onset - session.trial_start
    assert recorded.tolist() == [int(time // width) for time in reaches.reaction_s]


def test_speed_comes_from_position_where_velocity_is_not_decoded():
    velocity, position = (
        generate_sessions(n_sessions=1, n_bins=45, n_units=2, behaviour=name)[0]
        for name in ("velocity", "position")
    )
    difference = find_onsets(position) - find_onsets(velocity)
    assert set(difference.tolist()) <= {0, 1}


def test_a_trial_that_stays_still_among_moving_ones_has_no_onset(make_session):
    behaviour = np.zeros((40, 2), np.float32)
    profile = np.array([0, 0, 0, 2, 7, 9, 4, 1])
    for start, scale in ((0, 1.0), (10, 0.05), (20, 1.2), (30, 0.8)):
        behaviour[start : start + 8, 0] = scale * profile
    assert find_onsets(make_session(behaviour=behaviour)).tolist() == [3, NO_EVENT, 23, 33]


def test_movement_is_searched_after_the_go_cue(make_session):
    behaviour = np.zeros((40, 2), np.float32)
    for start in (0, 10, 20, 30):
        behaviour[start : start + 8, 1] = [0, 9, 0, 0, 0, 0, 9, 8]
    late = make_session(behaviour=behaviour, go_cue=np.array([2, 12, 22, 32]))
    assert (find_onsets(late) - late.trial_start).tolist() == [5] * 4
    assert (find_onsets(make_session(behaviour=behaviour)) - late.trial_start).tolist() == [0] * 4


def test_trials_begin_at_the_event_and_those_that_do_not_reach_back_are_left_out(make_session):
    session = make_session(go_cue=np.array([3, 11, NO_EVENT, 35]))
    aligned = align_trials(session, Alignment("go_cue", -0.2))
    assert aligned.trial_start.tolist() == [1, 33]
    assert aligned.trial_end.tolist() == [8, 38]
    assert aligned.target.tolist() == [0, 1]
    assert aligned.go_cue.tolist() == [3, 35]
    assert "2 of 4 trials without a bin 0.2 s before the go cue left out" in aligned.notes[0]


def test_start_can_be_moved_later_but_not_earlier(make_session):
    assert align_trials(make_session(), Alignment("start", 0.3)).trial_start.tolist() == [3, 13, 23, 33]
    with pytest.raises(DataError, match=r"`window_start_s` is -0.1.*aligned to `start`(.|\n)*go_cue"):
        Alignment("start", -0.1)
    with pytest.raises(DataError, match=r"`align_to` is 'reward'(.|\n)*start, go_cue, movement_onset"):
        Alignment("reward")  # type: ignore[arg-type]


def test_wider_bins_begin_at_the_event_and_keep_it(make_session):
    session = make_session(movement_onset=np.array([3, 13, 24, 34]))
    wide = rebin_session(align_trials(session, Alignment("movement_onset", -0.2)), 0.2)
    spikes = [
        session.spikes[first : first + 2].sum(axis=0)
        for onset, end in zip([3, 13, 24, 34], session.trial_end, strict=True)
        for first in range(onset - 2, end - 1, 2)
    ]
    np.testing.assert_array_equal(wide.spikes, spikes)
    assert (wide.movement_onset - wide.trial_start).tolist() == [1, 1, 1, 1]


def test_events_outside_the_wider_bins_are_not_known_any_more(make_session):
    session = make_session(trial_start=np.array([2, 10, 20, 30]), go_cue=np.array([0, 12, 27, NO_EVENT]))
    # Trials of 6, 8, 8 and 8 bins make 2 wider bins each; the third's cue is in the two bins left over.
    assert rebin_session(session, 0.3).go_cue.tolist() == [NO_EVENT, 2, NO_EVENT, NO_EVENT]


def test_events_are_written_and_read_back_and_nan_means_none(make_session, tmp_path):
    write_npz(make_session(go_cue=np.array([3, 11, 22, 35])), tmp_path / "day.npz")
    assert read_npz(tmp_path / "day.npz").go_cue.tolist() == [3, 11, 22, 35]
    with np.load(tmp_path / "day.npz") as archive:
        entries = {**archive, "movement_onset": np.array([4.0, np.nan, 23.0, 36.0])}
    np.savez(tmp_path / "day.npz", **entries)
    assert read_npz(tmp_path / "day.npz").movement_onset.tolist() == [4, NO_EVENT, 23, 36]


@pytest.mark.parametrize("values", [np.array([1, 2]), np.array([1, 11, 21, 40]), np.array([-2, 11, 21, 31])])
def test_events_that_do_not_fit_the_trials_are_refused(make_session, values):
    with pytest.raises(DataError, match=r"`go_cue` has \d entries for 4 trials.*40 bins(.|\n)*-1 where"):
        make_session(go_cue=values)


def test_generated_trials_are_cut_around_their_onsets():
    sizes = {"trials_per_session": 24, "n_units": 6, "n_bins": 30}
    data = load_sessions(
        align_to="movement_onset", window_start_s=-0.09, window_s=0.3, generated_bin_width_s=0.03, **sizes
    )
    sessions = generate_sessions(n_sessions=5, bin_width_s=0.03, behaviour="position", **sizes)
    expected = []
    for session in sessions[:3]:
        for trial in range(24):
            first = session.movement_onset[trial] - 3
            if first >= session.trial_start[trial] and first + 10 <= session.trial_end[trial]:
                expected.append(session.spikes[first : first + 10])
    assert len(expected) > 60
    np.testing.assert_array_equal(data.training.spikes, expected)
    assert data.alignment == Alignment("movement_onset", -0.09)
    assert "Trials begin 0.09 s before the movement onset." in data.notes


def test_recorded_sessions_are_aligned_by_the_speed_whatever_is_decoded(tmp_path):
    (session,) = generate_sessions(
        n_sessions=1, trials_per_session=24, n_units=4, n_bins=30, bin_width_s=0.03, behaviour="velocity"
    )
    write_npz(session, tmp_path / "day.npz")
    with np.load(tmp_path / "day.npz") as archive:
        entries = {name: archive[name] for name in archive.files if name != "movement_onset"}
    np.savez(tmp_path / "day.npz", **entries)
    data = load_sessions(
        path=str(tmp_path),
        align_to="movement_onset",
        window_s=0.3,
        min_training_sessions=1,
        behaviour="position",
    )
    assert data.behaviour_names == ("position_x", "position_y")
    onsets = find_onsets(session)
    blocks = {session.spikes[one : one + 10].tobytes() for one in onsets}
    cut = [*data.training.spikes, *data.validation.spikes]
    assert {trial.tobytes() for trial in cut} == blocks
    assert any("movement onset computed from the speed, in 24 of 24 trials" in note for note in data.notes)
