import math
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import r2_score

from lightning_modules.parts.decoding.day_scores import (
    DayScore,
    Spread,
    days_between,
    score_days,
    summarise_days,
)
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import SpikeTrials

NAMES = ("2016-02-28", "2016-03-01", "2016-03-01 (2)")


def scored(predicted: np.ndarray, trials: SpikeTrials) -> tuple[DayScore, ...]:
    return score_days(
        predicted, trials, session_names=NAMES, behaviour_names=("x", "y"), last_training_day="2016-02-27"
    )


@pytest.fixture
def predicted(trials: SpikeTrials, rng: np.random.Generator) -> np.ndarray:
    return trials.behaviour + rng.standard_normal(trials.behaviour.shape) * [0.5, 1.0]


def test_every_score_of_a_day_is_sklearns_on_the_trials_of_that_day(
    trials: SpikeTrials, predicted: np.ndarray
) -> None:
    for position, score in enumerate(scored(predicted, trials)):
        ours = trials.session == position
        truth, guess = trials.behaviour[ours].astype(float), predicted[ours]
        rows = truth.reshape(-1, 2), guess.reshape(-1, 2)
        assert score.r2 == pytest.approx(r2_score(*rows, multioutput="variance_weighted"), abs=1e-9)
        each: Any = r2_score(*rows, multioutput="raw_values")
        assert score.r2_of_dimension == pytest.approx({"x": each[0], "y": each[1]}, abs=1e-9)
        flat: Any = r2_score(truth.reshape(16, -1), guess.reshape(16, -1), multioutput="raw_values")
        assert score.r2_flat == pytest.approx(flat.mean(), abs=1e-9)
        means = {one: truth[trials.target[ours] == one].mean(axis=0) for one in range(4)}
        oracle = np.array([means[one] for one in trials.target[ours]])
        within = 1 - ((truth - guess) ** 2).sum() / ((truth - oracle) ** 2).sum()
        assert score.r2_within_target == pytest.approx(within, abs=1e-9)


def test_days_are_named_counted_and_dated_across_a_leap_day(
    trials: SpikeTrials, predicted: np.ndarray
) -> None:
    uneven = np.r_[0:16, 18:48]
    scores = scored(predicted[uneven], trials.select(uneven))
    assert [(one.day, one.gap_days, one.n_trials) for one in scores] == [
        ("2016-02-28", 1, 16), ("2016-03-01", 3, 14), ("2016-03-01 (2)", 3, 16),
    ]  # fmt: skip
    assert days_between("2016-03-01", "2016-02-28 (2)") == -2


def test_days_without_trials_are_not_scored(trials: SpikeTrials, predicted: np.ndarray) -> None:
    later = np.flatnonzero(trials.session == 2)
    assert [one.day for one in scored(predicted[later], trials.select(later))] == ["2016-03-01 (2)"]


def test_the_summary_gives_mean_and_worst_day() -> None:
    days = [DayScore("d", 1, 5, r2, r2 - 0.1, r2 - 0.5, {}) for r2 in (0.9, 0.3, 0.6)]
    found = summarise_days(days)
    assert found["r2"] == Spread(pytest.approx(0.6), 0.3)  # type: ignore[arg-type]
    assert found["r2_flat"].worst == pytest.approx(0.2)
    assert found["r2_within_target"].mean == pytest.approx(0.1)
    failed = [*days, DayScore("d", 2, 5, math.nan, 0, 0, {})]
    assert math.isnan(summarise_days(failed)["r2"].worst)
    with pytest.raises(DataError, match="No day"):
        summarise_days([])


def test_predictions_of_other_trials_or_dimensions_are_refused(
    trials: SpikeTrials, predicted: np.ndarray
) -> None:
    with pytest.raises(DataError, match=r"\(47, 8, 2\) for 2 named dimensions"):
        scored(predicted[1:], trials)
    with pytest.raises(DataError, match="for 1 named dimensions"):
        score_days(
            predicted, trials, session_names=NAMES, behaviour_names=("x",), last_training_day="2016-01-01"
        )
