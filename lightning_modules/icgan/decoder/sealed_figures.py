"""Figures of sealed pictures: all of them as decoded, of every subject, and what averaging repeats does."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lightning_modules.icgan.decoder.figures import COLUMNS, GAP, montage
from lightning_modules.icgan.scoring.averaging import AveragingCurve
from lightning_modules.icgan.scoring.protocols import Images
from lightning_modules.parts.decoding.figures_style import entitle, sign, trim

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS = ("seen", "decoded", "nearest", "oracle")
"""Of the sheet, from above."""


def draw_sheet(
    seen: Images, decoded: Images, nearest: Images, oracle: Images, *, title: str, origin: str
) -> "Figure":
    """Draw all sealed pictures of one subject, in their order: none is picked.

    Args:
        seen: The sealed pictures, (m, H, W, 3) in [0, 1].
        decoded: Of averaged responses.
        nearest: The training picture whose features are nearest to the decoded ones.
        oracle: What the generator makes of the true features and of noise found by inversion.
        title: Whose, and how many responses were averaged.
        origin: Whose the decoder is.
    """
    from matplotlib.figure import Figure

    height, width = (side + 2 * GAP for side in seen.shape[1:3])
    columns = min(COLUMNS, len(seen))
    n_groups = -(-len(seen) // columns)
    group = 8.2 * len(ROWS) * height / (columns * width)
    figure = Figure(figsize=(9, n_groups * (group + 0.12) + 0.85))
    panels: list[Axes] = list(figure.subplots(n_groups, 1, squeeze=False)[:, 0])
    figure.subplots_adjust(
        left=0.08,
        right=0.995,
        bottom=0.25 / figure.get_figheight(),
        top=1 - 0.5 / figure.get_figheight(),
        hspace=0.04,
    )
    for axes, start in zip(panels, range(0, len(seen), columns), strict=True):
        shown = slice(start, start + columns)
        sheet = montage(seen[shown], decoded[shown], nearest[shown], oracle[shown], columns=columns)
        axes.imshow(sheet.clip(0, 1), interpolation="nearest")
        axes.set_yticks([(row + 0.5) * height for row in range(len(ROWS))], ROWS, fontsize=8)
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    figure.text(0.08, 1 - 0.2 / figure.get_figheight(), title, fontsize=10, va="center")
    sign(figure, origin)
    return figure


def draw_averaging(curves: Mapping[str, AveragingCurve], *, searched: str, origin: str) -> "Figure":
    """Draw how decoded features improve with the number of averaged responses.

    Args:
        curves: Identification of h by subject.
        searched: The subject that settings were searched on: with the standard deviation over draws of repeats.
        origin: Whose the decoder is.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6))
    axes = figure.subplots()
    figure.subplots_adjust(left=0.11, right=0.97, bottom=0.19, top=0.9)
    for name, curve in curves.items():
        if name == searched:
            axes.errorbar(
                curve.repeats,
                curve.mean,
                curve.sd,
                marker="o",
                capsize=3,
                zorder=3,
                label=f"{name}, searched",
            )
        else:
            axes.plot(curve.repeats, curve.mean, marker=".", linewidth=1, alpha=0.7, label=name)
    axes.axhline(0.5, color="0.5", linewidth=0.8, linestyle="--")
    axes.set_xscale("log")
    ticks = next(iter(curves.values())).repeats
    axes.set_xticks(ticks, [str(one) for one in ticks])
    axes.minorticks_off()
    axes.set(xlabel="responses averaged", ylabel="identification of h, fraction of pairs")
    entitle(axes, "Averaging curve; bars: SD over draws, dashed: chance")
    axes.legend(title="subject", fontsize=7, title_fontsize=7, frameon=False)
    trim([axes])
    sign(figure, origin)
    return figure
