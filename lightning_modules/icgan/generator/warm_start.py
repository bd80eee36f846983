"""A small generator learnt from pictures alone: weights and one noise vector for each picture, together."""

from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_modules.icgan.generator.image_loss import (
    Extractor,
    ImageLoss,
    ImageWeights,
    Wanted,
    as_unit_range,
    map_variances,
)
from lightning_modules.icgan.generator.network import Generator, measure_statistics
from lightning_modules.icgan.generator.presets import GeneratorPreset
from lightning_modules.parts.decoding.learned import batches, seeded
from lightning_modules.parts.errors import DataError


@dataclass(frozen=True)
class WarmStartSettings:
    """How a generator is warm-started; the defaults are those of section 8.3.

    Args:
        n_steps: Batches.
        batch_size: Pictures in a batch.
        generator_rate: Adam's on the weights.
        z_rate: Adam's on the noise of the batch's pictures.
        z_start: Standard deviation of the noise at the start. Within few epochs the noise does not get far from there,
            and what is left of a random start no voxel knows.
        z_weight: Of the mean squared entry of the noise.
        image_weights: Of the terms of the loss of pictures.
        seed: Of weights, noise and batches.

    Raises:
        ValueError: If there is no step, or a batch is a single picture, which cannot be normalised.
    """

    n_steps: int = 1500
    batch_size: int = 48
    generator_rate: float = 1e-3
    z_rate: float = 2e-2
    z_start: float = 0.1
    z_weight: float = 1e-3
    image_weights: ImageWeights = field(
        default_factory=lambda: ImageWeights(pixel=1.0, coarse=0.0, perceptual=0.5, semantic=0.3)
    )
    seed: int = 0

    def __post_init__(self) -> None:
        problems = [
            f"`{name}` is {getattr(self, name)}, but must be at least {least}."
            for name, least in (("n_steps", 1), ("batch_size", 2))
            if getattr(self, name) < least
        ]
        if problems:
            raise ValueError("A generator cannot be warm-started so:\n  " + "\n  ".join(problems))


class WarmStart(NamedTuple):
    """What a warm start gives.

    Args:
        generator: In `eval` mode, its running statistics measured on all pictures.
        z: The noise of each picture, (N, dim_z), not bounded.
        losses: Of each step's batch, (n_steps,).
    """

    generator: Generator
    z: Tensor
    losses: Tensor


def warm_start(
    preset: GeneratorPreset, images: Tensor, h: Tensor, extractor: Extractor, settings: WarmStartSettings
) -> WarmStart:
    """Learn a generator and the noise of every picture together, by what the pictures look like.

    Args:
        preset: Of the generator.
        images: In [0, 1], (N, 3, resolution, resolution), N at least one batch.
        h: Their features, (N, h_dim).
        extractor: Whose features h are.
        settings: See there.

    Raises:
        DataError: If there are fewer pictures than a batch.
        ValueError: If pictures or features are not of the preset's shapes.

    Source:
        Bojanowski, Joulin, Lopez-Paz, Szlam 2018, "Optimizing the latent space of generative networks";
        icgan.md section 8.3 A.
    """
    if len(images) < settings.batch_size:
        raise DataError(
            f"There are {len(images)} pictures, but one batch is {settings.batch_size}.",
            "Give more pictures, or a lower `batch_size`.",
        )
    variances = map_variances(images, extractor, batch_size=settings.batch_size)
    loss = ImageLoss(extractor, settings.image_weights, variances)
    with seeded(settings.seed):
        generator = Generator(preset).to(images.device).train()
        noise = nn.Embedding(len(images), preset.dim_z, sparse=True).to(images.device)
        nn.init.normal_(noise.weight, std=settings.z_start)
        optimizers = (
            torch.optim.Adam(generator.parameters(), settings.generator_rate),
            # Only the noise of the pictures in a batch moves: momentum must not carry the others on.
            torch.optim.SparseAdam(noise.parameters(), settings.z_rate),
        )
        losses = []
        order = batches(torch.arange(len(images), device=images.device), settings.batch_size)
        for rows in islice(order, settings.n_steps):
            z = noise(rows)
            made = as_unit_range(generator(z, h[rows]))
            wanted = Wanted.of(images[rows], h[rows], extractor)
            step = (loss(made, wanted) + settings.z_weight * z.square().mean(dim=1)).mean()
            for one in optimizers:
                one.zero_grad()
            step.backward()
            for one in optimizers:
                one.step()
            losses.append(step.detach())
    z = noise.weight.detach()
    measure_statistics(generator, z, h, batch_size=settings.batch_size)
    return WarmStart(generator, z, torch.stack(losses))
