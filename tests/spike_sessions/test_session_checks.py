"""What a session refuses, and how it says so."""

import pickle

import numpy as np
import pytest

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import select_behaviour

NAN_IN_TRIAL = np.zeros((40, 2), dtype=np.float32)
NAN_IN_TRIAL[12:15, 1] = np.nan
NAN_IN_TRIAL[31, 1] = np.nan


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"behaviour": NAN_IN_TRIAL}, r"bins of 2 trials: 4 in velocity_y. Trials: 1, 3"),
        (
            {"trial_end": np.array([8, 18, 28, 41])},
            r"1 trials lie outside the recording of 40 bins.*\[30, 41\)",
        ),
        ({"trial_start": np.array([-1, 10, 20, 30])}, r"trial 0 with bins \[-1, 8\)"),
        ({"trial_end": np.array([8, 10, 28, 38])}, r"trial 1 with bins \[10, 10\)"),
        ({"target": np.array([0, 1])}, r"4, 4 and 2 entries"),
        (
            {"trial_start": np.array([], int), "trial_end": np.array([], int), "target": np.array([], int)},
            "no trial",
        ),
        ({"spikes": np.full((40, 5), -1)}, r"200 negative counts"),
        ({"spikes": np.zeros((40, 5))}, r"`spikes` is float64, not counts"),
        ({"spikes": np.zeros(40, np.uint8)}, r"shape \(40,\), not \(bins, units\)"),
        (
            {"behaviour": np.zeros((39, 2), np.float32)},
            r"`behaviour` has shape \(39, 2\), but `spikes` has 40 bins",
        ),
        ({"position": np.zeros((7, 2), np.float32)}, r"`position` has shape \(7, 2\)"),
        ({"behaviour_names": ("velocity_x",)}, r"`behaviour_names` names 1 of the 2 columns"),
        ({"bin_width_s": 0.0}, r"`bin_width_s` is 0, not a positive width"),
        ({"date": "10-07-2016"}, r"`date` is '10-07-2016', not a day.*\n.*2016-10-07"),
        ({"unit_ids": np.arange(4)}, r"`unit_ids` has 4 entries for 5 units"),
        ({"electrodes": np.zeros(3, int)}, r"`electrodes` has 3 entries for 5 units"),
        ({"unit_ids": np.array([0, 1, 1, 2, 3])}, r"unit \(1,\) occurs more than once"),
    ],
)
def test_parts_that_do_not_fit_are_refused_by_name(make_session, changes, message):
    with pytest.raises(DataError, match=message):
        make_session(**changes)


def test_error_names_the_source_and_the_cure(make_session):
    with pytest.raises(DataError, match=r"day3\.npz: `behaviour`") as caught:
        make_session(behaviour=NAN_IN_TRIAL, source="day3.npz")
    assert "Interpolate the gaps" in caught.value.remedy
    assert str(caught.value) == f"{caught.value.problem}\n{caught.value.remedy}"


def test_error_survives_pickling_with_both_parts():
    copy = pickle.loads(pickle.dumps(DataError("a problem", "a remedy")))
    assert (copy.problem, copy.remedy) == ("a problem", "a remedy")


def test_gaps_between_trials_are_allowed(make_session):
    behaviour = np.zeros((40, 2), dtype=np.float32)
    behaviour[[8, 9, 18, 39]] = np.nan
    assert np.isnan(make_session(behaviour=behaviour).behaviour).sum() == 8


def test_the_same_number_on_two_electrodes_is_two_units(make_session):
    session = make_session(unit_ids=np.array([1, 2, 1, 1, 2]), electrodes=np.array([0, 0, 1, 5, 5]))
    assert session.n_units == 5


def test_position_and_emg_can_become_the_behaviour(make_session):
    emg = np.ones((40, 3), dtype=np.float32)
    session = make_session(position=np.full((40, 2), 7, np.float32), emg=emg, emg_names=("FCR", "ECU", "BIC"))
    assert select_behaviour(session, "position").behaviour_names == ("position_x", "position_y")
    assert (select_behaviour(session, "position").behaviour == 7).all()
    assert select_behaviour(session, "emg").behaviour_names == ("FCR", "ECU", "BIC")
    assert select_behaviour(session, "velocity") is session


def test_behaviour_that_is_not_recorded_is_refused(make_session):
    with pytest.raises(DataError, match=r"holds no emg: its behaviour is velocity_x, velocity_y"):
        select_behaviour(make_session(), "emg")
