from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from lightning_modules.parts.spikes.batch import LabelledSpikeBatch
from lightning_modules.parts.spikes.data_module import LabelledSpikeDataModule
from lightning_modules.parts.spikes.recordings import SpikeData, load_sessions
from lightning_modules.rave.module import Rave

BuildRave = Callable[..., Rave]
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
    """Three training days and one for validation, 24 trials each."""
    return load_sessions(
        preset="default",
        n_sessions=5,
        trials_per_session=24,
        n_units=10,
        n_bins=9,
        generated_bin_width_s=0.08,
    )


@pytest.fixture
def data(sessions: SpikeData) -> LabelledSpikeDataModule:
    """Batches of 30, 30 and 12 trials."""
    return LabelledSpikeDataModule(sessions, batch_size=30)


@pytest.fixture
def trials(data: LabelledSpikeDataModule) -> LabelledSpikeBatch:
    """All training trials, float64."""
    batch = data.train_dataloader().dataset[list(range(72))]
    return batch._replace(spikes=batch.spikes.double(), behaviour=batch.behaviour.double())


@pytest.fixture
def build(data: LabelledSpikeDataModule) -> BuildRave:
    """Small networks for `data`, without dropout unless asked for."""
    defaults: dict[str, Any] = {
        **data.model_arguments,
        "latent_dim": 5,
        "width": 16,
        "layers": 2,
        "behaviour_width": 8,
        "behaviour_layers": 1,
        "classifier_width": 7,
        "classifier_layers": 1,
        "classifier_steps": 3,
        "dropout": 0.0,
        "behaviour_dropout": 0.0,
        "classifier_dropout": 0.0,
        "weight_decay": 0.0,
    }

    def make(**settings: Any) -> Rave:
        torch.manual_seed(3)
        return Rave(**{**defaults, **settings})

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
