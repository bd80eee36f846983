"""The readers and splits on recordings of two monkeys; sources in `shared/data/README.md`."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import read_sessions
from lightning_modules.parts.spikes.data_module import SpikeDataModule
from lightning_modules.parts.spikes.recordings import load_sessions

RECORDINGS = Path(__file__).resolve().parents[2] / "../shared/data"

pytestmark = pytest.mark.skipif(
    not (RECORDINGS / "jango").is_dir(), reason="recordings of Jango and Chewie are not beside the repository"
)


def test_jango_is_read_with_matched_electrodes_and_split_by_trial():
    data = load_sessions(path=str(RECORDINGS / "jango"))
    assert data.session_names == ("2016-06-26", "2016-07-11")
    assert data.sealed_sessions == ()
    assert data.behaviour_names == ("force_x", "force_y")
    assert len(data.unit_names) == 96
    lengths = np.concatenate([session.trial_lengths for session in read_sessions(RECORDINGS / "jango")])
    assert np.mean(lengths >= 23) >= 0.95 > np.mean(lengths >= 24)
    assert data.training.spikes.shape[1:] == (23, 96)
    assert len(data.training) + len(data.validation) == int((lengths >= 23).sum())


def test_jango_cut_into_trials_is_the_recording_itself():
    session = read_sessions(RECORDINGS / "jango")[0]
    with np.load(RECORDINGS / "jango/jango_2016-06-26.npz") as archive:
        raw = dict(archive)
    np.testing.assert_array_equal(session.spikes, raw["spikes"])
    np.testing.assert_array_equal(session.behaviour, raw["behaviour"])
    data = load_sessions(path=str(RECORDINGS / "jango/jango_2016-06-26.npz"), min_training_sessions=1)
    starts = raw["trial_start"][raw["trial_end"] - raw["trial_start"] >= data.training.spikes.shape[1]]
    expected = {raw["spikes"][start : start + data.training.spikes.shape[1]].tobytes() for start in starts}
    assert {trial.tobytes() for split in data.splits.values() for trial in split.spikes} == expected


def test_force_of_jango_is_decoded_linearly_from_held_out_trials():
    """Within the day ridge reaches R² .91 on smoothed counts with ten lags; raw counts with two lags less."""
    data = load_sessions(path=str(RECORDINGS / "jango/jango_2016-06-26.npz"), min_training_sessions=1)

    def design(trials):
        counts = trials.spikes.astype(float)
        smooth = np.stack(
            [counts[:, max(0, t - 4) : t + 1].mean(axis=1) for t in range(counts.shape[1])], axis=1
        )
        return smooth.reshape(-1, 96)

    decoder = Ridge(10.0).fit(design(data.training), data.training.behaviour.reshape(-1, 2))
    score = r2_score(
        data.validation.behaviour.reshape(-1, 2),
        decoder.predict(design(data.validation)),
        multioutput="variance_weighted",
    )
    assert 0.6 < score < 0.95


def test_emg_of_jango_can_be_decoded_at_wider_bins():
    data = load_sessions(path=str(RECORDINGS / "jango"), behaviour="emg", bin_width_s=0.1)
    assert data.training.behaviour.shape[2] == 14
    assert data.behaviour_names[0] == "FCRr"


def test_chewie_is_padded_with_a_warning_because_its_units_are_not_matched():
    data = load_sessions(path=str(RECORDINGS / "chewie"))
    assert data.training.spikes.shape[1:] == (4, 174)
    late = data.training.session == 1
    assert not data.training.spikes[late][..., 155:].any()
    assert any("not matched across sessions" in note for note in data.notes)
    assert SpikeDataModule(data).model_arguments["mean_counts"][0] > 0


def test_units_of_chewie_cannot_be_matched():
    with pytest.raises(DataError, match="not matched across sessions"):
        load_sessions(path=str(RECORDINGS / "chewie"), units="matched")


def test_one_day_of_chewie_is_too_few_for_a_reversed_gradient():
    with pytest.raises(DataError, match="1 of 1 sessions are left to train on"):
        load_sessions(path=str(RECORDINGS / "chewie/chewie_2013-10-03.npz"))


def test_recordings_of_an_image_study_are_refused_with_the_missing_entries():
    with pytest.raises(DataError, match=r"is not a spike session: spikes, behaviour"):
        load_sessions(path=str(RECORDINGS / "miyawaki"))
