"""Inception-v3 up to its average pooling."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH_NORM_EPS = 1e-3


class Step(NamedTuple):
    """A convolution of a branch.

    Args:
        name: Of its module.
        outputs: Channels that it gives.
        kernel: Height and width.
        stride: With 1 maps keep their size; with 2 they are not padded.
    """

    name: str
    outputs: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1


Chain = tuple[tuple[Step, ...], ...]
"""Steps one after another; where there are several at once, their outputs are joined."""


class BasicConv(nn.Module):
    """Convolution, batch normalisation and ReLU under torchvision's names.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        kernel: Height and width.
        stride: Of the convolution.
        padding: Rows and columns of zeros on each side.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int],
        stride: int = 1,
        padding: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, H', W') of maps (B, inputs, H, W)."""
        return functional.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Branches side by side, joined along the channels, the pooled one last.

    Args:
        inputs: Channels in.
        chains: Branches of convolutions.
        pooled: Channels of a convolution after average pooling; None pools by the maximum, to half the size.
    """

    def __init__(self, inputs: int, chains: tuple[Chain, ...], pooled: int | None) -> None:
        super().__init__()
        self.names = [[[step.name for step in steps] for steps in chain] for chain in chains]
        self.outputs = inputs if pooled is None else pooled
        for chain in chains:
            channels = inputs
            for steps in chain:
                for step in steps:
                    height, width = step.kernel if step.stride == 1 else (1, 1)
                    padding = (height // 2, width // 2)
                    self.add_module(
                        step.name, BasicConv(channels, step.outputs, step.kernel, step.stride, padding)
                    )
                channels = sum(step.outputs for step in steps)
            self.outputs += channels
        self.branch_pool = None if pooled is None else BasicConv(inputs, pooled, (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, H', W') of maps (B, inputs, H, W)."""
        branches = []
        for chain in self.names:
            inner = x
            for names in chain:
                inner = torch.cat([self.get_submodule(name)(inner) for name in names], dim=1)
            branches.append(inner)
        if self.branch_pool is None:
            branches.append(functional.max_pool2d(x, 3, stride=2))
        else:
            branches.append(self.branch_pool(functional.avg_pool2d(x, 3, stride=1, padding=1)))
        return torch.cat(branches, dim=1)


def chain(*steps: Step | tuple[Step, ...]) -> Chain:
    """Return steps one after another; a tuple of them is at once."""
    return tuple((one,) if isinstance(one, Step) else one for one in steps)


def _a() -> tuple[Chain, ...]:
    return (
        chain(Step("branch1x1", 64)),
        chain(Step("branch5x5_1", 48), Step("branch5x5_2", 64, (5, 5))),
        chain(
            Step("branch3x3dbl_1", 64), Step("branch3x3dbl_2", 96, (3, 3)), Step("branch3x3dbl_3", 96, (3, 3))
        ),
    )


def _b() -> tuple[Chain, ...]:
    return (
        chain(Step("branch3x3", 384, (3, 3), 2)),
        chain(
            Step("branch3x3dbl_1", 64),
            Step("branch3x3dbl_2", 96, (3, 3)),
            Step("branch3x3dbl_3", 96, (3, 3), 2),
        ),
    )


def _c(inner: int) -> tuple[Chain, ...]:
    kernels = [(7, 1), (1, 7), (7, 1), (1, 7)]
    widths = [inner, inner, inner, 192]
    double = [
        Step(f"branch7x7dbl_{position}", width, kernel)
        for position, (width, kernel) in enumerate(zip(widths, kernels, strict=True), start=2)
    ]
    return (
        chain(Step("branch1x1", 192)),
        chain(
            Step("branch7x7_1", inner), Step("branch7x7_2", inner, (1, 7)), Step("branch7x7_3", 192, (7, 1))
        ),
        chain(Step("branch7x7dbl_1", inner), *double),
    )


def _d() -> tuple[Chain, ...]:
    return (
        chain(Step("branch3x3_1", 192), Step("branch3x3_2", 320, (3, 3), 2)),
        chain(
            Step("branch7x7x3_1", 192),
            Step("branch7x7x3_2", 192, (1, 7)),
            Step("branch7x7x3_3", 192, (7, 1)),
            Step("branch7x7x3_4", 192, (3, 3), 2),
        ),
    )


def _e() -> tuple[Chain, ...]:
    def ends(first: str, second: str) -> tuple[Step, ...]:
        return Step(first, 384, (1, 3)), Step(second, 384, (3, 1))

    return (
        chain(Step("branch1x1", 320)),
        chain(Step("branch3x3_1", 384), ends("branch3x3_2a", "branch3x3_2b")),
        chain(
            Step("branch3x3dbl_1", 448),
            Step("branch3x3dbl_2", 384, (3, 3)),
            ends("branch3x3dbl_3a", "branch3x3dbl_3b"),
        ),
    )


_MIXED: dict[str, tuple[tuple[Chain, ...], int | None]] = {
    "Mixed_5b": (_a(), 32),
    "Mixed_5c": (_a(), 64),
    "Mixed_5d": (_a(), 64),
    "Mixed_6a": (_b(), None),
    "Mixed_6b": (_c(128), 192),
    "Mixed_6c": (_c(160), 192),
    "Mixed_6d": (_c(160), 192),
    "Mixed_6e": (_c(192), 192),
    "Mixed_7a": (_d(), None),
    "Mixed_7b": (_e(), 192),
    "Mixed_7c": (_e(), 192),
}


class InceptionV3(nn.Module):
    """Inception-v3 without classifiers, under torchvision's names.

    Source:
        Szegedy et al. 2016, "Rethinking the Inception architecture for computer vision", as in torchvision.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = BasicConv(3, 32, (3, 3), 2)
        self.Conv2d_2a_3x3 = BasicConv(32, 32, (3, 3))
        self.Conv2d_2b_3x3 = BasicConv(32, 64, (3, 3), padding=(1, 1))
        self.Conv2d_3b_1x1 = BasicConv(64, 80, (1, 1))
        self.Conv2d_4a_3x3 = BasicConv(80, 192, (3, 3))
        channels = 192
        for name, (chains, pooled) in _MIXED.items():
            mixed = Mixed(channels, chains, pooled)
            self.add_module(name, mixed)
            channels = mixed.outputs

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the pooled features (B, 2048) of pictures in [-1, 1], (B, 3, H, W) of at least 75 pixels."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(functional.max_pool2d(x, 3, stride=2)))
        x = functional.max_pool2d(x, 3, stride=2)
        for name in _MIXED:
            x = self.get_submodule(name)(x)
        return {"inception": x.mean(dim=(2, 3))}
