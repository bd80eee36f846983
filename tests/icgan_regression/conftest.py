from dataclasses import dataclass

import numpy as np
import pytest


@dataclass(frozen=True)
class Recording:
    """Rows of voxels that a few hidden causes drive, and features of the same causes."""

    voxels: np.ndarray
    targets: np.ndarray
    category: np.ndarray
    new_voxels: np.ndarray


def make_recording(n_rows: int, n_voxels: int, n_targets: int, seed: int = 3) -> Recording:
    rng = np.random.default_rng(seed)
    causes = rng.standard_normal((n_rows + 20, 6))
    voxels = (
        causes @ rng.standard_normal((6, n_voxels)) + 2 * rng.standard_normal((n_rows + 20, n_voxels)) + 1.5
    )
    targets = causes @ rng.standard_normal((6, n_targets)) + rng.standard_normal((n_rows + 20, n_targets)) - 4
    return Recording(voxels[:n_rows], targets[:n_rows], np.arange(n_rows) % 12, voxels[n_rows:])


@pytest.fixture
def recording() -> Recording:
    """60 rows of 12 categories, 90 voxels, 7 targets."""
    return make_recording(60, 90, 7)
