import dataclasses
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lightning_modules.icgan.generator.checkpoint import load_generator, save_generator
from lightning_modules.icgan.generator.network import Generator
from lightning_modules.icgan.generator.presets import PRESETS
from lightning_modules.icgan.generator.release_config import preset_of_config
from lightning_modules.parts.errors import DataError

PUBLIC_256 = {
    "experiment_name": "icgan_biggan_imagenet_res256",
    "class_cond": False,
    "instance_cond": True,
    "hier": True,
    "resolution": 256,
    "G_attn": "64",
    "D_attn": "64",
    "dim_z": 120,
    "n_classes": 1000,
    "shared_dim": 128,
    "shared_dim_feat": 512,
    "G_shared": True,
    "G_shared_feat": True,
    "G_ch": 96,
    "D_ch": 96,
}
"""Of the release's configuration file for 256 pixels, as far as shapes depend on it, with the default `dim_z`."""

S32 = PRESETS["s32"]
Release = Callable[..., Path]


class Mischief:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


@pytest.fixture
def weights() -> dict[str, Tensor]:
    """The entries of the preset s32, written down by hand in section 4.3's form: 100 and the unused embedding."""

    def spectral(name: str, rows: int, *others: int, bias: bool = True) -> dict[str, Tensor]:
        found = {f"{name}.weight": torch.randn(rows, *others), f"{name}.u0": torch.randn(1, rows)}
        found[f"{name}.sv0"] = torch.ones(1)
        return found | ({f"{name}.bias": torch.randn(rows)} if bias else {})

    found = {"shared.weight": torch.randn(1000, 128)}
    found |= spectral("shared_feat", 128, 256) | spectral("linear", 1024, 30)
    for k in range(3):
        found |= spectral(f"blocks.{k}.0.conv1", 64, 64, 3, 3) | spectral(f"blocks.{k}.0.conv2", 64, 64, 3, 3)
        found |= spectral(f"blocks.{k}.0.conv_sc", 64, 64, 1, 1)
        for norm in ("bn1", "bn2"):
            stored = f"blocks.{k}.0.{norm}.stored"
            found |= {f"{stored}_mean": torch.randn(64), f"{stored}_var": torch.rand(64) + 0.5}
            for one in ("gain", "bias"):
                found |= spectral(f"blocks.{k}.0.{norm}.{one}", 64, 158, bias=False)
    found |= {f"output_layer.0.{one}": torch.randn(64) for one in ("gain", "bias", "stored_mean")}
    found["output_layer.0.stored_var"] = torch.rand(64) + 0.5
    return found | spectral("output_layer.2", 3, 64, 3, 3)


@pytest.fixture
def release(tmp_path: Path, weights: dict[str, Tensor]) -> Release:
    """Write a folder as the release's trainer does; each call adds a pair of files."""

    def write(slot: int = 0, fid: Any = 17.5, config: dict[str, Any] | None = None, **entries: Any) -> Path:
        folder = tmp_path / "icgan_biggan_small"
        folder.mkdir(exist_ok=True)
        config = {
            **PUBLIC_256,
            "resolution": 32,
            "G_ch": 16,
            "shared_dim_feat": 128,
            "h_dim": 256,
            "G_activation": nn.ReLU(inplace=False),
            "D_activation": nn.ReLU(inplace=False),
            **(config or {}),
        }
        training = {"itr": 12, "epoch": 3, "best_FID": fid, "config": config}
        torch.save(training, folder / f"state_dict_best{slot}.pth")
        torch.save({**weights, **entries}, folder / f"G_ema_best{slot}.pth")
        torch.save(weights, folder / f"G_best{slot}.pth")
        return folder

    return write


def held(generator: Generator) -> dict[str, Tensor]:
    return {name: one.detach() for name, one in generator.state_dict().items()}


