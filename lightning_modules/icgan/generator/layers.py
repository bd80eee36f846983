"""The layers of BigGAN: spectral normalisation, batch normalisation that a condition scales, self-attention."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

SPECTRAL_EPS = 1e-6
BATCH_NORM_EPS = 1e-5
BATCH_NORM_MOMENTUM = 0.1
"""Share of a batch's statistics in the running ones."""


class _SpectralWeight(nn.Module):
    """Mixin that keeps an estimate of the largest singular value of `weight`, seen as a matrix of its rows.

    Attributes:
        u0: Left singular vector as far as it is known, (1, rows); the start of the next power iteration.
        sv0: Largest singular value as last estimated in training, (1,).
    """

    weight: Tensor
    u0: Tensor
    sv0: Tensor

    def _make_estimate(self) -> None:
        weight = self.weight
        self.register_buffer("u0", torch.randn(1, weight.shape[0], device=weight.device))
        self.register_buffer("sv0", torch.ones(1, device=weight.device))
        if not weight.is_meta:
            nn.init.orthogonal_(weight)

    def normalised_weight(self) -> Tensor:
        """Return the weight divided by its largest singular value, after one power iteration.

        In `eval` mode the iteration is run and not kept, so that the same input gives the same output.

        Source:
            Miyato et al. 2018, "Spectral normalization for generative adversarial networks", algorithm 1.
        """
        matrix = self.weight.flatten(1)
        with torch.no_grad():
            right = functional.normalize(self.u0 @ matrix, eps=SPECTRAL_EPS)
            left = functional.normalize(right @ matrix.T, eps=SPECTRAL_EPS)
        largest = (left @ matrix @ right.T).squeeze()
        if self.training:
            with torch.no_grad():
                self.u0.copy_(left)
                self.sv0.fill_(largest.detach())
        return self.weight / largest


class SpectralConv2d(_SpectralWeight, nn.Conv2d):
    """Convolution of square kernels, same size out as in, by a spectrally normalised weight.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        kernel: Side of the kernel, pixels; odd.
        bias: Whether a bias is added.
    """

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 3, bias: bool = True) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, bias=bias)
        self._make_estimate()

    def forward(self, input: Tensor) -> Tensor:
        """Return (B, outputs, H, W) of maps (B, inputs, H, W)."""
        return functional.conv2d(input, self.normalised_weight(), self.bias, padding=self.kernel_size[0] // 2)


class SpectralLinear(_SpectralWeight, nn.Linear):
    """Linear layer of a spectrally normalised weight."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, bias=bias)
        self._make_estimate()

    def forward(self, input: Tensor) -> Tensor:
        """Return (..., outputs) of vectors (..., inputs)."""
        return functional.linear(input, self.normalised_weight(), self.bias)


class BatchNorm(nn.Module):
    """Batch normalisation of maps with running statistics under BigGAN's names.

    Args:
        channels: C.
    """

    stored_mean: Tensor
    stored_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("stored_mean", torch.zeros(channels))
        self.register_buffer("stored_var", torch.ones(channels))
        self.momentum = BATCH_NORM_MOMENTUM

    def standardise(self, x: Tensor) -> Tensor:
        """Return maps (B, C, H, W) less their mean over their deviation: a batch's in training, else the running."""
        return functional.batch_norm(
            x,
            self.stored_mean,
            self.stored_var,
            training=self.training,
            momentum=self.momentum,
            eps=BATCH_NORM_EPS,
        )


class AffineBatchNorm(BatchNorm):
    """Batch normalisation with a learned gain and bias of each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H, W) of maps (B, C, H, W)."""
        return self.standardise(x) * self.gain[:, None, None] + self.bias[:, None, None]


class ConditionalBatchNorm(BatchNorm):
    """Batch normalisation whose gain, 1 + A y, and bias, B y, are linear in a condition y.

    Args:
        channels: C.
        condition_dim: Dimensions of y.

    Source:
        Brock, Donahue, Simonyan 2019, "Large scale GAN training for high fidelity natural image synthesis", appendix B.
    """

    def __init__(self, channels: int, condition_dim: int) -> None:
        super().__init__(channels)
        self.gain = SpectralLinear(condition_dim, channels, bias=False)
        self.bias = SpectralLinear(condition_dim, channels, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return (B, C, H, W) of maps (B, C, H, W) and conditions (B, condition_dim)."""
        gain, bias = 1 + self.gain(condition), self.bias(condition)
        return self.standardise(x) * gain[..., None, None] + bias[..., None, None]


class Attention(nn.Module):
    """Self-attention over the places of a map, added with a weight that starts at 0.

    Args:
        channels: C.

    Source:
        Zhang et al. 2019, "Self-attention generative adversarial networks", in BigGAN's form: keys and values are
        max-pooled 2 x 2 first.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < 8:
            raise ValueError(f"Attention needs at least 8 channels, but there are {channels}.")
        self.theta = SpectralConv2d(channels, channels // 8, kernel=1, bias=False)
        self.phi = SpectralConv2d(channels, channels // 8, kernel=1, bias=False)
        self.g = SpectralConv2d(channels, channels // 2, kernel=1, bias=False)
        self.o = SpectralConv2d(channels // 2, channels, kernel=1, bias=False)
        self.gamma = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H, W) of maps (B, C, H, W), H and W even."""
        queries = self.theta(x).flatten(2)  # (B, C / 8, H W)
        keys = functional.max_pool2d(self.phi(x), 2).flatten(2)  # (B, C / 8, H W / 4)
        values = functional.max_pool2d(self.g(x), 2).flatten(2)  # (B, C / 2, H W / 4)
        attended = (queries.transpose(1, 2) @ keys).softmax(dim=-1)  # (B, H W, H W / 4)
        gathered = (values @ attended.transpose(1, 2)).unflatten(2, tuple(x.shape[2:]))
        return self.gamma * self.o(gathered) + x


def upsample(x: Tensor) -> Tensor:
    """Return maps (B, C, 2 H, 2 W) whose pixels are each of (B, C, H, W) four times."""
    return functional.interpolate(x, scale_factor=2, mode="nearest")


def n_parameters(module: nn.Module) -> int:
    """Return how many numbers the optimizer could change."""
    return sum(math.prod(one.shape) for one in module.parameters())
