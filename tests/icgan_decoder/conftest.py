"""A small subject with a known linear code: voxels are weighted pixels and noise."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from lightning_modules.icgan.brain.areas import AREAS
from lightning_modules.icgan.decoder.brain_report import BrainReport, report_brain
from lightning_modules.icgan.decoder.data_module import PictureDataModule
from lightning_modules.icgan.decoder.generated_targets import GeneratorTargets
from lightning_modules.icgan.decoder.icgan import IcganDecoder
from lightning_modules.icgan.decoder.module import ClosedFormDecoder
from lightning_modules.icgan.decoder.over_subjects import (
    FittedSubject,
    fit_other_subjects,
    fit_settings,
    open_other_subjects,
)
from lightning_modules.icgan.decoder.picture_sets import PictureSet
from lightning_modules.icgan.decoder.pictures import PictureData
from lightning_modules.icgan.decoder.pixels import PixelDecoder
from lightning_modules.icgan.decoder.sealed_pictures import SealedResponses
from lightning_modules.icgan.decoder.sessions import SealedSession
from lightning_modules.icgan.decoder.targets import TargetSource, targets_of, with_defaults
from lightning_modules.icgan.generator.image_loss import ImageFeatures
from lightning_modules.icgan.recordings.session import ImageSession, Shown
from lightning_modules.icgan.recordings.session_npz import write_session_npz
from lightning_modules.icgan.scoring.latents import Latents

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


@pytest.fixture(scope="session")
def run_trainer() -> Callable[..., pl.Trainer]:
    """Trains a module on what a data module gives, quietly, for one epoch unless told otherwise."""
    return _run_trainer


def _run_trainer(
    module: pl.LightningModule, data_module: pl.LightningDataModule, **arguments: Any
) -> pl.Trainer:
    quiet: dict[str, Any] = {
        "max_epochs": 1,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }
    trainer = pl.Trainer(**{**quiet, **arguments})
    trainer.fit(module, datamodule=data_module)
    module.eval()
    return trainer


@pytest.fixture(scope="session")
def fit() -> Callable[..., tuple[ClosedFormDecoder, pl.Trainer]]:
    """Fits a decoder with the given settings to data, as a trial does."""
    return _fit


def _fit(
    data: PictureData, *, kind: type[ClosedFormDecoder] = PixelDecoder, **settings: Any
) -> tuple[ClosedFormDecoder, pl.Trainer]:
    data_module = PictureDataModule(data)
    module = kind(**data_module.model_arguments, **settings)
    return module, _run_trainer(module, data_module)


CLASSES = ("face", "house", "ring")
N_TRAINING, N_SEALED, N_IN_AREA = 60, 9, 20


class Colours:
    """Stands in for a network: what it sees in a picture is its mean colour."""

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Mean red, green and blue, and three more that are always there, (m, 6), of length one."""
        seen = np.concatenate([images.mean(axis=(1, 2)), np.full((len(images), 3), 0.1)], axis=1)
        return (seen / np.linalg.norm(seen, axis=1, keepdims=True)).astype(np.float32)

    def __call__(self, images: torch.Tensor) -> ImageFeatures:
        return ImageFeatures(torch.from_numpy(self.embed(images.permute(0, 2, 3, 1).numpy())), ())

    def classify(self, images: np.ndarray) -> np.ndarray:
        """Red is a face, green a house and blue a ring."""
        colour = images.mean(axis=(1, 2)) + 1e-3
        return colour / colour.sum(axis=1, keepdims=True)


def paint_colours(latents: Latents) -> np.ndarray:
    """A generator whose pictures have the colour that h points at."""
    weights = np.exp(6 * latents.h[:, :3])
    colour = weights / weights.sum(axis=1, keepdims=True)
    return np.tile(colour[:, None, None].astype(np.float32), (1, 8, 8, 1))


