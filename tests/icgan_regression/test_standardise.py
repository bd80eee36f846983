import numpy as np
import pytest

from lightning_modules.icgan.regression.standardise import OutputScale, standardise_leaving_one_out
from lightning_modules.parts.errors import DataError


@pytest.fixture
def predictions() -> np.ndarray:
    """50 predictions of 6 dimensions, of which the last is dead."""
    predictions = 0.05 * np.random.default_rng(0).standard_normal((50, 6)) + np.arange(6)
    predictions[:, 5] = 0.1
    return predictions


@pytest.fixture
def training() -> np.ndarray:
    training = 3 * np.random.default_rng(1).standard_normal((200, 6)) - 1
    training[:, 5] = 0.1
    return training


def test_test_predictions_get_mean_and_spread_of_training_as_published(
    predictions: np.ndarray, training: np.ndarray
) -> None:
    scaled = OutputScale.of(predictions, training)(predictions)
    alive = slice(0, 5)
    published = (predictions - np.mean(predictions, 0)) / np.std(predictions, 0).clip(1e-9)
    published = published * np.std(training, 0) + np.mean(training, 0)
    np.testing.assert_allclose(scaled[:, alive], published[:, alive], rtol=1e-12)
    np.testing.assert_allclose(scaled[:, alive].std(axis=0), training[:, alive].std(axis=0), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("constant", [0.0, 0.1, -37.3])
def test_a_dimension_whose_predictions_do_not_vary_becomes_the_training_mean(
    predictions: np.ndarray, training: np.ndarray, dtype: type, constant: float
) -> None:
    training[:, 5] = np.random.default_rng(2).standard_normal(200)
    predictions[:, 5] = constant
    for scaled in (
        OutputScale.of(predictions.astype(dtype), training)(predictions.astype(dtype)),
        standardise_leaving_one_out(predictions.astype(dtype), training),
    ):
        assert scaled.dtype == dtype
        np.testing.assert_allclose(scaled[:, 5], training[:, 5].mean(), rtol=1e-6)
        assert np.isfinite(scaled).all()


def test_held_out_training_predictions_scale_the_test_without_looking_at_it(
    predictions: np.ndarray, training: np.ndarray
) -> None:
    held_out = 0.2 * np.random.default_rng(3).standard_normal((200, 6)) + 2
    scale = OutputScale.of(held_out, training)
    expected = (predictions - held_out.mean(0)) / held_out.std(0) * training.std(0) + training.mean(0)
    np.testing.assert_allclose(scale(predictions)[:, :5], expected[:, :5], rtol=1e-12)
    np.testing.assert_allclose(scale(predictions[7:8]), scale(predictions)[7:8], rtol=0, atol=0)
    np.testing.assert_allclose(scale.std_ratio[:5], (held_out.std(0) / training.std(0))[:5], rtol=1e-12)
    assert np.isnan(scale.std_ratio[5])


def test_leaving_one_out_takes_the_statistics_of_the_others(
    predictions: np.ndarray, training: np.ndarray
) -> None:
    expected = np.empty((50, 5))
    for one in range(50):
        others = np.delete(predictions, one, axis=0)[:, :5]
        own = (predictions[one, :5] - others.mean(0)) / others.std(0)
        expected[one] = own * training[:, :5].std(0) + training[:, :5].mean(0)
    np.testing.assert_allclose(
        standardise_leaving_one_out(predictions, training)[:, :5], expected, rtol=0, atol=1e-9
    )


def test_others_that_do_not_vary_leave_the_training_mean(training: np.ndarray) -> None:
    predictions = np.full((10, 6), 2.5)
    predictions[4] = 9.0
    scaled = standardise_leaving_one_out(predictions, training)
    np.testing.assert_allclose(scaled[4], training.mean(axis=0), rtol=1e-9)


def test_other_dimensions_and_too_few_predictions_are_refused(
    predictions: np.ndarray, training: np.ndarray
) -> None:
    with pytest.raises(DataError, match=r"\(50, 5\).*\(200, 6\)"):
        OutputScale.of(predictions[:, 1:], training)
    with pytest.raises(DataError, match="2 predictions leave no spread of others"):
        standardise_leaving_one_out(predictions[:2], training)
