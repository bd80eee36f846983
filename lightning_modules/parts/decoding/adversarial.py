"""Alignment that an autoencoder of the first day cannot tell from the first day; needs unlabelled spikes only."""

import copy
from itertools import islice, pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.parts.decoding.learned import (
    LearnedAlignment,
    batches,
    check_positive,
    frechet_distance,
    freeze,
    scaled_bins,
    seeded,
    step_down,
)
from lightning_modules.parts.decoding.wiener import CountFilter, Standardisation
from lightning_modules.parts.spikes.windows import SpikeTrials

Start = Literal["moments", "identity"]

STEPS_BETWEEN_CHECKS = 100


def fit_adversarial(
    first_day: SpikeTrials,
    new_day: SpikeTrials,
    *,
    smoothing_bins: float = 2.0,
    start: Start = "moments",
    n_latents: int = 10,
    autoencoder_steps: int = 3000,
    autoencoder_rate: float = 1e-3,
    n_steps: int = 3200,
    batch_size: int = 16,
    aligner_rate: float = 1e-4,
    discriminator_rate: float = 1e-5,
    noise: float = 1.0,
    seed: int = 0,
) -> LearnedAlignment:
    """Train an aligner of the new day's rates against an autoencoder that is the first day's.

    The autoencoder learns to restore the first day's rates. Then it learns on to restore them well and aligned
    rates badly, while the aligner makes it restore aligned rates well: both follow the L1 residual, by which the
    distributions of the two days' residuals are told apart. Needs matched channels and unlabelled spikes of the
    new day, of about the same mix of targets. This game has no end: of the aligners met every
    `STEPS_BETWEEN_CHECKS` steps, the one whose rates have means and covariances nearest the first day's is
    kept (`frechet_distance`), a rule without labels.

    Args:
        first_day: Trials (K, T, N).
        new_day: Trials (K', T', N) on the same axis of channels. Only their spikes are read.
        smoothing_bins: Of both days' counts; 2 bins of 50 ms as published.
        start: Aligner before training: `moments` gives each channel its mean and deviation of the first day;
            `identity` is the published start.
        n_latents: Bottleneck of the autoencoder.
        autoencoder_steps: Steps of training on the first day alone.
        autoencoder_rate: Its learning rate, Adam's.
        n_steps: Steps of training one against the other.
        batch_size: Bins of each day a step.
        aligner_rate: Learning rate of the aligner.
        discriminator_rate: Of the autoencoder in the meantime.
        noise: Standard deviation of noise on what the autoencoder is given, in deviations of a channel.
        seed: Of weights, batches and noise.

    Raises:
        DataError: If days have different numbers of channels, or fewer bins than a batch.
        ValueError: If arguments are out of range.

    Source:
        Farshchian, Gallego, Cohen, Bengio, Miller, Solla 2019, ICLR; README.md of this folder says what is theirs.
    """
    if start not in get_args(Start):
        raise ValueError(f"`start` is {start!r}, but must be one of {', '.join(get_args(Start))}.")
    check_positive(n_latents=n_latents, n_steps=n_steps, batch_size=batch_size)
    count_filter = CountFilter(False, smoothing_bins)
    scale, first, new = scaled_bins(first_day, new_day, count_filter, batch_size)
    with seeded(seed):
        autoencoder = _autoencoder(first.shape[1], n_latents)
        _train_autoencoder(autoencoder, first, autoencoder_steps, batch_size, autoencoder_rate)
        aligner = _aligner(first, new, start)
        aligner_optimiser = torch.optim.Adam(aligner.parameters(), aligner_rate)
        discriminator_optimiser = torch.optim.Adam(autoencoder.parameters(), discriminator_rate)
        nearest, kept = frechet_distance(aligner(new).detach(), first), copy.deepcopy(aligner)
        pairs = zip(batches(first, batch_size), batches(new, batch_size), strict=True)
        for step, (one, other) in enumerate(islice(pairs, n_steps), start=1):
            step_down(aligner_optimiser, _residual(autoencoder, aligner(other), noise))
            aligned = aligner(other).detach()
            told_apart = _residual(autoencoder, one, noise) - _residual(autoencoder, aligned, noise)
            step_down(discriminator_optimiser, told_apart)
            if step % STEPS_BETWEEN_CHECKS == 0:
                distance = frechet_distance(aligner(new).detach(), first)
                if distance < nearest:
                    nearest, kept = distance, copy.deepcopy(aligner)
    return freeze(count_filter, scale, kept)


def _train_autoencoder(
    autoencoder: nn.Module, bins: Tensor, n_steps: int, batch_size: int, rate: float
) -> None:
    optimiser = torch.optim.Adam(autoencoder.parameters(), rate)
    for batch in islice(batches(bins, batch_size), n_steps):
        step_down(optimiser, functional.mse_loss(autoencoder(batch), batch))


def _residual(autoencoder: nn.Module, rates: Tensor, noise: float) -> Tensor:
    """Mean L1 residual of noisy rates (B, N), scalar."""
    noisy = rates + noise * torch.randn_like(rates)
    return functional.l1_loss(autoencoder(noisy), noisy)


def _autoencoder(n_units: int, n_latents: int) -> nn.Module:
    widths = (n_units, 64, 32, n_latents, 32, 64, n_units)
    layers: list[nn.Module] = []
    for position, (inputs, outputs) in enumerate(pairwise(widths)):
        layers.append(nn.Linear(inputs, outputs))
        if position not in (2, 5):  # Latents and restored rates are linear.
            layers.append(nn.ELU())
    return nn.Sequential(*layers)


def _aligner(first: Tensor, new: Tensor, start: Start) -> nn.Module:
    """Two layers that pass non-negative rates on, those of `moments` after a gain and a shift of each channel."""
    n_units = first.shape[1]
    inner, outer = nn.Linear(n_units, n_units), nn.Linear(n_units, n_units)
    for layer in (inner, outer):
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
    if start == "moments":
        one, other = (Standardisation.of(day[None].double().numpy()) for day in (first, new))
        gain = one.scale / other.scale
        with torch.no_grad():
            inner.weight.copy_(torch.from_numpy(gain).diag())
            inner.bias.copy_(torch.from_numpy(one.mean - gain * other.mean))
    return nn.Sequential(inner, nn.ELU(), outer)
