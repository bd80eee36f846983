"""Who trains, who validates, what stays sealed: by day first, by trial only where days are few."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.session import Indices

FEWEST_FOR_WHOLE_DAYS = 4
"""From this many sessions on, one validates and one is sealed unless asked otherwise."""


@dataclass(frozen=True)
class SessionSplit:
    """Positions of chronological sessions by purpose.

    Args:
        training: Earliest sessions.
        validation: The ones after them; empty if validation uses held-out trials of the training sessions.
        sealed: Latest sessions, which no search may open.
    """

    training: tuple[int, ...]
    validation: tuple[int, ...]
    sealed: tuple[int, ...]

    @property
    def opened(self) -> tuple[int, ...]:
        """Training and validation sessions, in order."""
        return self.training + self.validation


def split_sessions(
    n_sessions: int,
    *,
    validation_sessions: int | None = None,
    test_sessions: int | None = None,
    min_training_sessions: int = 2,
) -> SessionSplit:
    """Split chronological sessions: the last are sealed, those before them validate, the rest train.

    Args:
        n_sessions: Number of sessions.
        validation_sessions: Whole sessions for validation; 0 holds out trials instead. Default: 1 from four
            sessions on, else 0.
        test_sessions: Sealed sessions. Default: 1 from four sessions on, else 0.
        min_training_sessions: Fewest sessions to train on. A reversed gradient removes what tells sessions
            apart, which needs two.

    Raises:
        DataError: If numbers are negative, or too few sessions are left to train on.
    """
    default = 1 if n_sessions >= FEWEST_FOR_WHOLE_DAYS else 0
    n_validation = default if validation_sessions is None else validation_sessions
    n_sealed = default if test_sessions is None else test_sessions
    if n_validation < 0 or n_sealed < 0 or min_training_sessions < 1:
        raise DataError(
            f"Sessions cannot be split with validation_sessions={n_validation}, test_sessions={n_sealed}, "
            f"min_training_sessions={min_training_sessions}.",
            "Give 0 or more sessions for validation and test, and 1 or more to train on.",
        )
    n_training = n_sessions - n_validation - n_sealed
    if n_training < min_training_sessions:
        raise DataError(
            f"{max(n_training, 0)} of {n_sessions} sessions are left to train on ({n_validation} validate, "
            f"{n_sealed} sealed), but {min_training_sessions} are needed: the reversed gradient removes what "
            "tells sessions apart, so it needs two.",
            "Add sessions, lower `--data.test_sessions` or `--data.validation_sessions`, or give "
            "`--model.variant no_reversal --data.min_training_sessions 1`.",
        )
    order = tuple(range(n_sessions))
    return SessionSplit(
        training=order[:n_training],
        validation=order[n_training : n_training + n_validation],
        sealed=order[n_training + n_validation :],
    )


def split_trials(
    target: NDArray[np.int64], *, fraction: float, seed: int | tuple[int, ...]
) -> tuple[Indices, Indices]:
    """Hold out trials of one session at random, evenly over its targets.

    Each target gives its share rounded down; what is missing to the whole comes from the targets with the
    largest remainders.

    Args:
        target: Target of each trial, (K,).
        fraction: Part that is held out, between 0 and 1.
        seed: Seed of the choice.

    Returns:
        Positions of training and of held-out trials, each in order.

    Raises:
        DataError: If the fraction leaves nothing on one side.
    """
    n_held_out = round(fraction * len(target))
    if not 0 < n_held_out < len(target):
        raise DataError(
            f"Holding out {fraction:g} of {len(target)} trials leaves {n_held_out} for validation and "
            f"{len(target) - n_held_out} to train on.",
            "Give `--data.validation_fraction` between 0 and 1, such as 0.2, or leave out tiny sessions.",
        )
    generator = np.random.default_rng(seed)
    by_target = [generator.permutation(np.flatnonzero(target == one)) for one in np.unique(target)]
    shares = np.array([fraction * len(trials) for trials in by_target])
    quotas = np.floor(shares + 1e-9).astype(np.int64)
    # Noise breaks ties, so that the first targets are not favoured in every session.
    ranked = np.argsort(-(shares - quotas) + 1e-6 * generator.random(len(shares)))
    quotas[ranked[: n_held_out - int(quotas.sum())]] += 1
    held_out = np.sort(np.concatenate([trials[:n] for trials, n in zip(by_target, quotas, strict=True)]))
    return np.setdiff1d(np.arange(len(target)), held_out), held_out
