"""RAVE's blocks: the input, the autoencoder of a flattened trial, and the heads on its latent.

Shapes:
    B trials, T time bins, N units, Z latent dimensions.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

FIRST_SCALE = 1e-3
"""Of the last layer of a block and of the reconstruction before training, as RAVE has it."""


class TrialInput(nn.Module):
    """Smoothed counts in standard deviations from the mean, all fixed before training.

    The standard deviation is the one that a Poisson unit of the same mean count has after smoothing. A unit with less
    than one spike a trial is scaled as if it had one: should it fire on a later day, the input stays bounded.

    Args:
        n_bins: T.
        mean_counts: Mean counts per bin of the N units on the training days.
        smoothing_bins: Standard deviation of a Gaussian along time, bins; 0 leaves the counts as they are.
    """

    def __init__(self, *, n_bins: int, mean_counts: Sequence[float], smoothing_bins: float) -> None:
        super().__init__()
        smoothing = smoothing_matrix(n_bins, smoothing_bins)
        mean = torch.tensor(mean_counts)
        self.smoothing: Tensor
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("smoothing", smoothing, persistent=False)
        self.register_buffer("mean", mean, persistent=False)
        variance = mean.clamp(min=1 / n_bins) * smoothing.square().sum(dim=1, keepdim=True)
        self.register_buffer("scale", variance.sqrt(), persistent=False)

    def forward(self, spikes: Tensor) -> Tensor:
        """Return what the autoencoder reads and reconstructs, (B, T, N), of counts (B, T, N)."""
        return (self.smoothing @ spikes - self.mean) / self.scale


def smoothing_matrix(n_bins: int, smoothing_bins: float) -> Tensor:
    """Return the (T, T) weights of a Gaussian filter; each row sums to 1, also at the ends of the trial."""
    if not smoothing_bins:
        return torch.eye(n_bins)
    bins = torch.arange(n_bins, dtype=torch.float64)
    weights = torch.exp(-0.5 * ((bins[:, None] - bins) / smoothing_bins).square())
    return (weights / weights.sum(dim=1, keepdim=True)).to(torch.get_default_dtype())


class Autoencoder(nn.Module):
    """Latent of a flattened trial, and the trial again from the latent.

    Args:
        n_inputs: T N.
        width: Of the first layer; each further layer has half of it.
        layers: Blocks between first layer and latent.
        latent_dim: Z.
        dropout: Probability in each block.
    """

    def __init__(self, *, n_inputs: int, width: int, layers: int, latent_dim: int, dropout: float) -> None:
        super().__init__()
        widths = [*(width // 2**layer for layer in range(layers)), latent_dim]
        self.encoder = nn.Sequential(
            nn.Linear(n_inputs, width, bias=False),
            *(autoencoder_block(*pair, dropout) for pair in pairwise(widths)),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, latent_dim),
            *(autoencoder_block(*pair, dropout) for pair in pairwise(widths[::-1])),
            _nearly_zero(nn.Linear(width, n_inputs)),
        )


def autoencoder_block(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    """Return RAVE's `ResidualLayerV2`, which despite its name has no connection around it."""
    return nn.Sequential(
        nn.BatchNorm1d(inputs),
        nn.ELU(),
        nn.Dropout(dropout),
        nn.Linear(inputs, outputs, bias=False),
        nn.BatchNorm1d(outputs),
        nn.ELU(),
        nn.Dropout(dropout),
        _nearly_zero(nn.Linear(outputs, outputs, bias=False)),
    )


class ResidualBlock(nn.Module):
    """A step that starts as nearly the identity.

    Args:
        width: Of input and output.
        dropout: Probability, twice.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.BatchNorm1d(width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width, bias=False),
            nn.BatchNorm1d(width),
            nn.SiLU(),
            nn.Dropout(dropout),
            _nearly_zero(nn.Linear(width, width, bias=False)),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return features (B, width) with a change added."""
        return features + self.change(features)


def latent_head(latent_dim: int, *, width: int, layers: int, outputs: int, dropout: float) -> nn.Sequential:
    """Return a network from latents (B, Z) to (B, outputs): RAVE's classifiers, here of sessions and behaviour.

    Args:
        latent_dim: Z.
        width: Of the residual blocks.
        layers: Number of residual blocks.
        outputs: Session logits, or the numbers of a trajectory.
        dropout: Probability in each block.
    """
    return nn.Sequential(
        nn.BatchNorm1d(latent_dim),
        nn.Linear(latent_dim, width),
        *(ResidualBlock(width, dropout) for _ in range(layers)),
        nn.Linear(width, outputs),
    )


@torch.no_grad()
def _nearly_zero(layer: nn.Linear) -> nn.Linear:
    for parameter in layer.parameters():
        parameter.mul_(FIRST_SCALE)
    return layer
