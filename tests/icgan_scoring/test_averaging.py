import numpy as np
import pytest

from lightning_modules.icgan.recordings.normalise import AveragedPatterns
from lightning_modules.icgan.recordings.session import ImageSession, Shown
from lightning_modules.icgan.scoring.averaging import averaging_curve, noise_ceiling, normalise_by_ceiling
from lightning_modules.parts.errors import DataError

N_STIMULI, N_REPEATS = 60, 12
SIGNAL_SD = np.array([0.3, 0.6, 1.2])


def make_trials(n_copies: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Columns of three signal strengths with noise of variance 1, many of each."""
    rng = np.random.default_rng(0)
    stimulus = rng.permutation(np.repeat(np.arange(N_STIMULI), N_REPEATS))
    signal = rng.standard_normal((N_STIMULI, n_copies, 3)) * SIGNAL_SD
    trials = signal[stimulus] + rng.standard_normal((len(stimulus), n_copies, 3))
    return trials.reshape(len(stimulus), -1), stimulus


@pytest.mark.parametrize("n_averaged", [1, 4, 12])
def test_reliability_is_that_of_the_simulation(n_averaged: int):
    trials, stimulus = make_trials()
    ceiling = noise_ceiling(trials, stimulus, n_averaged=n_averaged, n_splits=5)
    expected = SIGNAL_SD**2 / (SIGNAL_SD**2 + 1 / n_averaged)
    np.testing.assert_allclose(ceiling.reliability.reshape(-1, 3).mean(axis=0), expected, atol=0.03)
    assert ceiling.n_averaged == n_averaged


def test_the_ceiling_is_the_correlation_of_the_noiseless_signal_with_the_average():
    rng = np.random.default_rng(1)
    stimulus = np.repeat(np.arange(400), 6)
    signal = rng.standard_normal((400, 30))
    trials = signal[stimulus] + 2 * rng.standard_normal((2400, 30))
    average = trials.reshape(400, 6, 30).mean(axis=1)
    best = [np.corrcoef(signal[:, v], average[:, v])[0, 1] for v in range(30)]
    ceiling = noise_ceiling(trials, stimulus)
    assert ceiling.n_averaged == 6
    assert ceiling.correlation.mean() == pytest.approx(np.mean(best), abs=0.01)


def test_noise_has_a_ceiling_near_zero_and_a_constant_has_none():
    rng = np.random.default_rng(2)
    trials = rng.standard_normal((N_STIMULI * 6, 300))
    trials[:, 0] = 3
    ceiling = noise_ceiling(trials, np.tile(np.arange(N_STIMULI), 6))
    assert np.isnan(ceiling.correlation[0])
    assert np.median(ceiling.reliability[1:]) < 0.05


def test_correlations_are_divided_by_ceilings_that_are_high_enough():
    normalised = normalise_by_ceiling(np.array([0.3, 0.3, 0.3]), np.array([0.6, 0.05, np.nan]))
    np.testing.assert_allclose(normalised, [0.5, np.nan, np.nan])


def make_session(n_copies: int) -> ImageSession:
    trials, stimulus = make_trials(n_copies)
    return ImageSession(
        voxels=trials.astype(np.float32),
        stimulus=stimulus,
        stimulus_names=tuple(f"n{one:08d}_1" for one in range(N_STIMULI)),
        category=np.arange(N_STIMULI),
        shown=np.full(len(stimulus), int(Shown.TEST)),
        run=np.ones(len(stimulus), dtype=np.int64),
        roi={},
        subject="Subject1",
    )


def test_noise_of_averages_falls_with_the_repeats():
    session = make_session(n_copies=200)
    truth = np.stack([session.voxels[session.stimulus == one].mean(axis=0) for one in range(N_STIMULI)])

    def score(averaged: AveragedPatterns) -> float:
        return float(np.square(averaged.voxels - truth[averaged.stimulus]).mean())

    curve = averaging_curve(score, session, repeats=(1, 3, 6, 12), n_draws=4)
    # Of n of N without replacement: Var(mean - mean of all) = 1/n - 1/N, the noise's variance being 1.
    np.testing.assert_allclose(curve.mean, [1 - 1 / 12, 1 / 3 - 1 / 12, 1 / 6 - 1 / 12, 0], atol=0.01)
    assert curve.repeats.tolist() == [1, 3, 6, 12]
    assert curve.sd[3] == 0
    assert (curve.sd[:3] > 0).all()


def test_the_same_seed_gives_the_same_curve():
    session = make_session(n_copies=1)
    first, again, other = (
        averaging_curve(lambda averaged: float(averaged.voxels[0, 0]), session, repeats=(2,), seed=seed)
        for seed in (1, 1, 20)
    )
    np.testing.assert_array_equal(first.scores, again.scores)
    assert not np.array_equal(first.scores, other.scores)


def test_more_repeats_than_there_are_are_refused():
    with pytest.raises(DataError, match="repeats of a test image, but 20 should be averaged"):
        averaging_curve(lambda averaged: 0.0, make_session(n_copies=1))


def test_single_trials_have_no_noise_ceiling():
    with pytest.raises(DataError, match="10 stimuli with 1 or more trials have no noise ceiling"):
        noise_ceiling(np.zeros((10, 2)), np.arange(10))
