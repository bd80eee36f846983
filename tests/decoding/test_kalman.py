from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lightning_modules.parts.decoding.kalman import KalmanDecoder, fit_kalman, states_of
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import SpikeTrials


def dense_filter(decoder: KalmanDecoder, counts: np.ndarray) -> np.ndarray:
    """E[state at t | counts of one trial up to t] from the joint Gaussian of all states and counts, (T, X)."""
    n_bins, n_units = counts.shape
    a, c = decoder.transition, decoder.observation
    n_states = len(a.offset)
    means = [decoder.initial_mean]
    for _ in range(n_bins - 1):
        means.append(a.matrix @ means[-1] + a.offset)
    # States are a linear image of the first state and of every noise: x = L (first, noise_1, ...).
    image = np.zeros((n_bins * n_states,) * 2)
    source = np.zeros_like(image)
    for time in range(n_bins):
        rows = slice(time * n_states, (time + 1) * n_states)
        source[rows, rows] = a.noise if time else decoder.initial_covariance
        for origin in range(time + 1):
            columns = slice(origin * n_states, (origin + 1) * n_states)
            image[rows, columns] = np.linalg.matrix_power(a.matrix, time - origin)
    of_states = image @ source @ image.T
    observe = np.kron(np.eye(n_bins), c.matrix)
    of_counts = observe @ of_states @ observe.T + np.kron(np.eye(n_bins), c.noise)
    found = []
    for time in range(n_bins):
        rows, seen = slice(time * n_states, (time + 1) * n_states), (time + 1) * n_units
        expected = np.concatenate([c.matrix @ one + c.offset for one in means[: time + 1]])
        surprise = counts[: time + 1].reshape(-1) - expected
        across = (of_states @ observe.T)[rows, :seen]
        found.append(means[time] + across @ np.linalg.solve(of_counts[:seen, :seen], surprise))
    return np.array(found)


@pytest.mark.parametrize("shrinkage", [0.0, 0.3])
def test_filtered_states_are_the_conditional_expectations_of_the_joint_gaussian(
    trials: SpikeTrials, shrinkage: float
) -> None:
    decoder = fit_kalman(trials, root=True, smoothing_bins=0.8, shrinkage=shrinkage)
    counts = decoder.standardisation(decoder.filter(trials.spikes))[..., decoder.observed]
    states = decoder.states(trials.spikes)
    for trial in (0, 17, 47):
        np.testing.assert_allclose(states[trial], dense_filter(decoder, counts[trial]), rtol=0, atol=1e-9)
    np.testing.assert_array_equal(decoder.predict(trials.spikes), states[..., :2])


def test_gains_are_those_of_the_textbook_recursion(trials: SpikeTrials) -> None:
    decoder = fit_kalman(trials)
    a, c, covariance = decoder.transition, decoder.observation, decoder.initial_covariance
    for time, gain in enumerate(decoder.gains(8)):
        if time:
            covariance = a.matrix @ covariance @ a.matrix.T + a.noise
        innovation = c.matrix @ covariance @ c.matrix.T + c.noise
        expected = covariance @ c.matrix.T @ np.linalg.inv(innovation)
        np.testing.assert_allclose(gain, expected, rtol=0, atol=1e-10)
        covariance = covariance - expected @ c.matrix @ covariance


