"""Weight files of networks that score pictures, recognised by the names in them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lightning_modules.icgan.generator.resnet import IMAGENET_MEAN, IMAGENET_STD, ResNet50
from lightning_modules.icgan.generator.safe_load import as_state_dict, fill, fit_problems, read_weights
from lightning_modules.icgan.judges.alexnet import LAYERS as ALEXNET_LAYERS
from lightning_modules.icgan.judges.alexnet import AlexNet
from lightning_modules.icgan.judges.clip_visual import ClipSizes, ClipVisual
from lightning_modules.icgan.judges.efficientnet import EfficientNetB1
from lightning_modules.icgan.judges.inception import InceptionV3
from lightning_modules.icgan.scoring.networks import Network
from lightning_modules.icgan.scoring.protocols import (
    BRAIN_DIFFUSER_SIDE,
    Architecture,
    Images,
    resize,
)
from lightning_modules.parts.errors import DataError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)
"""Mean and standard deviation for Inception-v3: torchvision turns what was normalised as ImageNet's into this."""
COUNTER = "num_batches_tracked"
"""End of a name that older files lack; nothing is computed from it in `eval` mode."""
SUFFIXES = (".pth", ".pt", ".bin", ".tar")
"""Of files of weights."""
BATCH = 10
"""Pictures that pass a network at once."""


class PooledResNet50(ResNet50):
    """ResNet-50 with the layer that publications use."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        """Return the pooled features (B, 2048) of normalised pictures (B, 3, H, W)."""
        return {"resnet50": super().forward(images)[-1].mean(dim=(2, 3))}


@dataclass(frozen=True)
class Kind:
    """A network of publications.

    Args:
        title: For people.
        architecture: As protocols name it.
        marker: Name that only its files hold.
        layers: Names of its output, the highest layer last.
        build: Makes the network for the tensors of a file; its output is each layer by name.
        mean: Of each colour, as it was trained.
        std: The same.
    """

    title: str
    architecture: Architecture
    marker: str
    layers: tuple[str, ...]
    build: Callable[[Mapping[str, Tensor]], nn.Module]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


KINDS: dict[str, Kind] = {
    "alexnet": Kind(
        title="torchvision's AlexNet",
        architecture="alexnet",
        marker="features.10.weight",
        layers=tuple(ALEXNET_LAYERS),
        build=lambda _: AlexNet(),
    ),
    "inception": Kind(
        title="torchvision's Inception-v3",
        architecture="inception",
        marker="Mixed_7c.branch1x1.conv.weight",
        layers=("inception",),
        build=lambda _: InceptionV3(),
        mean=HALF,
        std=HALF,
    ),
    "efficientnet": Kind(
        title="torchvision's EfficientNet-B1",
        architecture="efficientnet",
        marker="features.7.1.block.3.0.weight",
        layers=("efficientnet",),
        build=lambda _: EfficientNetB1(),
    ),
    "clip": Kind(
        title="CLIP under OpenAI's names (`visual.conv1.weight`)",
        architecture="clip",
        marker="visual.class_embedding",
        layers=("clip",),
        build=lambda state: ClipVisual(ClipSizes.of(state)),
        mean=CLIP_MEAN,
        std=CLIP_STD,
    ),
    "resnet50": Kind(
        title="a ResNet-50 under torchvision's names",
        architecture="swav",
        marker="layer4.2.conv3.weight",
        layers=("resnet50",),
        build=lambda _: PooledResNet50(),
    ),
}


@dataclass(frozen=True, eq=False)
class PublicNetwork:
    """A network of publications, as plain data.

    Args:
        kind: Name among `KINDS`.
        weights: Its state.
    """

    kind: str
    weights: Mapping[str, NDArray[Any]]

    def embed(self, images: Images) -> NDArray[np.float32]:
        """Features of the highest layer, of length one, (m, D), of RGB pictures in [0, 1], (m, H, W, 3)."""
        *_, highest = self.layers(resize(images, BRAIN_DIFFUSER_SIDE)).values()
        return highest / np.linalg.norm(highest, axis=1, keepdims=True)

    def layers(self, images: Images) -> dict[str, NDArray[np.float32]]:
        """Features of each layer by its name, (m, D), of RGB pictures in [0, 1], (m, H, W, 3).

        CLIP takes pictures of one size alone, to which others are resized; the other networks take them as they are.
        """
        kind = KINDS[self.kind]
        network = self._build()
        if isinstance(network, ClipVisual):
            images = resize(images, network.side)
        mean, std = (torch.tensor(one)[:, None, None] for one in (kind.mean, kind.std))
        batches = torch.from_numpy(np.ascontiguousarray(images, np.float32)).permute(0, 3, 1, 2).split(BATCH)
        with torch.inference_mode():
            found = [network((batch - mean) / std) for batch in batches]
        return {name: torch.cat([one[name] for one in found]).numpy() for name in found[0]}

    def networks(self) -> tuple[Network, ...]:
        """Return a network for each layer, as `score_in_network` takes it."""
        kind = KINDS[self.kind]
        return tuple(
            Network(name, partial(self._layer, name), circular=False, architecture=kind.architecture)
            for name in kind.layers
        )

    def _layer(self, name: str, images: Images) -> NDArray[np.float32]:
        return self.layers(images)[name]

    def _build(self) -> nn.Module:
        state = {name: torch.from_numpy(np.array(values)) for name, values in self.weights.items()}
        with torch.device("meta"):
            network = KINDS[self.kind].build(state)
        fill(network, state)
        return network.eval().requires_grad_(False)


def load_public_network(path: Path) -> PublicNetwork:
    """Load a network that pictures are scored in; classifiers and encoders of text are not used.

    Args:
        path: The file of its weights.

    Raises:
        DataError: If the file is not safe to load or damaged, is of no network that is known, or lacks a weight.
    """
    state = as_state_dict(read_weights(path), path)
    name = next((name for name, kind in KINDS.items() if kind.marker in state), None)
    if name is None:
        raise DataError(
            f"{path} is of no network that is known; it holds {', '.join(list(state)[:3]) or 'nothing'}, ...",
            f"Give the weights of {', '.join(kind.title for kind in KINDS.values())}.",
        )
    try:
        with torch.device("meta"):
            expected = KINDS[name].build(state).state_dict()
    except (KeyError, IndexError, ValueError, ZeroDivisionError, AssertionError) as error:
        raise DataError(
            f"{path} looks like {KINDS[name].title}, but is not whole: {error!r}.", "Download it again."
        ) from error
    kept = {one: state[one].float() for one in expected if one in state and not one.endswith(COUNTER)}
    counters = {one: torch.zeros((), dtype=torch.long) for one in expected if one.endswith(COUNTER)}
    problems = fit_problems(expected, kept | counters, set())
    if problems:
        raise DataError(f"{path} is not {KINDS[name].title}: {' '.join(problems)}", "Download it again.")
    return PublicNetwork(name, {one: values.numpy() for one, values in (kept | counters).items()})


def load_public_networks(folder: Path) -> tuple[PublicNetwork, ...]:
    """Load every network whose weights lie in a folder, in the order of the files' names.

    Raises:
        DataError: If there is none, or a file cannot be loaded.
    """
    files = sorted(file for file in folder.glob("*") if file.suffix in SUFFIXES)
    if not files:
        raise DataError(
            f"{folder} holds no weights ({', '.join(SUFFIXES)}).",
            f"Put there those of {', '.join(kind.title for kind in KINDS.values())}, as many as there are.",
        )
    return tuple(load_public_network(file) for file in files)
