"""The IC-GAN decoder on a generated subject whose networks hardly learn: what is tested does not depend on them."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from lightning_modules.icgan.decoder import picture_sets, sealed_reconstructions
from lightning_modules.icgan.decoder.data_module import PictureDataModule
from lightning_modules.icgan.decoder.icgan import IcganDecoder
from lightning_modules.icgan.decoder.painting import paint
from lightning_modules.icgan.decoder.sealed_reconstructions import SealedOfOneSubject, SealedReconstructions
from lightning_modules.icgan.decoder.targets import KINDS, PICTURE, TargetData, load_targets
from lightning_modules.icgan.features.small_net import NetSettings
from lightning_modules.icgan.scoring.latents import Latents
from lightning_modules.icgan.synthetic.presets import PRESETS
from lightning_modules.parts.errors import DataError
from neurosweep.config import SweepConfig
from neurosweep.config_files import resolve_config
from neurosweep.testing import ExperimentConformance

SMALL_NET = NetSettings((4, 6, 8), 24, 200, epochs=1)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A subject of few voxels; presets, and what takes long, are replaced for size alone."""
    areas = tuple(replace(area, n_voxels=12) for area in PRESETS["tiny"].areas)
    small = replace(PRESETS["tiny"], areas=areas, net=SMALL_NET, evaluation_net=SMALL_NET)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(picture_sets, "PRESETS", {"tiny": small})
        patch.setattr(sealed_reconstructions, "ORACLE", replace(sealed_reconstructions.ORACLE, z_steps=20))
        patch.setattr(sealed_reconstructions, "N_DEALS", 3)
        cache = str(tmp_path_factory.mktemp("cache"))
        yield {"generator_steps": 2, "validation_pictures": 100, "cache": cache}


@pytest.fixture(scope="module")
def data(settings: dict[str, Any]) -> TargetData:
    return load_targets(**settings)


class TestIcgan(ExperimentConformance):
    """The contract of every experiment."""

    experiment = "icgan"
    epochs = 2

    @pytest.fixture
    def config(self, settings: dict[str, Any]) -> SweepConfig:
        """With the small subject."""
        overrides = {"name": "conformance", "data": settings, "trainer": {"max_epochs": self.epochs}}
        return resolve_config(self.experiment, overrides)


class TestIcganMlp(ExperimentConformance):
    """The same of the perceptron."""

    experiment = "icgan-mlp"
    epochs = 2

    @pytest.fixture
    def config(self, settings: dict[str, Any]) -> SweepConfig:
        """With the small subject."""
        overrides = {"name": "conformance", "data": settings, "trainer": {"max_epochs": self.epochs}}
        return resolve_config(self.experiment, overrides)


@pytest.fixture
def fit(fit: Any) -> Any:
    """As for pixels, with this decoder."""
    return partial(fit, kind=IcganDecoder)


def test_it_decodes_what_sklearns_three_ridges_decode(fit: Any, data: TargetData) -> None:
    module, _ = fit(data, instance_rescale=False)
    rows = data.voxels[:5] + 0.1
    for kind, alpha, found in zip(KINDS, (500.0, 1.0, 100.0), module.decode(rows), strict=True):
        assert found is not None
        truth = data.tables[kind][data.stimulus].astype(np.float64)
        expected = Ridge(alpha).fit(data.voxels.astype(np.float64), truth).predict(rows.astype(np.float64))
        np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())


def test_validation_compares_pictures_of_held_out_rows_with_what_was_seen(fit: Any, data: TargetData) -> None:
    _, trainer = fit(data, instance_rescale=False)
    rows = np.unique(np.linspace(0, len(data.stimulus) - 1, data.n_painted).round().astype(np.int64))
    held_out = []
    for kind, alpha in zip(KINDS, (500.0, 1.0, 100.0), strict=True):
        truth = data.tables[kind][data.stimulus].astype(np.float64)
        predicted = np.empty_like(truth)
        for fold in np.unique(data.fold):
            held = data.fold == fold
            decoder = Ridge(alpha).fit(data.voxels[~held].astype(np.float64), truth[~held])
            predicted[held] = decoder.predict(data.voxels[held].astype(np.float64))
        held_out.append(predicted[rows])
    made = paint(data.generator.build(), Latents(*held_out))
    seen = data.tables[PICTURE][data.stimulus[rows]]
    correlations = [np.corrcoef(one.ravel(), other)[0, 1] for one, other in zip(made, seen, strict=True)]
    assert trainer.callback_metrics["val/pixcorr"].item() == pytest.approx(np.mean(correlations), abs=1e-4)
    assert made.min() >= 0
    assert made.max() <= 1


def test_no_category_is_in_two_folds_and_no_test_picture_in_the_data(data: TargetData) -> None:
    category = data.category[data.stimulus]
    assert all(len(np.unique(data.fold[category == one])) == 1 for one in np.unique(category))
    assert len(np.unique(data.fold)) == 6
    assert len(data.stimulus_names) == 1200
    assert not set(data.sealed_stimuli) & set(data.stimulus_names)
    assert len(data.sealed_stimuli) == 50


