"""Small sessions for the tests of the spike-session layer."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lightning_modules.parts.spikes import SpikeSession


def build_session(**changes: Any) -> SpikeSession:
    """40 bins of 0.1 s, 5 units, four trials of 8 bins with pauses of 2; `changes` replace fields."""
    generator = np.random.default_rng(changes.pop("seed", 0))
    fields: dict[str, Any] = {
        "spikes": generator.poisson(1.0, (40, 5)).astype(np.uint8),
        "behaviour": generator.normal(size=(40, 2)).astype(np.float32),
        "behaviour_names": ("velocity_x", "velocity_y"),
        "trial_start": np.array([0, 10, 20, 30]),
        "trial_end": np.array([8, 18, 28, 38]),
        "target": np.array([0, 1, 0, 1]),
        "bin_width_s": 0.1,
        "unit_ids": np.arange(5),
        "animal": "Ada",
        "date": "2020-02-01",
        "units_matched_across_sessions": True,
    }
    return SpikeSession(**{**fields, **changes})


@pytest.fixture
def make_session() -> Callable[..., SpikeSession]:
    return build_session
