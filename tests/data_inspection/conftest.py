"""Sessions for the tests of `neurosweep data inspect`."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lightning_modules.parts.spikes import SpikeSession, generate_sessions


@pytest.fixture
def make_day() -> Callable[..., SpikeSession]:
    """A generated day of 48 trials of 8 targets, 12 bins of 0.05 s, 6 units; the arguments replace fields."""

    def make(day: int = 0, **changes: Any) -> SpikeSession:
        sessions = generate_sessions(
            n_sessions=day + 1,
            trials_per_session=48,
            n_units=6,
            n_bins=12,
            bin_width_s=0.05,
            behaviour="velocity",
        )
        return replace(sessions[day], **changes)

    return make


@pytest.fixture
def quiet_unit() -> Callable[[SpikeSession], SpikeSession]:
    """The session with its third unit silent."""

    def silence(session: SpikeSession) -> SpikeSession:
        spikes = session.spikes.copy()
        spikes[:, 2] = 0
        return replace(session, spikes=spikes)

    return silence


@pytest.fixture
def targets() -> Callable[..., np.ndarray]:
    """Targets of 48 trials: as many of each as asked, the rest of target 0."""

    def make(**counts: int) -> np.ndarray:
        named = np.concatenate([np.full(n, int(name[1:])) for name, n in counts.items()])
        return np.concatenate([np.zeros(48 - len(named), int), named])

    return make
