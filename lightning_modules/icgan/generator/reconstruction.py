"""Pictures from decoded features, noise and dense vectors: with all of them, or with some left out."""

import torch
from torch import Tensor

from lightning_modules.icgan.generator.network import Generator


@torch.no_grad()
def reconstruct(
    generator: Generator,
    h: Tensor,
    *,
    z: Tensor | None = None,
    d: Tensor | None = None,
    batch_size: int = 50,
) -> Tensor:
    """Make one picture of each stimulus, without truncation and without chance.

    Args:
        generator: In `eval` mode.
        h: Features, (N, h_dim), or their embedding, (N, e_dim).
        z: Noise, (N, dim_z); None for zeros.
        d: Dense vectors, (N, dense_dim); None for those of the noise. With them the first chunk of z is not used.
        batch_size: Pictures at once.

    Returns:
        RGB in [-1, 1], (N, 3, resolution, resolution).

    Raises:
        ValueError: If the shapes are not the generator's, or it is in training.

    Source:
        icgan.md section 4.4, `reconstruct_images.py` of the authors. All three given is the paper's way.
    """
    if generator.training:
        raise ValueError(
            "The generator is in training mode, where a picture depends on the others of its batch."
        )
    if z is None:
        z = h.new_zeros(len(h), generator.preset.dim_z)
    pictures = []
    for rows in torch.arange(len(h)).split(batch_size):
        dense = generator.dense(z[rows]) if d is None else d[rows]
        pictures.append(generator.from_dense(dense, z[rows], h[rows]))
    return torch.cat(pictures)


def reconstruct_samples(
    generator: Generator, h: Tensor, *, n_samples: int, seed: int, batch_size: int = 50
) -> Tensor:
    """Make several pictures of each stimulus from its features and random noise.

    Args:
        generator: In `eval` mode.
        h: As in `reconstruct`.
        n_samples: Pictures of each, S.
        seed: Of the noise, which is the same for every stimulus.
        batch_size: Pictures at once.

    Returns:
        RGB in [-1, 1], (N, S, 3, resolution, resolution); scores are averaged over S, not pictures.
    """
    draws = torch.Generator().manual_seed(seed)
    noise = torch.randn(n_samples, generator.preset.dim_z, generator=draws).to(h)
    of_each = [reconstruct(generator, h, z=one.expand(len(h), -1), batch_size=batch_size) for one in noise]
    return torch.stack(of_each, dim=1)


def as_bytes(pictures: Tensor) -> Tensor:
    """Return pictures in [-1, 1] as uint8: 128 (x + 1), cut to 0 and 255, towards zero."""
    return (128 * (pictures + 1)).clamp(0, 255).to(torch.uint8)
