"""The points are the latents' principal components and t-SNE, and the colours those of target and session."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from lightning_modules.parts.decoding.figures_latents import (
    ITERATIONS,
    MOST_POINTS,
    choose_points,
    draw_latents,
    pca,
)


def points_of(axes) -> np.ndarray:
    """All points of a panel: training trials first, then held-out ones."""
    return np.concatenate([np.asarray(one.get_offsets()) for one in axes.collections])


def colours_of(axes) -> np.ndarray:
    return np.concatenate([one.get_facecolors() for one in axes.collections])


@pytest.fixture
def latents():
    rng = np.random.default_rng(5)
    return rng.standard_normal((36, 5)) * [3, 2, 1, 0.5, 0.2], rng.standard_normal((12, 5))


@pytest.fixture
def figure(latents, make_data):
    data = make_data()
    return draw_latents(*latents, data.training, data.validation, data.session_names)


def test_points_of_pca_are_those_of_scikit_learn(figure, latents):
    expected = PCA(2).fit_transform(np.concatenate(latents))
    for axes in figure.axes[:2]:
        drawn = points_of(axes)
        signs = np.sign((drawn * expected).sum(axis=0))
        np.testing.assert_allclose(drawn, expected * signs, atol=1e-9)


def test_labels_say_how_much_variance_each_component_has(figure, latents):
    shares = PCA(2).fit(np.concatenate(latents)).explained_variance_ratio_
    assert figure.axes[0].get_xlabel() == f"PC 1 ({shares[0]:.0%} of variance)"
    assert figure.axes[0].get_ylabel() == f"PC 2 ({shares[1]:.0%} of variance)"


def test_points_of_tsne_are_those_of_scikit_learn(figure, latents):
    together = np.concatenate(latents).astype(np.float32)
    expected = TSNE(perplexity=47 / 3, init="pca", random_state=0, max_iter=ITERATIONS).fit_transform(
        together
    )
    for axes in figure.axes[2:4]:
        np.testing.assert_allclose(points_of(axes), expected, rtol=1e-4, atol=1e-4)


def test_held_out_trials_have_a_marker_of_their_own(figure):
    trained, held_out = figure.axes[0].collections
    assert (len(trained.get_offsets()), len(held_out.get_offsets())) == (36, 12)
    assert len(trained.get_paths()[0].vertices) != len(held_out.get_paths()[0].vertices)


@pytest.mark.parametrize(("column", "labels"), [(0, "target"), (1, "session")])
def test_trials_share_a_colour_where_they_share_the_label_and_only_there(figure, make_data, column, labels):
    data = make_data()
    label = np.concatenate([getattr(data.training, labels), getattr(data.validation, labels)])
    for row in (0, 2):
        colours = colours_of(figure.axes[row + column])[:, :3]
        alike = (np.abs(colours[:, None] - colours[None]) < 1e-6).all(axis=2)
        np.testing.assert_array_equal(alike, label[:, None] == label[None])


def test_colours_of_eight_targets_are_far_apart_and_none_is_pale():
    from lightning_modules.parts.decoding.figures_style import target_colours

    colours = np.array(list(target_colours(list(range(8))).values()))[:, :3]
    distance = np.abs(colours[:, None] - colours[None]).sum(axis=2) + 9 * np.eye(8)
    assert distance.min() > 0.25
    assert (colours @ [0.2126, 0.7152, 0.0722]).max() < 0.8  # 1 would be white


def test_colours_of_days_rise_in_lightness_so_that_the_colour_blind_can_tell_them():
    from lightning_modules.parts.decoding.figures_style import session_colours

    lightness = session_colours(6)[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > 0.05).all()


def test_a_single_dimension_is_drawn_against_the_order_of_the_trials():
    latents = np.array([[3.0], [1.0], [2.0]])
    points, labels = pca(latents)
    np.testing.assert_allclose(np.abs(points[:, 0]), [1.0, 1.0, 0.0], atol=1e-12)
    np.testing.assert_array_equal(points[:, 1], [0, 1, 2])
    assert labels[1] == "trial, in order"


@pytest.mark.parametrize("dimensions", [1, 2])
def test_latents_of_one_or_two_dimensions_are_embedded_too(make_data, dimensions):
    data = make_data()
    rng = np.random.default_rng(0)
    figure = draw_latents(
        rng.standard_normal((36, dimensions)),
        rng.standard_normal((12, dimensions)),
        data.training,
        data.validation,
        data.session_names,
    )
    assert np.isfinite(points_of(figure.axes[2])).all()
    assert points_of(figure.axes[2]).shape == (48, 2)


def texts_in(axes) -> list[str]:
    return [one.get_text() for one in axes.texts]


def test_too_few_trials_for_tsne_are_said_to_be_too_few(make_data, few):
    data = few(make_data(), 2)
    figure = draw_latents(np.eye(2, 3), 2 * np.eye(2, 3), data.training, data.validation, data.session_names)
    assert len(points_of(figure.axes[0])) == 4
    assert texts_in(figure.axes[2]) == ["4 trials are too few for t-SNE"]


def test_latents_that_do_not_vary_are_said_not_to(make_data):
    data = make_data()
    figure = draw_latents(
        np.ones((36, 3)), np.ones((12, 3)), data.training, data.validation, data.session_names
    )
    assert texts_in(figure.axes[2]) == ["the latents do not vary"]


def test_trials_without_finite_latents_are_left_out(make_data, latents):
    data = make_data()
    trained, held_out = latents[0].copy(), latents[1].copy()
    trained[3, 1], held_out[0, 0] = np.nan, np.inf
    figure = draw_latents(trained, held_out, data.training, data.validation, data.session_names)
    assert [len(one.get_offsets()) for one in figure.axes[0].collections] == [35, 11]
    assert "46 trials" in figure.get_suptitle()


def test_of_many_trials_half_of_the_points_are_held_out_ones():
    held_out = np.arange(2000) >= 1000
    chosen = choose_points(held_out, np.ones(2000, dtype=bool))
    assert len(chosen) == len(set(chosen.tolist())) == MOST_POINTS
    assert held_out[chosen].sum() == MOST_POINTS // 2
    scarce = choose_points(np.arange(2000) >= 1990, np.ones(2000, dtype=bool))
    assert len(scarce) == MOST_POINTS
    assert set(range(1990, 2000)) <= set(scarce.tolist())
