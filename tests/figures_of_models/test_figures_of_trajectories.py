"""The lines are the recorded and the predicted behaviour of the day that the title names."""

import numpy as np
import pytest

from lightning_modules.parts.decoding.figures_style import ShownDay
from lightning_modules.parts.decoding.figures_trajectories import SINGLE_TRIALS, draw_trajectories

LATER = ShownDay(session=3, name="2026-03-12", last_training_day="2026-03-05", held_out="days")


def draw(data, predicted, day=LATER):
    return draw_trajectories(
        predicted,
        data.validation,
        behaviour_names=data.behaviour_names,
        bin_width_s=data.bin_width_s,
        day=day,
    )


def lines_of(axes) -> list[np.ndarray]:
    return [np.asarray(line.get_xydata()) for line in axes.lines]


@pytest.fixture
def data(make_data):
    return make_data()


@pytest.fixture
def predicted(data):
    return data.validation.behaviour + np.random.default_rng(1).standard_normal(
        data.validation.behaviour.shape
    )


def test_means_in_the_plane_are_those_of_recorded_and_predicted_trials(data, predicted):
    figure = draw(data, predicted)
    for axes, traces in zip(figure.axes, (data.validation.behaviour, predicted), strict=False):
        for target, line in enumerate(lines_of(axes)):
            np.testing.assert_allclose(line, traces[data.validation.target == target].mean(axis=0), rtol=1e-6)


def test_single_trials_in_the_plane_are_as_recorded_and_as_predicted(make_data):
    data = make_data(per_session=44)
    figure = draw(data, 2 * data.validation.behaviour)
    for axes, factor in zip(figure.axes, (1, 2), strict=False):
        for target, collection in enumerate(axes.collections):
            singles = data.validation.behaviour[data.validation.target == target][:SINGLE_TRIALS]
            np.testing.assert_allclose(collection.get_segments(), factor * singles, rtol=1e-6)


def test_both_panels_of_the_plane_have_the_same_limits_and_show_every_recorded_point(data, predicted):
    recorded, guessed = draw(data, predicted).axes[:2]
    assert recorded.get_xlim() == guessed.get_xlim()
    assert recorded.get_ylim() == guessed.get_ylim()
    x, y = data.validation.behaviour[..., 0], data.validation.behaviour[..., 1]
    assert recorded.get_xlim()[0] < x.min() < x.max() < recorded.get_xlim()[1]
    assert recorded.get_ylim()[0] < y.min() < y.max() < recorded.get_ylim()[1]


def test_wild_predictions_do_not_shrink_the_recorded_behaviour_to_a_dot(data):
    axes = draw(data, 1e6 * data.validation.behaviour).axes[0]
    reach = np.ptp(data.validation.behaviour, axis=(0, 1)).max()
    assert np.ptp(axes.get_xlim()) < 3 * reach


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_lines_over_time_alternate_recorded_and_predicted_means_of_each_target(make_data, dimensions):
    data = make_data(behaviour=dimensions)
    predicted = -data.validation.behaviour
    figure = draw(data, predicted)
    over_time = figure.axes[2:] if dimensions == 2 else figure.axes
    seconds = [0.025, 0.075, 0.125, 0.175, 0.225, 0.275]
    for dimension, axes in zip(range(min(dimensions, 4)), over_time, strict=False):
        assert axes.get_ylabel() == f"{data.behaviour_names[dimension]} (recording's unit)"
        assert axes.get_xlabel() == "Time from the trial's first bin (s)"
        lines = lines_of(axes)
        assert len(lines) == 8
        for target in range(4):
            mean = data.validation.behaviour[data.validation.target == target, :, dimension].mean(axis=0)
            for line, values in zip(lines[2 * target : 2 * target + 2], (mean, -mean), strict=True):
                np.testing.assert_allclose(line, np.column_stack([seconds, values]), rtol=1e-5)


def test_title_says_how_far_the_held_out_day_is_from_training(data, predicted):
    title = draw(data, predicted).get_suptitle()
    assert "2026-03-12, a held-out day, 7 days after the last training day" in title
    assert "12 trials" in title


def test_title_says_that_held_out_trials_are_of_a_training_day(data, predicted):
    day = ShownDay(session=2, name="2026-03-05", last_training_day="2026-03-05", held_out="trials")
    assert "2026-03-05, held-out trials of a training day" in draw(data, predicted, day).get_suptitle()


def test_trials_whose_predictions_are_not_finite_leave_the_means_of_the_others(data, predicted):
    spoilt = predicted.copy()
    spoilt[0, 2, 0] = np.nan
    spoilt[1, 0, 1] = np.inf
    target = data.validation.target
    figure = draw(data, spoilt)
    kept = predicted[(target == target[0]) & (np.arange(len(target)) != 0)].mean(axis=0)
    np.testing.assert_allclose(lines_of(figure.axes[1])[target[0]], kept, rtol=1e-6)
    assert np.isfinite(figure.axes[1].get_xlim()).all()
    assert "not finite" in figure.get_suptitle()


def test_predictions_that_are_all_nan_leave_the_recorded_behaviour(data):
    figure = draw(data, np.full_like(data.validation.behaviour, np.nan))
    assert np.isfinite(lines_of(figure.axes[0])[0]).all()
    assert np.isnan(lines_of(figure.axes[1])[0]).all()
    figure.draw_without_rendering()


def test_one_target_and_two_trials_are_enough(make_data, few):
    data = few(make_data(targets=1), 2)
    figure = draw(data, data.validation.behaviour)
    np.testing.assert_allclose(lines_of(figure.axes[0])[0], data.validation.behaviour.mean(axis=0), rtol=1e-6)
    figure.draw_without_rendering()
