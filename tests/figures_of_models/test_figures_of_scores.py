"""R² by day equals scikit-learn's, its interval that of a slow bootstrap; learning curves are the points given."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

from lightning_modules.parts.decoding.figures_scores import draw_r2_by_day, r2_interval
from lightning_modules.parts.decoding.figures_training import draw_training


def flat_r2(truth: np.ndarray, predicted: np.ndarray) -> float:
    flat = truth.reshape(-1, truth.shape[-1]), predicted.reshape(-1, predicted.shape[-1])
    return float(r2_score(*flat, multioutput="variance_weighted"))


def noisy(behaviour: np.ndarray, seed: int) -> np.ndarray:
    return behaviour + np.random.default_rng(seed).standard_normal(behaviour.shape)


def series(axes) -> dict[str, np.ndarray]:
    """Points of each error bar series by its label."""
    return {one.get_label(): np.asarray(one.lines[0].get_xydata()) for one in axes.containers}


def test_each_session_is_a_point_at_its_gap_and_with_the_r2_of_scikit_learn(make_data):
    data = make_data()
    trained, held_out = noisy(data.training.behaviour, 0), noisy(data.validation.behaviour, 1)
    points = series(draw_r2_by_day(trained, held_out, data, "days").axes[0])
    expected = [
        (
            gap,
            flat_r2(
                data.training.behaviour[data.training.session == day], trained[data.training.session == day]
            ),
        )
        for day, gap in enumerate((-4, -1, 0))
    ]
    np.testing.assert_allclose(points["trials that were trained on"], expected, rtol=1e-6)
    np.testing.assert_allclose(
        points["held-out days"], [(7, flat_r2(data.validation.behaviour, held_out))], rtol=1e-6
    )


def test_held_out_trials_of_training_days_are_called_so(make_data):
    data = make_data(held_out_trials=True)
    points = series(
        draw_r2_by_day(data.training.behaviour, data.validation.behaviour, data, "trials").axes[0]
    )
    np.testing.assert_allclose(points["held-out trials"], [(-4, 1), (-1, 1), (0, 1)])


def test_error_bars_end_where_the_interval_does(make_data):
    data = make_data()
    held_out = noisy(data.validation.behaviour, 1)
    axes = draw_r2_by_day(data.training.behaviour, held_out, data, "days").axes[0]
    _, _, (bars,) = axes.containers[1].lines
    found = r2_interval(held_out, data.validation.behaviour)
    np.testing.assert_allclose(bars.get_segments()[0], [(7, found.low), (7, found.high)])


def test_interval_is_that_of_a_bootstrap_that_draws_trials_one_by_one():
    rng = np.random.default_rng(8)
    truth = rng.standard_normal((25, 7, 3)).cumsum(axis=1) * [1, 3, 0.2]
    predicted = truth + rng.standard_normal(truth.shape) * rng.uniform(0.2, 3, (25, 1, 1))
    slow = []
    for _ in range(3000):
        drawn = rng.integers(25, size=25)
        slow.append(flat_r2(truth[drawn], predicted[drawn]))
    found = r2_interval(predicted, truth, n_resamples=3000)
    assert found.r2 == pytest.approx(flat_r2(truth, predicted))
    spread = np.std(slow)
    assert found.low == pytest.approx(np.quantile(slow, 0.025), abs=0.15 * spread)
    assert found.high == pytest.approx(np.quantile(slow, 0.975), abs=0.15 * spread)


def test_one_trial_has_no_interval_and_a_truth_that_never_moves_no_r2():
    one = np.arange(6.0).reshape(1, 3, 2)
    assert np.isnan(r2_interval(one + 0.1, one).low)
    still = np.ones((4, 3, 2))
    assert not np.isfinite(r2_interval(still + 0.1, still).r2)


@pytest.mark.parametrize(("spoil", "said"), [(np.nan, "R² is not finite"), (50.0, "↓")])
def test_what_cannot_be_shown_is_said_at_the_edge(make_data, spoil, said):
    data = make_data()
    axes = draw_r2_by_day(data.training.behaviour, data.validation.behaviour + spoil, data, "days").axes[0]
    (text,) = axes.texts
    assert said in text.get_text()
    assert text.get_position()[0] == 7
    assert 0 <= text.get_position()[1] <= 0.1  # of the axes' height
    axes.figure.draw_without_rendering()


CURVES = {
    "train/loss": [(1, 4.0), (0, 5.0), (2, 3.0)],
    "val/loss": [(0, 6.0), (1, float("inf")), (2, 4.0)],
    "val/behaviour_r2": [(0, -0.5), (1, 0.5), (2, 0.75)],
    "val/behaviour_r2_worst_session": [(0, -0.6), (1, 0.4), (2, 0.5)],
    "train/encoder_grad_behaviour": [(0, 0.0), (1, 0.5)],
    "train/encoder_grad_neural": [(0, 0.25), (1, 0.125)],
    "cost/epoch_seconds": [(0, 1.0)],
}


def curve(axes, label: str) -> list[list[float]]:
    (line,) = [one for one in axes.lines if one.get_label() == label]
    return np.asarray(line.get_xydata()).tolist()


def test_curves_are_the_points_given_in_the_order_of_epochs():
    loss, score, pull = draw_training(CURVES).axes
    assert curve(loss, "training") == [[0, 5.0], [1, 4.0], [2, 3.0]]
    assert curve(score, "R²") == [[0, -0.5], [1, 0.5], [2, 0.75]]
    assert curve(score, "worst session") == [[0, -0.6], [1, 0.4], [2, 0.5]]
    assert curve(pull, "reconstruction") == [[0, 0.25], [1, 0.125]]
    assert pull.get_yscale() == "log"
    assert [axes.get_xlabel() for axes in (loss, score, pull)] == ["Epoch"] * 3


def test_a_value_that_is_not_finite_leaves_a_gap():
    values = np.array(curve(draw_training(CURVES).axes[0], "validation, final weights"))
    assert np.isnan(values[1, 1])
    assert values[[0, 2], 1].tolist() == [6.0, 4.0]


def test_the_worst_session_is_left_out_where_there_is_one_session():
    curves = {name: [(0, 0.1), (1, 0.2)] for name in ("val/behaviour_r2", "val/behaviour_r2_worst_session")}
    (axes,) = draw_training(curves).axes
    assert [line.get_label() for line in axes.lines] == ["R²"]


def test_a_model_without_gradients_has_no_panel_for_them_and_one_without_curves_no_picture():
    assert len(draw_training({"train/loss": CURVES["train/loss"]}).axes) == 1
    assert draw_training({"cost/epoch_seconds": [(0, 1.0)]}) is None
    assert draw_training({"train/loss": []}) is None


def test_a_curve_that_lies_below_the_axis_is_said_to():
    (axes,) = draw_training({"val/behaviour_r2_within_target": [(0, -30.0), (1, -12.0)]}).axes
    assert [line.get_label() for line in axes.lines] == ["within target (below the axis)"]
