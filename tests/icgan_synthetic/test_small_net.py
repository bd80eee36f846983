"""The small network: truth from the specification's counts, numpy, and pictures of classes that it never saw."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_modules.icgan.features import net_cache
from lightning_modules.icgan.features.net_cache import cached_small_net
from lightning_modules.icgan.features.small_net import (
    NetSettings,
    SmallNet,
    embed,
    head_accuracy,
    mid_level,
    train_small_net,
)
from lightning_modules.icgan.synthetic.attributes import FACTORS, draw_attributes, split_classes
from lightning_modules.icgan.synthetic.pictures import render
from lightning_modules.parts.errors import DataError

MICRO = NetSettings((8, 12, 16), 32, 200, epochs=2)


@pytest.fixture(scope="module")
def pictures() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    attributes = draw_attributes(generator, np.arange(200))
    return render(attributes, 32, generator), attributes.factors


def test_network_of_the_specification_has_its_widths_and_a_quarter_of_a_million_parameters() -> None:
    net = SmallNet(NetSettings(), FACTORS)
    convolutions = sum(9 * a * b + b for a, b in ((3, 24), (24, 48), (48, 96), (96, 256)))
    expected = convolutions + 2 * (24 + 48 + 96) + 257 * (10 + 5 + 4)
    assert sum(one.numel() for one in net.parameters()) == expected
    assert round(expected / 1e6, 2) == 0.28
    assert net.pooled_map(torch.zeros(2, 3, 32, 32)).shape == (2, 96, 4, 4)


def test_features_have_length_one_and_the_mid_level_is_the_map_averaged_to_two_by_two(
    pictures: tuple[np.ndarray, np.ndarray],
) -> None:
    images, factors = pictures
    net = train_small_net(images, factors, levels=FACTORS, settings=MICRO, seed=0)
    features = embed(net, images)
    assert features.shape == (200, 32)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    with torch.inference_mode():
        pooled = net.pooled_map(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    halves = [pooled[:, :, r : r + 2, c : c + 2].mean(axis=(2, 3)) for r in (0, 2) for c in (0, 2)]
    expected = np.stack(halves, axis=2).reshape(200, -1)
    np.testing.assert_allclose(mid_level(net, images), expected, atol=1e-5)


def test_same_seed_gives_the_same_weights_whatever_the_threads_and_leaves_them_as_they_were(
    pictures: tuple[np.ndarray, np.ndarray],
) -> None:
    before, state = torch.get_num_threads(), torch.get_rng_state()
    weights = []
    try:
        for threads, seed in ((1, 3), (2, 3), (2, 4)):
            torch.set_num_threads(threads)
            net = train_small_net(*pictures, levels=FACTORS, settings=MICRO, seed=seed)
            weights.append(net.last.weight)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(torch.get_rng_state(), state)


def test_heads_name_levels_of_classes_that_were_never_seen() -> None:
    """Chance is .10, .20 and .25; 500 pictures have a standard error below .023."""
    generator = np.random.default_rng(0)
    classes = split_classes(generator, 150, 50)
    seen = draw_attributes(generator, np.resize(classes.training, 2400))
    settings = NetSettings((12, 24, 48), 96, 2400, epochs=6, batch=50, learning_rate=4e-3)
    net = train_small_net(
        render(seen, 32, generator), seen.factors, levels=FACTORS, settings=settings, seed=0
    )
    unseen = draw_attributes(generator, np.repeat(classes.test, 10))
    accuracy = head_accuracy(net, render(unseen, 32, generator), unseen.factors)
    assert (accuracy > (0.25, 0.4, 0.8)).all(), accuracy


def test_cached_network_is_trained_once_and_is_the_same(
    pictures: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, factors = pictures
    folder = tmp_path / "nets"
    first = cached_small_net(images, factors, levels=FACTORS, settings=MICRO, seed=0, folder=folder)
    assert len(list(folder.iterdir())) == 1, "one file of weights, nothing unfinished"

    def refuse(*_: object, **__: object) -> SmallNet:
        raise AssertionError("trained again")

    monkeypatch.setattr(net_cache, "train_small_net", refuse)
    second = cached_small_net(images, factors, levels=FACTORS, settings=MICRO, seed=0, folder=folder)
    np.testing.assert_array_equal(embed(first, images), embed(second, images))
    changed = images.copy()
    changed[0, 0, 0, 0] += 0.01
    for other in ({"images": changed}, {"seed": 1}, {"settings": NetSettings((8, 12, 16), 32, 200, 3)}):
        arguments = {"images": images, "factors": factors, "settings": MICRO, "seed": 0, **other}
        with pytest.raises(AssertionError, match="trained again"):
            cached_small_net(**arguments, levels=FACTORS, folder=folder)


def test_broken_file_of_weights_is_refused_with_what_to_do(
    pictures: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    cached_small_net(*pictures, levels=FACTORS, settings=MICRO, seed=0, folder=tmp_path)
    (file,) = tmp_path.iterdir()
    for broken in (b"", file.read_bytes()[:2000], b"not weights"):
        file.write_bytes(broken)
        with pytest.raises(DataError, match="Delete it; it is trained again"):
            cached_small_net(*pictures, levels=FACTORS, settings=MICRO, seed=0, folder=tmp_path)
