"""What a generator makes of instances of categories that it never saw, and how its training went."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_modules.icgan.generator.adversarial import AdversarialIcgan
from lightning_modules.icgan.generator.data_module import GeneratorDataModule
from lightning_modules.icgan.generator.image_loss import as_unit_range
from lightning_modules.icgan.generator.neighbours import find_neighbours
from lightning_modules.parts.decoding.figures_style import drawable, entitle, sign, spread_evenly, trim
from lightning_modules.parts.decoding.figures_training import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Images = NDArray[np.float32]
Curves = Mapping[str, Sequence[tuple[int, float]]]

INSTANCES, NOISES, NEIGHBOURS = 8, 6, 3
GAP = 1
"""White pixels around a picture."""
BLANK = 4
"""White pixels between an instance, its neighbours, and what was made of it."""
NOISE_SEED = 0

PANELS: Mapping[str, Mapping[str, str]] = {
    "Fréchet distance of features": {"val/small_fid": "held-out categories"},
    "Made pictures": {
        "val/neighbour_recall": "neighbour recall",
        "val/diversity": "diversity",
        "val/feature_cosine": "cosine with the instance",
    },
    "Loss": {"train/discriminator_loss": "discriminator", "train/generator_loss": "generator"},
    "Discriminator's score": {"train/real_score": "of real pictures", "train/fake_score": "of made ones"},
}
"""Logged metrics of each panel, with their names there."""

_ORIGIN = (
    "small IC-GAN: objective and networks after Casanova et al. 2021 and BigGAN; sizes, rates, warm start and scores "
    "are not the paper's"
)


def draw(module: AdversarialIcgan, data_module: GeneratorDataModule, curves: Curves) -> "dict[str, Figure]":
    """Draw the averaged generator of a trial on held-out instances.

    Args:
        module: Trained.
        data_module: Its data.
        curves: Points (epoch, value) of each logged metric.

    Returns:
        `made_pictures`, and `training` where there are curves.
    """
    figures = {"made_pictures": _draw_pictures(module, data_module)}
    training = draw_curves(curves)
    if training is not None:
        figures["training"] = training
    for figure in figures.values():
        sign(figure, _ORIGIN)
    return figures


def sheet(parts: Sequence[Images]) -> NDArray[np.float32]:
    """Lay pictures out in rows, one a row of each part, parts beside each other on white.

    Args:
        parts: RGB in [0, 1], (R, C, H, W, 3) each; the columns C may differ.

    Returns:
        (R (H + 2 GAP), width, 3); each picture has a margin of `GAP`, and `BLANK` more pixels lie between parts.
    """
    blocks = []
    for part in parts:
        framed = np.pad(part, ((0, 0), (0, 0), (GAP, GAP), (GAP, GAP), (0, 0)), constant_values=1)
        rows, columns, height, width, colours = framed.shape
        block = framed.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, colours)
        blocks += [np.ones((len(block), BLANK, colours), block.dtype), block]
    return np.concatenate(blocks[1:], axis=1)


def make_grid(module: AdversarialIcgan, h: NDArray[np.float32], n_noises: int) -> Images:
    """Make pictures of instances, the same noise in each column, RGB in [0, 1], (R, n_noises, H, W, 3).

    Args:
        module: Its averaged generator.
        h: Features, (R, H).
        n_noises: Columns.
    """
    draws = torch.Generator().manual_seed(NOISE_SEED)
    z = module.noise_sd * torch.randn(n_noises, module.preset.dim_z, generator=draws)
    features = torch.from_numpy(h).repeat_interleave(n_noises, dim=0)
    with torch.inference_mode():
        made = as_unit_range(module(z.repeat(len(h), 1).to(module.device), features.to(module.device)))
    return made.unflatten(0, (len(h), n_noises)).movedim(2, -1).cpu().numpy()


def draw_curves(curves: Curves) -> "Figure | None":
    """Draw scores and losses by epoch, as far as they were logged.

    Returns:
        None where none of them was.
    """
    from matplotlib.figure import Figure

    panels = {
        title: {name: text for name, text in names.items() if curves.get(name)}
        for title, names in PANELS.items()
    }
    panels = {title: names for title, names in panels.items() if names}
    if not panels:
        return None
    figure = Figure(figsize=(3.4 * len(panels), 3.2))
    several = figure.subplots(1, len(panels), squeeze=False)[0]
    figure.subplots_adjust(left=0.05, right=0.99, bottom=0.17, top=0.9, wspace=0.28)
    for axes, (title, names) in zip(several, panels.items(), strict=True):
        _draw_panel(axes, title, names, curves)
    trim(several)
    return figure


def _draw_panel(axes: "Axes", title: str, names: Mapping[str, str], curves: Curves) -> None:
    for position, (name, text) in enumerate(names.items()):
        points = np.array(sorted(curves[name]), dtype=np.float64)
        axes.plot(points[:, 0], drawable(points[:, 1]), marker=".", color=COLOURS[position], label=text)
    axes.set_xlabel("Epoch")
    axes.legend(fontsize=7, frameon=False)
    entitle(axes, title)


def _draw_pictures(module: AdversarialIcgan, data_module: GeneratorDataModule) -> "Figure":
    from matplotlib.figure import Figure

    data = data_module.data
    shown = np.array(spread_evenly(len(data.validation_h), INSTANCES))
    nearest = find_neighbours(data.validation_h, NEIGHBOURS).nearest[shown]
    pictures = sheet(
        [
            data.validation_images[shown][:, None],
            data.validation_images[nearest],
            make_grid(module, data.validation_h[shown], NOISES),
        ]
    )
    height, width = pictures.shape[:2]
    figure = Figure(figsize=(8, 8 * height / width + 0.6))
    axes = figure.add_axes((0.02, 0.04, 0.96, 0.88))
    axes.imshow(pictures, vmin=0, vmax=1, interpolation="nearest")
    axes.set_axis_off()
    entitle(
        axes,
        f"instances of categories that were not trained on, their {NEIGHBOURS} nearest, and pictures made of them "
        f"by {NOISES} draws of noise",
    )
    return figure
