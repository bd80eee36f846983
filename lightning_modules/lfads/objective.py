"""What LFADS minimises: the negative evidence lower bound and a penalty, from pure functions of tensors."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.parts.gaussian import Posterior


@dataclass(frozen=True)
class LfadsTerms:
    """The terms, unweighted.

    Args:
        neural: Poisson negative log-likelihood, nats per bin summed over units, without log x!, mean over trials.
        kl: Of the initial conditions' posterior from their prior, nats per trial, mean over trials.
        input_kl: The same of the inferred inputs; None without a controller.
        generator_l2: Half the mean square of the generator's recurrent weights.
        controller_l2: The same of the controller; None without one.
    """

    neural: Tensor
    kl: Tensor
    input_kl: Tensor | None
    generator_l2: Tensor
    controller_l2: Tensor | None


@dataclass(frozen=True)
class LfadsWeights:
    """Weights of the terms at one step.

    Args:
        neural: T, which makes the term nats per trial, as the KL terms are.
        kl: Of the initial conditions.
        input_kl: Of the inferred inputs.
        generator_l2: Nats per unit of half the mean square.
        controller_l2: The same.
    """

    neural: float
    kl: float
    input_kl: float
    generator_l2: float
    controller_l2: float


def total(terms: LfadsTerms, weights: LfadsWeights) -> Tensor:
    """Return the weighted sum, nats per trial."""
    loss = weights.neural * terms.neural + weights.kl * terms.kl + weights.generator_l2 * terms.generator_l2
    if terms.input_kl is not None:
        loss = loss + weights.input_kl * terms.input_kl
    if terms.controller_l2 is not None:
        loss = loss + weights.controller_l2 * terms.controller_l2
    return loss


class HiddenCounts(NamedTuple):
    """Counts of which a part is hidden from the encoders.

    Args:
        seen: What the encoders read, (B, T, N).
        weight: Of each count in the reconstruction, (B, T, N); None where all count once.
    """

    seen: Tensor
    weight: Tensor | None


def hide_counts(counts: Tensor, probability: float) -> HiddenCounts:
    """Coordinated dropout: hide counts from the encoders, and score the reconstruction on the hidden ones alone.

    No count is then predicted from itself, so that copying single spikes through the network earns nothing. What
    is seen is scaled up by 1/(1 - p), the loss by 1/p: both keep their expectations at every probability.

    Args:
        counts: (B, T, N).
        probability: Of each count to be hidden, below 1; 0 hides none and scores all.

    Source:
        Keshtkaran & Pandarinath 2019, NeurIPS, arXiv:1908.07896.
    """
    if not probability:
        return HiddenCounts(counts, None)
    hidden = torch.rand_like(counts) < probability
    return HiddenCounts(counts.masked_fill(hidden, 0.0) / (1 - probability), hidden / probability)


def neural_term(log_rates: Tensor, counts: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the Poisson term: a sum over units, a mean over trials and bins.

    Args:
        log_rates: Log of expected counts per bin, (B, T, N).
        counts: (B, T, N).
        weight: Of each count, (B, T, N). Default: 1.
    """
    nll = functional.poisson_nll_loss(log_rates, counts, log_input=True, full=False, reduction="none")
    return (nll if weight is None else nll * weight).sum(dim=-1).mean()


def l2_term(weight: Tensor) -> Tensor:
    """Return half the mean square of a network's recurrent weights, the released code's penalty at scale 1."""
    return 0.5 * weight.square().mean()


class AutoregressivePrior(nn.Module):
    """Prior of the inferred inputs: each dimension a stationary Gaussian AR(1) process with mean 0.

    u_t = φ u_(t-1) + ε_t with φ = exp(-1/τ) and ε_t ~ N(0, σ²); u_1 ~ N(0, σ² / (1 - φ²)).

    Args:
        dim: U.
        tau_bins: τ, bins.
        noise_variance: σ².
        learned: Whether τ and σ² of each dimension are trained from there on, or stay.
    """

    def __init__(self, dim: int, *, tau_bins: float, noise_variance: float, learned: bool) -> None:
        super().__init__()
        self.log_tau = nn.Parameter(torch.full((dim,), math.log(tau_bins)), requires_grad=learned)
        self.log_noise_variance = nn.Parameter(
            torch.full((dim,), math.log(noise_variance)), requires_grad=learned
        )

    def kl(self, posterior: Posterior) -> Tensor:
        """Return KL(posterior || prior), exactly: sum over bins and inputs, mean over trials, nats.

        Where the inputs are drawn, the posterior of a bin depends on the draws before it. Means and variances are
        taken as given then, as the released code takes them, whose estimate from one draw has this value as its
        mean.

        Args:
            posterior: (B, T, U), independent over bins.
        """
        decay_rate = torch.exp(-self.log_tau)  # 1/τ
        phi = torch.exp(-decay_rate)
        mean, variance = posterior.mean, posterior.log_variance.exp()
        innovation = mean[:, 1:] - phi * mean[:, :-1]
        spread = variance[:, 1:] + innovation.square() + phi.square() * variance[:, :-1]
        # Of the first bin's prior: log(σ² / (1 - φ²)), with 1 - φ² = -expm1(-2/τ).
        log_first = self.log_noise_variance - torch.log(-torch.expm1(-2 * decay_rate))
        first = (variance[:, 0] + mean[:, 0].square()) / log_first.exp() + log_first
        later = spread / self.log_noise_variance.exp() + self.log_noise_variance
        per_bin = torch.cat([first[:, None], later], dim=1) - 1 - posterior.log_variance
        return 0.5 * per_bin.sum(dim=(1, 2)).mean()
