import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import gammaln
from sklearn.metrics import r2_score

from lightning_modules.parts.gradient_reversal import reverse_gradient
from lightning_modules.parts.metrics import (
    LOWEST_MEAN_COUNT,
    SpikeLikelihood,
    poisson_nll,
    r2,
    r2_flat,
    r2_within_target,
    r2_worst_session,
)
from lightning_modules.parts.schedules import ramp


@pytest.mark.parametrize("strength", [-1.0, 0.0, 0.3, 2.0])
def test_reversal_returns_its_input_bit_for_bit_and_the_gradient_times_minus_strength(
    strength: float,
) -> None:
    latent = torch.randn(5, 3, dtype=torch.double, requires_grad=True)
    upstream = torch.randn(5, 3, dtype=torch.double)
    reversed_ = reverse_gradient(latent, strength)
    assert torch.equal(reversed_, latent)
    (gradient,) = torch.autograd.grad(reversed_, latent, upstream)
    assert torch.equal(gradient, -strength * upstream)


def test_constant_ramp_is_in_full_force_from_the_first_step() -> None:
    assert [ramp("constant", step, warmup_steps=100) for step in (0, 50, 500)] == [1.0, 1.0, 1.0]


def test_linear_ramp_rises_evenly_and_stays_at_one() -> None:
    assert [ramp("linear", step, warmup_steps=100) for step in (0, 25, 100, 500)] == [0.0, 0.25, 1.0, 1.0]


@pytest.mark.parametrize("step", [0, 10, 37, 100, 400])
def test_dann_ramp_is_the_hyperbolic_tangent_of_five_times_progress(step: int) -> None:
    # 2 / (1 + exp(-10 p)) - 1 = tanh(5 p)
    expected = math.tanh(5 * min(step / 100, 1))
    assert ramp("dann", step, warmup_steps=100) == pytest.approx(expected, abs=1e-14)


def test_a_ramp_without_warmup_is_at_its_end_at_once() -> None:
    assert ramp("linear", 0, warmup_steps=0) == 1.0
    assert ramp("dann", 0, warmup_steps=0) == pytest.approx(math.tanh(5))


@pytest.fixture
def movement() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    truth = torch.randn(30, 8, 2, generator=generator) * torch.tensor([1.0, 5.0]) + 3
    return truth + 0.5 * torch.randn(30, 8, 2, generator=generator), truth


def test_r2_is_sklearns_variance_weighted_score(movement: tuple[torch.Tensor, torch.Tensor]) -> None:
    predicted, truth = movement
    expected = r2_score(
        truth.reshape(-1, 2).double().numpy(),
        predicted.reshape(-1, 2).double().numpy(),
        multioutput="variance_weighted",
    )
    assert r2(predicted, truth).item() == pytest.approx(expected, abs=1e-12)


def test_r2_flat_is_sklearns_uniform_average_over_time_points(
    movement: tuple[torch.Tensor, torch.Tensor],
) -> None:
    predicted, truth = movement
    expected = r2_score(
        truth.reshape(30, -1).double().numpy(),
        predicted.reshape(30, -1).double().numpy(),
        multioutput="uniform_average",
    )
    assert r2_flat(predicted, truth).item() == pytest.approx(expected, abs=1e-12)


def test_r2_flat_leaves_out_time_points_where_nothing_moves(
    movement: tuple[torch.Tensor, torch.Tensor],
) -> None:
    predicted, truth = movement
    resting = torch.zeros(30, 3, 2)
    padded = torch.cat([resting + 0.1, predicted], dim=1), torch.cat([resting, truth], dim=1)
    assert r2_flat(*padded).item() == pytest.approx(r2_flat(predicted, truth).item(), abs=1e-12)


def test_within_target_r2_is_zero_for_the_mean_trajectory_of_each_target() -> None:
    truth, target = torch.randn(40, 6, 2, dtype=torch.double), torch.arange(40) % 5 - 1
    oracle = torch.stack([truth[target == one].mean(dim=0) for one in target])
    assert r2_within_target(oracle, truth, target).item() == pytest.approx(0, abs=1e-12)
    assert r2_within_target(truth, truth, target).item() == 1


