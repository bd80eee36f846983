from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy.stats import ortho_group
from sklearn.decomposition import PCA, FactorAnalysis

from lightning_modules.parts.decoding.alignment import (
    LatentMap,
    fit_aligned,
    fit_session_zscoring,
    predict_cross_aligned,
)
from lightning_modules.parts.decoding.cca import canonical_map, fit_cca, match_by_target
from lightning_modules.parts.decoding.procrustes import fit_procrustes, stable_rotation
from lightning_modules.parts.decoding.wiener import CountFilter, fit_wiener
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import SpikeTrials

fit = partial(fit_wiener, lags=2, smoothing_bins=0, penalty=1.0)


def test_zscored_days_have_mean_zero_and_deviation_one_each(trials: SpikeTrials) -> None:
    new_day = replace(trials, spikes=3 * trials.spikes[:30] + 1)
    alignment = fit_session_zscoring(trials, new_day, smoothing_bins=1.0)
    for signals in (alignment.of_first_day(trials.spikes), alignment.of_new_day(new_day.spikes)):
        active = np.arange(10) != 4
        np.testing.assert_allclose(signals.mean(axis=(0, 1)), 0, rtol=0, atol=1e-12)
        np.testing.assert_allclose(signals[..., active].std(axis=(0, 1)), 1, rtol=0, atol=1e-12)
        assert np.abs(signals[..., 4]).max() < 1e-12


def test_zscoring_undoes_a_change_of_gain_and_baseline_of_each_unit_exactly(
    trials: SpikeTrials, rng: np.random.Generator
) -> None:
    new_day = replace(trials, spikes=trials.spikes * rng.uniform(0.5, 3, 10) + rng.uniform(0, 4, 10))
    alignment = fit_session_zscoring(trials, new_day)
    decoder = fit_aligned(trials, alignment, fit)
    expected = fit_wiener(trials, lags=2, penalty=1.0).predict(trials.spikes)
    np.testing.assert_allclose(decoder.predict(new_day.spikes), expected, rtol=0, atol=1e-10)


def test_canonical_map_recovers_a_known_rotation_and_shift_exactly(rng: np.random.Generator) -> None:
    first = rng.standard_normal((200, 6)) * [9, 5, 3, 1, 0.3, 0.1] + 4
    rotation = ortho_group.rvs(6, random_state=rng)
    matrix, offset, correlations = canonical_map(first, first @ rotation + [7, -3, 0, 1, 2, 100])
    np.testing.assert_allclose(matrix, rotation.T, rtol=0, atol=1e-11)
    np.testing.assert_allclose(offset, -np.array([7, -3, 0, 1, 2, 100]) @ rotation.T, rtol=0, atol=1e-9)
    np.testing.assert_allclose(correlations, 1, rtol=0, atol=1e-12)


def test_canonical_map_recovers_a_known_linear_map_that_is_no_rotation(rng: np.random.Generator) -> None:
    first, mixing = rng.standard_normal((100, 4)), rng.standard_normal((4, 4))
    matrix, _, _ = canonical_map(first, first @ mixing)
    np.testing.assert_allclose(matrix, np.linalg.inv(mixing), rtol=0, atol=1e-10)


def test_correlations_are_those_of_the_covariances_and_mapped_points_have_the_first_days_covariance(
    rng: np.random.Generator,
) -> None:
    first = rng.standard_normal((300, 4)) @ rng.standard_normal((4, 4))
    new = first @ rng.standard_normal((4, 4)) + 2 * rng.standard_normal((300, 4))
    matrix, offset, correlations = canonical_map(first, new)
    joint = np.cov(first.T, new.T)
    xx, xy, yy = joint[:4, :4], joint[:4, 4:], joint[4:, 4:]
    squares = np.linalg.eigvals(np.linalg.solve(xx, xy) @ np.linalg.solve(yy, xy.T)).real
    np.testing.assert_allclose(correlations, np.sqrt(np.sort(squares)[::-1]), rtol=0, atol=1e-10)
    assert 0.05 < correlations[-1] < correlations[0] < 0.99
    mapped = new @ matrix + offset
    np.testing.assert_allclose(np.cov(mapped.T), xx, rtol=0, atol=1e-10)
    np.testing.assert_allclose(mapped.mean(axis=0), first.mean(axis=0), rtol=0, atol=1e-12)
    # Along each canonical direction of the first day, the mapped points correlate as canonically.
    left: Any = np.linalg.eig(np.linalg.solve(xx, xy) @ np.linalg.solve(yy, xy.T))
    for value, direction in zip(left.eigenvalues.real, left.eigenvectors.real.T, strict=True):
        found = np.corrcoef(first @ direction, mapped @ direction)[0, 1]
        assert found == pytest.approx(np.sqrt(value), abs=1e-9)