def test_a_fabricated_release_of_101_entries_loads_with_every_entry_in_its_place(
    release: Release, weights: dict[str, Tensor]
) -> None:
    assert len(weights) == 101
    generator = load_generator(release())
    assert not generator.training
    assert generator.preset == dataclasses.replace(S32, class_embedding=(1000, 128))
    found = held(generator)
    assert found.keys() == weights.keys()
    assert all(torch.equal(one, weights[name]) for name, one in found.items())


def test_the_unused_embedding_of_classes_may_be_there_or_not(release: Release) -> None:
    asked = load_generator(release(), preset=S32)
    assert "shared.weight" not in held(asked)
    assert len(held(asked)) == 100
    z, h = torch.randn(2, 120), torch.randn(2, 256)
    assert torch.equal(asked(z, h), load_generator(release())(z, h))


def test_the_prefix_of_distributed_training_is_taken_off(
    tmp_path: Path, release: Release, weights: dict[str, Tensor]
) -> None:
    folder = release()
    torch.save({f"module.{name}": one for name, one in weights.items()}, folder / "G_ema_best0.pth")
    assert torch.equal(held(load_generator(folder))["linear.weight"], weights["linear.weight"])


def test_the_configuration_of_the_release_is_the_preset_256() -> None:
    assert preset_of_config(PUBLIC_256, Path("release")) == PRESETS["256"]
    half = {**PUBLIC_256, "G_ch": 64}
    assert preset_of_config(half, Path("release")) == PRESETS["256_halfcap"]
    small = {**PUBLIC_256, "resolution": 64, "G_ch": 64, "G_attn": "32"}
    assert preset_of_config(small, Path("release")) == PRESETS["64"]


@pytest.mark.parametrize("number", [float, np.float64, np.float32])
def test_of_several_generators_that_of_the_lowest_fid_is_loaded(release: Release, number: Any) -> None:
    for slot, fid in enumerate((20.0, 15.5, 31.0)):
        folder = release(slot=slot, fid=number(fid), **{"linear.bias": torch.full((1024,), float(slot))})
    assert held(load_generator(folder))["linear.bias"].unique().tolist() == [1.0]


def test_what_is_saved_loads_as_it_was_and_by_the_lower_fid(tmp_path: Path) -> None:
    worse, better = Generator(S32).eval(), Generator(S32).eval()
    save_generator(tmp_path, worse, slot=0, iteration=10, best_fid=3.0)
    save_generator(tmp_path, better, slot=1, iteration=20, best_fid=2.0)
    loaded = load_generator(tmp_path)
    z, h = torch.randn(2, 120), torch.randn(2, 256)
    assert torch.equal(loaded(z, h), better(z, h))
    assert loaded.preset == S32
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "G_ema_best0.pth", "G_ema_best1.pth", "state_dict_best0.pth", "state_dict_best1.pth",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="`best_fid` is NaN"):
        save_generator(tmp_path, worse, slot=0, iteration=10, best_fid=float("nan"))


def test_features_of_other_dimensions_keep_the_name_of_the_preset(tmp_path: Path) -> None:
    preset = dataclasses.replace(S32, h_dim=201)
    save_generator(tmp_path, Generator(preset), slot=0, iteration=1, best_fid=1.0)
    assert load_generator(tmp_path).preset == preset
    (tmp_path / "state_dict_best0.pth").unlink()
    assert load_generator(tmp_path).preset == preset


def test_weights_that_would_run_something_are_refused_and_nothing_runs(
    tmp_path: Path, release: Release
) -> None:
    folder, marker = release(), tmp_path / "ran"
    torch.save({"linear.weight": Mischief(marker)}, folder / "G_ema_best0.pth")
    with pytest.raises(
        DataError, match=r"G_ema_best0\.pth is not safe to load: it would run `posix\.system`"
    ):
        load_generator(folder)
    assert not marker.exists()


def test_a_training_state_that_would_run_something_is_passed_over_and_told(
    tmp_path: Path, release: Release, caplog: pytest.LogCaptureFixture
) -> None:
    folder, marker = release(config={"extra": Mischief(tmp_path / "ran")}), tmp_path / "ran"
    assert load_generator(folder).preset.name == "s32"
    assert not marker.exists()
    assert "state_dict_best0.pth is not safe to load: it would run `posix.system`" in caplog.text


