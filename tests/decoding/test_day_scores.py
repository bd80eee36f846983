import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import r2_score

from lightning_modules.parts.decoding.day_scores import (
    DayScore,
    Spread,
    compare_models,
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


def test_the_t_interval_is_that_of_scipys_paired_test_on_means_over_days(rng: np.random.Generator) -> None:
    first, second = rng.standard_normal((6, 3)) + 0.4, rng.standard_normal((6, 3))
    found = compare_models(first, second, confidence=0.9)
    test = stats.ttest_rel(first.mean(axis=1), second.mean(axis=1))
    assert found.difference == pytest.approx((first - second).mean(), abs=1e-12)
    assert found.t_interval == pytest.approx(tuple(test.confidence_interval(0.9)), abs=1e-12)
    assert found.n_better == (first.mean(axis=1) > second.mean(axis=1)).sum()
    assert found.n_seeds == 6


def test_the_bootstrap_interval_holds_the_quantiles_of_all_resamples_of_three_seeds() -> None:
    """Three seeds have 27 equally likely resamples; their means can be listed."""
    differences = np.array([0.0, 1.0, 5.0])
    means = [np.mean(differences[[a, b, c]]) for a in range(3) for b in range(3) for c in range(3)]
    found = compare_models(differences + 2, np.full(3, 2.0), confidence=0.8, n_resamples=20000)
    expected = np.quantile(means, [0.1, 0.9], method="inverted_cdf")
    assert found.bootstrap_interval == pytest.approx(tuple(expected), abs=1e-9)
    again = compare_models(differences + 2, np.full(3, 2.0), confidence=0.8, n_resamples=20000)
    assert again == found


def test_intervals_of_normal_differences_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        found = compare_models(rng.normal(0.3, 1, (5, 2)), rng.normal(0, 1, (5, 2)), n_resamples=10)
        covered += found.t_interval[0] <= 0.3 <= found.t_interval[1]
    assert covered / 400 == pytest.approx(0.95, abs=0.03)


def test_equal_models_differ_by_nothing() -> None:
    found = compare_models([0.5, 0.7, 0.6], [0.5, 0.7, 0.6])
    assert (found.difference, found.t_interval, found.bootstrap_interval) == (0, (0, 0), (0, 0))
    assert found.n_better == 0


def test_unpaired_single_and_failed_scores_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"(?s)\(2, 1\) and \(3, 1\).*not all finite"):
        compare_models([[1.0], [math.nan]], [[1.0], [2.0], [3.0]])
    with pytest.raises(ValueError, match="1 seed says nothing"):
        compare_models([0.5], [0.4])


def test_predictions_of_other_trials_or_dimensions_are_refused(
    trials: SpikeTrials, predicted: np.ndarray
) -> None:
    with pytest.raises(DataError, match=r"\(47, 8, 2\) for 2 named dimensions"):
        scored(predicted[1:], trials)
    with pytest.raises(DataError, match="for 1 named dimensions"):
        score_days(
            predicted, trials, session_names=NAMES, behaviour_names=("x",), last_training_day="2016-01-01"
        )
