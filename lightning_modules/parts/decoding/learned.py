"""What the learned alignments share: rates as tensors, batches of bins, a seed of their own, the alignment itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lightning_modules.parts.decoding.wiener import Array, CountFilter, Signals, Standardisation, check_units
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.windows import SpikeTrials


@dataclass(frozen=True, eq=False)
class LearnedAlignment:
    """Smoothed rates of both days, the new day's through a network that brings them onto the first day's.

    Args:
        filter: Applied to the counts of both days.
        scale: Standard deviation of each channel's filtered counts on the first day, (N,), by which both days
            are divided.
        aligner: From the new day's scaled rates (..., N) to the first day's; frozen.
    """

    filter: CountFilter
    scale: Array
    aligner: nn.Module

    def of_first_day(self, spikes: Signals) -> Array:
        """Return the first day's scaled rates, (K, T, N)."""
        check_units(spikes, len(self.scale))
        return self.filter(spikes) / self.scale

    def of_new_day(self, spikes: Signals) -> Array:
        """Return the new day's scaled rates as they would have been on the first day, (K, T, N)."""
        rates = torch.from_numpy(self.of_first_day(spikes)).float()
        with torch.inference_mode():
            return self.aligner(rates).double().numpy()


def freeze(count_filter: CountFilter, scale: Array, aligner: nn.Module) -> LearnedAlignment:
    """Return the alignment of a trained network, without dropout and without gradients."""
    return LearnedAlignment(count_filter, scale, aligner.eval().requires_grad_(False))


def scaled_bins(
    first_day: SpikeTrials, new_day: SpikeTrials, count_filter: CountFilter, batch_size: int
) -> tuple[Array, Tensor, Tensor]:
    """Return the first day's scale and the bins of both days, scaled by it. Reads nothing but spikes.

    Args:
        first_day: Trials (K, T, N).
        new_day: Trials (K', T', N) on the same axis of channels.
        count_filter: Applied to the counts.
        batch_size: Bins that each day must have at least.

    Returns:
        Scale (N,), bins of the first day (K T, N) and of the new day (K' T', N), float32.

    Raises:
        DataError: If days have different numbers of channels, or fewer bins than one batch.
    """
    check_units(new_day.spikes, first_day.spikes.shape[2])
    filtered = [count_filter(day.spikes) for day in (first_day, new_day)]
    scale = Standardisation.of(filtered[0]).scale
    first, new = (torch.from_numpy((day / scale).reshape(-1, len(scale))).float() for day in filtered)
    if min(len(first), len(new)) < batch_size:
        raise DataError(
            f"The days have {len(first)} and {len(new)} bins in trials, but one batch is {batch_size} bins.",
            "Give more trials or longer ones, or a lower `batch_size`.",
        )
    return scale, first, new


def batches(bins: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Yield batches (batch_size, N) of bins (S, N) without end, in a new order each time all were shown."""
    while True:
        order = torch.randperm(len(bins))
        for start in range(0, len(bins) - batch_size + 1, batch_size):
            yield bins[order[start : start + batch_size]]


def step_down(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """Move the optimiser's parameters one step down the gradient of a scalar loss."""
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def frechet_distance(points: Tensor, others: Tensor) -> float:
    """Return |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½), the squared Wasserstein distance of two Gaussians.

    Args:
        points: (S, N), whose means m1 and covariances C1 are compared with those of the others.
        others: (S', N).

    Source:
        Dowson, Landau 1982, Journal of Multivariate Analysis 12.
    """
    one, other = points.double(), others.double()
    covariances = torch.cov(one.T), torch.cov(other.T)
    values, vectors = torch.linalg.eigh(covariances[0])
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    shared = torch.linalg.eigvalsh(root @ covariances[1] @ root).clamp(min=0).sqrt().sum()
    shift = (one.mean(dim=0) - other.mean(dim=0)).square().sum()
    return float(shift + covariances[0].trace() + covariances[1].trace() - 2 * shared)


def check_positive(**arguments: int) -> None:
    """Refuse arguments below 1, all of them at once.

    Raises:
        ValueError: If there are any.
    """
    low = [f"`{name}` is {value}" for name, value in arguments.items() if value < 1]
    if low:
        raise ValueError(f"{', '.join(low)}, but must be at least 1.")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from PyTorch's CPU generator with this seed, and leave the generator as it was found."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
