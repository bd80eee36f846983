"""What an encoder reads of spike counts: a transformation, and the drift that training can imitate."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

CountTransform = Literal["counts", "sqrt", "log1p"]


def transform_counts(counts: Tensor, transform: CountTransform) -> Tensor:
    """Return what the encoder reads of spike counts.

    A unit whose rate has drifted by a factor moves the input by that factor in `counts`, by its root in `sqrt`,
    which also makes the variance of a Poisson count the same at every rate, and hardly at all in `log1p`.

    Args:
        counts: Not negative, any shape.
        transform: `counts` leaves them as they are.
    """
    if transform == "sqrt":
        return counts.sqrt()
    return counts.log1p() if transform == "log1p" else counts


def jitter_gains(counts: Tensor, deviation: float) -> Tensor:
    """Multiply each unit of each trial by a log-normal gain with median 1, as if its rate had drifted.

    Args:
        counts: (B, T, N).
        deviation: Of the logarithm of the gain; 0 changes nothing.
    """
    if not deviation:
        return counts
    return counts * torch.exp(deviation * torch.randn_like(counts[:, :1]))


def drop_units(counts: Tensor, probability: float) -> Tensor:
    """Silence whole units, anew for each trial, as if they had been lost; the others are not scaled up.

    Args:
        counts: (B, T, N).
        probability: Of each unit to be silent for the whole trial; 0 changes nothing.
    """
    if not probability:
        return counts
    return counts * functional.dropout(torch.ones_like(counts[:, :1]), probability).bool()
