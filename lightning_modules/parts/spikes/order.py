"""The order of training trials: a pure function of seed and epoch, so that a resumed trial goes on."""

import numpy as np

from lightning_modules.parts.spikes.session import Indices


def epoch_order(session: Indices, *, seed: int, epoch: int, balanced: bool) -> Indices:
    """Order in which the trials of all sessions are shown in one epoch, mixed across sessions.

    Args:
        session: Session of each trial, (K,).
        seed: Seed of the order.
        epoch: Epoch, from 0; each has its own order.
        balanced: Whether every session contributes equally many trials: the mean number of trials a session,
            rounded up. Larger sessions then show a part of theirs, smaller ones repeat some, and over the
            epochs every trial of a session is shown equally often in expectation.

    Returns:
        Positions of trials; without balance a permutation of all.
    """
    generator = np.random.default_rng((seed, epoch))
    if not balanced:
        return generator.permutation(len(session))
    names = np.unique(session)
    share = -(-len(session) // len(names))
    parts = [_draw(np.flatnonzero(session == name), share, generator) for name in names]
    return generator.permutation(np.concatenate(parts))


def _draw(trials: Indices, n: int, generator: np.random.Generator) -> Indices:
    """Draw `n` of the trials, repeating one only after all have been drawn."""
    rounds = -(-n // len(trials))
    return np.concatenate([generator.permutation(trials) for _ in range(rounds)])[:n]
