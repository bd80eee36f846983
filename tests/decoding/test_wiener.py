from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold

from lightning_modules.parts.decoding.wiener import (
    CountFilter,
    Standardisation,
    choose_penalty,
    fit_wiener,
    lag_bins,
)
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import SpikeTrials


def slow_inputs(trials: SpikeTrials, lags: int, sd: float, root: bool, first_bin: bool) -> np.ndarray:
    """Standardised smoothed counts of the last bins, (K, T, L N), one number at a time."""
    n_trials, n_bins, n_units = trials.spikes.shape
    smooth = np.empty(trials.spikes.shape)
    for trial in range(n_trials):
        for unit in range(n_units):
            counts = trials.spikes[trial, :, unit].astype(float)
            smooth[trial, :, unit] = gaussian_filter1d(np.sqrt(counts) if root else counts, sd)
    spread = smooth.reshape(-1, n_units).std(axis=0)
    smooth = (smooth - smooth.reshape(-1, n_units).mean(axis=0)) / np.where(spread > 0, spread, 1)
    inputs = np.zeros((n_trials, n_bins, lags * n_units))
    for time in range(n_bins):
        for lag in range(lags):
            seen = time - lag
            if seen >= 0 or first_bin:
                inputs[:, time, lag * n_units : (lag + 1) * n_units] = smooth[:, max(seen, 0)]
    return inputs


@pytest.mark.parametrize("before_trial", ["mean", "first_bin"])
@pytest.mark.parametrize("root", [False, True])
def test_predictions_are_those_of_sklearns_ridge_on_inputs_gathered_in_a_slow_loop(
    trials: SpikeTrials, before_trial: Any, root: bool
) -> None:
    decoder = fit_wiener(
        trials, lags=3, smoothing_bins=1.2, root=root, before_trial=before_trial, penalty=20.0
    )
    inputs = slow_inputs(trials, 3, 1.2, root, before_trial == "first_bin").reshape(-1, 30)
    ridge = Ridge(alpha=20.0).fit(inputs, trials.behaviour.reshape(-1, 2).astype(float))
    expected = ridge.predict(inputs).reshape(trials.behaviour.shape)
    np.testing.assert_allclose(decoder.predict(trials.spikes), expected, rtol=0, atol=1e-10)


def test_the_penalty_is_the_one_with_the_least_squared_error_over_folds_of_whole_trials(
    trials: SpikeTrials,
) -> None:
    penalties = (0.1, 3.0, 30.0, 300.0, 3e4)
    inputs = slow_inputs(trials, 2, 1.0, False, False).reshape(-1, 20)
    behaviour = trials.behaviour.reshape(-1, 2).astype(float)
    trial = np.repeat(np.arange(48), 8)
    errors = np.zeros(len(penalties))
    for kept, held_out in GroupKFold(4).split(inputs, groups=trial):
        assert not set(trial[kept]) & set(trial[held_out])
        for place, penalty in enumerate(penalties):
            guess = Ridge(alpha=penalty).fit(inputs[kept], behaviour[kept]).predict(inputs[held_out])
            errors[place] += ((guess - behaviour[held_out]) ** 2).mean() / 4
    best = penalties[int(errors.argmin())]
    assert best not in (penalties[0], penalties[-1])
    assert fit_wiener(trials, lags=2, smoothing_bins=1.0, penalty=penalties, n_folds=4).penalty == best


def test_a_penalty_that_only_bins_of_the_same_trial_would_praise_is_not_chosen(
    rng: np.random.Generator,
) -> None:
    """Each trial has its own constant input and output: nothing carries over to another trial."""
    trial = np.tile(np.arange(40), 10)  # bins of all trials take turns
    inputs, behaviour = rng.standard_normal((40, 30))[trial], rng.standard_normal((40, 1))[trial]
    assert choose_penalty(inputs, behaviour, trial, (1e-3, 1e6), 5) == 1e6


