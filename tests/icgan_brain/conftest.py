import numpy as np
import pytest

SIZES = {"V1": 60, "V2": 50, "V3": 40, "V4": 35, "LOC": 30, "FFA": 25, "PPA": 20}


@pytest.fixture
def roi() -> dict[str, np.ndarray]:
    """Areas one after the other, 5 voxels of both LOC and FFA, 12 voxels of none; and a larger area besides."""
    starts = np.concatenate([[0], np.cumsum(list(SIZES.values()))])
    n_voxels = int(starts[-1]) + 12
    at = np.arange(n_voxels)
    masks = {
        name: (at >= start) & (at < start + size)
        for (name, size), start in zip(SIZES.items(), starts[:-1], strict=True)
    }
    masks["LOC"] = masks["LOC"] | (masks["FFA"] & (np.cumsum(masks["FFA"]) <= 5))
    return {"VC": np.ones(n_voxels, dtype=bool)} | masks
