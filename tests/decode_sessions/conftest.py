"""A decoder of generated recordings that has not been trained, and files of new days for it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lightning_modules.parts.decoding.new_session import DecodedSession, decode_session
from lightning_modules.parts.spikes import SpikeSession, generate_sessions, write_npz
from lightning_modules.parts.spikes.data_module import SpikeDataModule
from lightning_modules.parts.spikes.recordings import SpikeData, load_sessions
from lightning_modules.sable.module import Sable

N_UNITS, N_BINS, WIDTH = 12, 10, 0.07
SMALL = {
    "encoder_hidden": 8,
    "encoder_width": 8,
    "generator_hidden": 8,
    "behaviour_hidden": 8,
    "behaviour_width": 8,
    "factor_dim": 4,
    "latent_dim": 4,
}
"""A network that is built and trained in no time."""


@dataclass(frozen=True)
class Trained:
    """A module with the data it is for; its weights are random, which serves as well."""

    module: Sable
    data: SpikeData

    @property
    def description(self) -> dict[str, Any]:
        """As it comes back from a file."""
        return json.loads(json.dumps(SpikeDataModule(self.data).description))

    def decode(self, path: Path) -> DecodedSession:
        return decode_session(self.module, self.description, path)

    def forward(self, spikes: np.ndarray) -> np.ndarray:
        """Behaviour for counts (K, T, N), straight from the module."""
        with torch.no_grad():
            return self.module(torch.tensor(spikes.astype(np.float32))).behaviour.numpy()


def build(data: SpikeData) -> Trained:
    torch.manual_seed(5)
    return Trained(Sable(**SpikeDataModule(data).model_arguments, **SMALL).eval(), data)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def days() -> tuple[SpikeSession, ...]:
    """Four days to train, validate and seal with, and a new one."""
    return generate_sessions(
        n_sessions=5, trials_per_session=24, n_units=N_UNITS, n_bins=N_BINS, bin_width_s=WIDTH
    )


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory, days: tuple[SpikeSession, ...]) -> Path:
    """Folder of the first four days."""
    folder = tmp_path_factory.mktemp("recordings")
    for number, day in enumerate(days[:4]):
        write_npz(day, folder / f"day{number}.npz")
    return folder


@pytest.fixture(scope="session")
def trained(recordings: Path) -> Trained:
    """Trained on two days; the third validates, the fourth is sealed."""
    return build(load_sessions(path=str(recordings)))


@pytest.fixture(scope="session")
def build_decoder() -> Callable[[SpikeData], Trained]:
    """Build a decoder for other data."""
    return build


@pytest.fixture
def new_day(tmp_path: Path, days: tuple[SpikeSession, ...]) -> Callable[..., Path]:
    """Write the fifth day with entries changed, or taken out where they are None, as any other program would."""

    def write(name: str = "new.npz", **changes: Any) -> Path:
        write_npz(days[4], tmp_path / name)
        with np.load(tmp_path / name) as archive:
            entries = {**archive, **changes}
        kept = {key: value for key, value in entries.items() if value is not None}
        np.savez(tmp_path / name, allow_pickle=False, **kept)
        return tmp_path / name

    return write
