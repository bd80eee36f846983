"""EfficientNet-B1 up to its average pooling."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

STEM, LAST = 32, 1280
"""Channels of the first and of the last convolution."""
SQUEEZE = 4
"""Of so many channels in, the squeezed ones are one."""


class Stage(NamedTuple):
    """Blocks of one width.

    Args:
        expansion: Inner channels for each one in.
        kernel: Of the convolution of single channels.
        stride: Of the first block.
        outputs: Channels out.
        depth: Blocks.
    """

    expansion: int
    kernel: int
    stride: int
    outputs: int
    depth: int


B1 = (
    Stage(1, 3, 1, 16, 2),
    Stage(6, 3, 2, 24, 3),
    Stage(6, 5, 2, 40, 3),
    Stage(6, 3, 2, 80, 4),
    Stage(6, 5, 1, 112, 4),
    Stage(6, 5, 2, 192, 5),
    Stage(6, 3, 1, 320, 2),
)
"""Widths of B0, 1.1 times its depth."""


class SqueezeExcitation(nn.Module):
    """Weighs channels by what their means tell.

    Args:
        channels: C.
        squeezed: Between the two layers.
    """

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighed maps, (B, C, H, W)."""
        means = x.mean(dim=(2, 3), keepdim=True)
        return x * torch.sigmoid(self.fc2(functional.silu(self.fc1(means))))


class InvertedBottleneck(nn.Module):
    """Expands, convolves each channel by itself, weighs channels and projects; with a shortcut where sizes allow.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stage: Its other sizes.
        stride: Of the convolution of single channels.
    """

    def __init__(self, inputs: int, outputs: int, stage: Stage, stride: int) -> None:
        super().__init__()
        inner = inputs * stage.expansion
        layers = [] if stage.expansion == 1 else [convolution(inputs, inner, 1)]
        layers += [
            convolution(inner, inner, stage.kernel, stride=stride, groups=inner),
            SqueezeExcitation(inner, max(1, inputs // SQUEEZE)),
            convolution(inner, outputs, 1, activated=False),
        ]
        self.block = nn.Sequential(*layers)
        self.has_shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, H / stride, W / stride) of maps (B, inputs, H, W)."""
        return self.block(x) + x if self.has_shortcut else self.block(x)


def convolution(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, activated: bool = True
) -> nn.Sequential:
    """Return a convolution that keeps the size but for its stride, batch normalisation and, if asked for, SiLU."""
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.SiLU()) if activated else nn.Sequential(*layers)


class EfficientNetB1(nn.Module):
    """EfficientNet-B1 without its classifier, under torchvision's names.

    Source:
        Tan & Le 2019, "EfficientNet: rethinking model scaling", arXiv:1905.11946, as in torchvision.
    """

    def __init__(self) -> None:
        super().__init__()
        layers, channels = [convolution(3, STEM, 3, stride=2)], STEM
        for stage in B1:
            blocks = []
            for block in range(stage.depth):
                stride = 1 if block else stage.stride
                blocks.append(InvertedBottleneck(channels, stage.outputs, stage, stride))
                channels = stage.outputs
            layers.append(nn.Sequential(*blocks))
        self.features = nn.Sequential(*layers, convolution(channels, LAST, 1))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the pooled features (B, 1280) of normalised pictures (B, 3, H, W)."""
        return {"efficientnet": self.features(images).mean(dim=(2, 3))}
