"""Wiener filter: behaviour as a linear function of the spikes of the last bins, fitted by ridge regression."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.windows import SpikeTrials

Array: TypeAlias = NDArray[np.float64]
Signals: TypeAlias = NDArray[Any]
"""Counts, or real values made of them such as latents, (K, T, N)."""

BeforeTrial = Literal["mean", "first_bin"]

PENALTIES = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)


@dataclass(frozen=True)
class CountFilter:
    """What is done to counts before anything linear sees them.

    Args:
        root: Whether to take the square root, which evens the variance of Poisson counts.
        smoothing_bins: Standard deviation of a Gaussian along the time of each trial, bins; 0 leaves the counts
            as they are. It looks ahead, so that decoders behind it are offline decoders.

    Raises:
        ValueError: If `smoothing_bins` is negative or not finite.
    """

    root: bool = False
    smoothing_bins: float = 2.5

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing_bins < np.inf:
            raise ValueError(f"`smoothing_bins` is {self.smoothing_bins}, but must be 0 or more.")

    def __call__(self, spikes: Signals) -> Array:
        """Return filtered counts, (K, T, N).

        Raises:
            DataError: If `spikes` are not (K, T, N), or negative values should have a root.
        """
        if spikes.ndim != 3:
            raise DataError(
                f"Spikes have shape {spikes.shape}, not (trials, bins, units).", "Cut trials first."
            )
        values = spikes.astype(np.float64)
        if self.root:
            if values.min(initial=0) < 0:
                raise DataError("Negative values have no square root.", "Give `root=False` for latents.")
            values = np.sqrt(values)
        return gaussian_filter1d(values, self.smoothing_bins, axis=1) if self.smoothing_bins else values


@dataclass(frozen=True, eq=False)
class Standardisation:
    """Mean and standard deviation of each unit over trials and time, (N,) each; constant units have scale 1."""

    mean: Array
    scale: Array

    @classmethod
    def of(cls, signals: Array) -> "Standardisation":
        """Measure signals (K, T, N)."""
        scale = signals.std(axis=(0, 1))
        # Round-off leaves constant signals a tiny spread, by which nothing should be divided.
        varies = scale > 1e-10 * np.abs(signals).max(axis=(0, 1), initial=0)
        return cls(signals.mean(axis=(0, 1)), np.where(varies, scale, 1.0))

    def __call__(self, signals: Array) -> Array:
        """Standardise signals, (..., N)."""
        return (signals - self.mean) / self.scale


@dataclass(frozen=True, eq=False)
class WienerDecoder:
    """Linear decoder of the current and the previous bins.

    Args:
        filter: Applied to the counts first.
        standardisation: Of the filtered counts of the training trials.
        weights: Behaviour per standardised input, (L, N, D); the first of L lags is the current bin.
        intercept: In the recording's unit, (D,).
        before_trial: What stands for bins before a trial; see `lag_bins`.
        penalty: Of ridge regression, on sums of squares over bins and standardised inputs.
    """

    filter: CountFilter
    standardisation: Standardisation
    weights: Array
    intercept: Array
    before_trial: BeforeTrial
    penalty: float

    def predict(self, spikes: Signals) -> Array:
        """Decode behaviour in the recording's unit.

        Args:
            spikes: (K, T, N).

        Returns:
            (K, T, D).

        Raises:
            DataError: If the number of units is another one than in training.
        """
        check_units(spikes, self.weights.shape[1])
        inputs = lag_bins(self.standardisation(self.filter(spikes)), len(self.weights), self.before_trial)
        return np.einsum("ktln,lnd->ktd", inputs, self.weights, optimize=True) + self.intercept


def fit_wiener(
    trials: SpikeTrials,
    *,
    lags: int = 10,
    smoothing_bins: float = 2.5,
    root: bool = False,
    before_trial: BeforeTrial = "mean",
    penalty: float | Sequence[float] = PENALTIES,
    n_folds: int = 5,
) -> WienerDecoder:
    """Fit a Wiener filter by ridge regression.

    Args:
        trials: Training trials. Their `spikes` may also be latents (K, T, Z), then with `smoothing_bins=0`.
        lags: Bins that are seen: the current one and the `lags - 1` before it.
        smoothing_bins: See `CountFilter`.
        root: See `CountFilter`.
        before_trial: See `lag_bins`. `mean` also tells the decoder how early in a trial it is, as every model of
            whole trials knows.
        penalty: Ridge penalty; of several, the one with the lowest squared error in cross-validation, whose
            folds keep the bins of a trial together.
        n_folds: Folds of that cross-validation.

    Raises:
        ValueError: If arguments are out of range; all problems at once.
    """
    penalties = [penalty] if isinstance(penalty, int | float) else list(penalty)
    problems = []
    if before_trial not in get_args(BeforeTrial):
        known = ", ".join(get_args(BeforeTrial))
        problems.append(f"`before_trial` is {before_trial!r}, but must be one of {known}.")
    if lags < 1:
        problems.append(f"`lags` is {lags}, but must be at least 1.")
    if not penalties or not all(0 <= one < np.inf for one in penalties):
        problems.append(f"`penalty` is {penalty}, but must be 0 or more, or several such values.")
    if len(penalties) > 1 and not 2 <= n_folds <= len(trials):
        problems.append(f"`n_folds` is {n_folds}, but must be from 2 to the {len(trials)} trials.")
    if problems:
        raise ValueError("A Wiener filter cannot be fitted:\n" + "\n".join(f"  {one}" for one in problems))
    count_filter = CountFilter(root, smoothing_bins)
    filtered = count_filter(trials.spikes)
    standardisation = Standardisation.of(filtered)
    n_trials, n_bins, n_units = filtered.shape
    inputs = lag_bins(standardisation(filtered), lags, before_trial).reshape(
        n_trials * n_bins, lags * n_units
    )
    behaviour = trials.behaviour.reshape(n_trials * n_bins, -1).astype(np.float64)
    if len(penalties) == 1:
        chosen = float(penalties[0])
    else:
        trial = np.repeat(np.arange(n_trials), n_bins)
        chosen = choose_penalty(inputs, behaviour, trial, penalties, n_folds)
    ridge = Ridge(alpha=chosen).fit(inputs, behaviour)
    weights = np.asarray(ridge.coef_).reshape(-1, lags, n_units).transpose(1, 2, 0)
    return WienerDecoder(
        filter=count_filter,
        standardisation=standardisation,
        weights=weights,
        intercept=np.atleast_1d(ridge.intercept_),
        before_trial=before_trial,
        penalty=chosen,
    )


def choose_penalty(
    inputs: Array, behaviour: Array, trial: NDArray[np.int64], penalties: Sequence[float], n_folds: int
) -> float:
    """Return the penalty with the lowest squared error in cross-validation over whole trials.

    One squared error over all dimensions, since that is what the variance-weighted R² scores.

    Args:
        inputs: (S, L N).
        behaviour: (S, D).
        trial: Trial of each of the S bins, (S,).
        penalties: To choose from.
        n_folds: Folds.
    """
    search = GridSearchCV(
        Ridge(), {"alpha": penalties}, cv=GroupKFold(n_folds), scoring="neg_mean_squared_error", refit=False
    )
    search.fit(inputs, behaviour, groups=trial)
    return float(search.best_params_["alpha"])


def lag_bins(signals: Array, lags: int, before_trial: BeforeTrial) -> Array:
    """Put the previous bins beside each bin.

    Args:
        signals: Standardised, (K, T, N).
        lags: L.
        before_trial: What stands for bins before the first one of a trial: `mean`, which is 0, or `first_bin`,
            the trial's first bin again.

    Returns:
        (K, T, L, N); entry l is the bin l before.
    """
    n_bins = signals.shape[1]
    earlier = np.arange(n_bins)[:, None] - np.arange(lags)  # (T, L)
    lagged = signals[:, np.maximum(earlier, 0)]
    return lagged if before_trial == "first_bin" else lagged * (earlier >= 0)[:, :, None]


def check_units(spikes: Signals, n_units: int) -> None:
    """Refuse spikes of another number of units.

    Raises:
        DataError: With both numbers and the cure.
    """
    if spikes.ndim != 3 or spikes.shape[2] != n_units:
        raise DataError(
            f"The decoder was fitted to {n_units} units, but got spikes of shape {spikes.shape}.",
            "Give (trials, bins, units) on the axis of the training days; see `align_units`.",
        )
