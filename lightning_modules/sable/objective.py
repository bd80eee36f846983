"""What SABLE minimises: three terms, each a pure function of tensors, and their weighted sum."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_modules.parts.metrics import poisson_nll


@dataclass(frozen=True)
class SableTerms:
    """The terms, unweighted, averaged over trials.

    Args:
        behaviour: Mean squared error of standardised behaviour, over time and dimensions.
        kl: Of the posterior from the prior, nats per trial.
        neural: Poisson negative log-likelihood, nats per bin summed over units, without log x!; None where
            there is no neural decoder.
        session: Cross-entropy of the session classifier, nats per trial; None where there is none.
    """

    behaviour: Tensor
    kl: Tensor
    neural: Tensor | None
    session: Tensor | None = None


@dataclass(frozen=True)
class SableWeights:
    """Weights of the terms at one step."""

    behaviour: float
    kl: float
    neural: float


def behaviour_term(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return the mean squared error of standardised behaviour, both (B, T, D)."""
    return (predicted - truth).square().mean()


def neural_term(log_rates: Tensor, counts: Tensor) -> Tensor:
    """Return the Poisson term of log-rates and counts, (B, T, N): a sum over units, a mean over the rest."""
    return poisson_nll(log_rates, counts) / math.prod(counts.shape[:2])


def weigh(terms: SableTerms, weights: SableWeights) -> SableTerms:
    """Return the terms times their weights."""
    return SableTerms(
        behaviour=weights.behaviour * terms.behaviour,
        kl=weights.kl * terms.kl,
        neural=None if terms.neural is None else weights.neural * terms.neural,
        session=terms.session,  # λ alone says how hard it pulls the encoder, its learning rate how fast it learns
    )


def total(weighted: SableTerms) -> Tensor:
    """Return the sum of weighted terms: the one loss of all parameters.

    The encoder does not minimise it: a gradient reversal behind the latent turns the sign of its neural part or,
    in `session_classifier`, of its session part.
    """
    loss = weighted.behaviour + weighted.kl
    for term in (weighted.neural, weighted.session):
        loss = loss if term is None else loss + term
    return loss


def gradient_norm(loss: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Return the norm of the gradient of `loss` over all `parameters`, keeping the graph for the loss proper.

    Args:
        loss: A weighted term.
        parameters: Those of the encoder; a term that does not reach one of them counts as zero there.
    """
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return torch.linalg.vector_norm(
        torch.stack([torch.linalg.vector_norm(one) for one in gradients if one is not None])
    )
