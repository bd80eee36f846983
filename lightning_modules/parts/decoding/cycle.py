"""Alignment by two networks, one for each direction, that undo each other; needs unlabelled spikes only."""

from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from lightning_modules.parts.decoding.learned import (
    LearnedAlignment,
    batches,
    check_positive,
    freeze,
    scaled_bins,
    seeded,
    step_down,
)
from lightning_modules.parts.decoding.wiener import CountFilter
from lightning_modules.parts.spikes.windows import SpikeTrials


def fit_cycle(
    first_day: SpikeTrials,
    new_day: SpikeTrials,
    *,
    smoothing_bins: float = 2.0,
    n_steps: int = 2400,
    batch_size: int = 256,
    generator_rate: float = 1e-3,
    discriminator_rate: float = 1e-2,
    adversarial_weight: float = 1.0,
    cycle_weight: float = 5.0,
    identity_weight: float = 5.0,
    dropout: float = 0.2,
    seed: int = 0,
) -> LearnedAlignment:
    """Train a network from the new day's rates to the first day's, and one back, that undo each other.

    A discriminator of each day learns to tell its rates from those that were brought there, which the networks
    prevent. Needs matched channels and unlabelled spikes of the new day, of about the same mix of targets.
    The last step's network is kept; no criterion chooses among steps.

    Args:
        first_day: Trials (K, T, N).
        new_day: Trials (K', T', N) on the same axis of channels. Only their spikes are read.
        smoothing_bins: Of both days' counts; 2 bins of 50 ms as published.
        n_steps: Steps of training. The published 400 epochs are some 6,400 to 6,800 steps.
        batch_size: Bins of each day a step.
        generator_rate: Learning rate of the networks, Adam's.
        discriminator_rate: Of the discriminators.
        adversarial_weight: Of the discriminators' verdicts; 0 leaves them without a say.
        cycle_weight: Of the L1 distance between rates and what comes back from the other day.
        identity_weight: Of the L1 distance between a day's rates and what the network towards that day makes of
            them.
        dropout: Of hidden units in all four networks, in training only.
        seed: Of weights, batches and dropout.

    Raises:
        DataError: If days have different numbers of channels, or fewer bins than a batch.
        ValueError: If arguments are out of range.

    Source:
        Ma et al. 2023, eLife 12, after Zhu et al. 2017; README.md of this folder says what is theirs.
    """
    check_positive(n_steps=n_steps, batch_size=batch_size)
    count_filter = CountFilter(False, smoothing_bins)
    scale, first, new = scaled_bins(first_day, new_day, count_filter, batch_size)
    n_units = len(scale)
    with seeded(seed):
        to_new, to_first = (_generator(n_units, dropout) for _ in range(2))
        of_new, of_first = (_discriminator(n_units, dropout) for _ in range(2))
        both_ways = nn.ModuleList([to_new, to_first])
        generator_optimiser = torch.optim.Adam(both_ways.parameters(), generator_rate)
        both_days = nn.ModuleList([of_new, of_first])
        discriminator_optimiser = torch.optim.Adam(both_days.parameters(), discriminator_rate)
        pairs = zip(batches(first, batch_size), batches(new, batch_size), strict=True)
        for one, other in islice(pairs, n_steps):
            brought_new, brought_first = to_new(one), to_first(other)
            deceived = _error(of_new(brought_new), 1) + _error(of_first(brought_first), 1)
            cycle = l1_loss(to_first(brought_new), one) + l1_loss(to_new(brought_first), other)
            identity = l1_loss(to_first(one), one) + l1_loss(to_new(other), other)
            loss = adversarial_weight * deceived + cycle_weight * cycle + identity_weight * identity
            step_down(generator_optimiser, loss)
            real = _error(of_new(other), 1) + _error(of_first(one), 1)
            brought = _error(of_new(brought_new.detach()), 0) + _error(of_first(brought_first.detach()), 0)
            step_down(discriminator_optimiser, (real + brought) / 2)
    return freeze(count_filter, scale, to_first)


def _error(verdicts: Tensor, truth: float) -> Tensor:
    """Mean squared error of verdicts (B, 1): 1 for rates of the day, 0 for rates brought there."""
    return (verdicts - truth).square().mean()


def _generator(n_units: int, dropout: float) -> nn.Module:
    return nn.Sequential(*_hidden_layers(n_units, dropout), nn.Linear(n_units, n_units), nn.ReLU())


def _discriminator(n_units: int, dropout: float) -> nn.Module:
    return nn.Sequential(*_hidden_layers(n_units, dropout), nn.Linear(n_units, 1))


def _hidden_layers(n_units: int, dropout: float) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for _ in range(2):
        layers += [nn.Linear(n_units, n_units), nn.Dropout(dropout), nn.ReLU()]
    return layers
