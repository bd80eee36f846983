from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lightning_modules.parts.spikes import SpikeTrials, align_units, cut_trials, read_sessions, window_bins

RECORDINGS = Path(__file__).resolve().parents[2] / "../shared/data"

ReadDays = Callable[[str], list[SpikeTrials]]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def trials(rng: np.random.Generator) -> SpikeTrials:
    """48 trials of 4 targets on 3 days: 9 units follow movement along the target, one is silent."""
    target = np.arange(48) % 4
    angle = target * np.pi / 2
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=-1)  # (K, 2)
    profile = np.sin(np.linspace(0.2, np.pi, 8))
    behaviour = direction[:, None] * profile[:, None] + 0.1 * rng.standard_normal((48, 8, 2))
    rates = np.exp(behaviour @ rng.standard_normal((2, 10)) + 0.3)
    rates[..., 4] = 0
    return SpikeTrials(
        spikes=rng.poisson(rates).astype(np.uint8),
        behaviour=(3 * behaviour + 5).astype(np.float32),
        target=target,
        session=np.arange(48) // 16,
    )


@pytest.fixture(scope="session")
def read_days() -> ReadDays:
    """Read the trials of each day of a recording as every experiment does."""

    def read(name: str) -> list[SpikeTrials]:
        folder = RECORDINGS / name
        if not folder.is_dir():
            pytest.skip(f"the recordings of {name} are not beside the repository")
        aligned = align_units(read_sessions(folder), "auto")
        n_bins = window_bins(aligned.sessions[:1], None)
        return [
            cut_trials(one, n_bins=n_bins, session_index=index) for index, one in enumerate(aligned.sessions)
        ]

    return read
