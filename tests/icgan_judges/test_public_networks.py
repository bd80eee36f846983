"""Networks of publications: published sizes, names in public files, and arithmetic by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.icgan.judges.alexnet import AlexNet
from lightning_modules.icgan.judges.clip_visual import ClipSizes, ClipVisual
from lightning_modules.icgan.judges.efficientnet import EfficientNetB1, InvertedBottleneck, SqueezeExcitation
from lightning_modules.icgan.judges.inception import InceptionV3
from lightning_modules.icgan.judges.public_network import PooledResNet50, load_public_network

SMALL_CLIP = ClipSizes(width=128, layers=2, patch=4, side=8, outputs=6)
MEAN, STD = np.array((0.485, 0.456, 0.406)), np.array((0.229, 0.224, 0.225))


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return build()


@pytest.mark.parametrize(
    ("build", "published", "left_out"),
    [
        # torchvision's tables of weights give the whole; the classifiers are left out.
        (AlexNet, 61_100_840, 9216 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 1000 + 1000),
        (
            InceptionV3,
            27_161_264,
            (768 * 128 + 2 * 128 + 128 * 768 * 25 + 2 * 768 + 769 * 1000) + 2049 * 1000,
        ),
        (EfficientNetB1, 7_794_184, 1281 * 1000),
        (PooledResNet50, 25_557_032, 2049 * 1000),
        # CLIP's ViT-L/14 less its text transformer: tokens, places, 12 blocks, last norm, projection, temperature.
        (
            lambda: ClipVisual(ClipSizes()),
            427_616_513,
            49408 * 768 + 77 * 768 + 12 * (12 * 768**2 + 13 * 768) + 2 * 768 + 768**2 + 1,
        ),
    ],
)
def test_a_network_has_the_published_number_of_parameters(
    build: Callable[[], nn.Module], published: int, left_out: int
) -> None:
    assert sum(one.numel() for one in on_meta(build).parameters()) == published - left_out


@pytest.mark.parametrize(
    ("build", "entries"),
    [
        (AlexNet, {"features.0.weight": (64, 3, 11, 11), "features.3.bias": (192,), "features.10.bias": (256,)}),
        (
            InceptionV3,
            {
                "Conv2d_4a_3x3.conv.weight": (192, 80, 3, 3),
                "Mixed_5b.branch5x5_2.bn.running_mean": (64,),
                "Mixed_5d.branch_pool.conv.weight": (64, 288, 1, 1),
                "Mixed_6a.branch3x3dbl_3.conv.weight": (96, 96, 3, 3),
                "Mixed_6b.branch7x7_2.conv.weight": (128, 128, 1, 7),
                "Mixed_6b.branch7x7dbl_2.conv.weight": (128, 128, 7, 1),
                "Mixed_6c.branch7x7dbl_5.conv.weight": (192, 160, 1, 7),
                "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
                "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
            },
        ),
        (
            EfficientNetB1,
            {
                "features.0.0.weight": (32, 3, 3, 3),
                "features.1.0.block.0.0.weight": (32, 1, 3, 3),
                "features.1.1.block.1.fc1.weight": (4, 16, 1, 1),
                "features.2.0.block.2.fc2.bias": (96,),
                "features.4.0.block.2.fc1.weight": (10, 240, 1, 1),
                "features.7.1.block.3.1.running_var": (320,),
                "features.8.0.weight": (1280, 320, 1, 1),
            },
        ),
        (
            lambda: ClipVisual(ClipSizes()),
            {
                "visual.class_embedding": (1024,),
                "visual.positional_embedding": (257, 1024),
                "visual.conv1.weight": (1024, 3, 14, 14),
                "visual.ln_pre.weight": (1024,),
                "visual.transformer.resblocks.23.attn.in_proj_weight": (3072, 1024),
                "visual.transformer.resblocks.0.attn.out_proj.bias": (1024,),
                "visual.transformer.resblocks.5.mlp.c_fc.weight": (4096, 1024),
                "visual.proj": (1024, 768),
            },
        ),
    ],
)  # fmt: skip
def test_entries_have_the_names_and_shapes_of_public_files(
    build: Callable[[], nn.Module], entries: dict[str, tuple[int, ...]]
) -> None:
    state = on_meta(build).state_dict()
    assert {name: tuple(state[name].shape) for name in entries} == entries


@pytest.mark.parametrize(
    ("build", "side", "expected"),
    [
        (InceptionV3, 299, {"Mixed_5d": (288, 35, 35), "Mixed_6e": (768, 17, 17), "Mixed_7c": (2048, 8, 8)}),
        (EfficientNetB1, 224, {"features.1": (16, 112, 112), "features.8": (1280, 7, 7)}),
        (AlexNet, 224, {"features.4": (192, 27, 27), "features.11": (256, 13, 13)}),
    ],
)
def test_maps_have_the_published_sizes(
    build: Callable[[], nn.Module], side: int, expected: dict[str, tuple[int, ...]]
) -> None:
    network, seen = on_meta(build), []
    for part in expected:
        network.get_submodule(part).register_forward_hook(
            lambda *given: seen.append(tuple(given[-1].shape[1:]))
        )
    network(torch.empty(1, 3, side, side, device="meta"))
    assert seen == list(expected.values())


def test_alexnets_layers_are_its_second_and_fifth_convolution_of_normalised_pictures(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = AlexNet().state_dict()
    torch.save(state, tmp_path / "alexnet.pth")
    pictures = np.random.default_rng(0).random((2, 224, 224, 3)).astype(np.float32)
    found = load_public_network(tmp_path / "alexnet.pth").layers(pictures)
    x = torch.from_numpy(((pictures - MEAN) / STD).transpose(0, 3, 1, 2)).float()

    def convolve(x: Tensor, position: int, **options: int) -> Tensor:
        weight, bias = (state[f"features.{position}.{part}"] for part in ("weight", "bias"))
        return functional.conv2d(x, weight, bias, **options).relu()

    second = convolve(functional.max_pool2d(convolve(x, 0, stride=4, padding=2), 3, 2), 3, padding=2)
    fifth = functional.max_pool2d(second, 3, 2)
    for position in (6, 8, 10):
        fifth = convolve(fifth, position, padding=1)
    assert list(found) == ["alexnet 2", "alexnet 5"]
    for ours, theirs in zip(found.values(), (second, fifth), strict=True):
        np.testing.assert_allclose(ours, theirs.flatten(1).numpy(), atol=1e-5)


def test_inceptions_branches_lie_in_their_order_and_its_pictures_go_from_minus_one_to_one(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    network = InceptionV3().eval()
    torch.save(network.state_dict() | {"fc.weight": torch.zeros(1000, 2048)}, tmp_path / "inception.pth")
    pictures = np.random.default_rng(0).random((1, 96, 96, 3)).astype(np.float32)
    (found,) = load_public_network(tmp_path / "inception.pth").layers(pictures).values()
    with torch.inference_mode():
        expected = network(torch.from_numpy(2 * pictures - 1).permute(0, 3, 1, 2))["inception"]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        block, x = network.get_submodule("Mixed_7c"), torch.rand(1, 2048, 3, 3)
        joined = block(x)
        parts = {
            (0, 320): "branch1x1", (320, 704): "branch3x3_2a", (704, 1088): "branch3x3_2b",
            (1088, 1472): "branch3x3dbl_3a", (1472, 1856): "branch3x3dbl_3b",
        }  # fmt: skip
        seen: dict[str, Tensor] = {}
        for name in parts.values():
            hook = lambda *given, name=name: seen.update({name: given[-1]})  # noqa: E731
            block.get_submodule(name).register_forward_hook(hook)
        block(x)
    for (start, end), name in parts.items():
        assert torch.equal(joined[:, start:end], seen[name])
    # A border of zeros counts in torchvision's average: that of a corner has 4 pixels of 9.
    pooled = block.get_submodule("branch_pool")(functional.avg_pool2d(x, 3, 1, 1, count_include_pad=True))
    np.testing.assert_allclose(joined[:, 1856:], pooled.detach(), atol=1e-5)


def test_channels_are_weighed_by_what_their_means_tell_and_shortcuts_are_where_sizes_allow() -> None:
    torch.manual_seed(0)
    weigh = SqueezeExcitation(6, 2)
    x = torch.randn(3, 6, 4, 4)
    first, b1, second, b2 = (one.squeeze().numpy() for one in weigh.state_dict().values())
    inner = x.numpy().mean(axis=(2, 3)) @ first.T + b1
    weights = expit((inner * expit(inner)) @ second.T + b2)
    np.testing.assert_allclose(weigh(x).detach(), x.numpy() * weights[:, :, None, None], atol=1e-6)
    blocks = [one for one in on_meta(EfficientNetB1).modules() if isinstance(one, InvertedBottleneck)]
    assert [one.has_shortcut for one in blocks].count(True) == len(
        blocks
    ) - 7  # the first of each stage has none
    assert len(blocks) == 23


def test_clip_is_attention_by_hand(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ClipVisual(SMALL_CLIP)
    with torch.no_grad():
        for one in network.parameters():
            one.normal_(std=0.2)
    torch.save({name: one.double() for name, one in network.state_dict().items()}, tmp_path / "clip.bin")
    pictures = np.random.default_rng(0).random((2, 8, 8, 3)).astype(np.float32)
    (found,) = load_public_network(tmp_path / "clip.bin").layers(pictures).values()
    state = {name.removeprefix("visual."): one.numpy() for name, one in network.state_dict().items()}
    np.testing.assert_allclose(found, clip_by_hand(state, pictures), atol=2e-4)


def clip_by_hand(state: dict[str, np.ndarray], pictures: np.ndarray) -> np.ndarray:
    """In numpy, a picture and a head at a time; mean and standard deviation are those of CLIP's own code."""
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(centred.var(axis=-1, keepdims=True) + 1e-5)
        return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    embedded = []
    for picture in (pictures - mean) / std:
        patches = [
            (state["conv1.weight"] * picture[top : top + 4, left : left + 4].transpose(2, 0, 1)).sum(
                (1, 2, 3)
            )
            for top in (0, 4)
            for left in (0, 4)
        ]
        x = norm(np.stack([state["class_embedding"], *patches]) + state["positional_embedding"], "ln_pre")
        for block in ("transformer.resblocks.0", "transformer.resblocks.1"):
            y = norm(x, f"{block}.ln_1")
            q, k, v = np.split(
                y @ state[f"{block}.attn.in_proj_weight"].T + state[f"{block}.attn.in_proj_bias"], 3, 1
            )
            heads = []
            for head in (slice(0, 64), slice(64, 128)):
                weight = np.exp(q[:, head] @ k[:, head].T / 8)
                heads.append(weight / weight.sum(axis=1, keepdims=True) @ v[:, head])
            x = x + linear(np.concatenate(heads, axis=1), f"{block}.attn.out_proj")
            inner = linear(norm(x, f"{block}.ln_2"), f"{block}.mlp.c_fc")
            x = x + linear(inner * expit(1.702 * inner), f"{block}.mlp.c_proj")
        embedded.append(norm(x[0], "ln_post") @ state["proj"])
    return np.stack(embedded)
