"""Studies: figures and tables of a model family that no sweep makes, each from settings alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Say = Callable[[str], None]
"""Is told in a line what has just been found, or takes a while."""
Row = dict[str, Any]


@dataclass(frozen=True)
class StudyResult:
    """What a study found.

    Args:
        figures: Matplotlib figures by name, made without pyplot.
        tables: Rows by name; all rows of a table have the same columns.
        metrics: Numbers that runs of the study are compared by.
        notes: What to know, in sentences.
    """

    figures: Mapping[str, "Figure"]
    tables: Mapping[str, Sequence[Row]]
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """A study that a family offers.

    Args:
        summary: One line on what it shows.
        settings: Frozen dataclass, all of whose fields have defaults; wrong values raise `ValueError`.
        run: Pure function of such settings; may tell its progress.
    """

    summary: str
    settings: Callable[..., Any]
    run: Callable[[Any, Say], StudyResult]
