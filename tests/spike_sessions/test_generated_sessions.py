"""The generator against the closed forms and the figures of its specification."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import PRESETS, generate_recording, generate_sessions
from lightning_modules.parts.spikes.synthetic import rotate_loadings

SMALL = {"trials_per_session": 80, "n_units": 48, "n_bins": 24, "bin_width_s": 0.03}


@pytest.fixture(scope="module")
def default():
    return generate_recording(n_sessions=8, **SMALL)


def test_reaches_start_at_the_centre_and_end_at_the_target(default):
    reaches = default.truth[0].reaches
    ends = reaches.position(np.array([0.0, 5.0]))
    # The bow vanishes at both ends: sin(0) and sin(π).
    np.testing.assert_allclose(ends[:, 0], 0, atol=1e-12)
    direction = np.stack([np.cos(reaches.angle), np.sin(reaches.angle)], axis=1)
    np.testing.assert_allclose(ends[:, 1], reaches.amplitude[:, None] * direction, atol=1e-9)


def test_velocity_is_the_derivative_of_position(default):
    reaches, step = default.truth[0].reaches, 1e-5
    times = np.linspace(0.05, 0.9, 60)
    slope = (reaches.position(times + step) - reaches.position(times - step)) / (2 * step)
    np.testing.assert_allclose(reaches.velocity(times), slope, atol=1e-3)


def test_speed_peaks_halfway_at_the_minimum_jerk_factor(default):
    """Without a bow the peak speed is 15/8 of the mean speed, at half of the movement's time."""
    reaches = default.truth[0].reaches
    halfway = reaches.reaction_s[0] + reaches.duration_s[0] / 2
    # At the middle the bow's velocity κ π cos(π/2) is zero, so that the bow does not matter.
    speed = np.linalg.norm(reaches.velocity(np.array([halfway]))[0, 0])
    assert speed == pytest.approx(15 / 8 * reaches.amplitude[0] / reaches.duration_s[0])


def test_session_holds_the_reaches_of_its_truth(default):
    times = (np.arange(24) + 0.5) * 0.03
    for session, truth in zip(default.sessions, default.truth, strict=True):
        expected = truth.reaches.position(times).reshape(-1, 2)
        np.testing.assert_allclose(session.behaviour, expected, rtol=1e-4, atol=1e-5)
        assert np.bincount(session.target).tolist() == [10] * 8


def test_counts_are_poisson_with_the_rates_of_the_truth(default):
    """Squared standardised residuals average to 1; every unit's total is within 5 standard errors."""
    for session, truth in zip(default.sessions, default.truth, strict=True):
        expected = (truth.rates * session.bin_width_s).reshape(session.spikes.shape)
        alive = truth.alive
        residual = (session.spikes - expected)[:, alive] / np.sqrt(expected[:, alive])
        assert np.mean(residual**2) == pytest.approx(1, abs=0.03)
        totals = expected[:, alive].sum(axis=0)
        assert np.abs((session.spikes[:, alive].sum(axis=0) - totals) / np.sqrt(totals)).max() < 5
        assert not session.spikes[:, ~alive].any()


def test_mean_rate_is_near_the_specified_14_spikes_per_second():
    rates = [
        session.spikes.mean() / session.bin_width_s
        for seed in range(4)
        for session in generate_sessions(n_sessions=2, seed=seed, **SMALL)
    ]
    assert np.mean(rates) == pytest.approx(14, abs=2)


def test_rates_are_the_log_linear_read_out_of_the_latents(default):
    truth = default.truth[3]
    trial, time, unit = 5, 11, int(np.flatnonzero(truth.alive)[7])
    drive = sum(truth.loadings[unit, k] * truth.latents[trial, time, k] for k in range(10))
    assert truth.rates[trial, time, unit] == pytest.approx(min(np.exp(drive + truth.log_rates[unit]), 120.0))


def test_channels_turn_over_at_the_rate_of_the_preset():
    recording = generate_recording(n_sessions=9, **{**SMALL, "n_units": 400, "trials_per_session": 8})
    share = np.mean([truth.replaced for truth in recording.truth[1:]])
    assert share == pytest.approx(0.12, abs=5 * np.sqrt(0.12 * 0.88 / 3200))
    assert not recording.truth[0].replaced.any()