def test_both_equations_are_fitted_by_least_squares_over_neighbouring_bins_of_a_trial(
    trials: SpikeTrials,
) -> None:
    decoder = fit_kalman(trials, shrinkage=0.0)
    counts = decoder.standardisation(trials.spikes.astype(float))[..., decoder.observed]
    before, after, now, seen = [], [], [], []
    for trial, moved in enumerate(trials.behaviour.astype(float)):
        states = [np.r_[moved[0], moved[1] - moved[0]]]
        states += [np.r_[moved[time], moved[time] - moved[time - 1]] for time in range(1, 8)]
        before += states[:-1]
        after += states[1:]
        now += states
        seen += list(counts[trial])
    for model, x, y in ((decoder.transition, before, after), (decoder.observation, now, seen)):
        design = np.column_stack([x, np.ones(len(x))])
        beta = np.linalg.pinv(design) @ np.array(y)
        residuals = np.array(y) - design @ beta
        np.testing.assert_allclose(model.matrix, beta[:-1].T, rtol=0, atol=1e-9)
        np.testing.assert_allclose(model.offset, beta[-1], rtol=0, atol=1e-9)
        np.testing.assert_allclose(model.noise, residuals.T @ residuals / len(x), rtol=0, atol=1e-9)


def test_the_first_state_has_mean_and_covariance_of_the_training_trials(trials: SpikeTrials) -> None:
    decoder = fit_kalman(trials)
    first = states_of(trials.behaviour.astype(float))[:, 0]
    np.testing.assert_allclose(decoder.initial_mean, first.mean(axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(decoder.initial_covariance, np.cov(first.T, ddof=0), rtol=0, atol=1e-12)


def test_shrinkage_replaces_a_part_of_the_units_covariance_by_its_mean_variance(trials: SpikeTrials) -> None:
    plain, shrunk = (fit_kalman(trials, shrinkage=one).observation.noise for one in (0.0, 0.25))
    expected = 0.75 * plain + 0.25 * np.trace(plain) / len(plain) * np.eye(len(plain))
    np.testing.assert_allclose(shrunk, expected, rtol=0, atol=1e-12)


def test_bins_to_come_change_nothing(trials: SpikeTrials) -> None:
    decoder = fit_kalman(trials)
    changed = trials.spikes.copy()
    changed[:, 5] += 3
    difference = np.abs(decoder.predict(changed) - decoder.predict(trials.spikes)).max(axis=(0, 2))
    assert (difference[:5] == 0).all()
    assert (difference[5:] > 1e-3).all()


def test_it_follows_held_out_movement_of_a_generated_linear_system(rng: np.random.Generator) -> None:
    """Behaviour is a random walk read out by 12 noisy units: the filter beats the best guess from one bin."""
    behaviour: Any = np.cumsum(rng.standard_normal((80, 30, 2)), axis=1)
    spikes = behaviour @ rng.standard_normal((2, 12)) + 6 * rng.standard_normal((80, 30, 12))
    trials = SpikeTrials(spikes, behaviour, np.zeros(80, int), np.zeros(80, int))
    decoder = fit_kalman(trials.select(np.arange(40)), shrinkage=0.0)
    design = np.column_stack([spikes[:40].reshape(-1, 12), np.ones(1200)])
    beta = np.linalg.lstsq(design, behaviour[:40].reshape(-1, 2))[0]
    one_bin = spikes[40:] @ beta[:-1] + beta[-1]
    errors = [((guess - behaviour[40:]) ** 2).mean() for guess in (decoder.predict(spikes[40:]), one_bin)]
    assert errors[0] < 0.6 * errors[1]


def test_copies_of_units_need_shrinkage(trials: SpikeTrials) -> None:
    twice = replace(trials, spikes=np.concatenate([trials.spikes, trials.spikes], axis=2))
    with pytest.raises(DataError, match=r"18 units(?s:.*)`shrinkage` above 0"):
        fit_kalman(twice, shrinkage=0.0)
    assert np.isfinite(fit_kalman(twice, shrinkage=0.1).predict(twice.spikes)).all()


def test_one_bin_and_a_shrinkage_above_one_are_refused(trials: SpikeTrials) -> None:
    with pytest.raises(DataError, match="two bins"):
        fit_kalman(replace(trials, spikes=trials.spikes[:, :1], behaviour=trials.behaviour[:, :1]))
    with pytest.raises(ValueError, match=r"`shrinkage` is 1\.5"):
        fit_kalman(trials, shrinkage=1.5)
