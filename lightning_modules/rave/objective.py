"""What RAVE's autoencoder minimises while its session classifier minimises the cross-entropy alone."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class RaveTerms:
    """The terms, unweighted, averaged over trials.

    Args:
        reconstruction: Mean squared error of the standardised input, over bins and units.
        behaviour: Mean squared error of standardised behaviour, over bins and dimensions; None in RAVE.
        session: Cross-entropy of the session classifier, nats per trial; None where sessions are not labelled.
    """

    reconstruction: Tensor
    behaviour: Tensor | None
    session: Tensor | None


@dataclass(frozen=True)
class RaveWeights:
    """Weights of the terms."""

    reconstruction: float
    behaviour: float
    domain: float


def session_term(logits: Tensor, session: Tensor) -> Tensor:
    """Return the cross-entropy of logits (B, sessions) with the sessions (B,), nats per trial.

    The one loss of the session classifier.
    """
    return functional.cross_entropy(logits, session)


def total(terms: RaveTerms, weights: RaveWeights) -> Tensor:
    """Return the loss of the model step: low where sessions cannot be told apart.

    Source:
        `get_loss` of `eulerlab/rave`, which sums the terms over sessions instead of averaging over trials.
    """
    loss = weights.reconstruction * terms.reconstruction
    if terms.behaviour is not None:
        loss = loss + weights.behaviour * terms.behaviour
    return loss if terms.session is None else loss - weights.domain * terms.session
