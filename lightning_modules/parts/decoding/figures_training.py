"""Learning curves, and how hard each term of the objective pulls the encoder."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lightning_modules.parts.decoding.figures_style import drawable, entitle, trim

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves = Mapping[str, Sequence[tuple[int, float]]]

LOSSES = {"train/loss": "training", "val/loss": "validation, final weights"}
_MEAN, _WORST = "val/behaviour_r2", "val/behaviour_r2_worst_session"
SCORES = {
    _MEAN: "R²",
    "val/behaviour_r2_flat": "of each time point",
    "val/behaviour_r2_within_target": "within target",
    _WORST: "worst session",
}
GRADIENT = "train/encoder_grad_"
TERMS = {"behaviour": "behaviour", "kl": "KL", "neural": "reconstruction", "session": "session classifier"}
LOWEST_R2 = -1.0
_R2 = "R² (axis cut at -1)"

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's, told apart by the colour-blind."""


def draw_training(curves: Curves) -> "Figure | None":
    """Draw losses, R² on validation, and norms of the encoder's gradients by term, as far as they were logged.

    Args:
        curves: Points (epoch, value) of each logged metric, by name.

    Returns:
        None where none of them was logged.
    """
    from matplotlib.figure import Figure

    gradients = {name: _term(name) for name in sorted(curves) if name.startswith(GRADIENT)}
    panels = {
        ("Loss", "Weighted sum of the terms"): _logged(LOSSES, curves),
        ("Behaviour on validation", _R2): _scores(curves),
        ("Pull of each term on the encoder", "Norm of the encoder's gradient"): _logged(gradients, curves),
    }
    panels = {words: names for words, names in panels.items() if names}
    if not panels:
        return None
    figure = Figure(figsize=(4.4 * len(panels), 3.8))
    several = figure.subplots(1, len(panels), squeeze=False)[0]
    figure.subplots_adjust(
        left=0.17 / len(panels), right=1 - 0.03 / len(panels), bottom=0.14, top=0.9, wspace=0.34
    )
    for axes, ((title, label), names) in zip(several, panels.items(), strict=True):
        _draw_curves(axes, names, curves)
        axes.set(xlabel="Epoch", ylabel=label)
        entitle(axes, title)
        if label == _R2:
            low, high = axes.get_ylim()
            axes.set_ylim(max(low, LOWEST_R2), min(max(high, LOWEST_R2 + 0.1), 1.02))
        if title.startswith("Pull") and any(value > 0 for name in names for _, value in curves[name]):
            axes.set_yscale("log", nonpositive="mask")
            axes.yaxis.minorticks_off()
    trim(several)
    return figure


def _logged(names: Mapping[str, str], curves: Curves) -> dict[str, str]:
    return {name: text for name, text in names.items() if curves.get(name)}


def _scores(curves: Curves) -> dict[str, str]:
    """Leave the worst session out where there is one, and say of which curves nothing can be seen."""
    names = _logged(SCORES, curves)
    if names.keys() >= {_MEAN, _WORST} and list(curves[_WORST]) == list(curves[_MEAN]):
        del names[_WORST]
    return {
        name: text if any(value > LOWEST_R2 for _, value in curves[name]) else f"{text} (below the axis)"
        for name, text in names.items()
    }


def _term(name: str) -> str:
    term = name.removeprefix(GRADIENT)
    return TERMS.get(term, term)


def _draw_curves(axes: "Axes", names: Mapping[str, str], curves: Curves) -> None:
    for position, (name, text) in enumerate(names.items()):
        points = np.array(sorted(curves[name]), dtype=np.float64)
        marker = "o" if len(points) == 1 else ""
        axes.plot(
            points[:, 0],
            drawable(points[:, 1]),
            color=COLOURS[position % len(COLOURS)],
            linewidth=1.5,
            marker=marker,
            label=text,
            zorder=3 - position / len(names),  # the first, which the others may equal, on top
        )
    axes.legend(fontsize=8, frameon=False)
