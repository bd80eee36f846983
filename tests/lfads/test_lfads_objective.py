"""LFADS's objective against torch's distributions, scipy, dense Gaussians and closed forms, in float64."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import poisson
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from lightning_modules.lfads.module import Lfads
from lightning_modules.lfads.objective import (
    AutoregressivePrior,
    hide_counts,
    l2_term,
    neural_term,
    total,
)
from lightning_modules.parts.gaussian import Posterior, kl_from_prior
from lightning_modules.parts.spikes.batch import SpikeBatch

BuildLfads = Callable[..., Lfads]


@pytest.fixture
def posterior() -> Posterior:
    """Of two inferred inputs in six bins of three trials."""
    mean = torch.randn(3, 6, 2, dtype=torch.double, requires_grad=True)
    log_variance = torch.randn(3, 6, 2, dtype=torch.double, requires_grad=True)
    return Posterior(mean, log_variance)


def dense_kl(posterior: Posterior, prior: AutoregressivePrior) -> Tensor:
    """The same divergence from a joint Gaussian over all bins, whose covariance is written down in full."""
    distance = (torch.arange(6)[:, None] - torch.arange(6)).abs()
    found = torch.zeros((), dtype=torch.double)
    for dim in range(2):
        phi = torch.exp(-1 / prior.log_tau[dim].exp())
        covariance = prior.log_noise_variance[dim].exp() / (1 - phi**2) * phi**distance
        mean, variance = posterior.mean[..., dim], posterior.log_variance[..., dim].exp()
        own = MultivariateNormal(mean, torch.diag_embed(variance))
        found = found + kl_divergence(own, MultivariateNormal(torch.zeros_like(mean), covariance)).mean()
    return found


def make_prior(learned: bool = True) -> AutoregressivePrior:
    prior = AutoregressivePrior(2, tau_bins=3.0, noise_variance=0.2, learned=learned).double()
    with torch.no_grad():
        prior.log_tau.copy_(torch.tensor([3.0, 0.4]).log())
        prior.log_noise_variance.copy_(torch.tensor([0.2, 1.7]).log())
    return prior


def test_kl_of_inferred_inputs_and_its_gradients_are_those_of_the_dense_autoregressive_gaussian(
    posterior: Posterior,
) -> None:
    prior = make_prior()
    values = [prior.kl(posterior), dense_kl(posterior, prior)]
    torch.testing.assert_close(values[0], values[1], rtol=1e-11, atol=0)
    inputs = [*posterior, prior.log_tau, prior.log_noise_variance]
    ours, theirs = (torch.autograd.grad(value, inputs) for value in values)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def test_kl_of_inferred_inputs_is_the_mean_of_what_draws_estimate(posterior: Posterior) -> None:
    """log q(u) - log p(u), the released code's estimate, averaged over draws of u."""
    prior = make_prior()
    with torch.no_grad():
        own = Normal(posterior.mean, (0.5 * posterior.log_variance).exp())
        inputs = own.sample((40_000,))
        phi = torch.exp(-1 / prior.log_tau.exp())
        noise = prior.log_noise_variance.exp()
        before = torch.cat([torch.zeros_like(inputs[..., :1, :]), phi * inputs[..., :-1, :]], dim=-2)
        variance = torch.cat([(noise / (1 - phi**2))[None], noise.expand(5, 2)])
        estimates = (
            (own.log_prob(inputs) - Normal(before, variance.sqrt()).log_prob(inputs)).sum((-1, -2)).mean(-1)
        )
    standard_error = (estimates.std() / 40_000**0.5).item()
    assert prior.kl(posterior).item() == pytest.approx(estimates.mean().item(), abs=5 * standard_error)


def test_a_posterior_equal_to_the_prior_of_uncorrelated_inputs_costs_nothing() -> None:
    prior = AutoregressivePrior(2, tau_bins=1e-3, noise_variance=0.3, learned=True).double()
    posterior = Posterior(
        torch.zeros(1, 4, 2, dtype=torch.double),
        torch.full((1, 4, 2), 0.3, dtype=torch.float).log().double(),
    )
    assert prior.kl(posterior).item() == pytest.approx(0.0, abs=1e-6)


def test_the_input_prior_is_trained_only_where_that_is_asked_for(build: BuildLfads, spikes: Tensor) -> None:
    for learned in (True, False):
        model = build(controller_dim=2, learn_input_prior=learned).double()
        total(model.terms(model(spikes), spikes), model.final_weights).backward()
        assert model.input_prior is not None
        for parameter, start in (
            (model.input_prior.log_tau, 10.0), (model.input_prior.log_noise_variance, 0.1),
        ):  # fmt: skip
            assert parameter.exp().tolist() == pytest.approx([start, start])
            assert (parameter.grad is not None and bool(parameter.grad.all())) == learned


def test_kl_of_initial_conditions_is_that_of_torchs_distributions() -> None:
    posterior = Posterior(torch.randn(4, 3, dtype=torch.double), torch.randn(4, 3, dtype=torch.double))
    prior_mean = torch.randn(3, dtype=torch.double)
    own = Normal(posterior.mean, (0.5 * posterior.log_variance).exp())
    expected = kl_divergence(own, Normal(prior_mean, 0.1**0.5)).sum(dim=-1).mean()
    torch.testing.assert_close(kl_from_prior(posterior, prior_mean, 0.1), expected, rtol=1e-12, atol=0)


