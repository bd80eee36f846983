"""CLIP's encoder of pictures: a vision transformer, of the size that its weights have."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

PREFIX = "visual."
"""Before the names of the encoder of pictures in a file of the whole of CLIP."""
HEAD_WIDTH = 64
"""Of every attention head in CLIP's transformers."""


@dataclass(frozen=True)
class ClipSizes:
    """Sizes of the encoder; the defaults are those of ViT-L/14.

    Args:
        width: Of a token.
        layers: Blocks of attention.
        patch: Side of the square that a token is of, pixels.
        side: Of the picture, pixels.
        outputs: Dimensions of the embedding.
    """

    width: int = 1024
    layers: int = 24
    patch: int = 14
    side: int = 224
    outputs: int = 768

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> "ClipSizes":
        """Read the sizes off the weights, as OpenAI's own loader does."""
        kernel = state[f"{PREFIX}conv1.weight"]
        n_tokens = len(state[f"{PREFIX}positional_embedding"])
        blocks = {name.split(".")[3] for name in state if name.startswith(f"{PREFIX}transformer.resblocks.")}
        return cls(
            width=kernel.shape[0],
            layers=len(blocks),
            patch=kernel.shape[-1],
            side=round((n_tokens - 1) ** 0.5) * kernel.shape[-1],
            outputs=state[f"{PREFIX}proj"].shape[1],
        )


class QuickGelu(nn.Module):
    """The approximation of GELU that CLIP was trained with."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x times the logistic function of 1.702 x."""
        return x * torch.sigmoid(1.702 * x)


class AttentionBlock(nn.Module):
    """Attention, then a perceptron on each token, both of normalised tokens and beside a shortcut.

    Args:
        width: Of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, width // HEAD_WIDTH, batch_first=True)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            OrderedDict(
                c_fc=nn.Linear(width, 4 * width), gelu=QuickGelu(), c_proj=nn.Linear(4 * width, width)
            )
        )
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return (B, tokens, width) of the same."""
        normalised = self.ln_1(tokens)
        tokens = tokens + self.attn(normalised, normalised, normalised, need_weights=False)[0]
        return tokens + self.mlp(self.ln_2(tokens))


class _Blocks(nn.Module):
    """Holds the blocks under OpenAI's names."""

    def __init__(self, sizes: ClipSizes) -> None:
        super().__init__()
        self.resblocks = nn.Sequential(*(AttentionBlock(sizes.width) for _ in range(sizes.layers)))


class _VisionTransformer(nn.Module):
    def __init__(self, sizes: ClipSizes) -> None:
        super().__init__()
        width, n_tokens = sizes.width, (sizes.side // sizes.patch) ** 2 + 1
        self.conv1 = nn.Conv2d(3, width, sizes.patch, stride=sizes.patch, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros(n_tokens, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = _Blocks(sizes)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.zeros(width, sizes.outputs))

    def forward(self, images: Tensor) -> Tensor:
        patches = self.conv1(images).flatten(2).transpose(1, 2)  # (B, patches, width)
        first = self.class_embedding.expand(len(images), 1, -1)
        tokens = self.ln_pre(torch.cat([first, patches], dim=1) + self.positional_embedding)
        return self.ln_post(self.transformer.resblocks(tokens)[:, 0]) @ self.proj


class ClipVisual(nn.Module):
    """CLIP's encoder of pictures under OpenAI's names.

    Args:
        sizes: Of ViT-L/14 or another.

    Source:
        Radford et al. 2021, "Learning transferable visual models from natural language supervision",
        arXiv:2103.00020.
    """

    def __init__(self, sizes: ClipSizes) -> None:
        super().__init__()
        self.side = sizes.side
        self.visual = _VisionTransformer(sizes)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return embeddings (B, outputs) of normalised pictures (B, 3, side, side)."""
        return {"clip": self.visual(images)}
