"""PB2: hyperparameters of a copy from a Gaussian process over time and hyperparameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from neurosweep.search.population.explore import Distributions, within

_CANDIDATES, _POLISHED = 1024, 3
_MOST_OBSERVATIONS = 500
"""The last ones are used: the process forgets old ones anyway, and its cost is cubic."""
_BOUNDS = ((-4.0, 4.0), (-3.0, 2.0), (-8.0, 1.0), (-8.0, float(np.log(0.5))))
"""Of the logarithms of variance, length scale, noise and forgetting."""


@dataclass(frozen=True)
class Observation:
    """What one member gained in one generation.

    Args:
        generation: Counted from 0.
        parameters: Hyperparameters in force, by dotted name.
        gain: Change of the score since the generation before, positive for better.
    """

    generation: int
    parameters: Mapping[str, Any]
    gain: float


@dataclass(frozen=True)
class Kernel:
    """A squared exponential over hyperparameters in [0, 1] that fades with time.

    k((t, x), (t', x')) = variance · exp(-|x - x'|² / (2 · length²)) · (1 - forgetting)^(|t - t'| / 2)

    Args:
        variance: Of the gain, in units of the gains' variance.
        length: Length scale, in units of a parameter's range.
        noise: Variance of an observation.
        forgetting: ε of the paper, from 0 (a gain tells the same for ever) to 0.5.

    Source:
        Bogunovic et al. 2016, "Time-Varying Gaussian Process Bandit Optimization", AISTATS, section 3.
    """

    variance: float
    length: float
    noise: float
    forgetting: float

    def __call__(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return the covariances of rows (time, hyperparameters...), shape (rows of one, rows of other)."""
        apart = np.abs(one[:, None, 0] - other[None, :, 0])
        squared = np.square(one[:, None, 1:] - other[None, :, 1:]).sum(axis=-1)
        return (
            self.variance * np.exp(-0.5 * squared / self.length**2) * (1.0 - self.forgetting) ** (0.5 * apart)
        )


