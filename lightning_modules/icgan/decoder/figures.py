"""What a decoder makes of training pictures that it did not see, and how its score depends on the penalty.

Sealed pictures are not read: a `PictureData` does not hold them.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.decoder.batch import DecodingBatch
from lightning_modules.icgan.decoder.data_module import PictureDataModule
from lightning_modules.icgan.decoder.fitting import ALPHAS
from lightning_modules.icgan.decoder.module import ClosedFormDecoder
from lightning_modules.icgan.decoder.pictures import signature
from lightning_modules.icgan.regression.alpha_choice import score_held_out
from lightning_modules.icgan.scoring.protocols import Images
from lightning_modules.parts.decoding.figures_style import entitle, sign, spread_evenly, trim

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_PICTURES = 40
COLUMNS = 10
GAP = 1
"""White pixels around a picture."""
MOST_DIMENSIONS = 512
"""Of a kind of target that the curve is a mean of; of more, so many are taken, evenly spread."""


def draw(
    module: ClosedFormDecoder,
    data_module: PictureDataModule,
    curves: Mapping[str, Sequence[tuple[int, float]]],
) -> "dict[str, Figure]":
    """Draw a fitted decoder on its training rows, each decoded without its category.

    Args:
        module: Fitted.
        data_module: Its data.
        curves: Points (epoch, value) of each logged metric; a decoder in closed form has one epoch, so none is drawn.

    Returns:
        `held_out_pictures` and `penalties`, signed with the decoder's `origin`.
    """
    (batch,) = data_module.val_dataloader()
    figures = {
        "held_out_pictures": _draw_pictures(module, data_module, batch),
        "penalties": _draw_penalties(module, batch),
    }
    for figure in figures.values():
        sign(figure, signature(module.origin, data_module.data))
    return figures


def montage(*rows: Images, columns: int) -> NDArray[np.float64]:
    """Lay pictures out in groups of rows, on white: the first ones of all, below them the second ones, and so on.

    Args:
        rows: Such as what was seen and what was decoded of it, (m, H, W, C) in [0, 1] each.
        columns: Pictures in a row.

    Returns:
        (rows, columns, C); each picture has a margin of `GAP`.
    """
    n, height, width, colours = rows[0].shape
    n_groups = -(-n // columns)
    sheet = np.ones((n_groups * len(rows) * (height + 2 * GAP), columns * (width + 2 * GAP), colours))
    for position in range(n):
        group, column = divmod(position, columns)
        for below, pictures in enumerate(rows):
            top = (group * len(rows) + below) * (height + 2 * GAP) + GAP
            left = column * (width + 2 * GAP) + GAP
            sheet[top : top + height, left : left + width] = pictures[position]
    return sheet


def _draw_pictures(
    module: ClosedFormDecoder, data_module: PictureDataModule, batch: DecodingBatch
) -> "Figure":
    from matplotlib.figure import Figure

    data = data_module.data
    stimulus = data.stimulus[module.held_out_rows(batch)]
    held_out = np.unique(stimulus)
    shown = held_out[spread_evenly(len(held_out), MOST_PICTURES)]
    decoded = {kind: _means(module.hold_out(batch, kind), stimulus, shown) for kind in module.kinds}
    made = module.make_pictures(decoded, data)
    seen = data.tables[module.pictures][shown].reshape(made.shape)
    sheet = montage(seen, made, columns=min(COLUMNS, len(shown)))
    figure = Figure(figsize=(8, 8 * sheet.shape[0] / sheet.shape[1] + 0.6))
    axes = figure.add_axes((0.02, 0.04, 0.96, 0.88))
    axes.imshow(
        sheet if sheet.shape[2] == 3 else sheet[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest"
    )
    axes.set_axis_off()
    entitle(
        axes,
        "seen, and below decoded by a decoder that never saw the category; means over each picture's trials",
    )
    return figure


def _draw_penalties(module: ClosedFormDecoder, batch: DecodingBatch) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * len(module.settings) + 0.4, 3.2))
    panels = figure.subplots(1, len(module.settings), squeeze=False)[0]
    figure.subplots_adjust(
        left=0.7 / figure.get_figwidth(), right=0.98, bottom=0.2, wspace=0.3
    )  # room for the origin
    for axes, (kind, settings) in zip(panels, module.settings.items(), strict=True):
        fitted = module.fitted(kind)
        rows = fitted.rows(batch, kind)
        dimensions = spread_evenly(rows.targets.shape[1], MOST_DIMENSIONS)
        scores = score_held_out(module.decomposed(kind, rows), rows.targets[:, dimensions], ALPHAS)
        axes.plot(ALPHAS, scores.mean(axis=1), marker=".")
        for alpha in np.unique(fitted.penalty.alpha):
            axes.axvline(alpha, color="0.6", linewidth=0.8, zorder=0)
        axes.set_xscale("log")
        axes.set_xlabel("penalty; grey: in use", fontsize=8)
        axes.set_ylabel("r of held-out rows, mean over dimensions", fontsize=8)
        entitle(axes, f"{kind}, {settings.area} ({len(fitted.columns)} voxels)")
    trim(panels)
    return figure


def _means(predicted: NDArray[Any], stimulus: NDArray[np.int64], shown: NDArray[np.int64]) -> NDArray[Any]:
    """Mean prediction of each shown stimulus, (m, D)."""
    return np.stack([predicted[stimulus == one].mean(axis=0) for one in shown])
