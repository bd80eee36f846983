"""Files of networks of publications: recognised, refused where they are not whole, and scores in what they hold."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_modules.icgan.decoder.network_scores import TITLE, score_in_networks
from lightning_modules.icgan.judges.alexnet import AlexNet
from lightning_modules.icgan.judges.clip_visual import ClipSizes, ClipVisual
from lightning_modules.icgan.judges.efficientnet import EfficientNetB1
from lightning_modules.icgan.judges.public_network import (
    COUNTER,
    load_public_network,
    load_public_networks,
)
from lightning_modules.parts.errors import DataError

SMALL_CLIP = ClipSizes(width=64, layers=1, patch=4, side=8, outputs=6)


def test_files_of_distributed_training_in_half_precision_with_classifiers_and_without_counters_are_read(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    state = EfficientNetB1().state_dict()
    saved = {f"module.{name}": one.half() for name, one in state.items() if not name.endswith(COUNTER)}
    torch.save(saved | {"module.classifier.1.weight": torch.zeros(1000, 1280)}, tmp_path / "net.pth")
    network = load_public_network(tmp_path / "net.pth")
    assert network.kind == "efficientnet"
    weight = state["features.8.0.weight"].half().float()
    np.testing.assert_array_equal(network.weights["features.8.0.weight"], weight)
    pictures = np.random.default_rng(0).random((2, 20, 20, 3)).astype(np.float32)
    np.testing.assert_allclose(np.linalg.norm(network.embed(pictures), axis=1), 1, atol=1e-5)


def alexnet_without(name: str) -> dict[str, Tensor]:
    return {one: values for one, values in AlexNet().state_dict().items() if one != name}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            {"layers.0.weight": torch.zeros(2)},
            r"(?s)no network that is known; it holds layers\.0.*AlexNet.*CLIP",
        ),
        (alexnet_without("features.3.bias"), r"AlexNet: 1 of 10 entries are missing: `features\.3\.bias`"),
        (
            alexnet_without("") | {"features.0.weight": torch.zeros(64, 3, 3, 3)},
            r"`features\.0\.weight` is \(64, 3, 3, 3\), not \(64, 3, 11, 11\)",
        ),
        ({"visual.class_embedding": torch.zeros(4)}, r"looks like CLIP.*not whole"),
    ],
)
def test_files_of_other_networks_are_refused(tmp_path: Path, state: dict[str, Tensor], message: str) -> None:
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(DataError, match=message):
        load_public_network(tmp_path / "weights.pth")


def test_pictures_are_told_apart_in_every_layer_of_every_network_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)holds no weights.*AlexNet"):
        load_public_networks(tmp_path)
    torch.manual_seed(0)
    torch.save(AlexNet().state_dict(), tmp_path / "a.pth")
    torch.save(ClipVisual(SMALL_CLIP).state_dict(), tmp_path / "b.bin")
    (tmp_path / "notes.txt").write_text("not weights")
    stimuli = np.random.default_rng(0).random((4, 32, 32, 3)).astype(np.float32)
    turned = np.roll(stimuli, 1, axis=0)
    found = score_in_networks(load_public_networks(tmp_path), stimuli, stimuli, {"turned": turned})
    rows = found.tables[TITLE]
    assert [row["network"] for row in rows] == ["alexnet 2", "alexnet 5", "clip"]
    for row in rows[:2]:
        assert row["pixels"] == 224
        assert row["identification, decoded"] == 1
        assert row["distance, decoded"] == pytest.approx(0, abs=1e-6)
        assert row["identification, turned"] < 0.5
        assert row["distance, turned"] > 1e-4
    assert found.metrics["networks/alexnet_5_identification"] == 1
    assert len(found.metrics) == 6
    assert score_in_networks((), stimuli, stimuli, {}) == ({}, {})
