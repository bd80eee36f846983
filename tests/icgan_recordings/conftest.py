"""A subject with the rows of the real experiment, few voxels and tiny images, and its files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightning_modules.icgan.recordings.god_writer import write_god
from lightning_modules.icgan.recordings.session import ImageSession, Shown

N_VOXELS = 14


def build_session(seed: int = 0, subject: str = "Subject1", **changes: Any) -> ImageSession:
    """150 x 8 training images in 24 runs, 50 test images in each of 35 runs, 20 runs of 25 imagined categories."""
    generator = np.random.default_rng(seed)
    training = [
        f"n{synset:08d}_{image}" for synset in range(1518878, 1518878 + 150) for image in range(65, 73)
    ]
    test = [
        f"n{synset:08d}_{image}" for synset, image in zip(range(1443537, 1443587), range(50), strict=True)
    ]
    stimulus = np.concatenate(
        [
            generator.permutation(1200),
            *(1200 + generator.permutation(50) for _ in range(35)),
            *(1200 + generator.permutation(50) for _ in range(10)),
        ]
    )
    names = (*training, *test)
    fields: dict[str, Any] = {
        "voxels": generator.normal(size=(3450, N_VOXELS)).astype(np.float32),
        "stimulus": stimulus,
        "stimulus_names": names,
        "category": np.array([int(name[1:9]) for name in names]),
        "shown": np.repeat([int(kind) for kind in Shown], [1200, 1750, 500]),
        "run": np.concatenate([np.arange(1200) // 50, np.arange(1750) // 50, np.arange(500) // 25]) + 1,
        "roi": {
            "V1": np.arange(N_VOXELS) < 5,
            "LOC": (np.arange(N_VOXELS) >= 5) & (np.arange(N_VOXELS) < 10),
            "FFA": np.arange(N_VOXELS) >= 9,
            "VC": np.arange(N_VOXELS) < 13,
        },
        "subject": subject,
        "images": np.random.default_rng(99).random((1250, 6, 5, 3)).astype(np.float32),
        "voxel_xyz": generator.normal(0, 30, (N_VOXELS, 3)).astype(np.float32),
    }
    return ImageSession(**{**fields, **changes})


@pytest.fixture
def make_session() -> Callable[..., ImageSession]:
    return build_session


@pytest.fixture(scope="session")
def session() -> ImageSession:
    return build_session()


@pytest.fixture
def god_folder(session: ImageSession, tmp_path: Path) -> Path:
    """`Subject1.h5`, both order files and the images, to be spoiled."""
    write_god(session, tmp_path / "god")
    return tmp_path / "god"


@pytest.fixture(scope="session")
def small(session: ImageSession) -> ImageSession:
    """Two images of training and two of test, of the first two runs of each kind."""
    keep = np.isin(session.run, (1, 2)) & (session.stimulus % 50 < 25)
    return replace(
        session,
        **{name: getattr(session, name)[keep] for name in ("voxels", "stimulus", "shown", "run")},
    )
