"""The discriminator: BigGAN's, which projects the features of an instance onto what it sees."""

from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.icgan.generator.layers import Attention, SpectralConv2d, SpectralLinear
from lightning_modules.icgan.generator.presets import GeneratorPreset


class DiscriminatorBlock(nn.Module):
    """Residual block that may halve the side of a map.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        activated: Whether a ReLU comes before the first convolution; not before that of the picture itself.
        halves: Whether pixels are averaged two by two.
    """

    def __init__(self, inputs: int, outputs: int, *, activated: bool, halves: bool) -> None:
        super().__init__()
        self.activated = activated
        self.halves = halves
        self.conv1 = SpectralConv2d(inputs, outputs)
        self.conv2 = SpectralConv2d(outputs, outputs)
        self.conv_sc = SpectralConv2d(inputs, outputs, kernel=1) if halves or inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, H', W') of maps (B, inputs, H, W)."""
        inner = self.conv1(functional.relu(x) if self.activated else x)
        inner = self._shrink(self.conv2(functional.relu(inner)))
        # A 1 x 1 convolution commutes with averaging pixels and is four times cheaper after it.
        shortcut = self._shrink(x)
        return inner + (shortcut if self.conv_sc is None else self.conv_sc(shortcut))

    def _shrink(self, x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, 2) if self.halves else x


class Discriminator(nn.Module):
    """How real a picture looks as one of the neighbours of an instance; not bounded.

    Args:
        preset: That of the generator it plays against.

    Source:
        Miyato, Koyama 2018, "cGANs with projection discriminator"; icgan.md sections 4.1 and 8.4.
    """

    def __init__(self, preset: GeneratorPreset) -> None:
        super().__init__()
        self.preset = preset
        self.blocks = nn.ModuleList()
        side, inputs = preset.resolution, 3
        for outputs, new_side in zip(preset.discriminator_widths, preset.discriminator_sides, strict=True):
            first = not len(self.blocks)
            halves = new_side < side
            block = nn.ModuleList([DiscriminatorBlock(inputs, outputs, activated=not first, halves=halves)])
            if new_side == preset.attention and halves:
                block.append(Attention(outputs))
            self.blocks.append(block)
            side, inputs = new_side, outputs
        self.linear = SpectralLinear(inputs, 1)
        self.linear_feat = SpectralLinear(preset.h_dim, inputs)

    def forward(self, images: Tensor, h: Tensor) -> Tensor:
        """Return scores (B,) of pictures in [-1, 1], (B, 3, resolution, resolution), and features (B, h_dim)."""
        x = images
        for block in self.blocks:
            assert isinstance(block, nn.ModuleList)
            for layer in block:
                x = layer(x)
        seen = functional.relu(x).sum(dim=(2, 3))
        return self.linear(seen).squeeze(1) + (self.linear_feat(h) * seen).sum(dim=1)
