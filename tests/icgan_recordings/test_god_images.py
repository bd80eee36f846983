"""The pictures of the experiment: as an array file, as a folder of photographs, or missing."""

import os

import numpy as np
import pytest
from PIL import Image
from skimage.transform import resize

from lightning_modules.icgan.recordings.god import read_god
from lightning_modules.icgan.recordings.images import load_images, prepare_photograph
from lightning_modules.icgan.recordings.stimulus_ids import StimulusOrder, names_of
from lightning_modules.parts.errors import DataError

ORDER = StimulusOrder(
    training=np.array([[1518878, 10042], [1518878, 5958], [1664990, 65]]), test=np.array([[1443537, 22563]])
)


def natural(height, width, seed=0):
    """Smooth random colours that fill the range, as a photograph does."""
    coarse = np.random.default_rng(seed).random((6, 6, 3))
    coarse[0, 0], coarse[-1, -1] = 0, 1
    return (resize(coarse, (height, width), order=3) * 255).clip(0, 255).astype(np.uint8)


def authors_crop(img):
    """The slices of `kamitani_image_prepare.py`, written out."""
    r, c = img.shape[:2]
    trim = min(r, c)
    lr, ud = int((c - trim) / 2), int((r - trim) / 2)
    return img[ud : min([(trim + 1), r - ud]) + ud, lr : min([(trim + 1), c - lr]) + lr]


@pytest.fixture
def photographs(tmp_path):
    """Four photographs of different shapes, the second grey."""
    pictures = {}
    for index, name in enumerate(names_of(ORDER.pairs)):
        folder = tmp_path / "images" / ("training" if index < 3 else "test")
        folder.mkdir(parents=True, exist_ok=True)
        picture = natural(*((300, 400), (320, 280), (256, 256), (501, 375))[index], seed=index)
        if index == 1:
            picture = picture[..., 0]
        Image.fromarray(picture).save(folder / f"{name}.JPEG", quality=95)
        with Image.open(folder / f"{name}.JPEG") as saved:
            pictures[name] = np.asarray(saved)
    return tmp_path, pictures


@pytest.mark.parametrize("shape", [(300, 400), (401, 300), (300, 301), (302, 300), (256, 256), (90, 500)])
def test_photograph_is_cropped_as_the_public_script_does_but_divided_once(shape):
    picture = natural(*shape)
    found = prepare_photograph(picture)
    np.testing.assert_allclose(found, resize(authors_crop(picture), (256, 256), order=3), atol=1e-6)
    assert found.shape == (256, 256, 3)
    assert found.max() > 0.5


def test_crop_is_of_the_centre_and_bicubic_by_another_library_too():
    picture = natural(300, 400)
    square = Image.fromarray(picture[:, 50:350]).resize((256, 256), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(prepare_photograph(picture), np.asarray(square) / 255, atol=0.03)


def test_photographs_are_read_in_the_order_of_the_order_files(photographs):
    folder, pictures = photographs
    found = load_images((folder,), ORDER)
    assert found.shape == (4, 256, 256, 3)
    assert found.dtype == np.float32
    for one, name in zip(found, names_of(ORDER.pairs), strict=True):
        picture = pictures[name] if pictures[name].ndim == 3 else np.dstack([pictures[name]] * 3)
        np.testing.assert_allclose(one, resize(authors_crop(picture), (256, 256), order=3), atol=1e-6)
    assert np.ptp(found[1], axis=-1).max() == 0


def test_missing_photographs_are_counted_and_the_first_ones_named(photographs):
    folder, _ = photographs
    (folder / "images/training/n01518878_5958.JPEG").unlink()
    (folder / "images/test/n01443537_22563.JPEG").unlink()
    with pytest.raises(DataError) as caught:
        load_images((folder,), ORDER)
    assert "2 of 4 images are missing, the first ones: n01518878_5958, n01443537_22563." in str(caught.value)
    assert "features can still be loaded from arrays" in str(caught.value)


def test_photograph_that_was_not_fetched_or_is_none_is_refused_by_name(photographs):
    folder, _ = photographs
    file = folder / "images/training/n01664990_65.JPEG"
    file.write_bytes(b"no picture" * 200)
    with pytest.raises(DataError, match=r"n01664990_65.JPEG cannot be read as a picture"):
        load_images((folder,), ORDER)
    file.unlink()
    os.symlink("../.git/annex/objects/aa", file)
    with pytest.raises(DataError, match=r"n01664990_65.JPEG is a pointer file, content not fetched"):
        load_images((folder,), ORDER)


def test_subject_without_any_image_is_refused_or_read_without(god_folder, session):
    (god_folder / "images_256.npz").unlink()
    message = (
        r"1250 of 1250 images are missing, the first ones: n01518878_65, n01518878_66(.|\n)*with_images=False"
    )
    with pytest.raises(DataError, match=message):
        read_god(god_folder, 1)
    found = read_god(god_folder, 1, with_images=False)
    assert found.images is None
    np.testing.assert_array_equal(found.voxels, session.voxels)


def test_array_file_as_the_public_script_writes_it_is_refused_for_its_double_division(tmp_path):
    """The script: skimage's resize of 8-bit photographs, divided by 255 once more."""
    pictures = [resize(natural(300, 300, seed), (32, 32), order=3) / 255.0 for seed in range(4)]
    assert np.max(pictures) > 0.9 / 255
    np.savez(tmp_path / "images_256.npz", train_images=pictures[:3], test_images=pictures[3:])
    with pytest.raises(DataError, match=r"divided by 255 twice(.|\n)*Multiply them by 255"):
        load_images((tmp_path,), ORDER)


def test_array_file_of_8_bit_or_real_pictures_is_brought_to_0_and_1(tmp_path):
    pictures = np.stack([natural(16, 16, seed) for seed in range(4)])
    np.savez(tmp_path / "images_256.npz", train_images=pictures[:3], test_images=pictures[3:])
    as_bytes = load_images((tmp_path,), ORDER)
    real = pictures / 255.0
    np.savez(tmp_path / "images_256.npz", train_images=real[:3], test_images=real[3:])
    np.testing.assert_allclose(as_bytes, real, atol=1e-7)
    np.testing.assert_allclose(load_images((tmp_path,), ORDER), real, atol=1e-7)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"train_images": np.ones((2, 4, 4, 3)), "test_images": np.ones((1, 4, 4, 3))},
            "2 images for 3 stimuli, 1",
        ),
        (
            {"train_images": np.ones((3, 4, 4, 3)), "test_images": np.ones((1, 5, 5, 3))},
            "test images \\(5, 5, 3\\)",
        ),
        (
            {"train_images": np.full((3, 4, 4, 3), 80.0)},
            "holds train_images, not train_images and test_images",
        ),
        ({"train_images": np.full((3, 4, 4, 3), 80.0), "test_images": np.ones((1, 4, 4, 3))}, "from 0 to 80"),
        ({"train_images": np.ones((3, 4)), "test_images": np.ones((1, 4, 4, 3))}, r"shape \(3, 4\)"),
    ],
)
def test_spoiled_array_files_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "images_256.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load_images((tmp_path,), ORDER)
