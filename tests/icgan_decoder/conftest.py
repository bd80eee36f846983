"""A small subject with a known linear code: voxels are weighted pixels and noise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl

from lightning_modules.icgan.decoder.data_module import PictureDataModule
from lightning_modules.icgan.decoder.module import ClosedFormDecoder
from lightning_modules.icgan.decoder.pictures import PictureData
from lightning_modules.icgan.decoder.pixels import PixelDecoder
from lightning_modules.icgan.recordings.session import ImageSession, Shown
from lightning_modules.icgan.recordings.session_npz import write_session_npz

N_STIMULI, N_REPEATS, N_VOXELS, SIDE = 24, 3, 60, 4


def make_session(noise: float = 0.5) -> ImageSession:
    rng = np.random.default_rng(0)
    images = rng.random((N_STIMULI, SIDE, SIDE, 1)).repeat(3, axis=-1).astype(np.float32)
    stimulus = np.tile(np.arange(N_STIMULI), N_REPEATS)
    weights = rng.standard_normal((SIDE * SIDE, N_VOXELS))
    voxels = (images[..., 0].reshape(N_STIMULI, -1) - 0.5) @ weights
    voxels = voxels[stimulus] + noise * rng.standard_normal((len(stimulus), N_VOXELS))
    half = np.arange(N_VOXELS) < N_VOXELS // 2
    return ImageSession(
        voxels=voxels.astype(np.float32),
        stimulus=stimulus,
        stimulus_names=tuple(f"picture_{one}" for one in range(N_STIMULI)),
        category=np.arange(N_STIMULI) // 2,
        shown=np.full(len(stimulus), int(Shown.TRAINING)),
        run=np.repeat(np.arange(N_REPEATS), N_STIMULI),
        roi={"V1": half, "V2": ~half},
        subject="S1",
        images=images,
        source="a linear code",
    )


@pytest.fixture(scope="session")
def session_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("subject") / "subject.npz"
    write_session_npz(make_session(), path)
    return path


@pytest.fixture
def fit() -> Callable[..., tuple[ClosedFormDecoder, pl.Trainer]]:
    """Fits a decoder with the given settings to data, as a trial does."""
    return _fit


def _fit(
    data: PictureData, *, kind: type[ClosedFormDecoder] = PixelDecoder, **settings: Any
) -> tuple[ClosedFormDecoder, pl.Trainer]:
    data_module = PictureDataModule(data)
    module = kind(**data_module.model_arguments, **settings)
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, datamodule=data_module)
    return module.eval(), trainer
