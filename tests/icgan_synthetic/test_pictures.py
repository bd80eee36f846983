"""Pictures: truth from the specification's numbers and from geometry."""

from dataclasses import replace

import numpy as np
import pytest

from lightning_modules.icgan.synthetic.attributes import (
    FACTORS,
    HUES,
    N_CLASSES,
    PictureAttributes,
    Shape,
    Texture,
    class_factors,
    draw_attributes,
    split_classes,
)
from lightning_modules.icgan.synthetic.pictures import render

PLAIN = int(np.ravel_multi_index((Shape.DISC, Texture.PLAIN, 0), FACTORS))


def upright(shape: Shape, texture: Texture = Texture.PLAIN) -> PictureAttributes:
    """One picture in the middle, without rotation, gradient-free along x, of size .75."""
    category = np.array([np.ravel_multi_index((shape, texture, 0), FACTORS)])
    drawn = draw_attributes(np.random.default_rng(0), category)
    return replace(
        drawn,
        centre=np.zeros((1, 2)),
        rotation=np.zeros(1),
        size=np.array([0.75]),
        gradient=np.array([np.pi / 2]),
        frequency=np.array([4.0]),
        phase=np.zeros((1, 2)),
    )


def rendered(attributes: PictureAttributes, size: int = 64) -> np.ndarray:
    """Mean of several renderings, so that the pixel noise is small."""
    generator = np.random.default_rng(1)
    return np.mean([render(attributes, size, generator)[0] for _ in range(40)], axis=0)


def test_classes_are_all_combinations_of_ten_shapes_five_textures_and_four_hues() -> None:
    combinations = {tuple(row) for row in class_factors(np.arange(N_CLASSES)).tolist()}
    assert combinations == {(s, t, h) for s in range(10) for t in range(5) for h in range(4)}


@pytest.mark.parametrize("seed", range(5))
def test_test_classes_are_new_but_made_of_levels_that_training_shows(seed: int) -> None:
    training, test = split_classes(np.random.default_rng(seed), 150, 50)
    assert len(set(training) | set(test)) == 200
    assert len(training) == 150
    for factor, n_levels in enumerate((10, 5, 4)):
        assert set(class_factors(training)[:, factor]) == set(range(n_levels))


def test_more_classes_than_there_are_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="151 training and 50 test classes are more than 200"):
        split_classes(np.random.default_rng(0), 151, 50)


def test_nuisances_fill_the_ranges_of_the_specification() -> None:
    drawn = draw_attributes(np.random.default_rng(0), np.tile(np.arange(200), 50))
    uniform = {
        "centre": (drawn.centre, -0.25, 0.25),
        "size": (drawn.size, 0.45, 0.75),
        "rotation": (np.rad2deg(drawn.rotation), -36, 36),
        "luminance": (drawn.luminance, 0.25, 0.65),
        "frequency": (drawn.frequency, 3, 4.5),
        "gradient": (drawn.gradient, 0, 2 * np.pi),
        "phase": (drawn.phase, 0, 2 * np.pi),
    }
    for name, (values, low, high) in uniform.items():
        width = high - low
        assert low <= values.min() < low + 0.001 * width, name
        assert high - 0.001 * width < values.max() <= high, name
        assert values.std() == pytest.approx(width / np.sqrt(12), rel=0.02), name
    np.testing.assert_allclose(drawn.tint.mean(axis=0), 1, atol=0.01)
    np.testing.assert_allclose(drawn.tint.std(axis=0), 0.12, rtol=0.03)
    np.testing.assert_allclose((drawn.colour - HUES[drawn.hue]).std(axis=0), 0.06, rtol=0.03)


def test_plain_disc_has_its_colour_its_area_and_its_place() -> None:
    attributes = replace(upright(Shape.DISC), centre=np.array([[0.25, -0.1]]))
    image = rendered(attributes, 64)
    row, column = (int((place + 1) * 32) for place in (-0.1, 0.25))
    np.testing.assert_allclose(image[row, column], attributes.colour[0], atol=0.02)
    background = rendered(replace(attributes, size=np.array([1e-3])), 64)
    inside = np.abs(image - background).sum(axis=2) > 0.1
    assert inside.mean() == pytest.approx(np.pi * (0.85 * 0.75) ** 2 / 4, rel=0.05)
    rows, columns = np.nonzero(inside)
    np.testing.assert_allclose((columns.mean() + 0.5) / 32 - 1, 0.25, atol=0.02)
    np.testing.assert_allclose((rows.mean() + 0.5) / 32 - 1, -0.1, atol=0.02)