def test_cca_decodes_shuffled_units_exactly_as_the_first_day(
    trials: SpikeTrials, rng: np.random.Generator
) -> None:
    """A permutation of units turns the principal components; matched by the same trials it is undone."""
    new_day = replace(trials, spikes=trials.spikes[..., rng.permutation(10)])
    alignment = fit_cca(trials, new_day, n_components=4)
    first = alignment.of_first_day(trials.spikes)
    np.testing.assert_allclose(alignment.of_new_day(new_day.spikes), first, rtol=0, atol=1e-10)
    counts = CountFilter(True, 1.0)(trials.spikes).reshape(-1, 10)
    expected = PCA(4, svd_solver="full").fit_transform(counts).reshape(48, 8, 4)
    np.testing.assert_allclose(first, expected, rtol=0, atol=1e-10)
    decoder = fit_aligned(trials, alignment, fit)
    own = fit(replace(trials, spikes=first)).predict(first)
    np.testing.assert_allclose(decoder.predict(new_day.spikes), own, rtol=0, atol=1e-9)


def test_trials_are_matched_within_targets_as_a_slow_loop_matches_them(rng: np.random.Generator) -> None:
    first, new = rng.standard_normal((7, 3, 2)), rng.standard_normal((8, 3, 2))
    first_target, new_target = np.array([0, 1, 0, 2, 1, 1, 5]), np.array([1, 2, 2, 0, 0, 0, 1, 7])
    one, other = match_by_target(first, first_target, new, new_target, "trials")
    pairs = [(0, 3), (2, 4), (1, 0), (4, 6), (3, 1)]  # 0 twice, 1 twice, 2 once
    np.testing.assert_array_equal(one, np.concatenate([first[a] for a, _ in pairs]))
    np.testing.assert_array_equal(other, np.concatenate([new[b] for _, b in pairs]))
    one, other = match_by_target(first, first_target, new, new_target, "means")
    np.testing.assert_allclose(one[3:6], (first[1] + first[4] + first[5]) / 3, rtol=0, atol=1e-14)
    np.testing.assert_allclose(other[6:], (new[1] + new[2]) / 2, rtol=0, atol=1e-14)
    assert one.shape == other.shape == (9, 2)


def test_maps_of_latents_follow_each_other(trials: SpikeTrials, rng: np.random.Generator) -> None:
    weights, one, other = (rng.standard_normal(shape) for shape in ((10, 3), (3, 3), (3, 3)))
    plain = LatentMap(CountFilter(False, 0), rng.standard_normal(10), weights, rng.standard_normal(3))
    mapped = (plain(trials.spikes) @ one + 5) @ other - 2
    both = plain.then(one, np.full(3, 5.0)).then(other, np.full(3, -2.0))
    np.testing.assert_allclose(both(trials.spikes), mapped, rtol=0, atol=1e-11)


def test_trials_to_decode_are_never_aligned_with_and_every_fold_holds_each_target(
    trials: SpikeTrials,
) -> None:
    met, trials = [], trials.select(np.argsort(trials.target))

    class Marked:
        def __init__(self, first_day: SpikeTrials, kept: SpikeTrials) -> None:
            assert first_day is trials
            assert sorted(set(kept.target)) == [0, 1, 2, 3]
            self.seen = {one.tobytes() for one in kept.spikes}

        def of_first_day(self, spikes: np.ndarray) -> np.ndarray:
            return spikes.astype(float)

        def of_new_day(self, spikes: np.ndarray) -> np.ndarray:
            assert not self.seen & {one.tobytes() for one in spikes}
            met.append(len(spikes))
            return spikes.astype(float)

    predicted = predict_cross_aligned(trials, trials, align=Marked, fit=fit, n_folds=4)
    assert met == [12] * 4
    np.testing.assert_allclose(predicted, fit(trials).predict(trials.spikes), rtol=0, atol=1e-12)


def test_procrustes_recovers_a_known_rotation_of_loadings_exactly_and_finds_the_changed_channels(
    rng: np.random.Generator,
) -> None:
    first = rng.standard_normal((30, 5))
    rotation = ortho_group.rvs(5, random_state=rng)
    new = first @ rotation.T
    changed = [2, 11, 17, 29]
    new[changed] += rng.standard_normal((4, 5))
    kept, found = stable_rotation(first, new, 26)
    np.testing.assert_array_equal(kept, np.setdiff1d(np.arange(30), changed))
    np.testing.assert_allclose(found, rotation, rtol=0, atol=1e-12)
    _, spoilt = stable_rotation(first, new, 30)
    assert np.abs(spoilt - rotation).max() > 1e-3


