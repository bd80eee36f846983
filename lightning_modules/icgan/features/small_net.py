"""A small convolutional network whose pooled features stand in for SwAV's where no pretrained weights are at hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

_BATCH = 500
"""Pictures that pass the network at once where nothing is learnt."""


@dataclass(frozen=True)
class NetSettings:
    """Widths and training of a `SmallNet`.

    Args:
        widths: Channels of the three blocks.
        n_features: Channels of the last convolution, dimensions of the features.
        n_pictures: Rendered pictures to train on.
        epochs: Passes over them.
        batch: Pictures of one step.
        learning_rate: Of Adam.

    Source:
        icgan.md section 8.2, "Known feature embedding".
    """

    widths: tuple[int, int, int] = (24, 48, 96)
    n_features: int = 256
    n_pictures: int = 6000
    epochs: int = 8
    batch: int = 100
    learning_rate: float = 2e-3


class SmallNet(nn.Module):
    """Three blocks of convolution, batch norm, ReLU and halving, one more convolution, the mean over the map.

    Shapes:
        B pictures of side S, a multiple of 16; W channels of the third block, D features.

    Args:
        settings: Widths; how it is trained is not looked at.
        levels: Classes of each softmax head, such as 10 shapes, 5 textures and 4 hues.

    Source:
        icgan.md section 8.2, "Known feature embedding".
    """

    def __init__(self, settings: NetSettings, levels: tuple[int, ...]) -> None:
        super().__init__()
        channels = (3, *settings.widths)
        self.blocks = nn.Sequential(*(_block(*pair) for pair in pairwise(channels)))
        self.last = nn.Conv2d(channels[-1], settings.n_features, 3, padding=1)
        self.heads = nn.ModuleList(nn.Linear(settings.n_features, n_levels) for n_levels in levels)

    def pooled_map(self, pictures: Tensor) -> Tensor:
        """Output of the third block, (B, W, S / 8, S / 8), of pictures in [0, 1], (B, 3, S, S)."""
        return self.blocks(pictures)

    def pooled_features(self, pictures: Tensor) -> Tensor:
        """Mean of the last convolution's map, (B, D), before its length is set to one."""
        return functional.relu(self.last(self.pooled_map(pictures))).mean(dim=(2, 3))

    def forward(self, pictures: Tensor) -> Tensor:
        """Features of length one, (B, D), of pictures in [0, 1], (B, 3, S, S)."""
        return functional.normalize(self.pooled_features(pictures), dim=1)

    def logits(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Scores of every head, (B, levels) each."""
        features = self.pooled_features(pictures)
        return tuple(head(features) for head in self.heads)


def train_small_net(
    images: NDArray[np.float32],
    factors: NDArray[np.int64],
    *,
    levels: tuple[int, ...],
    settings: NetSettings,
    seed: int,
) -> SmallNet:
    """Train a network to tell the levels of every factor.

    Runs on one thread of the CPU: with several, sums are taken in another order, and after some hundred steps the
    same seed gives other weights.

    Args:
        images: RGB in [0, 1], (n, S, S, 3).
        factors: Level of every factor, (n, F).
        levels: Number of levels of every factor, (F,).
        settings: Widths and training.
        seed: Of the initial weights and of the order of the pictures.

    Returns:
        The network in `eval` mode.
    """
    pictures, targets = _as_batch(images), torch.from_numpy(factors)
    with torch.random.fork_rng(devices=()), one_thread():
        torch.manual_seed(seed)
        net = SmallNet(settings, levels)
        optimizer = torch.optim.Adam(net.parameters(), settings.learning_rate)
        for _ in range(settings.epochs):
            for batch in torch.randperm(len(pictures)).split(settings.batch):
                scores = net.logits(pictures[batch])
                loss = torch.stack(
                    [functional.cross_entropy(one, targets[batch, i]) for i, one in enumerate(scores)]
                ).sum()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return net.eval().requires_grad_(False)


def embed(net: SmallNet, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Instance features of length one, (n, D), of images (n, S, S, 3)."""
    return _apply(net, images)


def mid_level(net: SmallNet, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """The last pooled map averaged to 2 x 2, (n, 4 W), of images (n, S, S, 3)."""
    return _apply(_MidLevel(net), images)


def head_accuracy(
    net: SmallNet, images: NDArray[np.float32], factors: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Share of images (n, S, S, 3) for which each head names the level in `factors` (n, F): (F,)."""
    with torch.inference_mode(), one_thread():
        scores = [net.logits(part) for part in _as_batch(images).split(_BATCH)]
    named = np.stack([torch.cat(head).argmax(dim=1).numpy() for head in zip(*scores, strict=True)], axis=1)
    return (named == factors).mean(axis=0)


class _MidLevel(nn.Module):
    def __init__(self, net: SmallNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, pictures: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(self.net.pooled_map(pictures), 2).flatten(1)


def _block(n_in: int, n_out: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=1), nn.BatchNorm2d(n_out), nn.ReLU(), nn.AvgPool2d(2)
    )


def _apply(function: nn.Module, images: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.inference_mode(), one_thread():
        return torch.cat([function(part) for part in _as_batch(images).split(_BATCH)]).numpy()


def _as_batch(images: NDArray[np.float32]) -> Tensor:
    """(n, S, S, 3) to (n, 3, S, S)."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: what is learnt then depends on the seed, not on how many a machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