def test_the_dense_vectors_are_what_the_generator_makes_of_the_noise(data: TargetData) -> None:
    generator = data.generator.build()
    expected = generator.dense(torch.from_numpy(data.tables["noise"])).numpy()
    np.testing.assert_allclose(data.tables["dense"], expected, atol=1e-4)


def test_the_generator_is_learnt_once_and_found_again(data: TargetData, settings: dict[str, Any]) -> None:
    (file,) = Path(settings["cache"]).glob("generator_*/targets.npz")
    written = file.stat().st_mtime_ns
    again = load_targets(**settings)
    assert file.stat().st_mtime_ns == written
    for name, table in data.tables.items():
        np.testing.assert_array_equal(again.tables[name], table)
    for name, weights in data.generator.weights.items():
        np.testing.assert_array_equal(again.generator.weights[name], weights)
    content = file.read_bytes()
    try:
        file.write_bytes(content[:1000])
        with pytest.raises(DataError, match=r"(?s)cannot be read.*is made again"):
            load_targets(**settings)
    finally:
        file.write_bytes(content)


def test_the_generator_is_not_in_the_checkpoint_and_validates_again(
    fit: Any, data: TargetData, tmp_path: Path
) -> None:
    module, trainer = fit(data, alpha_from="grouped", spatial_area="LVC", noise_rescale=True)
    trainer.save_checkpoint(tmp_path / "decoder.ckpt")
    assert set(torch.load(tmp_path / "decoder.ckpt", weights_only=True)["state_dict"]) == {"_extra_state"}
    loaded = IcganDecoder.load_from_checkpoint(tmp_path / "decoder.ckpt", weights_only=True).eval()
    logged = dict(trainer.callback_metrics)
    (again,) = trainer.validate(loaded, datamodule=PictureDataModule(data), verbose=False)
    assert again == pytest.approx({name: logged[name].item() for name in again}, abs=1e-5)
    for ours, theirs in zip(module.decode(data.voxels[:3]), loaded.decode(data.voxels[:3]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_sealed_pictures_are_scored_beside_all_seven_baselines(
    fit: Any, data: TargetData, settings: dict[str, Any]
) -> None:
    module, _ = fit(data)
    sealed = SealedReconstructions(data, settings)
    found = sealed.score([module])
    (scores,) = found.scores
    decoded = module.decode(sealed._responses.averaged)
    made = paint(data.generator.build(), decoded)
    correlations = [
        np.corrcoef(one.ravel(), other.ravel())[0, 1]
        for one, other in zip(made, sealed._pictures.stimuli, strict=True)
    ]
    assert scores["test/pixcorr"] == pytest.approx(np.mean(correlations), abs=1e-6)
    assert set(found.references) == {
        "shuffled", "training_mean", "generator_prior", "nearest_training_image", "oracle_h", "oracle_inversion",
        "single_trials", "published_scale", "repeats_2", "repeats_5", "repeats_10", "repeats_20", "chance",
    }  # fmt: skip
    assert found.references["oracle_h"]["test/instance_identification"] == 1.0
    assert found.references["oracle_inversion"]["test/pixcorr"] > found.references["oracle_h"]["test/pixcorr"]
    mean = data.tables[PICTURE].mean(axis=0)
    expected = [np.corrcoef(mean, one.ravel())[0, 1] for one in sealed._pictures.stimuli]
    assert found.references["training_mean"]["test/pixcorr"] == pytest.approx(np.mean(expected), abs=1e-5)
    assert list(sealed.sealed) == ["50 pictures"]
    _shuffled_rows_are_means_over_deals(sealed, decoded, made, found.references["shuffled"])


def _shuffled_rows_are_means_over_deals(
    sealed: SealedReconstructions, decoded: Latents, made: np.ndarray, found: dict[str, float]
) -> None:
    rng = np.random.default_rng(sealed_reconstructions.BASELINE_SEED)
    deals = [rng.permutation(len(made)) for _ in range(sealed_reconstructions.N_DEALS)]
    scores = [sealed._pictures.score(decoded.rows(deal), made[deal]) for deal in deals]
    for name, value in found.items():
        assert value == pytest.approx(np.mean([one[name] for one in scores]), abs=1e-6), name


def test_the_sealed_pictures_of_every_subject_are_counted_as_when_that_one_is_searched(
    data: TargetData, settings: dict[str, Any]
) -> None:
    sealed = SealedReconstructions(data, settings)
    second = {**settings, "subject": 2}
    searched = SealedReconstructions(load_targets(**second), second)
    assert list(sealed.also_opened) == [f"50 pictures of {subject}" for subject in (2, 3, 4, 5)]
    assert sealed.also_opened["50 pictures of 2"] == searched.sealed["50 pictures"]
    assert searched.also_opened["50 pictures of 1"] == sealed.sealed["50 pictures"]
    assert len({*sealed.sealed.values(), *sealed.also_opened.values()}) == 5
    assert SealedOfOneSubject(data, settings).also_opened == {}
    (note,) = SealedOfOneSubject(data, settings).others.notes
    assert "a network would have to be trained for each" in note


def test_there_are_five_subjects(data: TargetData, settings: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="no generated subject `6`"):
        load_targets(**{**settings, "subject": 6})
