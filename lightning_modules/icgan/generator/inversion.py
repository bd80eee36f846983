"""The noise and the dense vector from which the generator makes a given picture as well as it can."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lightning_modules.icgan.generator.cma_start import search_noise
from lightning_modules.icgan.generator.descent import descend
from lightning_modules.icgan.generator.image_loss import (
    Extractor,
    ImageLoss,
    Wanted,
    as_unit_range,
    map_variances,
    pixel_correlations,
)
from lightning_modules.icgan.generator.inversion_settings import InversionSettings
from lightning_modules.icgan.generator.network import Generator
from lightning_modules.parts.errors import DataError

TRUNCATION = 2.0
"""Largest size of an entry of the noise."""


class Fit(NamedTuple):
    """How well N pictures are made.

    Args:
        loss: Of `ImageLoss`, without the penalties, (N,).
        pixel_correlation: Pearson's r over pixels, (N,).
        cosine: Between the features that the made picture has and the wanted ones, (N,).
    """

    loss: Tensor
    pixel_correlation: Tensor
    cosine: Tensor


class Inverted(NamedTuple):
    """What N pictures were inverted to.

    Args:
        z: Noise, (N, dim_z), within `TRUNCATION`.
        d: Dense vectors, (N, dense_dim).
        without_noise: Fit of the pictures at z = 0, which features alone decide.
        from_z: Fit of the pictures of z alone.
        from_z_and_d: Fit of the pictures of both; the same where d is that of z.
    """

    z: Tensor
    d: Tensor
    without_noise: Fit
    from_z: Fit
    from_z_and_d: Fit


def invert(
    generator: Generator, images: Tensor, h: Tensor, extractor: Extractor, settings: InversionSettings
) -> Inverted:
    """Find noise and dense vectors of pictures, features held at the pictures' own.

    Adam moves each picture's entries by that picture's gradient alone, so that the result depends neither on the
    other pictures nor on `batch_size`. Of every descent the best point met is kept, its start included: a free
    dense vector never fits worse than the noise's own.

    Args:
        generator: Taken in `eval` mode; its weights do not change.
        images: In [0, 1], (N, 3, resolution, resolution).
        h: Their features, (N, h_dim).
        extractor: Whose features h are.
        settings: See there.

    Raises:
        DataError: If pictures and features do not fit the generator.

    Source:
        icgan.md section 2.4; the fMRI paper's own procedure is not public [inferred].
    """
    _check(generator, images, h)
    preset = generator.preset
    draws = torch.Generator().manual_seed(settings.seed)
    starts = torch.empty(len(images), settings.restarts, preset.dim_z)
    torch.nn.init.trunc_normal_(starts, a=-TRUNCATION, b=TRUNCATION, generator=draws)
    variances = map_variances(images, extractor, batch_size=settings.batch_size)
    loss = ImageLoss(extractor, settings.image_weights, variances)
    parts = []
    with _frozen(generator):
        for rows in torch.arange(len(images)).split(settings.batch_size):
            wanted = Wanted.of(images[rows], h[rows], extractor)
            one = _Inversion(generator, wanted, loss, settings)
            parts.append(one.run(starts[rows].to(images.device), rows.tolist()))
    z, d, *fits = zip(*parts, strict=True)
    joined = [Fit(*(torch.cat(values) for values in zip(*of_parts, strict=True))) for of_parts in fits]
    return Inverted(torch.cat(z), torch.cat(d), *joined)


@dataclass(frozen=True, eq=False)
class _Inversion:
    """The inversion of one batch of pictures."""

    generator: Generator
    wanted: Wanted
    loss: ImageLoss
    settings: InversionSettings

    def run(self, starts: Tensor, rows: list[int]) -> Inverted:
        """Invert from starts (B, restarts, dim_z); `rows` are the pictures' places, of which seeds are made."""
        settings = self.settings
        if settings.cma_generations:
            seeds = [settings.seed + row for row in rows]
            found = search_noise(
                self._losses_of_populations,
                starts.shape[2],
                seeds,
                settings.cma_generations,
                bound=TRUNCATION,
            )
            starts[:, 0] = found.to(starts)
        z, lowest = torch.zeros_like(starts[:, 0]), starts.new_full((len(starts),), torch.inf)
        for start in starts.unbind(dim=1):
            ended, losses = self._descend_z(start)
            better = losses < lowest
            z, lowest = torch.where(better[:, None], ended, z), torch.where(better, losses, lowest)
        with torch.no_grad():
            d = self.generator.dense(z)
        at_zero = torch.zeros_like(z)
        without_noise = self._fit(self.generator.dense(at_zero), at_zero)
        from_z = self._fit(d, z)
        if settings.dense_mode == "from_z":
            return Inverted(z, d, without_noise, from_z, from_z)
        z, d = self._descend_d(z, d)
        return Inverted(z, d, without_noise, from_z, self._fit(d, z))

    def _descend_z(self, start: Tensor) -> tuple[Tensor, Tensor]:
        settings = self.settings
        first, last = settings.z_rates

        def losses(moved: list[Tensor]) -> Tensor:
            (z,) = moved
            penalty = settings.z_weight * z.square().mean(dim=1)
            return self.loss(as_unit_range(self.generator(z, self.wanted.h)), self.wanted) + penalty

        (z,), lowest = descend(losses, [start], [first], settings.z_steps, last / first, [TRUNCATION])
        return z, lowest

    def _descend_d(self, z: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        settings, chunk = self.settings, self.generator.preset.chunk
        first_chunk, rest = z[:, :chunk], z[:, chunk:]

        def losses(moved: list[Tensor]) -> Tensor:
            noise = torch.cat([first_chunk, moved[1] if settings.joint else rest], dim=1)
            made = as_unit_range(self.generator.from_dense(moved[0], noise, self.wanted.h))
            distance = (moved[0] - d).square().sum(dim=1) / d.square().sum(dim=1)
            return self.loss(made, self.wanted) + settings.d_weight * distance

        start = [d, rest] if settings.joint else [d]
        rates = [settings.d_rate, settings.d_rate / 10][: len(start)]
        bounds: list[float | None] = [None, TRUNCATION]
        ended, _ = descend(losses, start, rates, settings.d_steps, 1.0, bounds[: len(start)])
        return torch.cat([first_chunk, ended[1]], dim=1) if settings.joint else z, ended[0]

    @torch.no_grad()
    def _losses_of_populations(self, z: Tensor) -> Tensor:
        """Losses (B, P) of noise (B, P, dim_z): P candidates for each picture."""
        columns = []
        for candidate in z.to(self.wanted.images).unbind(dim=1):
            made = as_unit_range(self.generator(candidate, self.wanted.h))
            penalty = self.settings.z_weight * candidate.square().mean(dim=1)
            columns.append(self.loss(made, self.wanted) + penalty)
        return torch.stack(columns, dim=1)

    @torch.no_grad()
    def _fit(self, d: Tensor, z: Tensor) -> Fit:
        made = as_unit_range(self.generator.from_dense(d, z, self.wanted.h))
        cosine = functional.cosine_similarity(self.loss.extractor(made).h, self.wanted.h)
        return Fit(self.loss(made, self.wanted), pixel_correlations(made, self.wanted.images), cosine)


@contextmanager
def _frozen(generator: Generator) -> Iterator[None]:
    """Take a generator in `eval` mode and without gradients of its weights, and give it back as it was."""
    training = generator.training
    wanted_gradients = [one.requires_grad for one in generator.parameters()]
    generator.eval().requires_grad_(False)
    try:
        yield
    finally:
        generator.train(training)
        for one, wanted in zip(generator.parameters(), wanted_gradients, strict=True):
            one.requires_grad_(wanted)


def _check(generator: Generator, images: Tensor, h: Tensor) -> None:
    preset = generator.preset
    shape = (len(images), 3, preset.resolution, preset.resolution)
    if tuple(images.shape) != shape or tuple(h.shape) != (len(images), preset.h_dim):
        raise DataError(
            f"Pictures {tuple(images.shape)} and features {tuple(h.shape)} are not what the generator {preset} makes: "
            f"{shape} and {(len(images), preset.h_dim)}.",
            "Resize the pictures, or take the generator that was trained on these features.",
        )
    if not (float(images.min()) >= 0 and float(images.max()) <= 1):
        raise DataError(
            f"Pictures go from {float(images.min()):.3g} to {float(images.max()):.3g}, not from 0 to 1.",
            "Scale them to [0, 1].",
        )
