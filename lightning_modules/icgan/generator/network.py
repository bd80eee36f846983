"""The generator: BigGAN's, conditioned on the features of an instance instead of a class."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.icgan.generator.layers import (
    BATCH_NORM_MOMENTUM,
    AffineBatchNorm,
    Attention,
    BatchNorm,
    ConditionalBatchNorm,
    SpectralConv2d,
    SpectralLinear,
    upsample,
)
from lightning_modules.icgan.generator.presets import GeneratorPreset

UNUSED_CLASSES = "shared.weight"
"""Entry of public checkpoints that holds an embedding of classes which nothing reads."""


class GeneratorBlock(nn.Module):
    """Residual block that doubles the side of a map.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        condition_dim: Dimensions of the condition.
    """

    def __init__(self, inputs: int, outputs: int, condition_dim: int) -> None:
        super().__init__()
        self.conv1 = SpectralConv2d(inputs, outputs)
        self.conv2 = SpectralConv2d(outputs, outputs)
        self.conv_sc = SpectralConv2d(inputs, outputs, kernel=1)
        self.bn1 = ConditionalBatchNorm(inputs, condition_dim)
        self.bn2 = ConditionalBatchNorm(outputs, condition_dim)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return (B, outputs, 2 H, 2 W) of maps (B, inputs, H, W) and conditions (B, condition_dim)."""
        inner = self.conv1(upsample(functional.relu(self.bn1(x, condition))))
        inner = self.conv2(functional.relu(self.bn2(inner, condition)))
        # A 1 x 1 convolution commutes with repeating pixels and is four times cheaper before it.
        return inner + upsample(self.conv_sc(x))


class Generator(nn.Module):
    """Pictures from noise z and an instance's features h, by way of the dense vector d.

    The first chunk of z passes a linear layer, whose output d is the first map. Each further chunk, beside the
    embedding of h, conditions one block. The names of all weights and buffers are those of the public checkpoints.

    Shapes:
        B pictures; the dimensions of z, d and h are the preset's.

    Args:
        preset: The sizes. On the `meta` device nothing is allocated and nothing initialised.

    Source:
        Casanova et al. 2021, "Instance-conditioned GAN", arXiv:2109.05070; icgan.md section 4.2.
    """

    def __init__(self, preset: GeneratorPreset) -> None:
        super().__init__()
        self.preset = preset
        if preset.class_embedding is not None:
            self.shared = nn.Embedding(*preset.class_embedding)
        self.shared_feat = SpectralLinear(preset.h_dim, preset.e_dim)
        self.linear = SpectralLinear(preset.chunk, preset.dense_dim)
        self.blocks = nn.ModuleList()
        for inputs, outputs, side in zip(preset.widths[:-1], preset.widths[1:], preset.sides, strict=True):
            block = nn.ModuleList([GeneratorBlock(inputs, outputs, preset.condition_dim)])
            if side == preset.attention:
                block.append(Attention(outputs))
            self.blocks.append(block)
        self.output_layer = nn.Sequential(
            AffineBatchNorm(preset.widths[-1]), nn.ReLU(), SpectralConv2d(preset.widths[-1], 3)
        )

    def forward(self, z: Tensor, h: Tensor) -> Tensor:
        """Return pictures.

        Args:
            z: Noise, (B, dim_z).
            h: Features, (B, h_dim), or their embedding, (B, e_dim).

        Returns:
            RGB in [-1, 1], (B, 3, resolution, resolution).

        Raises:
            ValueError: If the shapes are not the preset's.
        """
        return self.from_dense(self.dense(z), z, h)

    def dense(self, z: Tensor) -> Tensor:
        """Return the dense vectors (B, dense_dim) of noise (B, dim_z); only its first chunk matters.

        Raises:
            ValueError: If `z` is not (B, dim_z).
        """
        self._check("z", z, self.preset.dim_z)
        return self.linear(z[:, : self.preset.chunk])

    def embed(self, h: Tensor) -> Tensor:
        """Return the embedding (B, e_dim) of features (B, h_dim).

        Vectors of the embedding's own dimensions are taken as embedded already, as in the vendored generator of
        the fMRI paper's authors; where both have the same dimensions they are taken as features.

        Raises:
            ValueError: If `h` is neither.
        """
        if h.shape[-1] == self.preset.e_dim != self.preset.h_dim:
            return h
        self._check("h", h, self.preset.h_dim)
        return self.shared_feat(h)

    def from_dense(self, d: Tensor, z: Tensor, h: Tensor) -> Tensor:
        """Return pictures of dense vectors; the first chunk of z has no influence.

        Args:
            d: Dense vectors, (B, dense_dim).
            z: Noise, (B, dim_z).
            h: As in `forward`.

        Returns:
            RGB in [-1, 1], (B, 3, resolution, resolution).

        Raises:
            ValueError: If the shapes are not the preset's.
        """
        self._check("d", d, self.preset.dense_dim)
        self._check("z", z, self.preset.dim_z)
        embedded = self.embed(h)
        x = d.unflatten(1, self.preset.dense_shape)
        for block, chunk in zip(self.blocks, z.split(self.preset.chunk, dim=1)[1:], strict=True):
            assert isinstance(block, nn.ModuleList)
            x = block[0](x, torch.cat([embedded, chunk], dim=1))
            for attention in block[1:]:
                x = attention(x)
        return torch.tanh(self.output_layer(x))

    def _check(self, name: str, given: Tensor, wanted: int) -> None:
        if given.ndim != 2 or given.shape[1] != wanted:
            raise ValueError(
                f"`{name}` has shape {tuple(given.shape)}, but the generator {self.preset} takes (pictures, {wanted})."
            )


def measure_statistics(generator: Generator, z: Tensor, h: Tensor, *, batch_size: int) -> None:
    """Replace the running statistics of every batch normalisation by plain means over batches, in place.

    Running means follow the last dozen batches of a generator that was changing under them. The generator is left
    in `eval` mode.

    Args:
        generator: Whose statistics to measure.
        z: Noise, (N, dim_z).
        h: Features, (N, h_dim).
        batch_size: Pictures at once, at least 2; a smaller remainder is left out.

    Raises:
        ValueError: If there is no whole batch.

    Source:
        "Standing statistics" of BigGAN, Brock et al. 2019, appendix C.1.
    """
    if not 2 <= batch_size <= len(z):
        raise ValueError(f"`batch_size` is {batch_size}, but must be from 2 to the {len(z)} given vectors.")
    generator.eval()
    layers = [one for one in generator.modules() if isinstance(one, BatchNorm)]
    for layer in layers:
        # Not `train()`: the singular values below it would be estimated anew and the weights scaled otherwise.
        layer.training = True
    with torch.no_grad():
        for batch in range(len(z) // batch_size):
            rows = slice(batch * batch_size, (batch + 1) * batch_size)
            for layer in layers:
                layer.momentum = 1 / (batch + 1)  # The share of the newest of so many equal parts.
            generator(z[rows], h[rows])
    for layer in layers:
        layer.training = False
        layer.momentum = BATCH_NORM_MOMENTUM
