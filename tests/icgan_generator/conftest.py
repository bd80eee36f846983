from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.icgan.features.small_net import NetSettings, SmallNet
from lightning_modules.icgan.generator import pictures_to_learn
from lightning_modules.icgan.generator.layers import BatchNorm
from lightning_modules.icgan.generator.network import Generator
from lightning_modules.icgan.generator.presets import GeneratorPreset
from lightning_modules.icgan.generator.small_extractor import SmallNetExtractor

OF_EACH = np.arange(24) // 2
"""Category of each picture."""


@pytest.fixture(autouse=True)
def one_thread_and_a_seed() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def preset() -> GeneratorPreset:
    """32 pixels, 16 channels throughout, 4 chunks of 6."""
    return GeneratorPreset("tiny", 32, 4, h_dim=16, e_dim=8, attention=None, wanted_dim_z=24)


@pytest.fixture
def generator(preset: GeneratorPreset) -> Generator:
    """Weights at random, in `eval` mode, with running statistics and gains unlike those of a new network."""
    found = Generator(preset)
    for layer in found.modules():
        if isinstance(layer, BatchNorm):
            layer.stored_mean.normal_(0, 0.3)
            layer.stored_var.uniform_(0.5, 2)
    return found.eval()


@pytest.fixture(scope="session")
def images() -> Tensor:
    """24 pictures of a coloured disc on a plain ground, in [0, 1], (24, 3, 32, 32)."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    pictures = []
    for _ in range(24):
        centre, radius = rng.uniform(-0.4, 0.4, 2), rng.uniform(0.3, 0.6)
        ground, colour = rng.uniform(0, 1, (2, 3))
        inside = 1 / (1 + np.exp(20 * (np.hypot(x - centre[0], y - centre[1]) - radius)))
        pictures.append(ground[:, None, None] * (1 - inside) + colour[:, None, None] * inside)
    return torch.tensor(np.stack(pictures), dtype=torch.float32)


@pytest.fixture(scope="session")
def extractor(images: Tensor) -> SmallNetExtractor:
    """An untrained network of 16 features."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(3)
        net = SmallNet(NetSettings(widths=(6, 8, 8), n_features=16), levels=(2,)).eval()
        # With the bias of a new layer the features would hardly depend on the picture.
        with torch.no_grad():
            torch.nn.init.normal_(net.last.weight, 0, 1)
            net.last.bias -= net.last(net.blocks(images)).mean(dim=(0, 2, 3))
    return SmallNetExtractor(net)


@pytest.fixture(scope="session")
def h(images: Tensor, extractor: SmallNetExtractor) -> Tensor:
    """Features of the pictures, (24, 16)."""
    return extractor(images).h


@pytest.fixture(scope="session")
def write_pictures(images: Tensor, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes the pictures, two of each of 12 categories, as a file of one's own."""
    shown = (255 * images.movedim(1, -1)).round().numpy().astype(np.uint8)

    def write(
        *,
        changed: np.ndarray | None = None,
        columns: int = 32,
        category: NDArray[Any] | None = OF_EACH,
        **more: Any,
    ) -> Path:
        pictures = shown[:, :, :columns].copy()
        if changed is not None:
            pictures[changed] = pictures[changed][:, ::-1]
        entries = {"images": pictures, "category": category, **more}
        path = tmp_path_factory.mktemp("own") / "pictures.npz"
        np.savez(path, **{name: one for name, one in entries.items() if one is not None})
        return path

    return write


@pytest.fixture(scope="session")
def small_net() -> Iterator[None]:
    """The network of a file's features hardly learns: what is tested does not depend on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures_to_learn, "_NETS", {32: NetSettings((6, 8, 12), 24, 48, epochs=1, batch=6)})
        yield
