import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.optimize import rosen
from torch import Tensor

from lightning_modules.icgan.generator.cma_start import population_size, search_noise
from lightning_modules.icgan.generator.descent import descend
from lightning_modules.icgan.generator.image_loss import (
    ImageLoss,
    ImageWeights,
    Wanted,
    map_variances,
    pixel_correlations,
)
from lightning_modules.icgan.generator.inversion import Inverted, invert
from lightning_modules.icgan.generator.inversion_settings import InversionSettings
from lightning_modules.icgan.generator.network import Generator
from lightning_modules.icgan.generator.small_extractor import SmallNetExtractor
from lightning_modules.parts.errors import DataError

FEW = InversionSettings(restarts=2, z_steps=25, d_steps=20, batch_size=3)


def entries(found: Inverted) -> list[Tensor]:
    fits = (found.without_noise, found.from_z, found.from_z_and_d)
    return [found.z, found.d, *(one for fit in fits for one in fit)]


@pytest.fixture
def made(generator: Generator, extractor: SmallNetExtractor, h: Tensor) -> Tensor:
    """Pictures that the generator can make, in [0, 1], (3, 3, 32, 32)."""
    with torch.no_grad():
        return (generator(torch.randn(3, 24).clamp(-2, 2), h[:3]) + 1) / 2


def test_the_loss_of_a_picture_is_the_sum_of_its_terms(
    images: Tensor, h: Tensor, extractor: SmallNetExtractor
) -> None:
    made, wanted, features = images[:3], images[3:6], h[6:9]
    variances = map_variances(images, extractor, batch_size=7)
    weights = ImageWeights(pixel=0.9, coarse=0.8, perceptual=0.7, semantic=0.6)
    found = ImageLoss(extractor, weights, variances)(made, Wanted.of(wanted, features, extractor))
    seen, of_wanted, of_all = extractor(made), extractor(wanted), extractor(images)
    np.testing.assert_allclose(variances, [np.var(one.double().numpy()) for one in of_all.maps], rtol=1e-6)
    for b in range(3):
        difference = (made[b] - wanted[b]).double().numpy()
        coarse = difference.reshape(3, 8, 4, 8, 4).mean(axis=(2, 4))
        expected = 0.9 * np.abs(difference).mean() + 0.8 * np.abs(coarse).mean()
        for one, other, variance in zip(seen.maps, of_wanted.maps, variances, strict=True):
            expected += 0.7 * np.mean((one[b] - other[b]).double().numpy() ** 2) / variance
        expected += 0.6 * (1 - float(seen.h[b] @ features[b]))
        assert found[b].item() == pytest.approx(expected, rel=1e-5)


def test_a_map_that_never_changes_has_no_part_in_the_loss(extractor: SmallNetExtractor) -> None:
    variances = map_variances(torch.full((2, 3, 32, 32), 0.0), lambda images: extractor(images)._replace(
        maps=(torch.ones(len(images), 2, 4, 4),)
    ), batch_size=2)  # fmt: skip
    assert variances == (math.inf,)


def test_pixel_correlation_is_numpys(images: Tensor) -> None:
    found = pixel_correlations(images[:5], images[5:10])
    expected = [np.corrcoef(images[i].flatten(), images[i + 5].flatten())[0, 1] for i in range(5)]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_descents_keep_each_rows_best_point_and_stay_within_bounds() -> None:
    goal = torch.tensor([[0.5, -0.25], [5.0, -5.0]])

    def losses(points: list[Tensor]) -> Tensor:
        return (points[0] - goal).square().sum(dim=1)

    (ended,), lowest = descend(losses, [torch.zeros(2, 2)], [0.05], 300, 0.1, [2.0])
    torch.testing.assert_close(ended, torch.tensor([[0.5, -0.25], [2.0, -2.0]]), rtol=0, atol=2e-3)
    torch.testing.assert_close(lowest, (ended - goal).square().sum(dim=1))
    # Steps far too long: nothing better than the start is met.
    (ended,), lowest = descend(losses, [goal.clone()], [50.0], 5, 1.0, [None])
    assert torch.equal(ended, goal)
    assert lowest.tolist() == [0.0, 0.0]


def test_the_population_is_the_specified_one_and_the_search_finds_a_minimum_of_each_picture() -> None:
    assert population_size(119) == 18
    shifts = torch.tensor([0.0, 0.4])

    def losses(z: Tensor) -> Tensor:
        moved = (z + 1 - shifts[:, None, None]).double().numpy()  # The minimum of `rosen` is at 1.
        return torch.from_numpy(rosen(np.moveaxis(moved, -1, 0)))

    found = search_noise(losses, 3, [1, 2], 120, bound=2.0)
    torch.testing.assert_close(found, shifts[:, None].expand(2, 3), rtol=0, atol=0.02)
    inside = search_noise(lambda z: -z.sum(dim=2), 3, [1], 30, bound=0.7)
    assert 0.65 < inside.min() <= inside.max() <= 0.7


