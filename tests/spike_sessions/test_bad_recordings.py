"""Recordings that cannot be used as asked: what was found, what was expected, what to do; from the outside."""

import numpy as np
import pytest

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import write_npz
from lightning_modules.parts.spikes.recordings import load_sessions, load_sessions_to_tell_apart
from neurosweep import console
from neurosweep.cli import main


@pytest.fixture
def days(make_session, tmp_path):
    """Two days of 4 trials of 0.8 s; the arguments change the second."""

    def write(**changes):
        folder = tmp_path / "days"
        folder.mkdir()
        write_npz(make_session(date="2020-02-01"), folder / "one.npz")
        write_npz(make_session(date="2020-02-02", seed=1), folder / "two.npz")
        with np.load(folder / "two.npz") as archive:
            entries = {**archive, **changes}
        np.savez(folder / "two.npz", **{name: one for name, one in entries.items() if one is not None})
        return str(folder)

    return write


def refusal(path, **settings):
    with pytest.raises(DataError) as caught:
        load_sessions(path=path, validation_fraction=0.5, **settings)
    return caught.value


def test_days_with_different_channel_counts_are_refused_with_both(days):
    path = days(spikes=np.ones((40, 4), np.uint8), unit_ids=np.arange(4))
    error = refusal(path, units="channel")
    assert "differ in their number of channels: 4 (two.npz); 5 (one.npz)" in error.problem
    assert "`--data.units matched`" in error.remedy
    assert load_sessions(path=path, units="matched", validation_fraction=0.5).training.spikes.shape[2] == 4


def test_gaps_in_the_behaviour_of_a_trial_are_refused_with_their_place(days):
    behaviour = np.zeros((40, 2), np.float32)
    behaviour[12:15, 1] = np.nan
    error = refusal(days(behaviour=behaviour))
    assert (
        "two.npz: `behaviour` is missing (NaN or infinite) in bins of 1 trials: 3 in velocity_y. Trials: 1."
        in (error.problem)
    )
    assert "Interpolate the gaps, or take these trials out" in error.remedy


def test_a_session_without_go_cues_cannot_be_aligned_to_them(days):
    error = refusal(days(), align_to="go_cue")
    assert error.problem == "one.npz does not say when the go cue was."
    assert "Add `go_cue`" in error.remedy


def test_a_session_in_which_nothing_moves_has_no_onset_to_align_to(days):
    path = days(behaviour=np.ones((40, 2), np.float32), movement_onset=np.full(4, -1))
    error = refusal(path, align_to="movement_onset")
    assert "two.npz: none of 4 trials has a bin the movement onset; 4 lack the event" in error.problem
    assert "`--data.align_to start`" in error.remedy


def test_a_window_that_begins_before_all_trials_is_refused(days):
    error = refusal(days(), align_to="movement_onset", window_start_s=-3)
    assert "one.npz: none of 4 trials has a bin 3 s before the movement onset" in error.problem
    assert "nearer to 0" in error.remedy


def test_a_window_longer_than_the_trials_is_refused_with_both_lengths(days):
    error = refusal(days(), window_s=1.2)
    assert error.problem == "A window of 1.2 s is 12 bins of 0.1 s; trials have up to 8."
    assert error.remedy == "Give `--data.window_s` between 0.1 and 0.8, or leave it out."


def test_a_window_longer_than_the_trials_of_one_day_is_refused_by_its_name(days):
    error = refusal(days(trial_end=np.array([4, 14, 24, 34])), window_s=0.8)
    assert "two.npz: no trial fills the window of 0.8 s; the longest is 0.4 s" in error.problem


def test_bins_that_do_not_make_up_the_asked_width_are_refused_with_a_width_that_would_do(days):
    error = refusal(days(), bin_width_s=0.25)
    assert error.problem == "one.npz has bins of 0.1 s; they do not make up 0.25 s."
    assert error.remedy == "Give `--data.bin_width_s` a whole multiple of 0.1, such as 0.2."


def test_one_training_day_is_refused_where_sessions_are_to_be_told_apart():
    few = {"n_sessions": 1, "trials_per_session": 16, "n_units": 4, "n_bins": 6}
    with pytest.raises(DataError, match="1 of 1 sessions are left to train on") as caught:
        load_sessions(**few)
    assert "--data.min_training_sessions 1" in caught.value.remedy
    # What helps the other variants does not help a classifier of sessions.
    assert len(load_sessions(min_training_sessions=1, **few).session_names) == 1
    with pytest.raises(DataError, match=r"1 training session \(2025-01-01\), but a classifier .* needs 2"):
        load_sessions_to_tell_apart(min_training_sessions=1, **few)


@pytest.mark.parametrize(
    ("family", "options", "said"),
    [
        (
            "sable",
            ("--data.window_s", "9"),
            ("A window of 9 s is 90 bins", "trials have up to 8", "between 0.1 and 0.8"),
        ),
        (
            "sable-dann",
            ("--data.min_training_sessions", "1", "--data.test_sessions", "1"),
            ("1 training session (2020-02-01)", "needs 2", "no_reversal"),
        ),
    ],
)
def test_the_command_line_says_it_and_exits_with_2(days, family, options, said, capsys, monkeypatch):
    monkeypatch.setattr(console.complaints, "_width", 300)
    assert main(["check", family, "--data.path", days(), "--read-data", *options]) == 2
    complaints = capsys.readouterr().err
    assert [text for text in said if text not in complaints] == []
