"""PB2's model: against scikit-learn's Gaussian process, the paper's kernel by a slow loop, and a known optimum."""

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from neurosweep.search.population.bandit import Kernel, Observation, Posterior, fit_kernel, propose

RATE = FloatDistribution(1e-4, 1e-1, log=True)


def points(count, dimensions, *, seed, times=4):
    random = np.random.default_rng(seed)
    return np.column_stack([random.integers(times, size=count), random.random((count, dimensions))])


def test_kernel_is_the_papers():
    """k = variance · exp(-|x - x'|² / 2l²) · (1 - ε)^(|t - t'| / 2), written out entry by entry."""
    kernel = Kernel(variance=2.0, length=0.4, noise=0.1, forgetting=0.2)
    one, other = points(5, 3, seed=0), points(4, 3, seed=1)
    values = kernel(one, other)
    for i in range(5):
        for j in range(4):
            squared = sum((one[i, k] - other[j, k]) ** 2 for k in range(1, 4))
            fades = (1 - 0.2) ** (abs(one[i, 0] - other[j, 0]) / 2)
            assert values[i, j] == pytest.approx(2.0 * np.exp(-squared / (2 * 0.4**2)) * fades)


def test_posterior_without_time_is_scikit_learns():
    inputs, gains = points(12, 2, seed=0, times=1), np.random.default_rng(2).normal(size=12)
    asked = points(6, 2, seed=3, times=1)
    mean, deviation = Posterior(Kernel(1.5, 0.3, 0.05, 0.1), inputs, gains).at(asked)
    reference = GaussianProcessRegressor(ConstantKernel(1.5) * RBF(0.3), alpha=0.05 + 1e-8, optimizer=None)
    expected = reference.fit(inputs[:, 1:], gains).predict(asked[:, 1:], return_std=True)
    assert mean == pytest.approx(expected[0], abs=1e-9)
    assert deviation == pytest.approx(expected[1], abs=1e-7)


def test_fit_tells_signal_from_noise():
    """Gains that follow a smooth curve have little noise; gains that follow nothing have much."""
    inputs = points(60, 1, seed=0, times=1)
    smooth = np.sin(4 * inputs[:, 1])
    noise = np.random.default_rng(1).normal(size=60)
    assert fit_kernel(inputs, (smooth - smooth.mean()) / smooth.std()).noise < 0.05
    assert fit_kernel(inputs, (noise - noise.mean()) / noise.std()).noise > 0.3


def observed(count, gain, *, generations=4):
    random = np.random.default_rng(0)
    return [
        Observation(index % generations, {"model.rate": 1e-4 * 1e3**place}, gain(place))
        for index, place in enumerate(random.random(count))
    ]


def test_proposals_go_where_the_gain_was():
    """The gain peaks at 0.7 of the logarithmic range, as told by forty observations with little noise."""
    history = observed(40, lambda place: -10 * (place - 0.7) ** 2)
    places = []
    for seed in range(10):
        chosen = propose(
            history, {"model.rate": RATE}, pending=[], generation=4, random=np.random.default_rng(seed)
        )
        places.append(np.log(chosen["model.rate"] / 1e-4) / np.log(1e3))
    assert np.abs(np.array(places) - 0.7).max() < 0.1


def test_old_gains_are_forgotten():
    """What was best first and is worst now: the newer generations decide."""
    turned = [
        Observation(index % 6, {"model.rate": 1e-4 * 1e3**place}, (place if index % 6 > 2 else -place))
        for index, place in enumerate(np.random.default_rng(0).random(60))
    ]
    chosen = propose(turned, {"model.rate": RATE}, pending=[], generation=6, random=np.random.default_rng(0))
    assert chosen["model.rate"] > 1e-2


def test_copies_of_one_generation_spread_out():
    """With the same candidates, a copy goes elsewhere than the one before it."""
    history = observed(12, lambda place: 0.0 * place)
    places = []
    for waiting in (0, 1):
        chosen = propose(
            history,
            {"model.rate": RATE},
            pending=[{"model.rate": 1e-4 * 1e3**place} for place in places[:waiting]],
            generation=4,
            random=np.random.default_rng(0),
        )
        places.append(np.log(chosen["model.rate"] / 1e-4) / np.log(1e3))
    assert abs(places[1] - places[0]) > 0.2


def test_proposals_lie_in_the_space_and_leave_categories_alone():
    distributions = {
        "model.rate": RATE,
        "model.depth": IntDistribution(1, 9, step=2),
        "model.kind": CategoricalDistribution(["a", "b"]),
    }
    history = [
        Observation(1, {"model.rate": 0.01, "model.depth": 3, "model.kind": "a"}, 0.5),
        Observation(1, {"model.rate": 0.02, "model.depth": 5, "model.kind": "b"}, 0.5),
    ]
    for seed in range(10):
        chosen = propose(history, distributions, pending=[], generation=2, random=np.random.default_rng(seed))
        assert sorted(chosen) == ["model.depth", "model.rate"]
        assert chosen["model.depth"] in (1, 3, 5, 7, 9)
        assert 1e-4 <= chosen["model.rate"] <= 1e-1
    assert propose([], distributions, pending=[], generation=1, random=np.random.default_rng(0)) == {}
