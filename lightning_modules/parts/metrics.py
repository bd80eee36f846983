"""How well behaviour and spikes are predicted. Non-finite predictions give non-finite scores."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

LOWEST_MEAN_COUNT = 1e-4
"""Counts per bin. A unit that was silent on the training days is taken to fire this often: at a rate of zero,
one spike on a later day would have probability zero."""

LOG_RATE_RANGE = (-12.0, 5.0)
"""Of log expected counts per bin: beyond it, exp is either nothing or more than any neuron fires."""

LEAST_SPREAD = 0.01
"""Part of the average variance below which `r2_flat` leaves a time point out."""


def r2(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return the variance-weighted R²: 1 - Σ(b - b̂)² / Σ(b - b̄)², b̄ over trials and time for each dimension.

    Args:
        predicted: b̂, (B, T, D).
        truth: b, (B, T, D).

    Returns:
        Scalar, float64; NaN or -inf where the truth does not vary.
    """
    predicted, truth = predicted.double(), truth.double()
    return _explained(predicted, truth, truth.mean(dim=(0, 1)))


def r2_flat(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return R² of each time point and dimension over trials, averaged.

    Stricter than `r2`: what all trials share is not rewarded. Points where hardly anything varies, such as a
    hand still at rest, are left out: one of them would decide the average.

    Args:
        predicted: (B, T, D).
        truth: (B, T, D).

    Returns:
        Scalar, float64, over the points with at least `LEAST_SPREAD` of the average point's variance.

    Source:
        Hurwitz et al. 2021, TNDM, who score the flattened trials so, without leaving points out.
    """
    predicted, truth = predicted.double(), truth.double()
    errors = (truth - predicted).square().sum(dim=0)
    spread = (truth - truth.mean(dim=0)).square().sum(dim=0)
    return (1 - errors / spread)[spread > LEAST_SPREAD * spread.mean()].mean()


def r2_within_target(predicted: Tensor, truth: Tensor, target: Tensor) -> Tensor:
    """Return R² against the mean trajectory of each trial's target instead of one overall mean.

    In centre-out reaching nearly all variance of position is which target was reached: R² of those means is
    .96 to .99 on recordings. This is 0 for a decoder that knows the target and nothing else.

    Args:
        predicted: (B, T, D).
        truth: (B, T, D).
        target: (B,).

    Returns:
        Scalar, float64; NaN or -inf where no target was reached twice.
    """
    predicted, truth = predicted.double(), truth.double()
    _, position, n_trials = target.unique(return_inverse=True, return_counts=True)
    sums = truth.new_zeros(len(n_trials), *truth.shape[1:]).index_add_(0, position, truth)
    return _explained(predicted, truth, (sums / n_trials[:, None, None])[position])


def r2_worst_session(predicted: Tensor, truth: Tensor, session: Tensor) -> Tensor:
    """Return the lowest `r2` of the sessions that are present, NaN if one of them is.

    Args:
        predicted: (B, T, D).
        truth: (B, T, D).
        session: (B,).
    """
    present = session.unique()
    return torch.stack([r2(predicted[session == one], truth[session == one]) for one in present]).min()


class DecodedTrials(NamedTuple):
    """Decoded trials with the labels that scores need.

    Args:
        predicted: Behaviour in the recording's unit, (B, T, D).
        behaviour: As recorded, (B, T, D).
        session: (B,).
        target: (B,).
    """

    predicted: Tensor
    behaviour: Tensor
    session: Tensor
    target: Tensor

    @classmethod
    def join(cls, batches: "Sequence[DecodedTrials]") -> "DecodedTrials":
        """Put the trials of batches one after the other."""
        return cls(*(torch.cat(parts) for parts in zip(*batches, strict=True)))

    def scores(self) -> dict[str, Tensor]:
        """Return every score of decoded behaviour, by the name that each decoder logs it with."""
        return {
            "val/behaviour_r2": r2(self.predicted, self.behaviour),
            "val/behaviour_r2_flat": r2_flat(self.predicted, self.behaviour),
            "val/behaviour_r2_within_target": r2_within_target(self.predicted, self.behaviour, self.target),
            "val/behaviour_r2_worst_session": r2_worst_session(self.predicted, self.behaviour, self.session),
        }


def mean_over_trials(means: "Sequence[Tensor]", n_trials: "Sequence[int]") -> Tensor:
    """Return the mean over all trials of what was averaged batch by batch; the last batch may be smaller.

    Args:
        means: Mean over the trials of each batch, scalars.
        n_trials: Trials of each batch.
    """
    shares = torch.tensor(n_trials, device=means[0].device) / sum(n_trials)
    return (torch.stack(list(means)) * shares).sum()


def _explained(predicted: Tensor, truth: Tensor, reference: Tensor) -> Tensor:
    return 1 - (truth - predicted).square().sum() / (truth - reference).square().sum()


def poisson_nll(log_rates: Tensor, counts: Tensor) -> Tensor:
    """Return the summed negative log-likelihood of counts, nats, without log x!, which no parameter changes.

    Args:
        log_rates: Logarithm of the expected counts per bin; any shape.
        counts: Same shape.
    """
    return functional.poisson_nll_loss(log_rates, counts, log_input=True, full=False, reduction="sum")


def log_mean_counts(mean_counts: Tensor) -> Tensor:
    """Return the log-rate of a unit that always fires at its mean; see `LOWEST_MEAN_COUNT`."""
    return mean_counts.clamp(min=LOWEST_MEAN_COUNT).log()


@dataclass(frozen=True)
class SpikeLikelihood:
    """Sums over trials from which bits per spike follow; add those of all batches.

    Args:
        nll: Negative log-likelihood under the model, nats, without log x!.
        null_nll: The same with each unit at its mean count of the training pool.
        spikes: Number of spikes.
    """

    nll: float = 0.0
    null_nll: float = 0.0
    spikes: float = 0.0

    @classmethod
    def of(cls, log_rates: Tensor, counts: Tensor, mean_counts: Tensor) -> "SpikeLikelihood":
        """Sum over trials.

        Args:
            log_rates: (B, T, N), counts per bin.
            counts: (B, T, N).
            mean_counts: Of the training pool, (N,).
        """
        counts = counts.double()
        null = log_mean_counts(mean_counts.double()).expand_as(counts)
        return cls(
            nll=poisson_nll(log_rates.double(), counts).item(),
            null_nll=poisson_nll(null, counts).item(),
            spikes=counts.sum().item(),
        )

    def __add__(self, other: "SpikeLikelihood") -> "SpikeLikelihood":
        return SpikeLikelihood(
            self.nll + other.nll, self.null_nll + other.null_nll, self.spikes + other.spikes
        )

    @property
    def bits_per_spike(self) -> float:
        """How much better than the mean rates the model predicts, bits per spike; NaN without spikes.

        Source:
            Pillow et al. 2008, Nature 454; as in the Neural Latents Benchmark (Pei et al. 2021).
        """
        if not self.spikes:
            return math.nan
        return (self.null_nll - self.nll) / (self.spikes * math.log(2))
