from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from torch import Tensor

from lightning_modules.icgan.features.small_net import NetSettings, SmallNet
from lightning_modules.icgan.generator.layers import n_parameters
from lightning_modules.icgan.generator.resnet import Bottleneck, ResNet50, SwavExtractor, load_swav
from lightning_modules.icgan.generator.small_extractor import SmallNetExtractor
from lightning_modules.parts.errors import DataError


def bicubic_rows(n_in: int, n_out: int) -> np.ndarray:
    """The matrix of cubic convolution with a = -0.75, borders repeated, first and last pixels on one another."""
    a = -0.75
    matrix = np.zeros((n_out, n_in))
    for out in range(n_out):
        place = out * (n_in - 1) / (n_out - 1)
        for near in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            x = abs(place - near)
            inner = (a + 2) * x**3 - (a + 3) * x**2 + 1
            outer = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
            matrix[out, min(max(near, 0), n_in - 1)] += inner if x <= 1 else outer if x < 2 else 0.0
    return matrix


@pytest.fixture(scope="module")
def resnet() -> ResNet50:
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(2)
        return ResNet50().eval()


def test_the_network_has_the_size_and_the_names_of_torchvisions_resnet50_without_its_classifier(
    resnet: ResNet50,
) -> None:
    assert n_parameters(resnet) == 23_508_032
    state = {name: tuple(one.shape) for name, one in resnet.state_dict().items()}
    assert len(state) == 53 + 5 * 53  # Convolutions, and five entries of each batch norm.
    expected = {
        "conv1.weight": (64, 3, 7, 7),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.2.conv3.weight": (256, 64, 1, 1),
        "layer2.0.conv2.weight": (128, 128, 3, 3),
        "layer3.5.bn3.num_batches_tracked": (),
        "layer4.0.downsample.1.running_var": (2048,),
        "layer4.2.bn3.weight": (2048,),
    }
    assert {name: state[name] for name in expected} == expected
    assert "layer1.1.downsample.0.weight" not in state


def test_maps_halve_from_stage_to_stage(resnet: ResNet50) -> None:
    with torch.no_grad():
        maps = resnet(torch.randn(1, 3, 224, 224))
    assert [tuple(one.shape[1:]) for one in maps] == [
        (256, 56, 56),
        (512, 28, 28),
        (1024, 14, 14),
        (2048, 7, 7),
    ]


def test_a_bottleneck_is_three_convolutions_of_which_the_middle_one_strides() -> None:
    block = Bottleneck(3, 2, stride=2).eval()
    for name, one in block.named_buffers():
        if name.endswith("running_mean"):
            one.normal_()
        elif name.endswith("running_var"):
            one.uniform_(0.5, 2)
    x = torch.randn(1, 3, 6, 6)
    state = {name: one.detach().double().numpy() for name, one in block.state_dict().items()}

    def convolve(maps: np.ndarray, weight: np.ndarray, stride: int = 1) -> np.ndarray:
        same = [
            [correlate2d(one, kernel, "same") for one, kernel in zip(maps, row, strict=True)]
            for row in weight
        ]
        return np.stack([np.sum(row, axis=0) for row in same])[:, ::stride, ::stride]

    def norm(maps: np.ndarray, name: str) -> np.ndarray:
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        scaled = (maps - mean[:, None, None]) / np.sqrt(var + 1e-5)[:, None, None]
        return scaled * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]

    start = x[0].double().numpy()
    inner = np.maximum(norm(convolve(start, state["conv1.weight"]), "bn1"), 0)
    inner = np.maximum(norm(convolve(inner, state["conv2.weight"], stride=2), "bn2"), 0)
    inner = norm(convolve(inner, state["conv3.weight"]), "bn3")
    shortcut = norm(convolve(start, state["downsample.0.weight"], stride=2), "downsample.1")
    expected = np.maximum(inner + shortcut, 0)
    np.testing.assert_allclose(block(x)[0].detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_pictures_are_normalised_and_resized_as_imagenets(resnet: ResNet50) -> None:
    picture = torch.rand(1, 3, 20, 31)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    found = SwavExtractor(resnet).prepare(picture)
    for colour in range(3):
        normalised = (picture[0, colour].double().numpy() - mean[colour]) / std[colour]
        expected = bicubic_rows(20, 224) @ normalised @ bicubic_rows(31, 224).T
        np.testing.assert_allclose(found[0, colour].numpy(), expected, rtol=1e-3, atol=1e-4)


def test_swavs_file_loads_without_its_head_and_gives_features_of_unit_length(
    tmp_path: Path, resnet: ResNet50, images: Tensor
) -> None:
    file = tmp_path / "swav_800ep_pretrain.pth.tar"
    state = {f"module.{name}": one for name, one in resnet.state_dict().items()}
    head = {
        "module.projection_head.0.weight": torch.zeros(2048, 2048),
        "module.prototypes.weight": torch.zeros(9, 128),
    }
    torch.save(state | head, file)
    extractor = load_swav(file)
    assert not extractor.train().network.training
    found = extractor(images[:2])
    with torch.no_grad():
        pooled = resnet(extractor.prepare(images[:2]))[-1].flatten(2).mean(dim=2)
    torch.testing.assert_close(found.h, pooled / pooled.square().sum(dim=1, keepdim=True).sqrt())
    assert found.h.shape == (2, 2048)
    del state["module.layer4.2.bn3.bias"]
    torch.save(state | head, file)
    with pytest.raises(
        DataError, match=r"no ResNet-50: 1 of 318 entries are missing: `layer4\.2\.bn3\.bias`"
    ):
        load_swav(file)


def test_the_small_networks_features_are_its_own_and_dead_ones_can_be_left_out(images: Tensor) -> None:
    net = SmallNet(NetSettings(widths=(6, 8, 8), n_features=16), levels=(2,)).eval()
    extractor = SmallNetExtractor(net)
    found = extractor(images)
    torch.testing.assert_close(found.h, net(images))
    torch.testing.assert_close(found.maps[-1], net.pooled_map(images))
    assert [one.shape[1:] for one in found.maps] == [(6, 16, 16), (8, 8, 8), (8, 4, 4)]
    kept = torch.tensor([0, 3, 9])
    expected = net.pooled_features(images)[:, kept]
    expected = expected / expected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(SmallNetExtractor(net, kept)(images).h, expected)
    assert not extractor.train().net.training
