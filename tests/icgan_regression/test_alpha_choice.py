from typing import Any

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.metrics import r2_score

from lightning_modules.icgan.regression.alpha_choice import choose_alpha, score_held_out
from lightning_modules.icgan.regression.folds import grouped_folds, predict_by_refitting
from lightning_modules.icgan.regression.held_out import GroupedFolds, LeaveOneOut, predict_held_out
from lightning_modules.icgan.regression.kernel import RadialBasis, fit_kernel_ridge
from lightning_modules.icgan.regression.ridge import fit_ridge, linear_kernel
from lightning_modules.parts.errors import DataError

ALPHAS = np.array([0.1, 10.0, 300.0, 1e4, 1e6])
PER_TARGET = np.array([0.5, 3.0, 20.0, 100.0, 500.0, 2e3, 2e4])


def brute_force(
    voxels: np.ndarray, targets: np.ndarray, fold: np.ndarray, alpha: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of scikit-learn's ridge fitted anew for every fold, and the training mean each time."""
    predicted, means = np.empty_like(targets), np.empty_like(targets)
    for name in np.unique(fold):
        held = fold == name
        ridge = SklearnRidge(alpha=alpha).fit(voxels[~held], targets[~held])
        predicted[held] = ridge.predict(voxels[held])
        means[held] = targets[~held].mean(axis=0)
    return predicted, means


def slow_scores(voxels: np.ndarray, targets: np.ndarray, fold: np.ndarray, scoring: str) -> np.ndarray:
    scores = np.empty((len(ALPHAS), targets.shape[1]))
    for at, alpha in enumerate(ALPHAS):
        predicted, means = brute_force(voxels, targets, fold, alpha)
        for one in range(targets.shape[1]):
            true, guess, mean = targets[:, one], predicted[:, one], means[:, one]
            if scoring == "correlation":
                scores[at, one] = pearsonr(true - mean, guess - mean).statistic
            else:
                scores[at, one] = 1 - ((true - guess) ** 2).sum() / ((true - mean) ** 2).sum()
    return scores


@pytest.mark.parametrize("alpha", [0.1, 50.0, 1e4, PER_TARGET], ids=str)
@pytest.mark.parametrize("n_voxels", [20, 90])
def test_leave_one_out_in_closed_form_is_brute_force(recording: Any, alpha: Any, n_voxels: int) -> None:
    voxels = recording.voxels[:, :n_voxels]
    predicted = predict_held_out(LeaveOneOut.of(linear_kernel(voxels)), recording.targets, alpha)
    expected, _ = brute_force(voxels, recording.targets, np.arange(60), alpha)
    np.testing.assert_allclose(predicted, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("alpha", [0.1, 50.0, PER_TARGET], ids=str)
def test_held_out_folds_are_those_of_sklearns_ridge_fitted_for_each(recording: Any, alpha: Any) -> None:
    fold = grouped_folds(recording.category, 4, seed=0)
    predicted = predict_held_out(
        GroupedFolds.of(linear_kernel(recording.voxels), fold), recording.targets, alpha
    )
    expected, _ = brute_force(recording.voxels, recording.targets, fold, alpha)
    np.testing.assert_allclose(predicted, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("scoring", ["correlation", "r2"])
@pytest.mark.parametrize("way", ["folds", "leave one out"])
def test_scores_are_those_of_a_slow_loop(recording: Any, scoring: Any, way: str) -> None:
    kernel = linear_kernel(recording.voxels)
    fold = np.arange(60) if way == "leave one out" else grouped_folds(recording.category, 5, seed=1)
    held_out = LeaveOneOut.of(kernel) if way == "leave one out" else GroupedFolds.of(kernel, fold)
    scores = score_held_out(held_out, recording.targets, ALPHAS, scoring)
    expected = slow_scores(recording.voxels, recording.targets, fold, scoring)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-10)


def test_a_shared_penalty_is_the_one_of_the_highest_mean_score_and_comes_with_its_predictions(
    recording: Any,
) -> None:
    fold = grouped_folds(recording.category, 4, seed=0)
    choice = choose_alpha(
        GroupedFolds.of(linear_kernel(recording.voxels), fold), recording.targets, ALPHAS, scoring="r2"
    )
    expected = slow_scores(recording.voxels, recording.targets, fold, "r2").mean(axis=1)
    np.testing.assert_allclose(choice.curve, expected, rtol=0, atol=1e-10)
    best = ALPHAS[expected.argmax()]
    assert best not in ALPHAS[[0, -1]]  # or the test would not see a wrong order
    np.testing.assert_array_equal(choice.alpha, np.full(7, best))
    predicted, _ = brute_force(recording.voxels, recording.targets, fold, best)
    np.testing.assert_allclose(choice.predictions, predicted, rtol=0, atol=1e-10)


def graded_targets(rng: np.random.Generator, n_targets: int) -> tuple[np.ndarray, np.ndarray]:
    """Voxels, and targets whose noise grows from nothing to ten times the signal."""
    voxels = rng.standard_normal((80, 50))
    signal = voxels @ rng.standard_normal((50, n_targets)) / 7
    return voxels, signal + np.geomspace(0.01, 10, n_targets) * rng.standard_normal((80, n_targets))


def test_each_target_gets_its_own_best_penalty(recording: Any) -> None:
    voxels, targets = graded_targets(np.random.default_rng(0), 16)
    fold = np.arange(80) % 5
    choice = choose_alpha(
        GroupedFolds.of(linear_kernel(voxels), fold), targets, ALPHAS, sharing="per_target", scoring="r2"
    )
    expected = slow_scores(voxels, targets, fold, "r2")
    np.testing.assert_array_equal(choice.alpha, ALPHAS[expected.argmax(axis=0)])
    assert len(np.unique(choice.alpha)) >= 3
    predicted, _ = brute_force(voxels, targets, fold, choice.alpha)
    np.testing.assert_allclose(choice.predictions, predicted, rtol=0, atol=1e-10)


def test_eight_bands_of_targets_that_are_predicted_alike_share_a_penalty() -> None:
    voxels, targets = graded_targets(np.random.default_rng(0), 32)
    fold = np.arange(80) % 5
    choice = choose_alpha(
        GroupedFolds.of(linear_kernel(voxels), fold), targets, ALPHAS, sharing="banded", scoring="r2"
    )
    expected = slow_scores(voxels, targets, fold, "r2")
    order = expected.max(axis=0).argsort()
    for band in order.reshape(8, 4):
        best = ALPHAS[expected[:, band].mean(axis=1).argmax()]
        np.testing.assert_array_equal(choice.alpha[band], np.full(4, best))
    assert len(np.unique(choice.alpha)) >= 3


def test_between_equal_scores_the_higher_penalty_is_chosen_and_a_constant_target_scores_zero() -> None:
    rng = np.random.default_rng(0)
    voxels = rng.standard_normal((20, 30))
    targets = np.stack([np.full(20, 0.1), voxels[:, 0]], axis=1)
    for scoring in ("correlation", "r2"):
        choice = choose_alpha(
            LeaveOneOut.of(linear_kernel(voxels)), targets, ALPHAS, sharing="per_target", scoring=scoring
        )
        np.testing.assert_array_equal(choice.scores[:, 0], 0)
        assert choice.alpha[0] == ALPHAS[-1]
        np.testing.assert_allclose(choice.predictions[:, 0], 0.1, rtol=1e-12)


def test_a_penalty_that_predicts_the_mean_is_not_scored_below_nothing() -> None:
    """The mean of the other rows falls as the left-out one rises: raw predictions would correlate at -1."""
    rng = np.random.default_rng(4)
    voxels, targets = rng.standard_normal((40, 30)), rng.standard_normal((40, 200))
    held_out = LeaveOneOut.of(linear_kernel(voxels))
    raw = predict_held_out(held_out, targets, 1e12)
    assert pearsonr(raw[:, 0], targets[:, 0]).statistic < -0.99
    scores = score_held_out(held_out, targets, [1e12])
    assert abs(scores.mean()) < 0.1


def test_float32_targets_are_predicted_in_float32_as_in_float64(recording: Any) -> None:
    held_out = GroupedFolds.of(linear_kernel(recording.voxels), np.arange(60) % 6)
    single = recording.targets.astype(np.float32)
    predicted = predict_held_out(held_out, single, 10.0)
    assert predicted.dtype == np.float32
    np.testing.assert_allclose(
        predicted, predict_held_out(held_out, recording.targets, 10.0), rtol=0, atol=2e-5
    )


def test_a_nonlinear_kernel_is_held_out_as_by_fitting_anew(recording: Any) -> None:
    kernel, fold = RadialBasis(0.3), grouped_folds(recording.category, 4, seed=0)
    closed = predict_held_out(
        GroupedFolds.of(kernel(recording.voxels, recording.voxels), fold), recording.targets, 0.2
    )
    refitted = predict_by_refitting(
        lambda voxels, targets: fit_kernel_ridge(voxels, targets, 0.2, kernel=kernel),
        recording.voxels,
        recording.targets,
        fold,
    )
    np.testing.assert_allclose(closed, refitted, rtol=0, atol=1e-10)


def test_predictions_by_refitting_leave_the_fold_out(recording: Any) -> None:
    fold = np.arange(60) % 3
    predicted = predict_by_refitting(
        lambda voxels, targets: fit_ridge(voxels, targets, 5.0), recording.voxels, recording.targets, fold
    )
    expected, _ = brute_force(recording.voxels, recording.targets, fold, 5.0)
    np.testing.assert_allclose(predicted, expected, rtol=0, atol=1e-9)


def test_folds_hold_whole_categories_and_are_as_large_as_each_other() -> None:
    category = np.repeat(np.arange(150) * 7, 8)
    fold = grouped_folds(category, 6, seed=3)
    assert all(len(set(fold[category == one])) == 1 for one in np.unique(category))
    np.testing.assert_array_equal(np.bincount(fold), [200] * 6)
    assert (grouped_folds(category, 6, seed=3) == fold).all()
    assert (grouped_folds(category, 6, seed=4) != fold).any()


def test_folds_of_unequal_categories_differ_by_no_more_than_the_smallest_category_that_is_dealt_last() -> (
    None
):
    rng = np.random.default_rng(0)
    category = rng.permutation(np.repeat(np.arange(40), rng.integers(3, 30, 40)))
    sizes = np.bincount(grouped_folds(category, 5, seed=0))
    assert sizes.max() - sizes.min() <= 5


def test_more_folds_than_categories_are_refused() -> None:
    with pytest.raises(DataError, match="3 categories cannot be held out in 4 folds"):
        grouped_folds(np.array([1, 1, 2, 5]), 4, seed=0)


def test_wrong_choices_are_refused_with_what_there_is(recording: Any) -> None:
    held_out = LeaveOneOut.of(linear_kernel(recording.voxels))
    unknown: Any = "all"
    with pytest.raises(ValueError, match=r"ascend.*`sharing` is 'all', but must be one of shared, banded"):
        choose_alpha(held_out, recording.targets, [10.0, 1.0], sharing=unknown)
    with pytest.raises(ValueError, match="must be one of correlation, r2"):
        choose_alpha(held_out, recording.targets, ALPHAS, scoring=unknown)
    with pytest.raises(DataError, match=r"shape \(59, 7\) are not 60 rows"):
        choose_alpha(held_out, recording.targets[1:], ALPHAS)
    with pytest.raises(DataError, match="1 folds"):
        GroupedFolds.of(linear_kernel(recording.voxels), np.zeros(60, dtype=np.int64))


def test_r2_of_one_fold_against_the_training_mean_is_close_to_sklearns_over_all_rows(recording: Any) -> None:
    """scikit-learn takes the mean of the test rows; with many folds the two means differ little."""
    fold = np.arange(60) % 20
    scores = score_held_out(
        GroupedFolds.of(linear_kernel(recording.voxels), fold), recording.targets, ALPHAS, "r2"
    )
    predicted, _ = brute_force(recording.voxels, recording.targets, fold, ALPHAS[2])
    expected = r2_score(recording.targets, predicted, multioutput="raw_values")
    np.testing.assert_allclose(scores[2], expected, rtol=0, atol=0.05)
