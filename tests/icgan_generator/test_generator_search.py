"""The adversarial generator as an experiment: its contract, its figures, and the way from a trial to a generator."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from lightning_modules.icgan.generator.adversarial import AdversarialIcgan
from lightning_modules.icgan.generator.checkpoint import load_generator, save_generator
from lightning_modules.icgan.generator.data_module import GeneratorDataModule
from lightning_modules.icgan.generator.figures import BLANK, GAP, NOISE_SEED, draw, make_grid, sheet
from lightning_modules.icgan.generator.picture_source import PictureSource, load_pictures
from lightning_modules.icgan.generator.presets import PRESETS
from lightning_modules.parts.errors import DataError
from neurosweep.config import SweepConfig
from neurosweep.config_files import resolve_config
from neurosweep.testing import ExperimentConformance

DataModule = Callable[..., GeneratorDataModule]


@pytest.fixture(scope="module")
def settings(
    write_pictures: Callable[..., Path], small_net: None, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """24 pictures of 12 categories, of which 6 are held out."""
    cache = tmp_path_factory.mktemp("cache")
    return {"path": str(write_pictures()), "validation_share": 0.5, "warm_steps": 2, "cache": str(cache)}


@pytest.fixture(scope="module")
def data(settings: dict[str, Any]) -> PictureSource:
    return load_pictures(**settings)


@pytest.fixture
def data_module(data: PictureSource) -> DataModule:
    def make(**arguments: Any) -> GeneratorDataModule:
        return GeneratorDataModule(data, **{"k": 3, "batch_size": 4, "steps_per_epoch": 2, **arguments})

    return make


def fit(data_module: GeneratorDataModule, **arguments: Any) -> tuple[AdversarialIcgan, pl.Trainer]:
    torch.manual_seed(2)
    module = AdversarialIcgan(**{**data_module.model_arguments, **arguments})
    trainer = build_trainer()
    trainer.fit(module, datamodule=data_module)
    return module.eval(), trainer


def build_trainer(**arguments: Any) -> pl.Trainer:
    quiet: dict[str, Any] = {
        "max_epochs": 1,
        "limit_val_batches": 0,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return pl.Trainer(**{**quiet, **arguments})


class TestGenerator(ExperimentConformance):
    """On a file of few pictures."""

    experiment = "icgan-generator"
    epochs = 2

    @pytest.fixture
    def config(self, settings: dict[str, Any]) -> SweepConfig:
        """With the file that the tests write, and small batches."""
        overrides = {
            "name": "conformance",
            "model": {"samples_per_instance": 2, "head_start": 1},
            "data": {**settings, "k": 3, "batch_size": 4, "steps_per_epoch": 2},
            "trainer": {"max_epochs": self.epochs},
        }
        return resolve_config(self.experiment, overrides)


def test_training_begins_with_the_datas_warm_start_or_with_random_weights(
    data: PictureSource, data_module: DataModule
) -> None:
    assert data.warm is not None
    warm = dict(data.warm.build().named_parameters())
    still = {"generator_rate": 1e-12, "ema_decay": 0.5}
    started, _ = fit(data_module(), **still)
    for name, one in started.average.named_parameters():
        torch.testing.assert_close(one, warm[name])
    random, _ = fit(data_module(warm=False), **still)
    arguments = data_module().model_arguments
    torch.manual_seed(2)
    untrained = AdversarialIcgan(**arguments)
    for name, one in untrained.generator.named_parameters():
        torch.testing.assert_close(dict(random.average.named_parameters())[name], one)
    with pytest.raises(DataError, match=r"warm start is no generator of the preset `s32w`.*other shapes"):
        fit(data_module(), preset="s32w")


def test_in_the_head_start_the_discriminator_moves_alone(data_module: DataModule) -> None:
    """Of its four batches the generator moves in the last."""
    moved: list[tuple[bool, bool]] = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
            self.before = {name: one.detach().clone() for name, one in pl_module.named_parameters()}

        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
            changed = {
                name.partition(".")[0]
                for name, one in pl_module.named_parameters()
                if not name.startswith("average.") and not torch.equal(one, self.before[name])
            }
            moved.append(("discriminator" in changed, "generator" in changed))

    module = AdversarialIcgan(**data_module().model_arguments, head_start=3)
    trainer = build_trainer(max_epochs=2, callbacks=[Watch()])
    trainer.fit(module, datamodule=data_module())
    assert moved == [(True, False)] * 3 + [(True, True)]


def test_a_kept_checkpoint_is_loaded_as_its_averaged_generator(
    data_module: DataModule, tmp_path: Path
) -> None:
    module, trainer = fit(data_module(), generator_rate=1e-2, ema_decay=0.5)
    kept = tmp_path / "best-00001.ckpt"
    trainer.save_checkpoint(kept, weights_only=True)
    generator = load_generator(kept)
    z, h = torch.randn(3, module.preset.dim_z), torch.from_numpy(data_module().data.h[:3])
    with torch.no_grad():
        torch.testing.assert_close(generator(z, h), module(z, h), rtol=0, atol=0)
        assert not torch.allclose(generator(z, h), module.generator(z, h), atol=1e-3)
    assert generator.preset == module.preset
    # From there into the public layout.
    save_generator(tmp_path / "public", generator, slot=0, iteration=2, best_fid=1.0)
    again = load_generator(tmp_path / "public", preset=module.preset).state_dict()
    assert all(torch.equal(one, again[name]) for name, one in generator.state_dict().items())


def test_other_checkpoints_and_presets_are_refused(data_module: DataModule, tmp_path: Path) -> None:
    _, trainer = fit(data_module())
    kept = tmp_path / "kept.ckpt"
    trainer.save_checkpoint(kept)
    with pytest.raises(DataError, match=r"holds a generator of the preset `s32`.*`s32w`.*was asked for"):
        load_generator(kept, preset=PRESETS["s32w"])
    content = torch.load(kept, weights_only=True)
    del content["state_dict"]["average.linear.weight"]
    torch.save(content, kept)
    with pytest.raises(DataError, match=r"1 of \d+ entries are missing: `linear.weight`"):
        load_generator(kept)
    torch.save({"state_dict": {"net.weight": torch.zeros(2)}, "hyper_parameters": {"preset": "deep"}}, kept)
    with pytest.raises(
        DataError, match=r"no checkpoint of an adversarial IC-GAN: it holds 0 .* preset `deep`"
    ):
        load_generator(kept)
    torch.save({"state_dict": {}, "hyper_parameters": {"path": Path("/")}}, kept)
    with pytest.raises(DataError, match="is not safe to load"):
        load_generator(kept)
    kept.write_bytes(kept.read_bytes()[:300])
    with pytest.raises(DataError, match="cannot be read as PyTorch weights"):
        load_generator(kept)
    with pytest.raises(DataError, match=r"absent\.ckpt does not exist"):
        load_generator(tmp_path / "absent.ckpt")


def test_pictures_lie_in_rows_beside_each_other_on_white() -> None:
    rng = np.random.default_rng(0)
    one, three = rng.random((2, 1, 4, 5, 3)), rng.random((2, 3, 4, 5, 3))
    found = sheet([one, three])
    assert found.shape == (2 * 6, 4 * 7 + BLANK, 3)
    for row in range(2):
        top = 6 * row + GAP
        np.testing.assert_array_equal(found[top : top + 4, GAP : GAP + 5], one[row, 0])
        for column in range(3):
            left = 7 + BLANK + 7 * column + GAP
            np.testing.assert_array_equal(found[top : top + 4, left : left + 5], three[row, column])
    assert found.sum() == pytest.approx(one.sum() + three.sum() + found.size - one.size - three.size)


def test_the_figure_shows_instances_their_nearest_and_what_is_made_of_them(data_module: DataModule) -> None:
    module, _ = fit(data_module(), noise_sd=0.5)
    found = data_module()
    figure = draw(module, found, {})["made_pictures"]
    (image,) = figure.axes[0].images
    shown = np.asarray(image.get_array())
    h, pictures = found.data.validation_h, found.data.validation_images
    row = 3
    instance = round(row * (len(h) - 1) / 7)  # 8 rows, spread over the 12 held-out pictures
    distances = np.linalg.norm(h - h[instance], axis=1)
    nearest = [one for one in np.argsort(distances, kind="stable") if one != instance][:3]
    top, bottom = row * 34 + GAP, row * 34 + GAP + 32
    lefts = [GAP, *(34 + BLANK + GAP + 34 * column for column in range(3))]
    for left, index in zip(lefts, (instance, *nearest), strict=True):
        np.testing.assert_allclose(shown[top:bottom, left : left + 32], pictures[index], atol=1e-6)
    z = torch.randn(6, module.preset.dim_z, generator=torch.Generator().manual_seed(NOISE_SEED))
    for column in range(6):
        with torch.no_grad():
            made = module(0.5 * z[column : column + 1], torch.from_numpy(h[instance : instance + 1]))
        left = 34 * 4 + 2 * BLANK + GAP + 34 * column
        expected = ((made[0] + 1) / 2).movedim(0, -1).numpy()
        np.testing.assert_allclose(shown[top:bottom, left : left + 32], expected, atol=1e-5)
    assert make_grid(module, h[:2], 1).shape == (2, 1, 32, 32, 3)
    assert any("not the paper's" in text.get_text() for text in figure.texts)


def test_curves_are_drawn_as_they_were_logged(data_module: DataModule) -> None:
    module, _ = fit(data_module())
    curves = {
        "val/small_fid": [(0, 0.3), (1, 0.2)],
        "train/generator_loss": [(0, 1.0), (1, float("inf"))],
        "cost/x": [(0, 1.0)],
    }
    figures = draw(module, data_module(), curves)
    assert set(figures) == {"made_pictures", "training"}
    assert set(draw(module, data_module(), {})) == {"made_pictures"}
    distance, loss = figures["training"].axes
    np.testing.assert_array_equal(distance.lines[0].get_xydata(), [(0, 0.3), (1, 0.2)])
    np.testing.assert_array_equal(loss.lines[0].get_xydata(), [(0, 1.0), (1, np.nan)])
    assert loss.get_legend().get_texts()[0].get_text() == "generator"
