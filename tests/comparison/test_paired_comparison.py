"""Paired comparisons over seeds against scipy and against a full list of resamples."""

import math

import numpy as np
import pytest
from scipy import stats

from neurosweep.comparison.paired import compare_seeds


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def test_the_t_interval_is_that_of_scipys_paired_test_on_means_over_days(rng: np.random.Generator) -> None:
    first, second = rng.standard_normal((6, 3)) + 0.4, rng.standard_normal((6, 3))
    found = compare_seeds(first, second, confidence=0.9)
    test = stats.ttest_rel(first.mean(axis=1), second.mean(axis=1))
    assert found.difference == pytest.approx((first - second).mean(), abs=1e-12)
    assert found.t_interval == pytest.approx(tuple(test.confidence_interval(0.9)), abs=1e-12)
    assert found.n_greater == (first.mean(axis=1) > second.mean(axis=1)).sum()
    assert found.n_seeds == 6


def test_the_bootstrap_interval_holds_the_quantiles_of_all_resamples_of_three_seeds() -> None:
    """Three seeds have 27 equally likely resamples; their means can be listed."""
    differences = np.array([0.0, 1.0, 5.0])
    means = [np.mean(differences[[a, b, c]]) for a in range(3) for b in range(3) for c in range(3)]
    found = compare_seeds(differences + 2, np.full(3, 2.0), confidence=0.8, n_resamples=20000)
    expected = np.quantile(means, [0.1, 0.9], method="inverted_cdf")
    assert found.bootstrap_interval == pytest.approx(tuple(expected), abs=1e-9)
    again = compare_seeds(differences + 2, np.full(3, 2.0), confidence=0.8, n_resamples=20000)
    assert again == found


def test_intervals_of_normal_differences_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        found = compare_seeds(rng.normal(0.3, 1, (5, 2)), rng.normal(0, 1, (5, 2)), n_resamples=10)
        covered += found.t_interval[0] <= 0.3 <= found.t_interval[1]
    assert covered / 400 == pytest.approx(0.95, abs=0.03)


def test_equal_models_differ_by_nothing() -> None:
    found = compare_seeds([0.5, 0.7, 0.6], [0.5, 0.7, 0.6])
    assert (found.difference, found.t_interval, found.bootstrap_interval) == (0, (0, 0), (0, 0))
    assert found.n_greater == 0


def test_unpaired_single_and_failed_scores_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"(?s)\(2, 1\) and \(3, 1\).*not all finite"):
        compare_seeds([[1.0], [math.nan]], [[1.0], [2.0], [3.0]])
    with pytest.raises(ValueError, match="1 seed says nothing"):
        compare_seeds([0.5], [0.4])
