"""Pictures of a generator's search: whose they are, who is held out, and what the warm start has seen."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lightning_modules.icgan.features.small_net import NetSettings
from lightning_modules.icgan.generator import pictures_to_learn
from lightning_modules.icgan.generator.data_module import GeneratorDataModule
from lightning_modules.icgan.generator.picture_source import PictureSource, hold_out, load_pictures
from lightning_modules.icgan.synthetic.presets import PRESETS
from lightning_modules.icgan.synthetic.world import build_world
from lightning_modules.parts.errors import DataError

Write = Callable[..., Path]


def load(path: Path, cache: Path, **settings: Any) -> PictureSource:
    return load_pictures(path=str(path), cache=str(cache), **{"warm_steps": 0, **settings})


@pytest.mark.usefixtures("small_net")
def test_categories_are_on_one_side_and_test_pictures_on_none(write_pictures: Write, tmp_path: Path) -> None:
    path = write_pictures(split=np.where(np.arange(24) // 2 >= 10, "test", "training"))
    data = load(path, tmp_path, validation_share=0.3)
    assert set(data.category.tolist()) | set(data.validation_category.tolist()) == set(range(10))
    assert not set(data.category.tolist()) & set(data.validation_category.tolist())
    assert len(set(data.validation_category.tolist())) == 3
    with np.load(path) as archive:
        stored = {
            one.tobytes(): int(of) for one, of in zip(archive["images"], archive["category"], strict=True)
        }
    sides = ((data.images, data.category), (data.validation_images, data.validation_category))
    for images, categories in sides:
        for image, category in zip(images, categories, strict=True):
            assert stored[np.round(255 * image).astype(np.uint8).tobytes()] == category
    left_out, neighbours = data.notes
    assert left_out == "4 pictures of pictures.npz are of its test and left out."
    distances = np.linalg.norm(data.h[:, None] - data.h[None], axis=2) + 9 * np.eye(14)
    same = data.category[np.argsort(distances, axis=1)[:, :10]] == data.category[:, None]
    assert (
        neighbours
        == f"of the 10 nearest neighbours of a training picture {same.mean():.0%} are of its category."
    )


@pytest.mark.usefixtures("small_net")
def test_features_are_those_of_the_extractor_that_scores_made_pictures(
    write_pictures: Write, tmp_path: Path
) -> None:
    data = load(write_pictures(), tmp_path)
    shown = torch.from_numpy(data.validation_images).movedim(-1, 1)
    found = data.extractor()(shown).h
    assert data.sizes.h_dim == found.shape[1] == data.h.shape[1]
    # Places that are 0 in every picture are left out, so that lengths stay.
    torch.testing.assert_close(found, torch.from_numpy(data.validation_h), atol=1e-5, rtol=1e-4)


@pytest.mark.usefixtures("small_net")
def test_held_out_pictures_leave_network_and_warm_start_as_they_are(
    write_pictures: Write, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"warm_steps": 2, "validation_share": 0.25}
    one = load(write_pictures(), tmp_path, **settings)
    apart = hold_out(np.arange(24) // 2, 0.25, 0)
    other = load(write_pictures(changed=apart), tmp_path, **settings)
    assert not np.array_equal(one.validation_images, other.validation_images)
    assert one.warm is not None
    assert other.warm is not None
    for name, values in one.net.weights.items():
        np.testing.assert_array_equal(values, other.net.weights[name])
    for name, values in one.warm.weights.items():
        np.testing.assert_array_equal(values, other.warm.weights[name])
    # It depends on nothing that changed, so that it was learnt once and found again.
    assert len(list(tmp_path.glob("warm_start_*"))) == 1
    assert load(write_pictures(), tmp_path, **settings | {"warm_steps": 3}).warm is not None
    assert len(list(tmp_path.glob("warm_start_*"))) == 2
    assert not list(tmp_path.glob(".warm_start_*"))


def test_a_generated_set_gives_its_training_pictures_with_the_features_of_its_decoders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(PRESETS["tiny"], net=NetSettings((4, 6, 8), 24, 200, epochs=1))
    monkeypatch.setattr(pictures_to_learn, "PRESETS", {"tiny": small})
    data = load_pictures(cache=str(tmp_path), warm_steps=0)
    world = build_world(small, seed=0, cache=tmp_path)
    assert (len(data.images), len(data.validation_images)) == (960, 240)
    assert set(data.category.tolist()) | set(data.validation_category.tolist()) == set(
        world.classes.training.tolist()
    )
    assert not set(data.category.tolist()) & set(data.validation_category.tolist())
    row = {one.tobytes(): index for index, one in enumerate(world.images)}
    images = np.concatenate([data.images, data.validation_images])
    rows = [row[one.tobytes()] for one in images]
    assert sorted(rows) == list(range(1200))  # the test pictures begin at 1200
    features = np.concatenate([data.h, data.validation_h])
    np.testing.assert_allclose(features, world.features[rows], atol=1e-6)


@pytest.mark.usefixtures("small_net")
def test_the_first_weights_are_the_warm_starts_where_it_is_wanted(
    write_pictures: Write, tmp_path: Path
) -> None:
    data = load(write_pictures(), tmp_path, warm_steps=2)
    assert data.warm is not None
    module = GeneratorDataModule(data, k=3, batch_size=4, steps_per_epoch=1)
    weights = module.first_weights
    assert weights is not None
    generator = data.warm.build()
    for name, values in generator.state_dict().items():
        torch.testing.assert_close(values, weights[name])
    assert module.model_arguments == {"h_dim": data.h.shape[1], "preset": "s32"}
    assert GeneratorDataModule(data, k=3, warm=False).first_weights is None
    assert GeneratorDataModule(replace(data, warm=None), k=3).first_weights is None


def test_held_out_categories_are_a_rounded_share_and_leave_two_to_train_on() -> None:
    category = np.repeat(np.arange(7), 3)
    apart = hold_out(category, 0.3, 1)
    assert len(np.unique(category[apart])) == 2
    assert not set(category[apart].tolist()) & set(category[~apart].tolist())
    assert not np.array_equal(apart, hold_out(category, 0.3, 2))
    for share, categories in ((0.9, category), (0.0, category), (0.5, category % 2)):
        with pytest.raises(
            DataError, match=rf"share of {share:g} of {len(np.unique(categories))} categories"
        ):
            hold_out(categories, share, 0)


def test_files_that_cannot_be_used_are_refused_with_every_problem(
    write_pictures: Write, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"pictures\.npz lacks `category`; it holds images"):
        load(write_pictures(category=None), tmp_path)
    with pytest.raises(
        DataError, match=r"`category` has shape \(23,\) for 24.*`category` is float64, not whole"
    ):
        load(write_pictures(category=np.arange(23) / 2), tmp_path)
    with pytest.raises(DataError, match=r"pictures are 32 x 30, not squares of 32 or 64 pixels"):
        load(write_pictures(columns=30), tmp_path)
    with pytest.raises(DataError, match=r"cannot be read as \.npz"):
        load(tmp_path / "absent.npz", tmp_path)


@pytest.mark.usefixtures("small_net")
def test_sizes_of_other_pictures_are_refused(write_pictures: Write, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"`--data.sizes` is `s64`, but pictures have 32 pixels") as refusal:
        load(write_pictures(), tmp_path, sizes="s64")
    assert "s32, s32w" in str(refusal.value)
    assert load(write_pictures(), tmp_path, sizes="s32w").sizes.channels == 32