def test_missing_unknown_and_misshapen_entries_are_all_named(
    release: Release, weights: dict[str, Tensor]
) -> None:
    folder = release(extra=torch.zeros(1))
    state = torch.load(folder / "G_ema_best0.pth")
    del state["linear.bias"]
    wrong = [f"blocks.0.0.conv1.{one}" for one in ("weight", "bias", "u0")]
    wrong += [f"blocks.{k}.0.bn1.stored_mean" for k in range(3)]
    for name in wrong:
        state[name] = torch.zeros(3, 2)
    torch.save(state, folder / "G_ema_best0.pth")
    with pytest.raises(DataError) as refusal:
        load_generator(folder)
    message = str(refusal.value)
    assert "1 of 101 entries are missing: `linear.bias`." in message
    assert "1 entries are none of the network's: `extra`." in message
    assert "6 entries have other shapes: " in message
    assert message.count("is (3, 2), not (64") == 4
    assert message.count("is (3, 2), not") == 5


def test_a_checkpoint_of_another_preset_is_refused_with_both_named(release: Release) -> None:
    folder = release()
    for configured in (True, False):
        if not configured:
            (folder / "state_dict_best0.pth").unlink()
        with pytest.raises(DataError, match=r"preset `s32` \(32 pixels.*, but `s32w` \(32 pixels"):
            load_generator(folder, preset=PRESETS["s32w"])


def test_class_conditional_generators_are_refused(release: Release) -> None:
    with pytest.raises(DataError, match=r"another kind of generator: \{'class_cond': True\}"):
        load_generator(release(config={"class_cond": True}))


def test_a_file_of_another_hash_is_refused(release: Release) -> None:
    folder = release()
    digest = hashlib.sha256((folder / "G_ema_best0.pth").read_bytes()).hexdigest()
    load_generator(folder, sha256=digest.upper())
    with pytest.raises(DataError, match=f"has the SHA-256 {digest}, but {'0' * 64} is configured"):
        load_generator(folder, sha256="0" * 64)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "content not fetched"),
        (b"../../.git/annex/objects/aa/bb/SHA256E-s5--00.pth", "content not fetched"),
        (b"PK\x03\x04 cut off", "cannot be read as PyTorch weights"),
        (b"", "cannot be read as PyTorch weights"),
    ],
)
def test_pointers_and_damaged_files_are_told_apart(release: Release, content: bytes, message: str) -> None:
    folder = release()
    (folder / "G_ema_best0.pth").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_generator(folder)


def test_folders_of_other_kinds_are_refused_with_what_they_hold(tmp_path: Path, release: Release) -> None:
    with pytest.raises(DataError, match=r"is a StyleGAN2 pickle, which runs code"):
        load_generator(tmp_path / "icgan_stylegan2_coco_res256")
    pickles = tmp_path / "other"
    pickles.mkdir()
    (pickles / "best-network-snapshot.pkl").write_bytes(b"")
    with pytest.raises(DataError, match="pickles of StyleGAN2"):
        load_generator(pickles)
    (pickles / "best-network-snapshot.pkl").rename(pickles / "notes.txt")
    with pytest.raises(DataError, match=re.escape("no `G_ema_best*.pth`; it holds notes.txt")):
        load_generator(pickles)
    with pytest.raises(DataError, match="is no folder of generator weights"):
        load_generator(tmp_path / "icgan_biggan_imagenet_res256.tar.gz")
    folder = release()
    (folder / "G_ema_best1.pth").write_bytes((folder / "G_ema_best0.pth").read_bytes())
    (folder / "state_dict_best0.pth").unlink()
    with pytest.raises(DataError, match="2 generators, and no training state says which"):
        load_generator(folder)
    torch.save([1, 2], folder / "G_ema_best0.pth")
    (folder / "G_ema_best1.pth").unlink()
    with pytest.raises(DataError, match="holds a list, not the tensors of a network"):
        load_generator(folder)
