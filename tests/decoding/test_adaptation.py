"""What adapts to sealed days: the same decoded traces as by hand, and scores apart from the rest."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from lightning_modules.parts.decoding.adaptation import BY_TARGET, UNLABELLED, decode_aligned, decode_read_in
from lightning_modules.parts.decoding.alignment import fit_aligned, predict_cross_aligned
from lightning_modules.parts.decoding.cca import fit_cca
from lightning_modules.parts.decoding.evaluation import SealedDays
from lightning_modules.parts.decoding.inference import infer
from lightning_modules.parts.decoding.kalman import fit_kalman
from lightning_modules.parts.decoding.procrustes import fit_procrustes
from lightning_modules.parts.decoding.read_in import fit_read_in
from lightning_modules.parts.decoding.wiener import fit_wiener
from lightning_modules.parts.spikes.recordings import load_sessions, open_sealed_sessions
from lightning_modules.sable.module import Sable

SETTINGS = {
    "trials_per_session": 48, "n_units": 20, "n_bins": 10, "generated_bin_width_s": 0.07,
    "n_sessions": 4, "test_sessions": 1, "preset": "exchangeable",
}  # fmt: skip


@pytest.fixture(scope="module")
def data():
    return load_sessions(**SETTINGS)


@pytest.fixture(scope="module")
def sealed_trials(data):
    return open_sealed_sessions(data, SETTINGS).trials


@pytest.fixture(scope="module")
def aligned(data, sealed_trials):
    """Decoded from sealed days whose behaviour is not to be seen."""
    hidden = np.full_like(sealed_trials.behaviour, np.nan)
    return decode_aligned(data.training, replace(sealed_trials, behaviour=hidden))


def day(trials, session):
    return trials.select(np.flatnonzero(trials.session == session))


def model_of(data, seed):
    torch.manual_seed(seed)
    return Sable(
        n_units=20, n_bins=10, bin_width_s=0.07, behaviour_names=list(data.behaviour_names),
        mean_counts=data.training.spikes.mean(axis=(0, 1)).tolist(), behaviour_mean=[0.0] * 2,
        behaviour_scale=[1.0] * 2,
    )  # fmt: skip


def test_aligned_days_are_decoded_with_the_last_training_days_filter_and_without_their_behaviour(
    data, sealed_trials, aligned
):
    found, notes = aligned
    last = day(data.training, data.training.session.max())
    fit = partial(fit_wiener, smoothing_bins=0)
    by_hand = fit_aligned(last, fit_procrustes(last, sealed_trials), fit).predict(sealed_trials.spikes)
    np.testing.assert_allclose(found["procrustes"], by_hand)
    crossed = predict_cross_aligned(last, sealed_trials, align=fit_cca, fit=fit)
    np.testing.assert_allclose(found["cca"], crossed)
    assert set(found) == {"matched", *UNLABELLED, *BY_TARGET}
    assert not notes


def test_an_alignment_that_cannot_be_fitted_is_named_and_the_others_are_there(data, sealed_trials):
    found, notes = decode_aligned(data.training, sealed_trials.select(np.arange(6)))
    assert {"matched", "z_scored"} <= set(found)
    assert any(note.startswith("The alignment `cycle` could not be fitted: The days have") for note in notes)
    assert "cycle" not in found


def test_scores_of_adapted_models_are_sklearns_and_stand_apart(data, sealed_trials):
    models = [model_of(data, seed) for seed in (0, 1)]
    sealed = SealedDays(data, SETTINGS)
    plain, adapted = sealed.score(models), sealed.score(models, adapt=True)
    decoded = decode_read_in(models, data.training, sealed_trials)
    for model, ours, without, scores in zip(models, decoded, plain.scores, adapted.scores, strict=True):
        read_in = fit_read_in(model, data.training.spikes, sealed_trials.spikes)
        by_hand = infer(model, read_in(sealed_trials.spikes)).behaviour
        np.testing.assert_array_equal(ours, by_hand)
        truth = sealed_trials.behaviour.reshape(-1, 2)
        expected = r2_score(truth, by_hand.reshape(-1, 2), multioutput="variance_weighted")
        assert scores["test_adapted/behaviour_r2"] == pytest.approx(expected, abs=1e-5)
        assert scores["test_adapted/behaviour_r2_worst_session"] == pytest.approx(expected, abs=1e-5)
        assert {name: value for name, value in scores.items() if name.startswith("test/")} == without
    assert {"read_in_ensemble", "cycle", "cca"} <= set(adapted.references)
    assert set(plain.references) == {
        name for name, scores in adapted.references.items() if "test_adapted/behaviour_r2" not in scores
    }
    assert adapted.days == plain.days


def test_the_pooled_kalman_filter_is_a_reference(data, sealed_trials):
    rows = [row for row in SealedDays(data, SETTINGS).score([]).days if row["reference"] == "pooled_kalman"]
    predicted = fit_kalman(data.training).predict(sealed_trials.spikes).reshape(-1, 2)
    truth = sealed_trials.behaviour.reshape(-1, 2)
    assert rows[0]["r2"] == pytest.approx(
        r2_score(truth, predicted, multioutput="variance_weighted"), abs=1e-6
    )
