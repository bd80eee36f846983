import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from scipy.linalg import sqrtm
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from lightning_modules.icgan.generator.adversarial import AdversarialIcgan
from lightning_modules.icgan.generator.averaging import move_average
from lightning_modules.icgan.generator.checkpoint import save_generator
from lightning_modules.icgan.generator.neighbour_data import NeighbourDataModule
from lightning_modules.icgan.generator.network import Generator
from lightning_modules.icgan.generator.objective import discriminator_loss, generator_loss, translate
from lightning_modules.icgan.generator.presets import GeneratorPreset
from lightning_modules.icgan.generator.sample_scores import score_samples
from lightning_modules.icgan.generator.small_extractor import SmallNetExtractor
from lightning_modules.parts.errors import DataError

Build = Callable[..., AdversarialIcgan]
BuildTrainer = Callable[..., pl.Trainer]


@pytest.fixture
def data(images: Tensor, h: Tensor, extractor: SmallNetExtractor) -> NeighbourDataModule:
    """Epochs of 3 batches of 8 pictures; 9 instances to validate on."""
    pictures = images.movedim(1, -1).numpy()
    return NeighbourDataModule(
        pictures, h.numpy(), h[:9].numpy(), extractor, k=3, batch_size=8, steps_per_epoch=3
    )


@pytest.fixture
def build(data: NeighbourDataModule, preset: GeneratorPreset, monkeypatch: pytest.MonkeyPatch) -> Build:
    known = {"tiny": preset}
    for module in ("presets", "adversarial_settings"):
        monkeypatch.setattr(f"lightning_modules.icgan.generator.{module}.PRESETS", known)

    def make(**arguments: Any) -> AdversarialIcgan:
        torch.manual_seed(4)
        return AdversarialIcgan(**{**data.model_arguments, "preset": "tiny", **arguments})

    return make


@pytest.fixture
def build_trainer(tmp_path: Path) -> BuildTrainer:
    def make(**arguments: Any) -> pl.Trainer:
        quiet: dict[str, Any] = {
            "accelerator": "cpu",
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "num_sanity_val_steps": 0,
            "default_root_dir": tmp_path,
        }
        return pl.Trainer(**{**quiet, **arguments})

    return make


def copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: one.detach().clone() for name, one in network.state_dict().items()}


def test_hinge_losses_have_their_closed_form() -> None:
    real, fake = torch.tensor([2.0, 0.25, -1.0]), torch.tensor([-3.0, 0.5])
    assert discriminator_loss(real, fake).item() == pytest.approx((0 + 0.75 + 2) / 3 + (0 + 1.5) / 2)
    assert generator_loss(fake).item() == pytest.approx(1.25)


def test_pictures_are_shifted_by_whole_pixels_and_filled_with_zeros() -> None:
    pictures = torch.rand(400, 3, 16, 8) + 1
    moved = translate(pictures, 0.125, torch.Generator().manual_seed(1))
    shifts = []
    for before, after in zip(pictures, moved, strict=True):
        fitting = []
        for down in range(-2, 3):
            for right in range(-1, 2):
                expected = torch.zeros(3, 16, 8)
                for row in range(16):
                    for column in range(8):
                        if 0 <= row - down < 16 and 0 <= column - right < 8:
                            expected[:, row, column] = before[:, row - down, column - right]
                if torch.equal(after, expected):
                    fitting.append((down, right))
            if fitting:
                break
        (found,) = fitting
        shifts.append(found)
        if len(shifts) == 40:
            break
    assert {down for down, _ in shifts} == {-2, -1, 0, 1, 2}
    assert {right for _, right in shifts} == {-1, 0, 1}
    assert torch.equal(translate(pictures, 0.0, torch.Generator()), pictures)


def test_gradients_pass_a_shift_where_a_pixel_stays_in_the_picture() -> None:
    pictures = torch.rand(3, 2, 8, 8, requires_grad=True)
    moved = translate(pictures, 0.25, torch.Generator().manual_seed(2))
    moved.sum().backward()
    assert pictures.grad is not None
    kept = pictures.grad.flatten(1).sum(dim=1)
    torch.testing.assert_close(kept, (moved != 0).flatten(1).sum(dim=1).float())


def test_the_average_moves_by_its_closed_form_for_parameters_and_buffers(preset: GeneratorPreset) -> None:
    average, network = Generator(preset), Generator(preset)
    start, expected = copied(average), {}
    for step in range(3):
        with torch.no_grad():
            for one in network.state_dict().values():
                one.fill_(float(step))
        move_average(average, network, 0.9)
    for name, one in start.items():
        expected[name] = 0.9**3 * one + 0.1 * (0.9**2 * 0 + 0.9 * 1 + 2)
    for name, one in average.state_dict().items():
        torch.testing.assert_close(one, expected[name], rtol=1e-5, atol=1e-6)
    assert any("stored_var" in name for name in expected)
    move_average(average, network, 0.0)
    assert all(torch.equal(one, network.state_dict()[name]) for name, one in copied(average).items())


