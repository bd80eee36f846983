"""The instance features of pictures: ResNet-50 with SwAV's weights, as IC-GAN was trained on."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.icgan.generator.image_loss import ImageFeatures
from lightning_modules.icgan.generator.safe_load import as_state_dict, fill, fit_problems, read_weights
from lightning_modules.parts.errors import DataError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
INPUT_SIDE = 224
"""Side of the picture that the network sees, pixels."""

_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Inner channels and number of bottlenecks of each stage."""
_EXPANSION = 4
"""Channels that a bottleneck gives for each inner one."""


class Bottleneck(nn.Module):
    """Residual block of 1 x 1, 3 x 3 and 1 x 1 convolutions under torchvision's names.

    Args:
        inputs: Channels in.
        inner: Channels of the 3 x 3 convolution.
        stride: Of the 3 x 3 convolution and of the shortcut.
    """

    def __init__(self, inputs: int, inner: int, *, stride: int) -> None:
        super().__init__()
        outputs = inner * _EXPANSION
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 4 inner, H / stride, W / stride) of maps (B, inputs, H, W)."""
        inner = functional.relu(self.bn1(self.conv1(x)))
        inner = functional.relu(self.bn2(self.conv2(inner)))
        inner = self.bn3(self.conv3(inner))
        return functional.relu(inner + (x if self.downsample is None else self.downsample(x)))


class ResNet50(nn.Module):
    """ResNet-50 without its classifier, under torchvision's names.

    Source:
        He, Zhang, Ren, Sun 2016, "Deep residual learning", with the stride on the 3 x 3 convolution as in torchvision.
    """

    def __init__(self) -> None:
        super().__init__()
        channels = _STAGES[0][0]
        self.conv1 = nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        for stage, (inner, depth) in enumerate(_STAGES):
            blocks = []
            for block in range(depth):
                blocks.append(Bottleneck(channels, inner, stride=2 if stage and not block else 1))
                channels = inner * _EXPANSION
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps after each of the four stages, (B, C, H, W) each, of normalised pictures (B, 3, 224, 224)."""
        x = functional.relu(self.bn1(self.conv1(images)))
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        maps = []
        for stage in range(len(_STAGES)):
            x = self.get_submodule(f"layer{stage + 1}")(x)
            maps.append(x)
        return maps


class SwavExtractor(nn.Module):
    """Features of pictures as IC-GAN takes them: pooled over places and of unit length.

    Args:
        network: In `eval` mode it stays, whatever mode is asked for.

    Source:
        icgan.md sections 2.1 and 4.1: normalise, bicubic to 224 pixels with aligned corners, pool, divide
        by the length.
    """

    def __init__(self, network: ResNet50) -> None:
        super().__init__()
        self.network = network
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "SwavExtractor":
        """Stay in `eval` mode: the statistics are those of the network's own training."""
        return super().train(False)

    def forward(self, images: Tensor) -> ImageFeatures:
        """Return the features (B, 2048) and the maps of the four stages of pictures in [0, 1], (B, 3, H, W)."""
        maps = self.network(self.prepare(images))
        return ImageFeatures(functional.normalize(maps[-1].mean(dim=(2, 3))), tuple(maps))

    def prepare(self, images: Tensor) -> Tensor:
        """Return what the network sees of pictures in [0, 1], (B, 3, 224, 224)."""
        normalised = (images - self.mean) / self.std
        return functional.interpolate(
            normalised, size=(INPUT_SIDE, INPUT_SIDE), mode="bicubic", align_corners=True
        )


def load_swav(path: Path, *, sha256: str | None = None) -> SwavExtractor:
    """Load SwAV's ResNet-50; its projection head and prototypes are not used.

    Args:
        path: `swav_800ep_pretrain.pth.tar`, or any ResNet-50 under torchvision's names.
        sha256: Hash that the file must have; None where it is not known.

    Raises:
        DataError: If the file is not safe to load or damaged, or lacks a weight of the network.
    """
    state = as_state_dict(read_weights(path, sha256=sha256), path)
    with torch.device("meta"):
        network = ResNet50()
    expected = network.state_dict()
    # Whatever else the file holds was for SwAV's own training.
    problems = fit_problems(expected, {name: state[name] for name in expected if name in state}, set())
    if problems:
        raise DataError(
            f"{path} is no ResNet-50: {' '.join(problems)}",
            "Give `swav_800ep_pretrain.pth.tar`, or the state dict of torchvision's `resnet50`.",
        )
    fill(network, state)
    return SwavExtractor(network)