@dataclass(frozen=True)
class Posterior:
    """A Gaussian process after observations.

    Args:
        kernel: Its covariance.
        inputs: Rows (time, hyperparameters...), shape (n, 1 + d).
        gains: Observed values, (n,).
    """

    kernel: Kernel
    inputs: np.ndarray
    gains: np.ndarray

    def at(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of the gain at rows (time, hyperparameters...)."""
        factor = _factor(self.kernel, self.inputs)
        across = self.kernel(self.inputs, points)
        mean = across.T @ cho_solve((factor, True), self.gains)
        explained = np.square(solve_triangular(factor, across, lower=True)).sum(axis=0)
        return mean, np.sqrt(np.maximum(self.kernel.variance - explained, 1e-12))


def propose(
    history: Sequence[Observation],
    distributions: Distributions,
    *,
    pending: Sequence[Mapping[str, Any]],
    generation: int,
    random: np.random.Generator,
) -> dict[str, Any]:
    """Maximise an upper confidence bound of the gain over the numbers among the hyperparameters.

    The mean is that of what was observed; the standard deviation counts what the other members are about to try as
    well, so that copies spread out.

    Args:
        history: Gains of earlier generations.
        distributions: Ranges; categories are left to PBT's exploration.
        pending: Hyperparameters chosen for members of this generation so far.
        generation: The generation that begins.
        random: Draws the candidates.

    Returns:
        New values by dotted name; none before the first gain or where there is no number.

    Source:
        Parker-Holder, Nguyen, Roberts 2020, "Provably Efficient Online Hyperparameter Optimization with
        Population-Based Bandits", NeurIPS, arXiv:2002.02518, Algorithm 1 and section 4; the constants of the bound
        are those of Ray's PB2.
    """
    names = [
        name for name, one in distributions.items() if isinstance(one, FloatDistribution | IntDistribution)
    ]
    recent = list(history)[-_MOST_OBSERVATIONS:]
    if not recent or not names:
        return {}
    inputs = np.array([_row(one.parameters, names, distributions, one.generation) for one in recent])
    raw = np.array([one.gain for one in recent])
    gains = (raw - raw.mean()) / (raw.std() or 1.0)
    kernel = fit_kernel(inputs, gains)
    mean_of = Posterior(kernel, inputs, gains)
    waiting = np.array([_row(one, names, distributions, generation) for one in pending])
    everything = np.vstack([inputs, waiting]) if len(waiting) else inputs
    spread_of = Posterior(kernel, everything, np.zeros(len(everything)))
    width = np.sqrt(0.2 + max(0.0, float(np.log(0.4 * len(recent)))))

    def bound(points: np.ndarray) -> np.ndarray:
        rows = np.column_stack([np.full(len(points), float(generation)), points])
        return mean_of.at(rows)[0] + width * spread_of.at(rows)[1]

    best = _maximise(bound, random.random((_CANDIDATES, len(names))))
    return {name: _value(best[index], distributions[name]) for index, name in enumerate(names)}


def fit_kernel(inputs: np.ndarray, gains: np.ndarray) -> Kernel:
    """Choose the kernel's four numbers by the marginal likelihood of the observations.

    Args:
        inputs: Rows (time, hyperparameters...), hyperparameters in [0, 1].
        gains: Standardised values, one a row.
    """
    starts = [
        np.log([1.0, length, noise, forgetting])
        for length, noise, forgetting in ((0.3, 0.1, 0.1), (1.0, 0.5, 0.01))
    ]
    results = [
        minimize(_surprise, start, args=(inputs, gains), method="L-BFGS-B", bounds=_BOUNDS)
        for start in starts
    ]
    return Kernel(*np.exp(min(results, key=lambda one: one.fun).x))


def _surprise(logarithms: np.ndarray, inputs: np.ndarray, gains: np.ndarray) -> float:
    """Negative log marginal likelihood, with a weak prior around unit variance and moderate lengths."""
    factor = _factor(Kernel(*np.exp(logarithms)), inputs)
    weighted = solve_triangular(factor, gains, lower=True)
    likelihood = 0.5 * weighted @ weighted + np.log(np.diag(factor)).sum()
    return float(likelihood + 0.05 * np.square(logarithms - np.log([1.0, 0.5, 0.1, 0.05])).sum())


def _factor(kernel: Kernel, inputs: np.ndarray) -> np.ndarray:
    covariance = kernel(inputs, inputs)
    covariance[np.diag_indices_from(covariance)] += kernel.noise + 1e-8
    return cholesky(covariance, lower=True)


def _maximise(bound: Any, candidates: np.ndarray) -> np.ndarray:
    order = np.argsort(-bound(candidates), kind="stable")[:_POLISHED]
    polished = [
        minimize(
            lambda point: -float(bound(point[None])[0]),
            candidates[index],
            method="L-BFGS-B",
            bounds=[(0.0, 1.0)] * candidates.shape[1],
        ).x
        for index in order
    ]
    points = np.vstack([candidates[order], polished])
    return points[int(np.argmax(bound(points)))]


def _row(
    parameters: Mapping[str, Any], names: Sequence[str], distributions: Distributions, time: int
) -> list[float]:
    return [float(time), *(_unit(parameters[name], distributions[name]) for name in names)]


def _unit(value: float, distribution: BaseDistribution) -> float:
    """Place a value of the range in [0, 1], in the logarithm where the space says so."""
    low, high, log = _range(distribution)
    if high == low:
        return 0.0
    if log:
        return float(np.log(value / low) / np.log(high / low))
    return (value - low) / (high - low)


def _value(unit: float, distribution: BaseDistribution) -> float | int:
    low, high, log = _range(distribution)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return within(low * (high / low) ** unit if log else low + unit * (high - low), distribution)


def _range(distribution: BaseDistribution) -> tuple[float, float, bool]:
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return float(distribution.low), float(distribution.high), distribution.log