def test_rotation_turns_the_preferred_direction_of_every_plane():
    """A cosine-tuned unit turned by ψ responds at ϑ + ψ as it did at ϑ; the second plane runs at 2ϑ."""
    loadings = np.random.default_rng(0).normal(size=(6, 10))
    turn = np.linspace(-1, 2, 6)
    direction = 0.7

    def planes(angle):
        zeros = np.zeros_like(angle)
        return np.stack(
            [np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle), np.cos(angle), np.sin(angle)]
            + [zeros, zeros, np.cos(angle), np.sin(angle)],
            axis=1,
        )

    before = (loadings * planes(np.full(6, direction))).sum(axis=1)
    after = (rotate_loadings(loadings, turn) * planes(direction + turn)).sum(axis=1)
    np.testing.assert_allclose(after, before)


def test_without_drift_every_day_has_the_same_read_out():
    recording = generate_recording(preset="none", n_sessions=4, **SMALL)
    for truth in recording.truth[1:]:
        np.testing.assert_array_equal(truth.loadings, recording.truth[0].loadings)
        np.testing.assert_array_equal(truth.log_rates, recording.truth[0].log_rates)
        assert truth.alive.all()


def velocity_scores(preset, seed):
    """Velocity R² of a ridge decoder on five lags of smoothed counts, trained on day 0, on each day."""
    sessions = generate_sessions(
        preset=preset, n_sessions=6, seed=seed, behaviour="velocity", **{**SMALL, "n_units": 64}
    )
    kernel = np.exp(-0.5 * (np.arange(-4, 5) / 1.5) ** 2)

    def design(session):
        counts = session.spikes.reshape(-1, 24, 64).astype(float)
        smooth = np.apply_along_axis(np.convolve, 1, counts, kernel / kernel.sum(), "same")
        lags = [np.concatenate([smooth[:, :1]] * lag + [smooth[:, : 24 - lag]], axis=1) for lag in range(5)]
        return np.concatenate(lags, axis=2).reshape(-1, 5 * 64)

    half = len(sessions[0].spikes) // 2
    first = design(sessions[0])
    decoder = Ridge(100.0).fit(first[:half], sessions[0].behaviour[:half])
    same_day = r2_score(sessions[0].behaviour[half:], decoder.predict(first[half:]))
    later = [r2_score(session.behaviour, decoder.predict(design(session))) for session in sessions[1:]]
    return same_day, later


def test_linear_decoder_decays_with_drift_and_only_with_drift():
    for seed in (0, 1):
        same_day, later = velocity_scores("none", seed)
        assert same_day > 0.6
        assert later == pytest.approx([same_day] * 5, abs=0.06)
        same_day, later = velocity_scores("default", seed)
        assert same_day > 0.6
        assert np.mean(later[2:]) < same_day - 0.25


def test_confounded_days_differ_in_targets_except_the_last_two():
    """Mean of Σp² over Dirichlet(a, ..., a) of 8 targets is (a + 1) / (8a + 1)."""
    sessions = generate_sessions(
        preset="confounded", n_sessions=82, trials_per_session=200, n_units=1, n_bins=1
    )
    counts = np.array([np.bincount(session.target, minlength=8) for session in sessions])
    assert (counts[-2:] == 25).all()
    unbiased = (counts[:-2] * (counts[:-2] - 1)).sum(axis=1) / (200 * 199)
    assert unbiased.mean() == pytest.approx(1.35 / 3.8, abs=0.06)
    assert PRESETS["confounded"] == PRESETS["exchangeable"]


def test_seed_decides_everything_and_earlier_days_do_not_depend_on_later_ones():
    three = generate_sessions(n_sessions=3, seed=4, **SMALL)
    five = generate_sessions(n_sessions=5, seed=4, **SMALL)
    other = generate_sessions(n_sessions=3, seed=5, **SMALL)
    for day in range(3):
        np.testing.assert_array_equal(three[day].spikes, five[day].spikes)
        assert not np.array_equal(three[day].spikes, other[day].spikes)
    assert [session.date for session in three] == ["2025-01-01", "2025-01-02", "2025-01-03"]


def test_presets_share_reaches_so_that_only_drift_differs():
    none, strong = (generate_sessions(preset=preset, n_sessions=3, **SMALL) for preset in ("none", "strong"))
    for one, other in zip(none, strong, strict=True):
        np.testing.assert_array_equal(one.behaviour, other.behaviour)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "weak"}, "There is no preset 'weak'"),
        ({"n_units": 0}, "must be positive"),
        ({"behaviour": "emg"}, "Generated sessions hold no emg"),
    ],
)
def test_impossible_generator_settings_are_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        generate_sessions(**arguments)
