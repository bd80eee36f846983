"""A trial whose pinned parameters are not searched."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna

Space = Callable[..., None]


class PinnedTrial:
    """Stand between a space and Optuna's trial: a pinned name is answered with its value and never suggested.

    Optuna's `PartialFixedSampler` would keep the name in the search, refuse values outside the space, and give
    way to enqueued values.

    Args:
        trial: Optuna's trial.
        pins: Fixed values by dotted name.
    """

    def __init__(self, trial: optuna.trial.BaseTrial, pins: Mapping[str, Any]) -> None:
        self._trial = trial
        self._pins = pins
        self.met: set[str] = set()
        """Pinned names that the space asked for."""

    def _pinned(self, name: str) -> bool:
        if name in self._pins:
            self.met.add(name)
            return True
        return False

    def suggest_float(self, name: str, low: float, high: float, **options: Any) -> float:
        """Answer as `optuna.Trial.suggest_float` does."""
        return (
            self._pins[name] if self._pinned(name) else self._trial.suggest_float(name, low, high, **options)
        )

    def suggest_int(self, name: str, low: int, high: int, **options: Any) -> int:
        """Answer as `optuna.Trial.suggest_int` does."""
        return self._pins[name] if self._pinned(name) else self._trial.suggest_int(name, low, high, **options)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Answer as `optuna.Trial.suggest_categorical` does."""
        return self._pins[name] if self._pinned(name) else self._trial.suggest_categorical(name, choices)

    @property
    def number(self) -> int:
        """Number of the trial."""
        return self._trial.number


def sample_space(space: Space, pins: Mapping[str, Any], *, draws: int = 64) -> list[dict[str, Any]]:
    """Draw points of a space at random, to learn its names, conditional ones too, before a sweep starts.

    Args:
        space: The define-by-run function.
        pins: Fixed values by dotted name.
        draws: Number of points.

    Returns:
        One mapping from dotted name to value per draw, pinned names left out.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    points = []
    for _ in range(draws):
        trial = study.ask()
        space(PinnedTrial(trial, pins))
        points.append(dict(trial.params))
    return points