@pytest.fixture(scope="session")
def toy_source() -> TargetSource:
    """Three subjects whose areas carry what is known.

    V1 to V3 respond to dense vectors alone, V4 to both, LOC, FFA and PPA to features alone; FFA moreover to all
    faces, and PPA to all houses.
    """
    rng = np.random.default_rng(0)
    n = N_TRAINING + N_SEALED
    label = np.arange(n) % len(CLASSES)
    h = 0.4 * rng.standard_normal((n, 6)) + np.eye(6)[label]
    h = (h / np.linalg.norm(h, axis=1, keepdims=True)).astype(np.float32)
    dense = rng.standard_normal((n, 8)).astype(np.float32)
    light = rng.uniform(0.3, 1, (n, 8, 8, 1))
    images = (light * (0.1 + 0.9 * np.eye(3)[label])[:, None, None]).astype(np.float32)
    names = tuple(f"picture_{one}" for one in range(n))
    shown = np.repeat([int(Shown.TRAINING), int(Shown.TEST)], [2 * N_TRAINING, 6 * N_SEALED])
    stimulus = np.concatenate([np.tile(np.arange(N_TRAINING), 2), np.tile(np.arange(N_TRAINING, n), 6)])

    def read(subject: str) -> SealedSession:
        own = np.random.default_rng(int(subject))
        area = np.repeat(np.arange(len(AREAS)), N_IN_AREA)
        semantic = np.array([0, 0, 0, 0.5, 1, 1, 1])[area]
        signal = semantic * (h @ own.standard_normal((6, len(area)))) * 2
        signal += (1 - semantic) * (dense @ own.standard_normal((8, len(area)))) / 3
        signal += 2 * np.where(area == AREAS.index("FFA"), label[:, None] == 0, 0)
        signal += 2 * np.where(area == AREAS.index("PPA"), label[:, None] == 1, 0)
        # Noise of single voxels differs more within areas than areas do, so that they can be matched.
        noise = own.standard_normal((len(stimulus), len(area))) * np.exp(own.normal(0, 0.7, len(area)))
        voxels = (signal / signal.std(axis=0))[stimulus] + noise
        session = ImageSession(
            voxels=voxels.astype(np.float32),
            stimulus=stimulus,
            stimulus_names=names,
            category=np.arange(n) // 3,
            shown=shown,
            run=np.zeros(len(stimulus), np.int64),
            roi={name: area == at for at, name in enumerate(AREAS)},
            subject=subject,
            images=images,
            voxel_xyz=np.stack([np.arange(len(area)) % 10, np.arange(len(area)) // 10, 0 * area], 1)
            * np.float32(3),
        )
        return SealedSession(session, np.arange(N_TRAINING, n))

    colours = Colours()
    pictures = PictureSet(
        names=names,
        images=images,
        features=h,
        training=np.arange(N_TRAINING),
        extractor=colours,
        judge=colours,
        seed=0,
        searched="1",
        subjects=lambda: ("1", "2", "3"),
        read=read,
        classes=CLASSES,
        classify=colours.classify,
    )
    noise = rng.standard_normal((N_TRAINING, 3)).astype(np.float32)
    no_generator: Any = None
    return TargetSource(pictures, GeneratorTargets(no_generator, noise, dense[:N_TRAINING], Path()))


@pytest.fixture(scope="session")
def fit_toys(toy_source: TargetSource) -> Callable[..., tuple[FittedSubject, ...]]:
    """Fits a decoder with the given settings to all three subjects, the searched one first."""

    def fit_all(**settings: Any) -> tuple[FittedSubject, ...]:
        given = with_defaults({"n_folds": 4})
        sealed = toy_source.pictures.open("1")
        data = targets_of(toy_source, sealed, given)
        model = fit_settings(IcganDecoder(n_voxels=data.voxels.shape[1], **settings), data)
        first = FittedSubject("1", True, data, SealedResponses.of(sealed), model)
        others = open_other_subjects(toy_source.pictures, sealed.stimuli)
        return (first, *fit_other_subjects(model, others, toy_source, given).fitted)

    return fit_all


@pytest.fixture(scope="session")
def toy_report(fit_toys: Callable[..., tuple[FittedSubject, ...]], toy_source: TargetSource) -> BrainReport:
    """Of these subjects with one penalty for everything."""
    subjects = fit_toys(instance_alpha=100.0, noise_alpha=100.0, dense_alpha=100.0, instance_rescale=False)
    return report_brain(subjects, toy_source.pictures, paint_colours)
