"""The perceptron decoder: its losses against scikit-learn and SciPy, what it learns, and what it never sees."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from scipy.spatial.distance import cosine
from scipy.special import softmax
from sklearn.linear_model import Ridge
from sklearn.metrics import log_loss

from lightning_modules.icgan.decoder.feature_data_module import FeatureDataModule
from lightning_modules.icgan.decoder.figures import draw
from lightning_modules.icgan.decoder.mlp import MlpDecoder
from lightning_modules.icgan.decoder.mlp_lesson import residuals
from lightning_modules.icgan.decoder.mlp_network import direction_loss
from lightning_modules.icgan.decoder.painting import GeneratorWeights
from lightning_modules.icgan.decoder.pictures import training_pictures
from lightning_modules.icgan.decoder.targets import DENSE, INSTANCE, JUDGE, NOISE, PICTURE, TargetData
from lightning_modules.icgan.generator.network import Generator
from lightning_modules.icgan.generator.presets import PRESETS
from lightning_modules.icgan.recordings.session import ImageSession, Shown
from lightning_modules.parts.errors import DataError

Train: TypeAlias = Callable[..., tuple[MlpDecoder, pl.Trainer]]

N_STIMULI, N_CATEGORIES, N_CAUSES, N_VOXELS, SIDE = 480, 24, 6, 24, 32
FAST: dict[str, Any] = {"learning_rate": 3e-3, "hidden_width": 256, "dropout": 0.1, "residual_noise": 0.1}


@dataclass(frozen=True)
class PixelJudge:
    """Looks at one pixel in eight."""

    def embed(self, images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1)[:, ::8].astype(np.float32)


@pytest.fixture(scope="module")
def data() -> TargetData:
    """A subject whose features are sizes of causes whose signs voxels carry too: no linear decoder finds them."""
    rng = np.random.default_rng(0)
    causes = rng.standard_normal((N_STIMULI, N_CAUSES))
    mixing = rng.standard_normal((N_CAUSES, N_VOXELS))
    voxels = causes @ mixing + 0.1 * rng.standard_normal((N_STIMULI, N_VOXELS))
    preset = replace(PRESETS["s32"], h_dim=N_CAUSES)
    pictures = rng.random((N_STIMULI, SIDE, SIDE, 3)).astype(np.float32)
    area = np.arange(N_VOXELS) < N_VOXELS // 2
    session = ImageSession(
        voxels=voxels.astype(np.float32),
        stimulus=np.arange(N_STIMULI),
        stimulus_names=tuple(map(str, range(N_STIMULI))),
        category=np.arange(N_STIMULI) % N_CATEGORIES,
        shown=np.full(N_STIMULI, int(Shown.TRAINING)),
        run=np.zeros(N_STIMULI, dtype=np.int64),
        roi={"HVC": area, "LVC": ~area},
        subject="S1",
        images=pictures,
        source="sizes of causes",
    )
    rows = training_pictures(session, sealed=np.array([], dtype=np.int64), n_folds=4, fold_seed=0)
    linear = causes @ rng.standard_normal((N_CAUSES, 200))
    tables = {
        INSTANCE: np.abs(causes).astype(np.float32),
        NOISE: linear[:, : preset.dim_z].astype(np.float32),
        DENSE: (linear @ rng.standard_normal((200, preset.dense_dim)) / 100).astype(np.float32),
        PICTURE: pictures.reshape(N_STIMULI, -1),
        JUDGE: PixelJudge().embed(pictures),
    }
    known = {one.name: getattr(rows, one.name) for one in fields(rows)}
    return TargetData(
        **{**known, "tables": tables, "picture_shape": (SIDE, SIDE, 3)},
        generator=GeneratorWeights.of(Generator(preset)),
        generator_path="",
        judge=PixelJudge(),
        n_painted=20,
    )


@pytest.fixture(scope="module")
def train(run_trainer: Callable[..., pl.Trainer]) -> Train:
    """Trains a decoder with the given settings, as a trial does."""

    def make(data: TargetData, *, epochs: int = 1, **settings: Any) -> tuple[MlpDecoder, pl.Trainer]:
        torch.manual_seed(0)
        data_module = FeatureDataModule(data)
        module = MlpDecoder(**data_module.model_arguments, **settings)
        return module, run_trainer(module, data_module, max_epochs=epochs, check_val_every_n_epoch=epochs)

    return make


def identification(predicted: np.ndarray, data: TargetData) -> float:
    """A slow loop: each row of the first fold against every other picture, less the mean of the other folds."""
    rows = np.flatnonzero(data.fold == 0)
    table = data.tables[INSTANCE].astype(np.float64)
    centre = table[data.stimulus[data.fold != 0]].mean(axis=0)
    wins = []
    for row, one in zip(rows, predicted, strict=True):
        alike = [np.corrcoef(one - centre, other - centre)[0, 1] for other in table]
        own = alike.pop(data.stimulus[row])
        wins.append(np.mean([own > other for other in alike]))
    return float(np.mean(wins))


def test_info_nce_is_sklearns_log_loss_of_the_softmax_of_cosines() -> None:
    rng = np.random.default_rng(0)
    predicted, candidates, own = (
        rng.standard_normal((7, 5)),
        rng.standard_normal((9, 5)),
        rng.integers(0, 9, 7),
    )
    alike = [[1 - cosine(one, other) for other in candidates] for one in predicted]
    expected = log_loss(own, softmax(np.array(alike) / 0.3, axis=1), labels=np.arange(9))
    found = direction_loss(
        *map(torch.from_numpy, (predicted, candidates, own)), kind="info_nce", temperature=0.3
    )
    assert found.item() == pytest.approx(expected, abs=1e-12)


def test_the_cosine_loss_is_scipys_mean_cosine_distance() -> None:
    rng = np.random.default_rng(0)
    predicted, candidates, own = (
        rng.standard_normal((7, 5)),
        rng.standard_normal((9, 5)),
        rng.integers(0, 9, 7),
    )
    expected = np.mean([cosine(one, candidates[which]) for one, which in zip(predicted, own, strict=True)])
    found = direction_loss(
        *map(torch.from_numpy, (predicted, candidates, own)), kind="cosine", temperature=1.0
    )
    assert found.item() == pytest.approx(expected, abs=1e-12)


def test_residuals_are_what_sklearns_encoder_leaves_at_half_of_the_degrees_of_freedom() -> None:
    rng = np.random.default_rng(0)
    features, voxels = rng.standard_normal((50, 4)), rng.standard_normal((50, 9))
    values = np.linalg.svd(features - features.mean(axis=0), compute_uv=False) ** 2
    left = residuals(voxels, features)
    candidates = np.geomspace(1, 1e3, 4000)
    halved = candidates[np.argmin(abs((values / (values + candidates[:, None])).sum(axis=1) - 2))]
    expected = voxels - Ridge(halved).fit(features, voxels).predict(features)
    np.testing.assert_allclose(left, expected, atol=1e-3)


@pytest.mark.parametrize("loss", ["info_nce", "cosine"])
def test_it_learns_what_no_linear_decoder_finds(train: Train, data: TargetData, loss: str) -> None:
    module, trainer = train(data, epochs=12, loss=loss, mse_weight=1.0, **FAST)
    held = data.fold == 0
    truth = data.tables[INSTANCE]
    predicted = module.predict(INSTANCE, data.voxels[held])
    found = identification(predicted, data)
    linear = min(
        (Ridge(alpha).fit(data.voxels[~held], truth[~held]) for alpha in (1.0, 100.0)),
        key=lambda one: ((one.predict(data.voxels[held]) - truth[held]) ** 2).mean(),
    )
    assert trainer.callback_metrics["val/instance_identification"].item() == pytest.approx(found, abs=1e-6)
    assert found > 0.85
    assert identification(linear.predict(data.voxels[held]), data) < 0.6
    variance = ((truth[held] - truth[~held].mean(axis=0)) ** 2).mean()
    assert ((predicted - truth[held]) ** 2).mean() < 0.5 * variance  # of the right length, too


def test_the_network_never_learns_from_the_held_out_fold(train: Train, data: TargetData) -> None:
    module, _ = train(data, **FAST)
    rng = np.random.default_rng(1)
    held = data.fold == 0
    voxels = np.where(held[:, None], rng.standard_normal(data.voxels.shape), data.voxels).astype(np.float32)
    features = data.tables[INSTANCE].copy()
    features[data.stimulus[held]] = rng.standard_normal((held.sum(), N_CAUSES))
    other, _ = train(replace(data, voxels=voxels, tables={**data.tables, INSTANCE: features}), **FAST)
    for name, values in module.network.state_dict().items():
        assert torch.equal(values, other.network.state_dict()[name]), name


@pytest.mark.parametrize("kind", [NOISE, DENSE])
def test_noise_and_dense_vector_are_sklearns_ridge(train: Train, data: TargetData, kind: str) -> None:
    module, _ = train(data, noise_alpha=20.0, dense_alpha=20.0, dense_shrink_factor=0.5, **FAST)
    (batch,) = FeatureDataModule(data).val_dataloader()
    voxels, truth = data.voxels.astype(np.float64), data.tables[kind][data.stimulus].astype(np.float64)
    held, factor = data.fold == 0, 0.5 if kind == DENSE else 1.0
    for found, fitted_to, rows in (
        (module.hold_out(batch, kind), ~held, held),
        (module.predict(kind, data.voxels[:9]), held | True, np.arange(9)),
    ):
        expected = Ridge(20.0).fit(voxels[fitted_to], truth[fitted_to]).predict(voxels[rows])
        mean = truth[fitted_to].mean(axis=0)
        np.testing.assert_allclose(found, mean + factor * (expected - mean), atol=1e-3)


def test_a_checkpoint_decodes_and_validates_as_the_decoder_that_wrote_it(
    train: Train, data: TargetData, tmp_path: Path
) -> None:
    module, trainer = train(
        data, instance_rescale=True, instance_match_length=True, noise_rescale=True, **FAST
    )
    trainer.save_checkpoint(tmp_path / "decoder.ckpt")
    loaded = MlpDecoder.load_from_checkpoint(tmp_path / "decoder.ckpt", weights_only=True).eval()
    for one, other in zip(module.decode(data.voxels[:5]), loaded.decode(data.voxels[:5]), strict=True):
        np.testing.assert_array_equal(one, other)
    logged = dict(trainer.callback_metrics)
    (again,) = trainer.validate(loaded, datamodule=FeatureDataModule(data), verbose=False)
    assert again == pytest.approx({name: logged[name].item() for name in again}, abs=1e-5)
    lengths = np.linalg.norm(module.predict(INSTANCE, data.voxels), axis=1)
    training = data.tables[INSTANCE][data.stimulus[data.fold != 0]]
    np.testing.assert_allclose(lengths, np.linalg.norm(training, axis=1).mean(), rtol=1e-5)


def test_only_the_areas_voxels_are_used(train: Train, data: TargetData) -> None:
    module, _ = train(data, instance_area="HVC", **FAST)
    changed = np.where(data.roi["HVC"], data.voxels, 5.0).astype(np.float32)
    np.testing.assert_array_equal(module.predict(INSTANCE, data.voxels), module.predict(INSTANCE, changed))
    with pytest.raises(ValueError, match=r"area `PPA` has no voxels.*HVC \(12\)"):
        train(data, instance_area="PPA")


def test_figures_show_pictures_of_the_held_out_fold_alone(train: Train, data: TargetData) -> None:
    module, _ = train(data, **FAST)
    figures = draw(module, FeatureDataModule(data), {})
    (image,) = figures["held_out_pictures"].axes[0].images
    first = np.flatnonzero(data.fold == 0)[0]
    seen = data.tables[PICTURE][data.stimulus[first]].reshape(SIDE, SIDE, 3)
    np.testing.assert_array_equal(np.asarray(image.get_array())[1 : 1 + SIDE, 1 : 1 + SIDE], seen)
    assert len(figures["penalties"].axes) == 2


def test_all_wrong_settings_are_named_at_once_and_an_untrained_decoder_says_so() -> None:
    with pytest.raises(
        ValueError, match=r"`n_hidden` is 3, but must be 1 or 2.*`loss` is 'hinge'.*`temperature` is 0"
    ):
        MlpDecoder(n_voxels=3, n_features=2, n_hidden=3, loss="hinge", temperature=0)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="instance has not been trained"):
        MlpDecoder(n_voxels=3, n_features=2).predict(INSTANCE, np.zeros((1, 3), dtype=np.float32))
