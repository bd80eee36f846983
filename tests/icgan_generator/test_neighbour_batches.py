from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_modules.icgan.generator.neighbour_data import NeighbourDataModule, PairDraws
from lightning_modules.icgan.generator.neighbours import find_neighbours, same_class_rate
from lightning_modules.icgan.generator.small_extractor import SmallNetExtractor
from lightning_modules.parts.errors import DataError


@pytest.fixture
def features() -> np.ndarray:
    found = np.random.default_rng(2).standard_normal((30, 8))
    found[17] = found[4]  # The same picture twice.
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_neighbours_are_the_nearest_others_by_a_slow_loop(features: np.ndarray) -> None:
    found = find_neighbours(features, 5)
    for i in range(30):
        distances = sorted(
            (float(np.linalg.norm(features[i].astype(float) - features[j])), j) for j in range(30) if j != i
        )
        nearest = found.nearest[i].tolist()
        assert i not in nearest
        assert set(nearest) - {4, 17} == {j for _, j in distances[:5]} - {4, 17}  # Those two are equally far.
        assert found.radius[i] == pytest.approx(distances[4][0], abs=1e-6)
    assert found.nearest[17, 0] == 4
    assert found.nearest.dtype == np.int64


def test_the_same_class_rate_is_the_share_of_neighbours_of_ones_class(features: np.ndarray) -> None:
    neighbours = find_neighbours(features, 4)
    category = np.arange(30) % 3
    same = [category[j] == category[i] for i in range(30) for j in neighbours.nearest[i]]
    assert same_class_rate(neighbours, category) == pytest.approx(sum(same) / len(same))


def test_features_that_have_no_neighbours_are_refused(features: np.ndarray) -> None:
    with pytest.raises(DataError, match="30 instances have no 30 neighbours"):
        find_neighbours(features, 30)
    with pytest.raises(DataError, match="lengths from 2 to 2"):
        find_neighbours(2 * features, 3)
    with pytest.raises(ValueError, match="`k` is 0"):
        find_neighbours(features, 0)


def data_module(
    images: Tensor, h: Tensor, extractor: SmallNetExtractor, **arguments: int
) -> NeighbourDataModule:
    return NeighbourDataModule(
        images.movedim(1, -1).numpy(),
        h.numpy(),
        h[:9].numpy(),
        extractor,
        **{"k": 3, "batch_size": 20, **arguments},
    )


def test_each_real_picture_is_a_neighbour_of_the_instance_beside_it(
    images: Tensor, h: Tensor, extractor: SmallNetExtractor
) -> None:
    data = data_module(images, h, extractor)
    mirrored = neighbours_shown = 0
    for batch in islice(data.train_dataloader(), 30):
        for picture, features in zip((batch.images + 1) / 2, batch.h, strict=True):
            instance = int((h - features).abs().sum(dim=1).argmin())
            assert torch.equal(h[instance], features)
            distances = [
                [(picture - one).abs().max().item() for one in (images[j], images[j].flip(-1))]
                for j in data.neighbours.nearest[instance]
            ]
            flat = int(np.argmin(distances))
            assert np.min(distances) < 1e-6
            mirrored += flat % 2
            neighbours_shown += flat // 2
    assert mirrored / 600 == pytest.approx(0.5, abs=0.08)
    assert neighbours_shown / 600 == pytest.approx(1.0, abs=0.12)  # The mean of 0, 1 and 2.


def test_draws_depend_on_seed_and_epoch_alone_and_instances_are_drawn_evenly() -> None:
    def draws(seed: int, epoch: int) -> np.ndarray:
        sampler = PairDraws(10, k=4, batch_size=50, steps_per_epoch=40, flip=False, seed=seed)
        sampler.set_epoch(epoch)
        assert len(sampler) == 40
        return np.array([np.concatenate([one.instance, one.neighbour, one.made]) for one in sampler])

    first = draws(0, 1)
    assert np.array_equal(first, draws(0, 1))
    assert not np.array_equal(first, draws(0, 2))
    assert not np.array_equal(first, draws(1, 1))
    instance, neighbour, made = np.split(first, 3, axis=1)
    for drawn, count in ((instance, 10), (neighbour, 4), (made, 10)):
        shares = np.bincount(drawn.ravel(), minlength=count) / drawn.size
        np.testing.assert_allclose(shares, 1 / count, atol=0.03)
    assert abs(np.corrcoef(instance.ravel(), made.ravel())[0, 1]) < 0.06


def test_validation_gives_every_instance_once_with_its_neighbours(
    images: Tensor, h: Tensor, extractor: SmallNetExtractor
) -> None:
    (batch,) = data_module(images, h, extractor).val_dataloader()
    assert torch.equal(batch.h, h[:9])
    assert batch.neighbours.tolist() == find_neighbours(h[:9].numpy(), 3).nearest.tolist()


def test_pictures_and_features_that_do_not_fit_are_refused(
    images: Tensor, h: Tensor, extractor: SmallNetExtractor
) -> None:
    with pytest.raises(DataError, match=r"pictures \(24, 32, 32, 3\) and features \(23, 16\)"):
        data_module(images, h[1:], extractor)
    with pytest.raises(DataError, match=r"pictures go from .* to 25\d"):
        data_module(255 * images, h, extractor)
    with pytest.raises(ValueError, match="`batch_size` is 1"):
        data_module(images, h, extractor, batch_size=1)
