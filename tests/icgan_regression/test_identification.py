from itertools import permutations
from typing import Any, cast

import numpy as np
import pytest
from scipy.stats import binomtest, pearsonr

from lightning_modules.icgan.scoring.identification import (
    correlate,
    count_better,
    identify,
    n_way,
    pattern_correlation,
    profile_correlation,
)
from lightning_modules.parts.errors import DataError


def noisy_features(
    n_stimuli: int, n_dimensions: int, noise: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((n_stimuli, n_dimensions))
    return truth + noise * rng.standard_normal(truth.shape), truth


def pairwise_corr_all(truth: np.ndarray, predicted: np.ndarray) -> tuple[float, np.ndarray]:
    """Brain-Diffuser's definition: columns are predictions, rows candidates, strict."""
    n = len(truth)
    r = np.corrcoef(truth, predicted)[:n, n:]
    congruent = np.diag(r)
    success = r < congruent
    return float(success.sum(0).mean() / (n - 1)), success.sum(0) / (n - 1)


@pytest.mark.parametrize("noise", [0.5, 3.0, 20.0])
def test_two_way_identification_is_that_of_brain_diffusers_code(noise: float) -> None:
    predicted, truth = noisy_features(30, 40, noise)
    found = identify(correlate(predicted, truth), np.arange(30))
    accuracy, correct = pairwise_corr_all(truth, predicted)
    assert found.accuracy == pytest.approx(accuracy, abs=1e-12)
    np.testing.assert_allclose(found.correct, correct, rtol=0, atol=1e-12)
    other_way, _ = pairwise_corr_all(predicted, truth)
    among_predictions = identify(correlate(predicted, truth), np.arange(30), "among_predictions")
    assert among_predictions.accuracy == pytest.approx(other_way, abs=1e-12)
    assert among_predictions.direction == "among_predictions"


def test_the_two_directions_differ_where_one_prediction_is_like_everything() -> None:
    similarity = np.array([[0.9, 0.8, 0.8], [0.1, 0.5, 0.2], [0.1, 0.2, 0.5]])
    among_stimuli = identify(similarity, np.arange(3))
    among_predictions = identify(similarity, np.arange(3), "among_predictions")
    np.testing.assert_allclose(among_stimuli.correct, [1, 1, 1])
    np.testing.assert_allclose(among_predictions.correct, [1, 0.5, 0.5])


def test_ties_are_failures() -> None:
    found = identify(np.array([[0.5, 0.5, 0.1], [0.2, 0.2, 0.2], [0.0, 0.1, 0.3]]), np.arange(3))
    np.testing.assert_allclose(found.correct, [0.5, 0.0, 1.0])


def test_a_mean_prediction_identifies_nothing_once_it_is_centred() -> None:
    _, truth = noisy_features(10, 40, 0)
    mean = truth.mean(axis=0)
    for dtype in (np.float32, np.float64):
        predicted = np.tile(mean, (10, 1)).astype(dtype)
        similarity = correlate(predicted, truth.astype(dtype), mean.astype(dtype))
        np.testing.assert_array_equal(similarity, 0)
        assert identify(similarity, np.arange(10)).accuracy == 0


def test_centring_undoes_shrinkage_towards_the_training_mean() -> None:
    rng = np.random.default_rng(0)
    mean = 5 * rng.standard_normal(60)
    predicted, truth = noisy_features(40, 60, 2.0)
    shrunk = mean + 0.01 * predicted
    centred = identify(correlate(shrunk, mean + truth, mean), np.arange(40)).accuracy
    raw = identify(correlate(shrunk, mean + truth), np.arange(40)).accuracy
    assert centred == pytest.approx(pairwise_corr_all(truth, predicted)[0], abs=1e-12)
    assert raw < centred - 0.1


@pytest.mark.parametrize("direction", ["among_stimuli", "among_predictions"])
def test_trials_of_one_stimulus_are_never_each_others_distractors(direction: Any) -> None:
    rng = np.random.default_rng(1)
    stimulus = rng.permutation(np.repeat(np.arange(6), [1, 2, 3, 4, 5, 2]))
    truth = rng.standard_normal((6, 12))
    predicted = truth[stimulus] + 2 * rng.standard_normal((17, 12))
    similarity = correlate(predicted, truth)
    correct = []
    for row, own in enumerate(stimulus):
        if direction == "among_stimuli":
            others = [similarity[row, k] for k in range(6) if k != own]
        else:
            others = [similarity[k, own] for k in range(17) if stimulus[k] != own]
        correct.append(np.mean([other < similarity[row, own] for other in others]))
    found = identify(similarity, stimulus, direction)
    np.testing.assert_allclose(found.correct, correct, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [2, 5, 10, 50])
def test_closed_form_n_way_is_a_simulation_of_draws(n: int) -> None:
    predicted, truth = noisy_features(50, 30, 2.5)
    similarity = correlate(predicted, truth)
    rng = np.random.default_rng(0)
    n_draws = 4000
    hits = np.zeros(50)
    for row in range(50):
        others = np.delete(np.arange(50), row)
        drawn = others[rng.random((n_draws, 49)).argsort(axis=1)[:, : n - 1]]
        hits[row] = (similarity[row, drawn] < similarity[row, row]).all(axis=1).mean()
    closed = n_way(similarity, np.arange(50), n)
    error = np.sqrt(np.maximum(closed * (1 - closed), 1e-9) / n_draws)
    assert (np.abs(closed - hits) <= 4.5 * error).all()
    assert closed.mean() == pytest.approx(hits.mean(), abs=4 * np.sqrt((error**2).sum()) / 50)


def test_two_way_is_pairwise_and_all_way_is_exact_retrieval() -> None:
    predicted, truth = noisy_features(50, 30, 2.5)
    similarity = correlate(predicted, truth)
    np.testing.assert_allclose(
        n_way(similarity, np.arange(50), 2), identify(similarity, np.arange(50)).correct, rtol=1e-12
    )
    retrieved = similarity.argmax(axis=1) == np.arange(50)
    assert 0 < retrieved.mean() < 1
    np.testing.assert_array_equal(n_way(similarity, np.arange(50), 50), retrieved)


def test_ranks_count_ties_against_the_own_stimulus() -> None:
    similarity = np.array([[0.9, 0.1, 0.2], [0.4, 0.4, 0.1], [0.3, 0.3, 0.3]])
    np.testing.assert_array_equal(count_better(similarity, np.arange(3)), [0, 1, 2])


@pytest.mark.parametrize("n", [1, 51])
def test_n_out_of_range_is_refused(n: int) -> None:
    predicted, truth = noisy_features(50, 5, 1.0)
    with pytest.raises(ValueError, match=f"`n` is {n}, but must be from 2 to the 50 stimuli"):
        n_way(correlate(predicted, truth), np.arange(50), n)


@pytest.mark.parametrize("direction", ["among_stimuli", "among_predictions"])
def test_the_permutation_p_is_that_of_all_permutations_of_the_labels(direction: Any) -> None:
    """Six stimuli with one to three trials each: 720 relabellings, each scored anew."""
    rng = np.random.default_rng(3)
    stimulus = np.array([0, 1, 1, 2, 2, 2, 3, 4, 5, 5])
    truth = rng.standard_normal((6, 8))
    similarity = correlate(truth[stimulus] + 2.2 * rng.standard_normal((10, 8)), truth)
    found = identify(similarity, stimulus, direction)
    accuracies = np.array(
        [
            identify(similarity[:, list(labels)], stimulus, direction).accuracy
            for labels in permutations(range(6))
        ]
    )
    exact = (accuracies >= found.accuracy - 1e-12).mean()
    assert 0.005 < exact < 0.5  # neither end of the scale
    n_permutations = 20_000
    spread = np.sqrt(exact * (1 - exact) / n_permutations)
    assert found.p_value(n_permutations, seed=1) == pytest.approx(exact, abs=4 * spread + 1e-4)
    null = found.null(n_permutations, seed=2)
    assert null.mean() == pytest.approx(accuracies.mean(), abs=4 * accuracies.std() / np.sqrt(n_permutations))
    assert set(null.round(9)) <= set(accuracies.round(9))


def test_the_lowest_p_of_10000_permutations_is_one_in_10001() -> None:
    predicted, truth = noisy_features(50, 200, 0.1)
    assert identify(correlate(predicted, truth), np.arange(50)).p_value() == pytest.approx(1 / 10_001)


def test_p_of_chance_is_uniform_where_the_public_binomial_is_far_too_low() -> None:
    p, public = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        found = identify(correlate(rng.standard_normal((20, 5)), rng.standard_normal((20, 5))), np.arange(20))
        p.append(found.p_value(400, seed))
        public.append(found.public_code_p)
    # Binomial: 200 tests at 0.1 reject 20 ± 4.2.
    assert 8 <= sum(one <= 0.1 for one in p) <= 34
    assert sum(one <= 0.1 for one in public) > 45


def test_public_code_p_is_the_binomial_test_of_all_pairs() -> None:
    predicted, truth = noisy_features(12, 10, 4.0)
    found = identify(correlate(predicted, truth), np.arange(12))
    n_wins = round(found.accuracy * 132)
    expected = binomtest(n_wins, 132, 0.5, alternative="greater").pvalue
    assert found.public_code_p == pytest.approx(expected, rel=1e-9)


def test_profile_and_pattern_correlations_are_scipys() -> None:
    predicted, truth = noisy_features(20, 9, 1.5)
    predicted[:, 7] = 3.0
    truth[:, 8] = 0.1
    profile = profile_correlation(predicted, truth)
    expected = [pearsonr(predicted[:, one], truth[:, one]).statistic for one in range(7)]
    np.testing.assert_allclose(profile[:7], expected, rtol=1e-10)
    assert profile[7] == 0
    assert np.isnan(profile[8])
    mean, std = np.arange(9.0), np.array([1, 2, 3, 4, 5, 6, 7, 8, 0.0])
    rows = [
        pearsonr((predicted[one, :8] - mean[:8]) / std[:8], (truth[one, :8] - mean[:8]) / std[:8]).statistic
        for one in range(20)
    ]
    np.testing.assert_allclose(pattern_correlation(predicted, truth, mean, std), rows, rtol=1e-10)


def test_labels_and_features_that_do_not_fit_are_refused() -> None:
    similarity, unknown = np.eye(4), cast(Any, "both")
    with pytest.raises(DataError, match=r"labels go from 1 to 4 of 4 stimuli"):
        identify(similarity, np.arange(1, 5))
    with pytest.raises(DataError, match=r"\(3,\) labels do not fit similarities \(4, 4\)"):
        identify(similarity, np.arange(3))
    with pytest.raises(DataError, match="not two stimuli"):
        identify(similarity, np.zeros(4, dtype=np.int64))
    with pytest.raises(ValueError, match="must be one of among_stimuli, among_predictions"):
        identify(similarity, np.arange(4), unknown)
    with pytest.raises(DataError, match=r"predictions \(4, 4\) and stimuli \(4, 3\) differ"):
        correlate(similarity, similarity[:, :3])
    with pytest.raises(DataError, match="1 values of the predictions are not finite"):
        correlate(np.array([[np.nan, 1.0]]), np.eye(2))
    with pytest.raises(DataError, match="4 predictions have 3 truths"):
        profile_correlation(similarity, similarity[:3])
