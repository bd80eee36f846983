"""What generator and discriminator minimise against each other, and how pictures are shifted before they are judged."""

import torch
from torch import Tensor
from torch.nn import functional


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return the hinge loss E[max(0, 1 - D(real))] + E[max(0, 1 + D(fake))], scalar.

    Args:
        real: Scores of real pictures, (B,).
        fake: Scores of made ones, (B',).

    Source:
        Lim, Ye 2017, "Geometric GAN"; icgan.md section 8.4.
    """
    return functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Return -E[D(fake)], scalar, of scores (B,)."""
    return -fake.mean()


def translate(images: Tensor, largest_share: float, draws: torch.Generator) -> Tensor:
    """Shift each picture by whole pixels, drawn evenly, and fill with zeros.

    Args:
        images: (B, C, H, W).
        largest_share: Largest shift, as a share of height and width; 0 leaves pictures as they are.
        draws: On the CPU.

    Source:
        Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training", policy `translation`, whose
        share is 1/8.
    """
    count, _, height, width = images.shape
    furthest = [round(side * largest_share) for side in (height, width)]
    down, right = (torch.randint(-most, most + 1, (count, 1), generator=draws) for most in furthest)
    rows = (torch.arange(height) - down).to(images.device)  # (B, H): where each row comes from
    columns = (torch.arange(width) - right).to(images.device)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :]
    picture = torch.arange(count, device=images.device)[:, None, None]
    moved = images[picture, :, rows.clamp(0, height - 1)[:, :, None], columns.clamp(0, width - 1)[:, None, :]]
    return moved.movedim(-1, 1) * inside[:, None]
