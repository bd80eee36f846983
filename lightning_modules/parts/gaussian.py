"""Diagonal Gaussians of latents: the posterior that an encoder infers, draws from it, and its distance from a prior."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

LOWEST_VARIANCE = 1e-4
"""Added to the variance of a posterior, as in LFADS: without it a latent that predicts well becomes a delta."""


class Posterior(NamedTuple):
    """Diagonal Gaussian.

    Args:
        mean: (B, Z) of the latents of trials, (B, T, U) of inputs inferred in each bin.
        log_variance: As `mean`; at least log `LOWEST_VARIANCE`.
    """

    mean: Tensor
    log_variance: Tensor


def make_posterior(mean: Tensor, log_variance: Tensor) -> Posterior:
    """Return the Gaussian with `LOWEST_VARIANCE` added to its variance."""
    floor = torch.full_like(log_variance[..., :1], math.log(LOWEST_VARIANCE))
    return Posterior(mean, torch.logaddexp(log_variance, floor))


def draw(posterior: Posterior) -> Tensor:
    """Draw from each Gaussian, differentiably."""
    deviation = torch.exp(0.5 * posterior.log_variance)
    return posterior.mean + deviation * torch.randn_like(deviation)


def kl_from_prior(posterior: Posterior, prior_mean: Tensor | float, prior_variance: float) -> Tensor:
    """Return KL(posterior || N(prior_mean, prior_variance I)): sum over dimensions, mean over trials, nats.

    Args:
        posterior: (B, Z).
        prior_mean: (Z,), or one for all dimensions.
        prior_variance: Of each dimension.
    """
    variance = posterior.log_variance.exp()
    scaled = ((posterior.mean - prior_mean).square() + variance) / prior_variance
    return 0.5 * (scaled - 1 - posterior.log_variance + math.log(prior_variance)).sum(dim=-1).mean()