def test_background_is_a_tinted_linear_gradient_of_amplitude_a_fifth() -> None:
    attributes = replace(upright(Shape.DISC), size=np.array([1e-3]), gradient=np.array([0.7]))
    image = rendered(attributes, 32)
    y, x = np.meshgrid(*(2 * [(np.arange(32) + 0.5) / 16 - 1]), indexing="ij")
    grey = attributes.luminance[0] + 0.2 * (x * np.cos(0.7) + y * np.sin(0.7))
    away_from_the_centre = np.hypot(x, y) > 0.2
    expected = np.clip(grey[..., None] * attributes.tint[0], 0, 1)
    np.testing.assert_allclose(image[away_from_the_centre], expected[away_from_the_centre], atol=0.02)


def test_pixel_noise_has_the_standard_deviation_of_the_specification() -> None:
    attributes = replace(upright(Shape.DISC), luminance=np.array([0.5]), tint=np.ones((1, 3)))
    first, second = (render(attributes, 64, np.random.default_rng(seed)) for seed in (0, 1))
    far_from_clipping = (first > 0.1) & (first < 0.9)
    assert (first - second)[far_from_clipping].std() == pytest.approx(0.02 * np.sqrt(2), rel=0.05)


@pytest.mark.parametrize(
    ("texture", "varies_along"),
    [
        (Texture.PLAIN, ()),
        (Texture.HORIZONTAL, (0,)),
        (Texture.VERTICAL, (1,)),
        (Texture.CHECKER, (0, 1)),
        (Texture.DOTS, (0, 1)),
    ],
)
def test_textures_vary_along_their_axes_only(texture: Texture, varies_along: tuple[int, ...]) -> None:
    inside = rendered(upright(Shape.SQUARE, texture))[20:44, 20:44].mean(axis=2)
    assert tuple(axis for axis in (0, 1) if inside.std(axis=axis).max() > 0.05) == varies_along


def test_stripes_have_the_frequency_that_is_stored() -> None:
    """Two cycles fit into the middle half of a picture of four."""
    attributes = upright(Shape.SQUARE, Texture.HORIZONTAL)
    profile = rendered(attributes)[16:48, 24:40].mean(axis=(1, 2))
    spectrum = np.abs(np.fft.rfft(profile - profile.mean()))
    assert spectrum.argmax() == 2


def test_face_has_dark_eyes_and_mouth_and_house_stands_on_darker_ground() -> None:
    face, colour = rendered(upright(Shape.FACE)), upright(Shape.FACE).colour[0].mean()
    scale = 32 * 0.75
    left_eye, right_eye = (face[int(32 - 0.25 * scale), int(32 + side * 0.3 * scale)] for side in (-1, 1))
    mouth, nose = face[int(32 + 0.45 * scale), 32], face[32, 32]
    assert max(left_eye.mean(), right_eye.mean(), mouth.mean()) < 0.3 * colour
    assert nose.mean() == pytest.approx(colour, abs=0.02)
    house, disc = rendered(upright(Shape.HOUSE)), rendered(upright(Shape.DISC))
    np.testing.assert_allclose(house[62, 2] / disc[62, 2], 0.45, atol=0.03)
    np.testing.assert_allclose(house[2, 2] / disc[2, 2], 1, atol=0.05)


def test_silhouettes_differ_from_each_other() -> None:
    """Covered pixels of no two shapes overlap by 90 % (intersection over union)."""
    background = rendered(replace(upright(Shape.DISC), size=np.array([1e-3])))
    top = [np.abs(rendered(upright(shape)) - background)[:48].max(axis=2) > 0.1 for shape in Shape]
    for one in range(10):
        for other in range(one):
            assert (top[one] & top[other]).sum() / (top[one] | top[other]).sum() < 0.9
