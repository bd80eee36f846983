from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from lightning_modules.lfads.module import Lfads
from lightning_modules.parts.spikes.data_module import SpikeDataModule
from lightning_modules.parts.spikes.recordings import SpikeData, load_sessions

BuildLfads = Callable[..., Lfads]
BuildTrainer = Callable[..., pl.Trainer]


@pytest.fixture(autouse=True)
def keep_torch_defaults() -> Any:
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
    assert torch.get_default_dtype() == dtype


@pytest.fixture(scope="session")
def sessions() -> SpikeData:
    """Two training days and one for validation, 24 trials each."""
    return load_sessions(
        preset="none", n_sessions=4, trials_per_session=24, n_units=10, n_bins=9, generated_bin_width_s=0.08
    )


@pytest.fixture
def data(sessions: SpikeData) -> SpikeDataModule:
    return SpikeDataModule(sessions, batch_size=16)


@pytest.fixture
def build(data: SpikeDataModule) -> BuildLfads:
    """Small networks for `data`, without dropout and warm-up unless asked for."""
    defaults: dict[str, Any] = {
        **data.model_arguments,
        "latent_dim": 5,
        "encoder_hidden": 6,
        "generator_hidden": 7,
        "factor_dim": 4,
        "controller_hidden": 8,
        "input_encoder_hidden": 3,
        "warmup_steps": 0,
        "dropout": 0.0,
    }

    def make(**settings: Any) -> Lfads:
        torch.manual_seed(3)
        return Lfads(**{**defaults, **settings})

    return make


@pytest.fixture
def build_trainer() -> BuildTrainer:
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }

    def make(**settings: Any) -> pl.Trainer:
        return pl.Trainer(**{**quiet, **settings})

    return make


@pytest.fixture
def spikes(sessions: SpikeData) -> torch.Tensor:
    """Six trials, float64."""
    return torch.tensor(sessions.training.spikes[:6].astype(float))
