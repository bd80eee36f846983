import dataclasses

import pytest
import torch
from torch import Tensor

from lightning_modules.icgan.generator.image_loss import ImageWeights, as_unit_range, pixel_correlations
from lightning_modules.icgan.generator.presets import GeneratorPreset
from lightning_modules.icgan.generator.small_extractor import SmallNetExtractor
from lightning_modules.icgan.generator.warm_start import WarmStartSettings, warm_start
from lightning_modules.parts.errors import DataError

QUICK = WarmStartSettings(n_steps=70, batch_size=12, generator_rate=5e-3, z_rate=0.1)


def test_a_warm_started_generator_makes_its_pictures_better_than_their_mean(
    preset: GeneratorPreset, images: Tensor, h: Tensor, extractor: SmallNetExtractor
) -> None:
    found = warm_start(preset, images, h, extractor, QUICK)
    assert found.losses[-20:].mean() < 0.6 * found.losses[:5].mean()
    assert not found.generator.training
    with torch.no_grad():
        made = as_unit_range(found.generator(found.z, h))
        of_no_noise = as_unit_range(found.generator(torch.zeros_like(found.z), h))
    baseline = (images - images.mean(dim=0)).abs().mean()
    assert (made - images).abs().mean() < 0.6 * baseline
    assert pixel_correlations(made, images).mean() > 0.8
    assert (made - images).abs().mean() < (of_no_noise - images).abs().mean()


def test_noise_of_a_picture_moves_only_with_its_own_batches(
    preset: GeneratorPreset, images: Tensor, h: Tensor, extractor: SmallNetExtractor
) -> None:
    one_batch = dataclasses.replace(QUICK, n_steps=1, z_rate=0.5)
    torch.manual_seed(8)
    after_one = warm_start(preset, images, h, extractor, one_batch).z
    start = warm_start(preset, images, h, extractor, dataclasses.replace(one_batch, z_rate=1e-12)).z
    moved = (after_one - start).abs().amax(dim=1) > 0.1
    assert int(moved.sum()) == 12
    assert torch.equal(after_one[~moved], start[~moved])


def test_a_warm_start_depends_on_its_seed_alone(
    preset: GeneratorPreset, images: Tensor, h: Tensor, extractor: SmallNetExtractor
) -> None:
    few = dataclasses.replace(QUICK, n_steps=3)
    found, state = warm_start(preset, images, h, extractor, few), torch.get_rng_state()
    torch.randn(5)
    again = warm_start(preset, images, h, extractor, few)
    assert torch.equal(found.losses, again.losses)
    assert torch.equal(found.z, again.z)
    other = warm_start(preset, images, h, extractor, dataclasses.replace(few, seed=1))
    assert not torch.equal(found.losses, other.losses)
    torch.set_rng_state(state)
    warm_start(preset, images, h, extractor, few)
    assert torch.equal(torch.get_rng_state(), state)


def test_fewer_pictures_than_a_batch_are_refused(
    preset: GeneratorPreset, images: Tensor, h: Tensor, extractor: SmallNetExtractor
) -> None:
    with pytest.raises(DataError, match="There are 24 pictures, but one batch is 48"):
        warm_start(preset, images, h, extractor, WarmStartSettings())
    with pytest.raises(ValueError, match="`batch_size` is 1, but must be at least 2"):
        warm_start(preset, images, h, extractor, WarmStartSettings(batch_size=1))
    assert WarmStartSettings().image_weights == ImageWeights(1.0, 0.0, 0.5, 0.3)