@pytest.mark.parametrize(("before_trial", "first"), [("mean", 0), ("first_bin", 1)])
def test_the_first_lag_is_the_current_bin(before_trial: Any, first: int) -> None:
    lagged = lag_bins(np.arange(1.0, 5)[None, :, None], 3, before_trial)
    expected = [[1, first, first], [2, 1, first], [3, 2, 1], [4, 3, 2]]
    np.testing.assert_array_equal(lagged[0, :, :, 0], expected)


def test_signals_that_are_constant_but_for_round_off_keep_their_scale() -> None:
    signals = np.full((7, 3, 2), 0.1)
    signals[3, 1, 0] += 1e-15
    standardisation = Standardisation.of(signals)
    np.testing.assert_array_equal(standardisation.scale, 1)
    assert np.abs(standardisation(signals)).max() < 1e-14


def test_no_bin_after_the_present_one_is_used_without_smoothing(trials: SpikeTrials) -> None:
    decoder = fit_wiener(trials, lags=3, smoothing_bins=0, penalty=1.0)
    changed = trials.spikes.copy()
    changed[:, 5] += 3
    difference = np.abs(decoder.predict(changed) - decoder.predict(trials.spikes)).max(axis=(0, 2))
    assert (difference[:5] == 0).all()
    assert (difference[5:] > 1e-3).all()


def test_trials_do_not_leak_into_each_other(trials: SpikeTrials) -> None:
    decoder = fit_wiener(trials, lags=4, smoothing_bins=1.5, penalty=1.0)
    one_by_one = np.concatenate([decoder.predict(trials.spikes[[one]]) for one in range(48)])
    np.testing.assert_allclose(decoder.predict(trials.spikes), one_by_one, rtol=0, atol=1e-12)


def test_a_unit_that_was_silent_in_training_is_ignored_when_it_fires(trials: SpikeTrials) -> None:
    decoder = fit_wiener(trials, penalty=1.0)
    awake = trials.spikes.copy()
    awake[..., 4] = 9
    assert np.array_equal(decoder.predict(awake), decoder.predict(trials.spikes))


def test_linear_movement_is_decoded_exactly_without_penalty(rng: np.random.Generator) -> None:
    spikes: Any = rng.poisson(3.0, (30, 9, 4)).astype(float)
    lagged = lag_bins(Standardisation.of(spikes)(spikes), 3, "mean")
    behaviour: Any = np.einsum("ktln,lnd->ktd", lagged, rng.standard_normal((3, 4, 2))) + [40.0, -2.0]
    trials = SpikeTrials(spikes, behaviour, np.zeros(30, int), np.zeros(30, int))
    decoder = fit_wiener(trials, lags=3, smoothing_bins=0, penalty=0.0)
    np.testing.assert_allclose(decoder.predict(spikes), behaviour, rtol=0, atol=1e-10)
    np.testing.assert_allclose(decoder.intercept, [40.0, -2.0], rtol=0, atol=1e-10)


def test_all_bad_arguments_are_named_at_once(trials: SpikeTrials) -> None:
    with pytest.raises(ValueError, match=r"(?s)before_trial.*'zero'.*`lags` is 0.*`penalty`.*`n_folds` is 1"):
        fit_wiener(trials, lags=0, penalty=(-1.0, 2.0), n_folds=1, before_trial="zero")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`smoothing_bins` is -1"):
        CountFilter(smoothing_bins=-1)


def test_other_units_and_roots_of_latents_are_refused_with_the_cure(trials: SpikeTrials) -> None:
    decoder = fit_wiener(trials, penalty=1.0)
    with pytest.raises(DataError, match=r"fitted to 10 units.*\(48, 8, 9\)"):
        decoder.predict(trials.spikes[..., 1:])
    latents = replace(trials, spikes=trials.spikes - 1.5)
    with pytest.raises(DataError, match="`root=False` for latents"):
        fit_wiener(latents, root=True)
