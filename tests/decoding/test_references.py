from functools import partial

import numpy as np
import pytest

from lightning_modules.parts.decoding.references import (
    fit_references,
    fit_target_means,
    predict_by_day,
    predict_same_day,
)
from lightning_modules.parts.decoding.wiener import fit_wiener
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import SpikeTrials

fit = partial(fit_wiener, lags=2, smoothing_bins=1, penalty=10.0)


def days_of(trials: SpikeTrials) -> list[SpikeTrials]:
    return [trials.select(np.flatnonzero(trials.session == one)) for one in range(3)]


def test_each_reference_is_the_decoder_of_its_days(trials: SpikeTrials) -> None:
    one, other, test = days_of(trials)
    found = fit_references([one, other], fit).predict(test)
    both = trials.select(np.flatnonzero(trials.session < 2))
    expected = {"first_day": one, "last_day": other, "pooled": both}
    for name, training in expected.items():
        np.testing.assert_array_equal(found[name], fit(training).predict(test.spikes))
    assert len({found[name].tobytes() for name in found}) == 4


def test_one_training_day_is_fitted_once_and_is_first_last_and_all(trials: SpikeTrials) -> None:
    fitted = []

    def counting_fit(day: SpikeTrials):
        fitted.append(day)
        return fit(day)

    references = fit_references(days_of(trials)[:1], counting_fit)
    assert references.first_day is references.last_day is references.pooled
    assert len(fitted) == 1


def test_the_oracle_predicts_the_training_mean_of_the_true_target(trials: SpikeTrials) -> None:
    training, test = days_of(trials)[0], days_of(trials)[1]
    predicted = fit_target_means(training).predict(test.target)
    for trial, target in enumerate(test.target):
        same = [
            moved.astype(float)
            for moved, one in zip(training.behaviour, training.target, strict=True)
            if one == target
        ]
        np.testing.assert_allclose(predicted[trial], sum(same) / len(same), rtol=0, atol=1e-12)


def test_the_oracle_predicts_the_overall_mean_for_targets_it_has_not_seen(trials: SpikeTrials) -> None:
    training = trials.select(np.flatnonzero(np.isin(trials.target, [1, 2])))
    predicted = fit_target_means(training).predict(np.array([0, 1, 3]))
    overall = training.behaviour.astype(float).mean(axis=0)
    np.testing.assert_allclose(predicted[[0, 2]], [overall, overall], rtol=0, atol=1e-12)
    assert np.abs(predicted[1] - overall).max() > 0.1


def test_the_same_day_oracle_never_predicts_a_trial_that_it_was_fitted_to(trials: SpikeTrials) -> None:
    """A decoder that answers with the trials it was fitted to is caught if it meets one of them again."""

    class Memory:
        def __init__(self, day: SpikeTrials) -> None:
            self.seen = {one.tobytes() for one in day.spikes}
            assert len(self.seen) == 36

        def predict(self, spikes: np.ndarray) -> np.ndarray:
            assert not self.seen & {one.tobytes() for one in spikes}
            return np.broadcast_to(spikes.sum(axis=(1, 2))[:, None, None], (len(spikes), 8, 2)).astype(float)

    predicted = predict_same_day(trials, Memory, n_folds=4)
    np.testing.assert_array_equal(predicted[:, 3, 1], trials.spikes.sum(axis=(1, 2)))


def test_no_training_day_is_refused() -> None:
    with pytest.raises(DataError, match="no training day"):
        fit_references([], fit)


def test_days_are_decoded_by_themselves_whatever_the_order_of_their_trials(
    trials: SpikeTrials, rng: np.random.Generator
) -> None:
    mixed = trials.select(rng.permutation(len(trials)))

    def mean_of_the_day(day: SpikeTrials) -> np.ndarray:
        return np.broadcast_to(day.behaviour.mean(axis=0), day.behaviour.shape)

    found = predict_by_day(mixed, mean_of_the_day)
    for position, session in enumerate(mixed.session):
        expected = mixed.behaviour[mixed.session == session].mean(axis=0)
        np.testing.assert_allclose(found[position], expected, rtol=1e-5)
