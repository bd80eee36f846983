from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from lightning_modules.icgan.scoring.baselines import Decoded, baseline_images, baseline_latents
from lightning_modules.icgan.scoring.identification import correlate, identify
from lightning_modules.icgan.scoring.latents import Latents
from lightning_modules.icgan.scoring.nearest import nearest
from lightning_modules.parts.errors import DataError

N_TRAINING, N_TEST, N_REPEATS = 30, 10, 4


def make_latents(rng: np.random.Generator, n: int) -> Latents:
    return Latents(*(rng.standard_normal((n, width)) for width in (16, 5, 9)))


@pytest.fixture
def decoded() -> Decoded:
    rng = np.random.default_rng(0)
    truth = make_latents(rng, N_TEST)
    stimulus = rng.permutation(np.repeat(np.arange(N_TEST), N_REPEATS))
    predicted = truth.each(lambda part: part + 0.3 * rng.standard_normal(part.shape))
    trials = truth.rows(stimulus).each(lambda part: part + rng.standard_normal(part.shape))
    return Decoded(make_latents(rng, N_TRAINING), predicted, trials, stimulus, truth)


def test_every_baseline_has_a_row_for_each_test_stimulus(decoded: Decoded):
    latents = baseline_latents(decoded, seed=1)
    assert list(latents) == [
        "shuffled",
        "training_mean",
        "generator_prior",
        "nearest_training_image",
        "oracle_h",
        "oracle_inversion",
        "single_trials",
    ]
    assert {len(one.h) for one in latents.values()} == {N_TEST}


def test_baselines_are_what_their_names_say(decoded: Decoded):
    latents = baseline_latents(decoded, seed=1)
    np.testing.assert_allclose(latents["training_mean"].h, [decoded.training.h.mean(axis=0)] * N_TEST)
    assert sorted(map(tuple, latents["shuffled"].h)) == sorted(map(tuple, decoded.predicted.h))
    rows = cdist(decoded.predicted.h, decoded.training.h, "cosine").argmin(axis=1)
    np.testing.assert_array_equal(latents["nearest_training_image"].h, decoded.training.h[rows])
    np.testing.assert_array_equal(latents["nearest_training_image"].d, decoded.training.d[rows])
    assert latents["oracle_h"].h is decoded.truth.h
    assert latents["oracle_h"].z is None
    assert latents["oracle_inversion"] is decoded.truth
    prior = latents["generator_prior"]
    assert cdist(prior.h, decoded.training.h).min(axis=1).max() == 0
    assert prior.z is not None
    assert prior.z.shape == (N_TEST, 5)
    assert prior.d is None


def test_single_trials_are_one_of_each_stimulus_in_order(decoded: Decoded):
    single = baseline_latents(decoded, seed=1)["single_trials"]
    at = cdist(single.h, decoded.trials.h).argmin(axis=1)
    np.testing.assert_array_equal(single.h, decoded.trials.h[at])
    np.testing.assert_array_equal(single.z, decoded.trials.z[at])
    np.testing.assert_array_equal(decoded.trial_stimulus[at], np.arange(N_TEST))


def test_the_same_seed_draws_the_same_and_another_one_does_not(decoded: Decoded):
    first, again, other = (baseline_latents(decoded, seed) for seed in (1, 1, 2))
    for name in ("shuffled", "generator_prior", "single_trials"):
        np.testing.assert_array_equal(first[name].h, again[name].h)
        assert not np.array_equal(first[name].h, other[name].h)


def test_shuffled_predictions_are_identified_at_chance_on_average(decoded: Decoded):
    accuracies = [
        identify(
            correlate(baseline_latents(decoded, seed)["shuffled"].h, decoded.truth.h), np.arange(N_TEST)
        ).accuracy
        for seed in range(300)
    ]
    # The standard error over 300 permutations of ten stimuli is about .005.
    assert np.mean(accuracies) == pytest.approx(0.5, abs=0.02)


def test_pictures_of_retrieval_and_of_the_mean_are_taken_and_all_others_generated(decoded: Decoded):
    images = np.random.default_rng(4).random((N_TRAINING, 4, 4, 3)).astype(np.float32)

    def generate(latents: Latents) -> np.ndarray:
        return np.tile(latents.h[:, :1, None, None], (1, 4, 4, 3))

    made = baseline_images(decoded, images, generate, seed=1)
    latents = baseline_latents(decoded, seed=1)
    rows = cdist(decoded.predicted.h, decoded.training.h, "cosine").argmin(axis=1)
    np.testing.assert_array_equal(made["nearest_training_image"], images[rows])
    np.testing.assert_allclose(made["training_mean"], [images.mean(axis=0)] * N_TEST, rtol=1e-6)
    for name in ("shuffled", "generator_prior", "oracle_h", "oracle_inversion", "single_trials"):
        np.testing.assert_array_equal(made[name][:, 0, 0, 0], latents[name].h[:, 0])


def test_latents_that_do_not_fit_are_refused(decoded: Decoded):
    with pytest.raises(DataError, match="other dimensions in each"):
        replace(decoded, truth=Latents(decoded.truth.h[:, 1:], decoded.truth.z, decoded.truth.d))
    with pytest.raises(DataError, match="trials are not of each of the 10 stimuli"):
        replace(decoded, trial_stimulus=decoded.trial_stimulus + 1)
    with pytest.raises(DataError, match=r"h, z and d of truth have shapes \(10, 16\), \(9, 5\), None"):
        replace(decoded, truth=Latents(decoded.truth.h, np.zeros((9, 5))))


def test_nearest_rows_are_those_of_scipys_cosine():
    rng = np.random.default_rng(6)
    rows, among = rng.standard_normal((7, 5)), rng.standard_normal((40, 5))
    found = nearest(rows, among, n=3)
    distance = cdist(rows, among, "cosine")
    np.testing.assert_array_equal(found.row, np.argsort(distance, axis=1)[:, :3])
    np.testing.assert_allclose(found.cosine, 1 - np.sort(distance, axis=1)[:, :3], atol=1e-12)


def test_a_zero_vector_is_near_to_nothing_and_refused():
    with pytest.raises(DataError, match="1 of 2 vectors are zero"):
        nearest(np.array([[0.0, 0], [1, 0]]), np.eye(2))
