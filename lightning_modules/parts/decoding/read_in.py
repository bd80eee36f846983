"""A linear read-in of a new day in front of a trained model; needs unlabelled spikes only, and no new training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from lightning_modules.parts.decoding.inference import infer
from lightning_modules.parts.decoding.learned import batches, check_positive, seeded
from lightning_modules.parts.decoding.wiener import check_units
from lightning_modules.parts.errors import DataError

FLOOR = 1e-3
"""Fewest counts a bin that a model is shown: the slope of a root is without bound at 0."""

SMALLEST_SCALE = 0.1
"""Of a unit's counts a bin: else a silent unit's shift would be worth nothing."""


@dataclass(frozen=True, eq=False)
class ReadIn:
    """Counts of a new day as a model takes them: x + ((x / s) W + b) s, not below `FLOOR`.

    Args:
        scale: s, standard deviation of each unit's counts on the new day, float32 (N,).
        weights: W, (N, N).
        shift: b, (N,).
    """

    scale: Tensor
    weights: Tensor
    shift: Tensor

    def apply(self, spikes: Tensor) -> Tensor:
        """Read in counts of the new day, (K, T, N)."""
        return (spikes + ((spikes / self.scale) @ self.weights + self.shift) * self.scale).clamp(min=FLOOR)

    def __call__(self, spikes: NDArray[Any]) -> NDArray[np.float32]:
        """Read in counts of the new day, (K, T, N).

        Raises:
            DataError: If the number of units is another one.
        """
        check_units(spikes, len(self.scale))
        return self.apply(torch.as_tensor(spikes.astype(np.float32))).numpy()


def fit_read_in(
    model: nn.Module,
    training: NDArray[Any],
    new_day: NDArray[Any],
    *,
    n_steps: int = 600,
    learning_rate: float = 1e-3,
    batch_size: int = 256,
    decay: float = 1e-2,
    seed: int = 0,
) -> ReadIn:
    """Find the read-in that gives the new day's latents the distribution of the training days' latents.

    The model stays as it is. What is minimised is the energy distance between the latents, standardised over the
    training days, and `decay` times |W|² + |b|²: of many read-ins with the same latents, one near the identity.
    Supposes about the same mix of targets on the new day as on the training days.

    Args:
        model: Trained; see `infer`. Its latents have to be differentiable by the spikes.
        training: Counts of the trials that it was trained on, as it was shown them, (K, T, N).
        new_day: Counts of the new day's trials, as it would be shown them, (K', T, N).
        n_steps: Steps of Adam from the identity on.
        learning_rate: Its learning rate.
        batch_size: Trials of the new day, and of the training days, a step; all where there are fewer.
        decay: Weight of the penalty.
        seed: Of the batches.

    Raises:
        DataError: If the new day has another number of units, or fewer than two trials.
        ValueError: If arguments are out of range.

    Source:
        After NoMAD (Karpowicz et al. 2025, Nature Communications 16): a frozen model behind a read-in that is fitted
        without labels until the distribution of its latent states fits. Theirs are states of LFADS's generator,
        taken to be Gaussian and compared by KL divergence; energy distance, penalty and settings are ours.
    """
    check_positive(n_steps=n_steps, batch_size=batch_size)
    check_units(new_day, training.shape[2])
    if len(new_day) < 2:
        raise DataError(
            f"The new day has {len(new_day)} trials: too few to have a distribution.", "Give more trials."
        )
    device = next(model.parameters()).device
    with _latents(model) as latents_of, seeded(seed):
        wanted = torch.as_tensor(infer(model, training).latents, device=device)
        centre, spread = wanted.mean(dim=0), wanted.std(dim=0).clamp(min=1e-6)
        wanted = (wanted - centre) / spread
        trials = torch.as_tensor(new_day.astype(np.float32), device=device)
        n_units = trials.shape[2]
        weights = torch.zeros(n_units, n_units, device=device, requires_grad=True)
        shift = torch.zeros(n_units, device=device, requires_grad=True)
        read_in = ReadIn(trials.std(dim=(0, 1)).clamp(min=SMALLEST_SCALE), weights, shift)
        optimiser = torch.optim.Adam([weights, shift], learning_rate)
        pairs = zip(
            batches(trials, min(batch_size, len(trials))),
            batches(wanted, min(batch_size, len(wanted))),
            strict=True,
        )
        for ours, theirs in islice(pairs, n_steps):
            found = (latents_of(read_in.apply(ours)) - centre) / spread
            loss = energy_distance(found, theirs) + decay * (weights.square().sum() + shift.square().sum())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return ReadIn(read_in.scale.cpu(), weights.detach().cpu(), shift.detach().cpu())


@contextmanager
def _latents(model: nn.Module) -> Iterator[Callable[[Tensor], Tensor]]:
    """Yield the way from spikes to latents of a model in `eval` mode; no gradient reaches its parameters."""
    was_training = model.training
    frozen = {name: one.detach() for name, one in model.state_dict(keep_vars=True).items()}
    model.eval()
    try:
        yield lambda spikes: functional_call(model, frozen, (spikes,)).latent
    finally:
        model.train(was_training)


def energy_distance(points: Tensor, others: Tensor) -> Tensor:
    """Return 2 E|X - Y| - E|X - X'| - E|Y - Y'| of two samples, scalar; 0 for equal samples.

    Args:
        points: (S, Z).
        others: (S', Z).

    Source:
        Székely, Rizzo 2013, Journal of Statistical Planning and Inference 143.
    """
    across, within, among = (
        torch.cdist(one, other).mean()
        for one, other in ((points, others), (points, points), (others, others))
    )
    return 2 * across - within - among
