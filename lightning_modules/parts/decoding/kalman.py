"""Kalman filter from behaviour and its change to spikes."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from sklearn.covariance import shrunk_covariance

from lightning_modules.parts.decoding.wiener import (
    Array,
    CountFilter,
    Signals,
    Standardisation,
    check_units,
)
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.windows import SpikeTrials


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    """y = M x + c + noise.

    Args:
        matrix: M, (Y, X).
        offset: c, (Y,).
        noise: Covariance of the noise, (Y, Y).
    """

    matrix: Array
    offset: Array
    noise: Array

    @classmethod
    def of(cls, x: Array, y: Array) -> "LinearGaussian":
        """Fit by least squares; x (S, X), y (S, Y)."""
        design = np.column_stack([x, np.ones(len(x))])
        coefficients: Array = np.linalg.lstsq(design, y)[0].astype(np.float64)
        residuals = y - design @ coefficients
        return cls(coefficients[:-1].T, coefficients[-1], residuals.T @ residuals / len(y))


@dataclass(frozen=True, eq=False)
class KalmanDecoder:
    """Filtered behaviour: each bin is estimated from the bins up to it.

    The state is behaviour and its change since the bin before, X = 2 D.

    Args:
        filter: Applied to the counts first.
        standardisation: Of the filtered counts of the training trials.
        observed: Units that fired on the training days, bool (N,).
        initial_mean: Of the state in a trial's first bin, (X,).
        initial_covariance: (X, X).
        transition: State to the state one bin later.
        observation: State to the standardised filtered counts of the M observed units.
    """

    filter: CountFilter
    standardisation: Standardisation
    observed: NDArray[np.bool_]
    initial_mean: Array
    initial_covariance: Array
    transition: LinearGaussian
    observation: LinearGaussian

    def predict(self, spikes: Signals) -> Array:
        """Decode behaviour in the recording's unit.

        Args:
            spikes: (K, T, N).

        Returns:
            (K, T, D).

        Raises:
            DataError: If the number of units is another one than in training.
        """
        states = self.states(spikes)
        return states[..., : states.shape[-1] // 2]

    def states(self, spikes: Signals) -> Array:
        """Return the expected state of each bin given the bins up to it, (K, T, X)."""
        check_units(spikes, len(self.observed))
        counts = self.standardisation(self.filter(spikes))[..., self.observed]
        mean = np.broadcast_to(self.initial_mean, (len(counts), len(self.initial_mean)))
        found = np.empty((*counts.shape[:2], len(self.initial_mean)))
        for time, gain in enumerate(self.gains(counts.shape[1])):
            if time:
                mean = mean @ self.transition.matrix.T + self.transition.offset
            surprise = counts[:, time] - (mean @ self.observation.matrix.T + self.observation.offset)
            mean = mean + surprise @ gain.T
            found[:, time] = mean
        return found

    def gains(self, n_bins: int) -> Array:
        """Return the Kalman gain of each bin, (T, X, M). It does not depend on the spikes.

        With J = CᵀQ⁻¹C the gain PCᵀ(CPCᵀ + Q)⁻¹ is P(I + JP)⁻¹CᵀQ⁻¹, which inverts states, not units, and
        allows for a singular P: behaviour and its change share their noise.
        """
        matrix = self.observation.matrix
        weighted = cho_solve(cho_factor(self.observation.noise), matrix).T  # CᵀQ⁻¹, (X, M)
        information = weighted @ matrix
        transition, found = self.transition, []
        covariance = self.initial_covariance
        for time in range(n_bins):
            if time:
                covariance = transition.matrix @ covariance @ transition.matrix.T + transition.noise
            # The covariance after the bin: P(I + JP)⁻¹ = (I + PJ)⁻¹P.
            covariance = np.linalg.solve(np.eye(len(covariance)) + covariance @ information, covariance)
            covariance = (covariance + covariance.T) / 2
            found.append(covariance @ weighted)
        return np.array(found)


def fit_kalman(
    trials: SpikeTrials, *, smoothing_bins: float = 0.0, root: bool = False, shrinkage: float = 0.1
) -> KalmanDecoder:
    """Fit a Kalman filter by least squares, which for known states is maximum likelihood.

    Args:
        trials: Training trials of at least two bins.
        smoothing_bins: See `CountFilter`. Smoothing makes the noise of neighbouring bins alike, which the filter
            takes for independent: it then trusts the counts too much.
        root: See `CountFilter`.
        shrinkage: Part of the noise covariance of the units that is replaced by its mean variance, the same for
            each unit and independent; 0 is least squares.

    Raises:
        ValueError: If `shrinkage` is not from 0 to 1.
        DataError: If trials have one bin, or too few bins to tell the noise of so many units.

    Source:
        Wu, Gao, Bienenstock, Donoghue, Black 2006, Neural Computation 18. Their state is position, velocity and
        acceleration; ours is whatever was recorded and its change. Offsets of both equations are ours.
    """
    if not 0 <= shrinkage <= 1:
        raise ValueError(f"`shrinkage` is {shrinkage}, but must be from 0 to 1.")
    if trials.spikes.shape[1] < 2:
        raise DataError(
            "A Kalman filter needs trials of two bins or more.", "Give a longer `--data.window_s`."
        )
    count_filter = CountFilter(root, smoothing_bins)
    filtered = count_filter(trials.spikes)
    standardisation = Standardisation.of(filtered)
    counts = standardisation(filtered)
    observed = counts.std(axis=(0, 1)) > 0.5
    counts = counts[..., observed]
    states = states_of(trials.behaviour.astype(np.float64))
    n_states = states.shape[-1]
    observation = LinearGaussian.of(states.reshape(-1, n_states), counts.reshape(-1, counts.shape[-1]))
    observation = replace(observation, noise=shrunk_covariance(observation.noise, shrinkage))
    try:
        cho_factor(observation.noise)
    except LinAlgError:
        raise DataError(
            f"{counts.shape[0] * counts.shape[1]} bins are too few to tell the noise of {counts.shape[2]} units.",
            "Give a `shrinkage` above 0, or more trials.",
        ) from None
    return KalmanDecoder(
        filter=count_filter,
        standardisation=standardisation,
        observed=observed,
        initial_mean=states[:, 0].mean(axis=0),
        initial_covariance=np.cov(states[:, 0], rowvar=False, bias=True),
        transition=LinearGaussian.of(
            states[:, :-1].reshape(-1, n_states), states[:, 1:].reshape(-1, n_states)
        ),
        observation=observation,
    )


def states_of(behaviour: Array) -> Array:
    """Return behaviour and its change since the bin before, (K, T, 2 D); the first bin takes the second's change.

    Args:
        behaviour: (K, T, D).
    """
    change = np.diff(behaviour, axis=1)
    return np.concatenate([behaviour, np.concatenate([change[:, :1], change], axis=1)], axis=2)