def test_each_optimizers_step_leaves_the_other_networks_weights_and_gradients_alone_bit_for_bit(
    build: Build, build_trainer: BuildTrainer, data: NeighbourDataModule
) -> None:
    model = build()
    networks = {"generator": model.generator, "discriminator": model.discriminator}
    owners = {id(one): name for name, network in networks.items() for one in network.parameters()}
    other = {"generator": "discriminator", "discriminator": "generator"}
    weights = {
        name: [one.detach().clone() for one in network.parameters()] for name, network in networks.items()
    }
    gradients: dict[str, list[Tensor | None]] = {name: [None] * len(weights[name]) for name in other}
    stepped: list[str] = []

    def moving(optimizer: torch.optim.Optimizer) -> str:
        (name,) = {owners[id(one)] for group in optimizer.param_groups for one in group["params"]}
        return name

    def before_step(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        name = moving(optimizer)
        stepped.append(name)
        gradients[name] = [one.grad.clone() for one in networks[name].parameters() if one.grad is not None]
        assert len(gradients[name]) == len(weights[name])
        for parameter, gradient in zip(
            networks[other[name]].parameters(), gradients[other[name]], strict=True
        ):
            # As its own step left it: None before the first one.
            assert parameter.grad is gradient is None or torch.equal(parameter.grad, gradient)

    def after_step(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        name = moving(optimizer)
        for parameter, weight in zip(networks[other[name]].parameters(), weights[other[name]], strict=True):
            assert torch.equal(parameter, weight)
        weights[name] = [one.detach().clone() for one in networks[name].parameters()]

    handles = register_optimizer_step_pre_hook(before_step), register_optimizer_step_post_hook(after_step)
    try:
        build_trainer(max_epochs=1, limit_val_batches=0).fit(model, datamodule=data)
    finally:
        for handle in handles:
            handle.remove()
    assert stepped == ["discriminator", "generator"] * 3


@pytest.mark.parametrize(
    ("rate", "still"), [("generator_rate", "generator"), ("discriminator_rate", "discriminator")]
)
def test_a_network_moves_by_its_own_optimizer_only(
    build: Build, build_trainer: BuildTrainer, data: NeighbourDataModule, rate: str, still: str
) -> None:
    model = build()
    setattr(model, rate, 0.0)
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    build_trainer(max_epochs=1, limit_val_batches=0).fit(model, datamodule=data)
    for name, one in model.named_parameters():
        if not name.startswith("average."):
            assert torch.equal(one, before[name]) is name.startswith(still), name


def test_the_average_is_a_copy_until_it_starts_and_then_lags_behind(
    build: Build, build_trainer: BuildTrainer, data: NeighbourDataModule
) -> None:
    history: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []

    class Record(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
            # Callbacks come before the module's own hook: what is seen is the state after the batch before.
            assert isinstance(pl_module, AdversarialIcgan)
            history.append((copied(pl_module.generator), copied(pl_module.average)))

    model = build(ema_decay=0.6, ema_start=2)
    build_trainer(max_epochs=1, limit_val_batches=0, callbacks=[Record()]).fit(model, datamodule=data)
    final = copied(model.average)
    (_, _), (second, after_first), (third, after_second) = history
    assert all(torch.equal(one, history[0][0][name]) for name, one in after_first.items())
    assert all(torch.equal(one, second[name]) for name, one in after_second.items())
    for name, one in final.items():
        torch.testing.assert_close(one, 0.6 * second[name] + 0.4 * third[name], rtol=1e-5, atol=1e-6)
    assert not model.average.training


def test_a_trial_resumed_after_an_epoch_equals_an_undisturbed_one_bit_for_bit(
    build: Build, build_trainer: BuildTrainer, data: NeighbourDataModule, tmp_path: Path
) -> None:
    def fit(max_epochs: int, resume: Path | None) -> tuple[AdversarialIcgan, pl.Trainer]:
        model, trainer = build(seed=3), build_trainer(max_epochs=max_epochs)
        torch.randn(max_epochs)
        trainer.fit(model, datamodule=data, ckpt_path=resume, weights_only=True)
        return model, trainer

    whole, undisturbed = fit(3, None)
    fit(1, None)[1].save_checkpoint(tmp_path / "last.ckpt")
    resumed, trainer = fit(3, tmp_path / "last.ckpt")
    state = resumed.state_dict()
    assert all(torch.equal(one, state[name]) for name, one in whole.state_dict().items())
    assert undisturbed.callback_metrics.keys() == trainer.callback_metrics.keys() == {
        "train/discriminator_loss", "train/generator_loss", "train/real_score", "train/fake_score",
        "val/small_fid", "val/neighbour_recall", "val/diversity", "val/feature_cosine",
    }  # fmt: skip
    for name, one in undisturbed.callback_metrics.items():
        assert one.item() == trainer.callback_metrics[name].item()
        assert math.isfinite(one.item())


def test_a_discriminator_that_learns_alone_tells_real_from_made(
    build: Build, build_trainer: BuildTrainer, data: NeighbourDataModule
) -> None:
    model = build(discriminator_rate=5e-4, generator_rate=1e-9, translation=0.0)
    trainer = build_trainer(max_epochs=9, limit_val_batches=0)
    trainer.fit(model, datamodule=data)
    logged = trainer.callback_metrics
    assert logged["train/discriminator_loss"] < 1.5  # 2 where it cannot tell.
    assert logged["train/real_score"] > 1 > -1 > logged["train/fake_score"]


def test_training_starts_from_a_warm_started_generator(
    build: Build,
    build_trainer: BuildTrainer,
    data: NeighbourDataModule,
    preset: GeneratorPreset,
    tmp_path: Path,
) -> None:
    warm = Generator(preset)
    save_generator(tmp_path / "warm", warm, slot=0, iteration=1, best_fid=1.0)
    model = build(warm_start=str(tmp_path / "warm"), generator_rate=1e-12, ema_decay=0.999)
    build_trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=0).fit(model, datamodule=data)
    for name, one in warm.named_parameters():
        torch.testing.assert_close(dict(model.average.named_parameters())[name], one)
    other = Generator(GeneratorPreset("tiny", 32, 8, h_dim=16, e_dim=8, attention=None, wanted_dim_z=24))
    save_generator(tmp_path / "other", other, slot=0, iteration=1, best_fid=1.0)
    model = build(warm_start=str(tmp_path / "other"))
    with pytest.raises(DataError, match=r"8 channels.*but `tiny`.*4 channels"):
        build_trainer(max_epochs=1).fit(model, datamodule=data)


def test_scores_of_samples_have_their_closed_forms() -> None:
    torch.manual_seed(6)
    h = nn.functional.normalize(torch.randn(7, 3), dim=1)
    made = nn.functional.normalize(h[:, None] + 0.4 * torch.randn(7, 4, 3), dim=2)
    near = torch.cdist(h, h).argsort(dim=1)[:, 1:3]
    found = score_samples(made, h, near)
    hits, distances, cosines = [], [], []
    for i in range(7):
        own = {i, *near[i].tolist()}
        for s in range(4):
            nearest = sorted(range(7), key=lambda j: float((made[i, s] - h[j]).norm()))[:3]
            hits.append(len(own & set(nearest)) / 3)
            cosines.append(float(made[i, s] @ h[i]))
            distances += [float((made[i, s] - made[i, t]).norm()) for t in range(4) if t != s]
    assert found.neighbour_recall == pytest.approx(np.mean(hits))
    assert found.diversity == pytest.approx(np.mean(distances), rel=1e-5)
    assert found.cosine == pytest.approx(np.mean(cosines), rel=1e-5)
    one, other = made.flatten(0, 1).double().numpy(), h.double().numpy()
    covariances = np.cov(one.T), np.cov(other.T)
    root = np.real(sqrtm(covariances[0] @ covariances[1]))
    shift = np.sum((one.mean(axis=0) - other.mean(axis=0)) ** 2)
    assert found.fid == pytest.approx(shift + np.trace(covariances[0] + covariances[1] - 2 * root), rel=1e-5)


def test_validation_scores_the_average_by_the_data_modules_extractor(
    build: Build,
    build_trainer: BuildTrainer,
    data: NeighbourDataModule,
    h: Tensor,
    extractor: SmallNetExtractor,
) -> None:
    model = build(samples_per_instance=2, noise_sd=0.5)
    with torch.no_grad():
        for one in model.generator.parameters():
            one.zero_()  # Were it scored, nothing could be diverse.
    (logged,) = build_trainer().validate(model, datamodule=data, verbose=False)
    z = 0.5 * torch.randn(18, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        made = extractor((model.average(z, h[:9].repeat_interleave(2, dim=0)) + 1) / 2).h
    cosines = (made * h[:9].repeat_interleave(2, dim=0)).sum(dim=1)
    assert logged["val/feature_cosine"] == pytest.approx(cosines.mean().item(), rel=1e-5)
    pairs = (made[::2] - made[1::2]).norm(dim=1)
    assert logged["val/diversity"] == pytest.approx(pairs.mean().item(), rel=1e-4)
    assert not any("extractor" in name for name in model.state_dict())
    with pytest.raises(DataError, match="Validate with a `NeighbourDataModule`"):
        build_trainer().validate(model, dataloaders=data.val_dataloader(), verbose=False)


def test_all_arguments_out_of_range_are_named_at_once() -> None:
    with pytest.raises(ValueError, match="cannot be built") as refusal:
        AdversarialIcgan(
            h_dim=0, preset="s48", generator_rate=0.0, ema_decay=1.0, translation=-0.1, samples_per_instance=1
        )
    for name in ("h_dim", "preset", "generator_rate", "ema_decay", "translation", "samples_per_instance"):
        assert f"`{name}` is" in str(refusal.value)
