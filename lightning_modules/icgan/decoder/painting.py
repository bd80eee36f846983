"""From decoded features to a picture, and from the picture to the features of another network."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_modules.icgan.features.small_net import NetSettings, SmallNet, embed
from lightning_modules.icgan.generator.image_loss import Extractor, as_unit_range
from lightning_modules.icgan.generator.network import Generator
from lightning_modules.icgan.generator.presets import GeneratorPreset
from lightning_modules.icgan.generator.reconstruction import reconstruct
from lightning_modules.icgan.generator.resnet import ResNet50, SwavExtractor
from lightning_modules.icgan.scoring.latents import Latents
from lightning_modules.icgan.scoring.protocols import Images

Weights = Mapping[str, NDArray[Any]]
"""A network's state as arrays, which Ray shares between trials and a fingerprint can be taken of."""

BATCH = 25
"""Pictures that pass a large network at once."""


@dataclass(frozen=True, eq=False)
class GeneratorWeights:
    """A trained generator, as plain data.

    Args:
        preset: Its sizes.
        weights: Its state.
    """

    preset: GeneratorPreset
    weights: Weights

    @classmethod
    def of(cls, generator: Generator) -> "GeneratorWeights":
        """Take the state of a generator."""
        return cls(generator.preset, as_arrays(generator))

    def build(self) -> Generator:
        """Return the generator in `eval` mode."""
        generator = Generator(self.preset)
        generator.load_state_dict(as_state(self.weights))
        return generator.eval().requires_grad_(False)


class Judge(Protocol):
    """A network that no target comes from."""

    def embed(self, images: Images) -> NDArray[np.float32]:
        """Features of length one, (m, D), of RGB pictures in [0, 1], (m, H, W, 3)."""
        ...


@dataclass(frozen=True, eq=False)
class NetWeights:
    """A trained small network, as plain data.

    Args:
        settings: Its widths.
        levels: Classes of each of its heads.
        weights: Its state.
    """

    settings: NetSettings
    levels: tuple[int, ...]
    weights: Weights

    @classmethod
    def of(cls, net: SmallNet, settings: NetSettings, levels: tuple[int, ...]) -> "NetWeights":
        """Take the state of a network."""
        return cls(settings, levels, as_arrays(net))

    def build(self) -> SmallNet:
        """Return the network in `eval` mode."""
        net = SmallNet(self.settings, self.levels)
        net.load_state_dict(as_state(self.weights))
        return net.eval().requires_grad_(False)

    def embed(self, images: Images) -> NDArray[np.float32]:
        """See `Judge`."""
        return embed(self.build(), images)


@dataclass(frozen=True, eq=False)
class ResNetWeights:
    """A ResNet-50, such as one that was trained to classify, as plain data.

    Args:
        weights: Its state.
    """

    weights: Weights

    @classmethod
    def of(cls, extractor: SwavExtractor) -> "ResNetWeights":
        """Take the state of a network."""
        return cls(as_arrays(extractor.network))

    def embed(self, images: Images) -> NDArray[np.float32]:
        """See `Judge`."""
        network = ResNet50()
        network.load_state_dict(as_state(self.weights))
        return features_of(SwavExtractor(network), images)


def as_arrays(network: torch.nn.Module) -> dict[str, NDArray[Any]]:
    """Return the state of a network as arrays."""
    return {name: values.cpu().numpy() for name, values in network.state_dict().items()}


def as_state(weights: Weights) -> dict[str, torch.Tensor]:
    """Return arrays as a network's state; copied, since Ray's are read-only."""
    return {name: torch.from_numpy(np.array(values)) for name, values in weights.items()}


def as_batch(images: Images) -> torch.Tensor:
    """Return pictures (m, H, W, 3) as a network takes them, (m, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)


def features_of(extractor: Extractor, images: Images) -> NDArray[np.float32]:
    """Return an extractor's features, (m, H), of RGB pictures in [0, 1], (m, height, width, 3)."""
    with torch.inference_mode():
        return torch.cat([extractor(part).h for part in as_batch(images).split(BATCH)]).numpy()


def paint(generator: Generator, latents: Latents) -> Images:
    """Make a picture of each row, RGB in [0, 1], (m, H, W, 3)."""
    h, z, d = (None if part is None else torch.from_numpy(part.astype(np.float32)) for part in latents)
    assert h is not None
    made = as_unit_range(reconstruct(generator, h, z=z, d=d))
    return made.permute(0, 2, 3, 1).numpy()