def test_noise_brings_a_picture_nearer_than_features_alone_and_a_free_dense_vector_nearer_still(
    generator: Generator, extractor: SmallNetExtractor, images: Tensor, h: Tensor
) -> None:
    found = invert(generator, images[:6], h[:6], extractor, FEW)
    without, from_z, both = (
        one.pixel_correlation.mean() for one in (found.without_noise, found.from_z, found.from_z_and_d)
    )
    assert from_z > without + 0.05
    assert both > from_z + 0.05
    assert (found.from_z_and_d.loss <= found.from_z.loss).all()
    assert found.z.abs().max() <= 2
    with torch.no_grad():
        pictures = (generator.from_dense(found.d, found.z, h[:6]) + 1) / 2
    expected = [np.corrcoef(pictures[i].flatten(), images[i].flatten())[0, 1] for i in range(6)]
    np.testing.assert_allclose(found.from_z_and_d.pixel_correlation, expected, rtol=1e-4, atol=1e-5)
    cosines = (extractor(pictures).h * h[:6]).sum(dim=1)
    torch.testing.assert_close(found.from_z_and_d.cosine, cosines, rtol=1e-4, atol=1e-5)


def test_pictures_that_the_generator_can_make_are_found_again(
    generator: Generator, extractor: SmallNetExtractor, made: Tensor, h: Tensor
) -> None:
    settings = dataclasses.replace(FEW, z_steps=120, restarts=1, dense_mode="from_z")
    found = invert(generator, made, h[:3], extractor, settings)
    assert found.from_z.pixel_correlation.mean() > 0.9
    torch.testing.assert_close(found.d, generator.dense(found.z).detach())
    assert all(torch.equal(*pair) for pair in zip(found.from_z_and_d, found.from_z, strict=True))


def test_the_result_depends_on_the_seed_alone_and_not_on_the_batches(
    generator: Generator, extractor: SmallNetExtractor, images: Tensor, h: Tensor
) -> None:
    few = dataclasses.replace(FEW, batch_size=3, z_steps=3, d_steps=2, cma_generations=2, joint=True)
    found = invert(generator, images[:3], h[:3], extractor, few)
    torch.randn(3)
    again = invert(generator, images[:3], h[:3], extractor, few)
    assert all(torch.equal(one, other) for one, other in zip(entries(found), entries(again), strict=True))
    other_batches = invert(generator, images[:3], h[:3], extractor, dataclasses.replace(few, batch_size=2))
    for one, other in zip(entries(found), entries(other_batches), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=2e-3)
    other = invert(generator, images[:3], h[:3], extractor, dataclasses.replace(few, seed=1))
    assert (other.z - found.z).abs().max() > 0.1


def test_the_noise_moves_with_the_dense_vector_only_where_it_is_asked_to(
    generator: Generator, extractor: SmallNetExtractor, images: Tensor, h: Tensor
) -> None:
    few = dataclasses.replace(FEW, z_steps=6, d_steps=10)
    alone = invert(generator, images[:3], h[:3], extractor, few)
    from_z = invert(generator, images[:3], h[:3], extractor, dataclasses.replace(few, dense_mode="from_z"))
    joint = invert(generator, images[:3], h[:3], extractor, dataclasses.replace(few, joint=True))
    assert torch.equal(alone.z, from_z.z)
    assert torch.equal(joint.z[:, :6], alone.z[:, :6])
    moved = (joint.z[:, 6:] - alone.z[:, 6:]).abs()
    assert 0.001 < moved.max() <= 0.0105  # Adam moves an entry by about its rate a step.


def test_a_search_without_gradients_never_makes_the_start_of_the_descent_worse(
    generator: Generator, extractor: SmallNetExtractor, images: Tensor, h: Tensor
) -> None:
    few = InversionSettings(dense_mode="from_z", restarts=1, z_steps=1, batch_size=4)
    drawn = invert(generator, images[:4], h[:4], extractor, few).from_z.loss
    searched = dataclasses.replace(few, cma_generations=12)
    assert invert(generator, images[:4], h[:4], extractor, searched).from_z.loss.mean() < drawn.mean() - 0.05


def test_the_generator_is_given_back_as_it_was(
    generator: Generator, extractor: SmallNetExtractor, images: Tensor, h: Tensor
) -> None:
    generator.train()
    generator.linear.requires_grad_(False)
    before = {name: one.clone() for name, one in generator.state_dict().items()}
    invert(generator, images[:1], h[:1], extractor, dataclasses.replace(FEW, z_steps=1, d_steps=1))
    assert all(torch.equal(one, before[name]) for name, one in generator.state_dict().items())
    assert generator.training
    assert not generator.linear.weight.requires_grad
    assert generator.shared_feat.weight.requires_grad
    assert all(one.grad is None for one in generator.parameters())


def test_settings_and_pictures_that_cannot_be_used_are_refused(
    generator: Generator, extractor: SmallNetExtractor, images: Tensor, h: Tensor
) -> None:
    with pytest.raises(ValueError, match=r"(?s)`restarts` is 0.*`d_weight` is -1.*`z_rates`.*`dense_mode`"):
        InversionSettings(restarts=0, d_weight=-1, z_rates=(0.1, 0), dense_mode="none")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"\(2, 3, 32, 32\) and \(2, 16\)"):
        invert(generator, images[:2, :, ::2, ::2], h[:2], extractor, FEW)
    with pytest.raises(DataError, match=r"Pictures go from .* to 2\d\d, not from 0 to 1"):
        invert(generator, 255 * images[:2], h[:2], extractor, FEW)
    with pytest.raises(DataError, match="Pictures go from nan to nan"):
        invert(generator, images[:2] * torch.nan, h[:2], extractor, FEW)