def test_within_target_r2_matches_a_slow_loop(movement: tuple[torch.Tensor, torch.Tensor]) -> None:
    predicted, truth = movement
    target = torch.arange(30) % 4
    errors = spread = 0.0
    for trial in range(30):
        same = truth.double().numpy()[(target == target[trial]).numpy()]
        errors += ((predicted[trial].double().numpy() - truth[trial].double().numpy()) ** 2).sum()
        spread += ((truth[trial].double().numpy() - same.mean(axis=0)) ** 2).sum()
    assert r2_within_target(predicted, truth, target).item() == pytest.approx(1 - errors / spread, abs=1e-12)


def test_worst_session_is_the_lowest_r2_of_the_sessions_present(
    movement: tuple[torch.Tensor, torch.Tensor],
) -> None:
    predicted, truth = movement
    session = torch.tensor([2] * 10 + [5] * 20)
    predicted = torch.where((session == 5)[:, None, None], predicted + 4, predicted)
    scores = [r2(predicted[:10], truth[:10]), r2(predicted[10:], truth[10:])]
    assert r2_worst_session(predicted, truth, session) == scores[1] < scores[0]


def test_non_finite_predictions_make_every_score_non_finite(
    movement: tuple[torch.Tensor, torch.Tensor],
) -> None:
    predicted, truth = movement
    predicted = predicted.clone()
    predicted[3, 2, 0] = torch.nan
    labels = torch.arange(30) % 3
    scores = [r2(predicted, truth), r2_flat(predicted, truth)]
    scores += [r2_within_target(predicted, truth, labels), r2_worst_session(predicted, truth, labels)]
    assert all(torch.isnan(score) for score in scores)


def test_poisson_term_is_scipys_up_to_the_factorial_of_the_counts() -> None:
    rates = torch.rand(50, dtype=torch.double) * 3 + 0.01
    counts = torch.poisson(rates)
    expected = -stats.poisson.logpmf(counts.numpy(), rates.numpy()).sum() - gammaln(counts.numpy() + 1).sum()
    assert poisson_nll(rates.log(), counts).item() == pytest.approx(expected, abs=1e-10)


def test_the_mean_rates_themselves_have_zero_bits_per_spike() -> None:
    means = torch.tensor([0.2, 1.5, 0.0], dtype=torch.double)
    counts = torch.poisson(means.expand(20, 6, 3))
    log_rates = means.clamp(min=LOWEST_MEAN_COUNT).log().expand(20, 6, 3)
    assert SpikeLikelihood.of(log_rates, counts, means).bits_per_spike == pytest.approx(0, abs=1e-12)


def test_bits_per_spike_follows_from_scipys_log_likelihoods_over_batches() -> None:
    rng = np.random.default_rng(0)
    rates = rng.gamma(2, 0.5, (20, 6, 3))
    counts = rng.poisson(rates)
    means = rates.mean(axis=(0, 1))
    gain = stats.poisson.logpmf(counts, rates).sum() - stats.poisson.logpmf(counts, means).sum()
    log_rates, spikes = torch.tensor(np.log(rates)), torch.tensor(counts)
    batches = [
        SpikeLikelihood.of(log_rates[part], spikes[part], torch.tensor(means))
        for part in (slice(0, 7), slice(7, 20))
    ]
    together = batches[0] + batches[1]
    assert together.bits_per_spike == pytest.approx(gain / counts.sum() / np.log(2), abs=1e-12)


def test_a_unit_that_was_silent_in_training_does_not_make_the_null_model_impossible() -> None:
    counts = torch.ones(1, 1, 1)
    likelihood = SpikeLikelihood.of(torch.zeros(1, 1, 1), counts, torch.zeros(1))
    assert math.isfinite(likelihood.bits_per_spike)


def test_bits_per_spike_without_spikes_is_not_a_number() -> None:
    silent = torch.zeros(2, 3, 4)
    assert math.isnan(SpikeLikelihood.of(silent, silent, torch.ones(4)).bits_per_spike)
