"""A multilayer perceptron from voxels to features, and how far what it predicts is from what was shown."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.icgan.decoder.mlp_settings import LossName


class VoxelMlp(nn.Module):
    """Predicts features from voxels.

    Args:
        n_voxels: V.
        n_features: D.
        hidden_width: Units of a hidden layer.
        n_hidden: Hidden layers.
        dropout: Share of hidden units that is left out in training.

    Shapes:
        m rows, V voxels, D features.
    """

    used: Tensor
    mean: Tensor
    spread: Tensor

    def __init__(
        self, *, n_voxels: int, n_features: int, hidden_width: int, n_hidden: int, dropout: float
    ) -> None:
        super().__init__()
        widths = [n_voxels, *[hidden_width] * n_hidden]
        hidden = [
            layer
            for before, after in pairwise(widths)
            for layer in (nn.Linear(before, after), nn.GELU(), nn.Dropout(dropout))
        ]
        self.layers = nn.Sequential(*hidden, nn.Linear(widths[-1], n_features))
        self.register_buffer("used", torch.ones(n_voxels))
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("spread", torch.ones(()))

    def look_at(self, used: Tensor, features: Tensor) -> None:
        """Take up which voxels are used, (V,), and where training features (n, D) lie and how far they spread."""
        self.used.copy_(used)
        self.mean.copy_(features.mean(dim=0))
        self.spread.copy_((features - self.mean).square().mean().sqrt())

    def forward(self, voxels: Tensor) -> Tensor:
        """Predict features (m, D) from voxels (m, V)."""
        return self.mean + self.spread * self.layers(voxels * self.used)


def direction_loss(
    predicted: Tensor, candidates: Tensor, own: Tensor, *, kind: LossName, temperature: float
) -> Tensor:
    """How far predictions are from the direction of their stimulus, a scalar.

    `info_nce` is the mean of −log softmax of the cosines with all candidates over the temperature, at the row's own
    candidate; `cosine` is the mean of 1 − cosine with that one.

    Args:
        predicted: Less the training mean, (m, D).
        candidates: Features of different stimuli, less the training mean, (C, D).
        own: Which candidate each row is of, int64 (m,).
        kind: See above.
        temperature: Of `info_nce`.

    Source:
        van den Oord, Li, Vinyals 2018, arXiv:1807.03748, equation 4, with cosines over a temperature as similarity.
    """
    if kind == "cosine":
        return (1 - functional.cosine_similarity(predicted, candidates[own])).mean()
    alike = functional.normalize(predicted) @ functional.normalize(candidates).T
    return functional.cross_entropy(alike / temperature, own)