def test_neural_term_is_scipys_poisson_likelihood_but_for_the_factorial(spikes: Tensor) -> None:
    log_rates = torch.randn_like(spikes)
    counts = spikes.numpy()
    log_likelihood = poisson.logpmf(counts, log_rates.exp().numpy())
    without_factorial = log_likelihood + torch.lgamma(spikes + 1).numpy()
    n_trials, n_bins, _ = counts.shape
    expected = -without_factorial.sum() / (n_trials * n_bins)
    assert neural_term(log_rates, spikes).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("controller_dim", [0, 2])
def test_the_loss_is_the_weighted_sum_in_nats_per_trial(
    build: BuildLfads, spikes: Tensor, controller_dim: int
) -> None:
    weights = {"kl_weight": 0.7, "input_kl_weight": 0.3, "generator_l2": 50.0, "controller_l2": 20.0}
    model = build(controller_dim=controller_dim, **weights).double().eval()
    output = model(spikes)
    nll = (output.log_rates.exp() - spikes * output.log_rates).sum(dim=(1, 2)).mean()
    recurrent = [
        (
            50.0,
            model.state_dict()["generator." + ("cell.weight_hh" if controller_dim else "rnn.weight_hh_l0")],
        )
    ]
    expected = nll + 0.7 * kl_from_prior(output.posterior, model.prior_mean, 0.1)
    if controller_dim:
        assert model.input_prior is not None
        expected = expected + 0.3 * model.input_prior.kl(output.input_posterior)
        recurrent.append((20.0, model.state_dict()["generator.controller.weight_hh"]))
    for scale, weight in recurrent:
        expected = expected + scale * 0.5 * np.square(weight.numpy()).sum() / weight.numel()
    found = total(model.terms(output, spikes), model.weights_in_force)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_l2_penalty_reaches_recurrent_weights_alone(build: BuildLfads, spikes: Tensor) -> None:
    model = build(controller_dim=2).double()
    l2_term(model.generator.recurrent_weight).backward()
    touched = {name for name, one in model.named_parameters() if one.grad is not None}
    assert touched == {"generator.cell.weight_hh"}


def test_coordinated_dropout_scores_exactly_the_counts_that_it_hides(spikes: Tensor) -> None:
    counts = (spikes + 1).repeat(20, 1, 1)
    seen, weight = hide_counts(counts, 0.3)
    assert weight is not None
    assert torch.equal(seen == 0, weight > 0)
    shown = seen != 0
    torch.testing.assert_close(seen[shown], counts[shown] / 0.7)
    # Both keep their expectations: 10 800 counts, five standard errors.
    assert weight.mean().item() == pytest.approx(1.0, abs=5 * (0.7 / 0.3 / counts.numel()) ** 0.5)
    assert (seen / counts).mean().item() == pytest.approx(1.0, abs=5 * (0.3 / 0.7 / counts.numel()) ** 0.5)
    untouched = hide_counts(counts, 0.0)
    assert torch.equal(untouched.seen, counts)
    assert untouched.weight is None


@pytest.mark.parametrize("controller_dim", [0, 2])
def test_with_coordinated_dropout_no_count_is_both_read_and_scored(
    build: BuildLfads, spikes: Tensor, controller_dim: int
) -> None:
    """The gradient of a training step's loss with respect to each count shows which way it went in."""
    model = build(coordinated_dropout=0.4, controller_dim=controller_dim, generator_l2=0.0).double()

    def step(counts: Tensor) -> Tensor:
        torch.manual_seed(11)
        return model.training_step(SpikeBatch(counts, torch.zeros(6, 9, 2)), batch_idx=0)

    counts = spikes.clone().requires_grad_()
    (found,) = torch.autograd.grad(step(counts), counts)
    torch.manual_seed(11)
    seen, weight = hide_counts(counts, 0.4)
    output = model(seen)
    assert weight is not None
    hidden = weight > 0
    # Scored: -log rate, times 1/0.4, in the mean over trials; and nothing through the encoders.
    torch.testing.assert_close(found[hidden], -output.log_rates[hidden] / 0.4 / 6, rtol=1e-10, atol=1e-12)
    # Read: through the encoders alone, as if the counts to be reconstructed were others.
    loss = total(model.terms(output, spikes, weight), model.weights_in_force)
    (read,) = torch.autograd.grad(loss, counts)
    torch.testing.assert_close(found[~hidden], read[~hidden], rtol=1e-10, atol=1e-12)
    assert read[~hidden].abs().min() > 0
    assert not read[hidden].any()


def test_counts_that_are_seen_do_not_change_what_reconstruction_teaches(
    build: BuildLfads, spikes: Tensor
) -> None:
    """As targets: the same mask and the same input with other counts to reconstruct where they were seen."""
    model = build(coordinated_dropout=0.4).double().eval()
    seen, weight = hide_counts(spikes, 0.4)
    assert weight is not None

    def gradient(targets: Tensor) -> Tensor:
        model.zero_grad()
        neural_term(model(seen).log_rates, targets, weight).backward()
        return torch.cat([one.grad.flatten() for one in model.parameters() if one.grad is not None])

    other = torch.where(weight > 0, spikes, spikes + 3)
    assert torch.equal(gradient(spikes), gradient(other))
    assert not torch.equal(gradient(spikes), gradient(spikes + 3))