def test_factors_are_sklearns_posterior_means_of_scaled_counts(trials: SpikeTrials) -> None:
    alignment = fit_procrustes(trials, trials, n_components=3, smoothing_bins=1.0)
    active = np.arange(10) != 4
    counts = CountFilter(True, 1.0)(trials.spikes)[..., active].reshape(-1, 9)
    model = FactorAnalysis(3, svd_method="lapack").fit(counts / counts.std(axis=0))
    expected = model.transform(counts / counts.std(axis=0)).reshape(48, 8, 3)
    np.testing.assert_allclose(alignment.of_first_day(trials.spikes), expected, rtol=0, atol=1e-9)
    # The same day again needs no turn at all.
    np.testing.assert_allclose(alignment.of_new_day(trials.spikes), expected, rtol=0, atol=1e-9)
    assert 4 not in alignment.stable_channels
    assert len(alignment.stable_channels) == round(0.6 * 9)


def test_procrustes_carries_the_first_days_decoder_over_replaced_channels(rng: np.random.Generator) -> None:
    """Ten of 40 channels record something else on the new day, one is dead, and all baselines move."""
    loadings = rng.standard_normal((3, 40))
    replaced = loadings.copy()
    replaced[:, 30:] = rng.standard_normal((3, 10))

    def day(weights: np.ndarray, baseline: np.ndarray) -> SpikeTrials:
        latents: Any = np.cumsum(rng.standard_normal((60, 20, 3)), axis=1) / 3
        spikes = latents @ weights + baseline + rng.standard_normal((60, 20, 40))
        spikes[..., 3] = 0
        return SpikeTrials(spikes, latents[..., :2], np.zeros(60, int), np.zeros(60, int))

    first_day, new_day = day(loadings, np.zeros(40)), day(replaced, rng.normal(0, 3, 40))
    alignment = fit_procrustes(
        first_day, new_day, n_components=3, stable_fraction=29 / 39, root=False, smoothing_bins=0
    )
    np.testing.assert_array_equal(alignment.stable_channels, np.setdiff1d(np.arange(30), 3))
    guess = fit_aligned(first_day, alignment, fit).predict(new_day.spikes)
    fixed = fit_wiener(first_day, lags=2, smoothing_bins=0, penalty=1.0).predict(new_day.spikes)
    errors = [((one - new_day.behaviour) ** 2).mean() / new_day.behaviour.var() for one in (guess, fixed)]
    assert errors[0] < 0.1 < 0.2 < errors[1]


def test_days_that_cannot_be_aligned_are_refused_with_the_cure(trials: SpikeTrials) -> None:
    shorter = replace(trials, spikes=trials.spikes[:, 1:])
    with pytest.raises(DataError, match="8 and 7 bins with 4 targets"):
        fit_cca(trials, shorter, n_components=3)
    with pytest.raises(DataError, match="0 targets in common"):
        fit_cca(trials, replace(trials, target=trials.target + 9), n_components=3)
    few = np.random.default_rng(0).standard_normal((2, 32, 40))
    with pytest.raises(DataError, match="32 matched points do not span 40 dimensions"):
        canonical_map(*few)
    flat = np.random.default_rng(0).standard_normal((50, 2))[:, [0, 1, 1]]
    with pytest.raises(DataError, match="50 matched points do not span 3 dimensions"):
        canonical_map(flat, flat)
    with pytest.raises(DataError, match="`n_components` is 11"):
        fit_cca(trials, trials, n_components=11)
    with pytest.raises(ValueError, match=r"'pairs'.*trials, means"):
        fit_cca(trials, trials, n_components=2, matching="pairs")  # type: ignore[arg-type]
    fewer = replace(trials, spikes=trials.spikes[..., 1:])
    for align in (fit_session_zscoring, partial(fit_procrustes, n_components=2)):
        with pytest.raises(DataError, match="10 units"):
            align(trials, fewer)
    with pytest.raises(DataError, match="2 stable channels do not fix the rotation of 4"):
        fit_procrustes(trials, trials, n_components=4, stable_fraction=0.2)
    with pytest.raises(ValueError, match="`stable_fraction` is 0"):
        fit_procrustes(trials, trials, stable_fraction=0.0)
