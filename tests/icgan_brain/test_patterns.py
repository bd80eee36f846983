import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import normalize

from lightning_modules.icgan.brain.areas import area_means
from lightning_modules.icgan.brain.encoding import decode_by_area, partition_variance
from lightning_modules.icgan.brain.patterns import activation_pattern
from lightning_modules.icgan.regression.folds import grouped_folds
from lightning_modules.icgan.regression.ridge import fit_ridge
from lightning_modules.parts.errors import DataError


def test_the_pattern_is_the_covariance_formula():
    rng = np.random.default_rng(0)
    voxels = rng.standard_normal((80, 12)) @ rng.standard_normal((12, 12)) + 3
    weights = rng.standard_normal((12, 4))
    expected = np.cov(voxels.T) @ weights @ np.linalg.inv(np.cov((voxels @ weights).T))
    found = activation_pattern(voxels, voxels @ weights + 7)
    np.testing.assert_allclose(found.columns(), expected, rtol=1e-8)
    np.testing.assert_allclose(found.columns(slice(1, 3)), expected[:, 1:3], rtol=1e-8)
    np.testing.assert_allclose(found.l1(), np.abs(expected).sum(axis=1), rtol=1e-8)


def test_the_pattern_of_a_least_squares_decoder_is_the_forward_model_though_its_weights_are_not():
    """Voxel 0 carries the signal and a distractor, voxel 1 the distractor alone: only weights give it a part."""
    rng = np.random.default_rng(1)
    signal, distractor = rng.standard_normal((2, 200_000))
    forward = np.array([[1.0], [0.0], [-0.5]])
    voxels = signal[:, None] @ forward.T + np.outer(distractor, [1, 1, 0.3])
    voxels += 0.02 * rng.standard_normal(voxels.shape)
    decoder = LinearRegression().fit(voxels, signal[:, None])
    assert abs(decoder.coef_[0, 1]) > 0.4
    found = activation_pattern(voxels, decoder.predict(voxels)).columns()
    np.testing.assert_allclose(found, forward, atol=0.01)


def test_more_dimensions_than_rows_have_the_pattern_of_the_pseudoinverse():
    rng = np.random.default_rng(2)
    voxels, targets = rng.standard_normal((30, 45)), rng.standard_normal((30, 70))
    predictions = fit_ridge(voxels, targets, 20.0).predict(voxels)
    weights = Ridge(20.0).fit(voxels, targets).coef_.T
    expected = np.cov(voxels.T) @ weights @ np.linalg.pinv(np.cov(predictions.T), rcond=1e-12)
    found = activation_pattern(voxels, predictions)
    assert found.left.shape == (45, 29)
    np.testing.assert_allclose(found.columns(), expected, atol=1e-8)


def test_predictions_that_never_vary_have_no_pattern():
    found = activation_pattern(np.random.default_rng(3).standard_normal((9, 4)), np.full((9, 2), 0.1))
    np.testing.assert_array_equal(found.columns(), np.zeros((4, 2)))


def make_banks() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two independent banks, and voxels of the first, the second, both and neither, 25 each."""
    rng = np.random.default_rng(4)
    first, second = rng.standard_normal((600, 6)), 5 * rng.standard_normal((600, 8)) + 2
    weights = [normalize(rng.standard_normal((width, 100)), axis=0) for width in (6, 8)]
    one, other = first @ weights[0], (second - 2) / 5 @ weights[1]
    kind = np.repeat(np.arange(4), 25)
    voxels = np.where((kind == 0) | (kind == 2), one, 0) + np.where((kind == 1) | (kind == 2), other, 0)
    return first, second, voxels + rng.standard_normal(voxels.shape), kind


def test_independent_banks_explain_their_own_variance_and_share_none():
    first, second, voxels, kind = make_banks()
    fold = grouped_folds(np.arange(600) % 60, 6, seed=0)
    parts = partition_variance(first, second, voxels, fold)
    means = parts.of_areas({str(one): kind == one for one in range(4)})
    # Each bank's part and the noise have variance 1: a half from one bank, a third each from two.
    np.testing.assert_allclose(means["first_only"], [1 / 2, 0, 1 / 3, 0], atol=0.03)
    np.testing.assert_allclose(means["second_only"], [0, 1 / 2, 1 / 3, 0], atol=0.03)
    np.testing.assert_allclose(means["shared"], 0, atol=0.03)
    np.testing.assert_allclose(
        means["first_only"] + means["second_only"] + means["shared"], means["both"], atol=1e-12
    )


def test_a_bank_given_twice_has_nothing_of_its_own():
    first, _, voxels, kind = make_banks()
    fold = grouped_folds(np.arange(600) % 60, 6, seed=0)
    parts = partition_variance(first, first, voxels, fold)
    np.testing.assert_allclose(area_means(parts.first_only, {"first": kind == 0}), 0, atol=0.01)
    assert area_means(parts.shared, {"first": kind == 0})[0] > 0.4


def test_r2_of_one_penalty_is_that_of_scikit_learn():
    first, second, voxels, _ = make_banks()
    fold = np.arange(600) % 3
    parts = partition_variance(first, second, voxels, fold, alphas=[30.0])
    bank = np.concatenate([(one - one.mean(axis=0)) / one.std(axis=0) for one in (first, second)], axis=1)
    error, spread = np.zeros(100), np.zeros(100)
    for one in range(3):
        held = fold == one
        predicted = Ridge(30.0).fit(bank[~held], voxels[~held]).predict(bank[held])
        error += np.square(voxels[held] - predicted).sum(axis=0)
        spread += np.square(voxels[held] - voxels[~held].mean(axis=0)).sum(axis=0)
    np.testing.assert_allclose(parts.both, 1 - error / spread, atol=1e-9)


def test_each_area_is_decoded_from_its_own_voxels():
    rng = np.random.default_rng(5)
    targets = rng.standard_normal((130, 6))
    masks = {"sees": np.arange(60) < 30, "blind": np.arange(60) >= 30}
    voxels = np.where(masks["sees"], targets @ rng.standard_normal((6, 60)), 0)
    voxels = voxels + rng.standard_normal(voxels.shape)

    def fit(rows: np.ndarray, features: np.ndarray):
        return Ridge(1.0).fit(rows, features)

    found = decode_by_area(fit, (voxels[:100], targets[:100]), (voxels[100:], targets[100:]), masks)
    predicted = Ridge(1.0).fit(voxels[:100, :30], targets[:100]).predict(voxels[100:, :30])
    profile = [np.corrcoef(predicted[:, one], targets[100:, one])[0, 1] for one in range(6)]
    assert found["sees"].profile == pytest.approx(np.mean(profile))
    assert found["sees"].pairwise > 0.95
    assert found["blind"].pairwise == pytest.approx(0.5, abs=0.15)
    assert [one.n_voxels for one in found.values()] == [30, 30]


def test_voxels_of_another_session_are_refused():
    rows = np.zeros((5, 4)), np.zeros((5, 2))
    with pytest.raises(DataError, match=r"different numbers of voxels: \[3, 4\]"):
        decode_by_area(fit_ridge, rows, rows, {"V1": np.ones(3, bool)})
