"""What the pictures of a model have in common: colours, titles, and numbers that can be drawn."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightning_modules.parts.decoding.day_scores import days_between

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Colours = NDArray[np.float64]
HeldOut = Literal["days", "trials", "left out in turn"]
"""Later days; trials of the training days; or each training day in turn, from a copy of the model."""

_HUES = (0.0, 0.08, 0.14, 0.32, 0.48, 0.60, 0.74, 0.88, 1.0)
"""Red to red, in steps that look alike: of even steps around HSV's circle, three in eight are green."""
_DARKENED = 0.85
"""Full yellow and cyan cannot be seen on white."""
_LAST_SESSION = 0.92
"""Where viridis ends: its last yellow is too pale on white."""
TICKS = 5
"""Intervals between ticks, at most."""
MOST_NAMES = 10
"""Names in a legend; of more, so many are named, evenly spread."""


@dataclass(frozen=True)
class ShownDay:
    """The day that a picture is of.

    Args:
        session: Position among the session names.
        name: ISO date, perhaps with a number.
        last_training_day: The last day that the model was trained on.
        held_out: What the model that decodes it has not seen.
    """

    session: int
    name: str
    last_training_day: str
    held_out: HeldOut

    @property
    def title(self) -> str:
        """Say which day it is, and what the model has seen of it."""
        if self.held_out == "trials":
            return f"{self.name}, held-out trials of a training day"
        if self.held_out == "left out in turn":
            return f"{self.name}, by the copy that was trained without this day"
        gap = days_between(self.last_training_day, self.name)
        return (
            f"{self.name}, a held-out day, {gap} {'day' if gap == 1 else 'days'} after the last training day"
        )


def target_colours(targets: Sequence[int]) -> dict[int, Colours]:
    """Return an RGBA colour for each target, around the circle as targets are."""
    from matplotlib import colormaps

    turns = np.arange(len(targets)) / max(len(targets), 1)
    around = colormaps["hsv"](np.interp(turns, np.linspace(0, 1, len(_HUES)), _HUES))
    around[:, :3] *= _DARKENED
    return dict(zip(targets, around, strict=True))


def session_colours(n_sessions: int) -> Colours:
    """Return an RGBA colour for each session, (S, 4): from early to late, also for the colour-blind."""
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0, _LAST_SESSION, n_sessions))


def all_targets(*parts: NDArray[np.int64]) -> list[int]:
    """Return the targets that occur, in order."""
    return np.unique(np.concatenate(parts)).tolist()


def drawable(values: ArrayLike) -> NDArray[np.float64]:
    """Return values with NaN in the place of infinities, which would stretch the axes without end."""
    values = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def spread_evenly(n: int, most: int) -> list[int]:
    """Return at most `most` positions of `n`, the first and the last among them."""
    return sorted(set(np.linspace(0, n - 1, min(n, most)).round().astype(int).tolist()))


def trim(axes: "Iterable[Axes]") -> None:
    """Take the upper and the right spine away, and most ticks: they take matplotlib a third of all its time."""
    from matplotlib.ticker import MaxNLocator

    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        for axis in (one.xaxis, one.yaxis):
            locator = axis.get_major_locator()
            if isinstance(locator, MaxNLocator):
                locator.set_params(nbins=TICKS, steps=[1, 2, 5, 10])


def entitle(axes: "Axes", text: str) -> None:
    """Write a title at a fixed height: looking for a free one takes matplotlib a quarter of all its time."""
    axes.set_title(text, fontsize=10, y=1.0)


def key(axes: "Axes", entries: Sequence[tuple[str, Any]], *, title: str = "", **where: Any) -> None:
    """Draw a legend of markers or lines.

    Args:
        axes: Where.
        entries: Text and properties of a `Line2D` of each entry.
        title: Title of the legend.
        where: Further arguments of `Axes.legend`.
    """
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], **properties) for _, properties in entries]
    axes.legend(
        handles,
        [name for name, _ in entries],
        title=title,
        fontsize=7,
        title_fontsize=7,
        frameon=False,
        **where,
    )


def write_inside(axes: "Axes", text: str) -> None:
    """Say in the middle of empty axes why they are empty."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=9, wrap=True)
    axes.set(xticks=[], yticks=[])


def sign(figure: "Figure", text: str) -> None:
    """Write below a figure whose model it is of: which parts are a paper's, and which were inferred."""
    figure.text(0.005, 0.004, text, fontsize=6, color="0.35", ha="left", va="bottom")
