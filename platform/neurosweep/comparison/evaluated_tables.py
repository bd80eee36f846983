"""Evaluations as tables on the screen."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from neurosweep.comparison.evaluated import EvaluatedSweep, day_frame, score_frame
from neurosweep.naming import Split


def score_table(found: EvaluatedSweep) -> Table:
    """One row a test metric of what has not looked at the sealed sessions."""
    table = _table("metric", "mean over seeds", "95 % interval", "chance")
    for row in score_frame(found).to_dict("records"):
        if is_adapted(str(row["metric"])):
            continue
        cells = (number(row["mean"]), interval(row["low"], row["high"]), number(row["chance"]))
        table.add_row(str(row["metric"]), *cells)
    return table


def reference_table(found: EvaluatedSweep) -> Table | None:
    """One row for the models and each reference, where the sealed data has no days; None where it has."""
    if found.days:
        return None
    metrics = list(found.scores[0])
    table = _table("on sealed data", *(name.partition("/")[2] for name in metrics))
    means = {name: float(np.mean([scores[name] for scores in found.scores])) for name in metrics}
    for name, scores in {"model": means, **found.references}.items():
        table.add_row(name, *(number(scores.get(metric, math.nan)) for metric in metrics))
    return table


def day_table(found: EvaluatedSweep) -> Table | None:
    """R² of each sealed session: of the models, and of each reference; None where the sealed data has no days."""
    if not found.days:
        return None
    frame = day_frame(found)
    table = _table("R² on", "after", *frame.columns[2:])
    for row in frame.to_dict("records"):
        scores = (number(row[name]) for name in frame.columns[2:])
        table.add_row(str(row["day"]), f"{row['gap_days']} d", *scores)
    return table


def adapted_table(found: EvaluatedSweep) -> Table | None:
    """One row for the models and each reference that looked at the sealed sessions first; None without any."""
    means = {str(row["metric"]): row for row in score_frame(found).to_dict("records")}
    metrics = [name for name in means if is_adapted(name) and "/r2_of_" not in name]
    if not metrics:
        return None
    table = _table("adapted", "over seeds", *(name.partition("/")[2] for name in metrics))
    first = means[metrics[0]]
    table.add_row(
        "model", interval(first["low"], first["high"]), *(number(means[one]["mean"]) for one in metrics)
    )
    for name, scores in found.references.items():
        if metrics[0] in scores:
            table.add_row(name, "", *(number(scores[one]) for one in metrics))
    return table


def further_tables(found: EvaluatedSweep) -> Iterator[Table]:
    """One table for each title of `EvaluatedSweep.tables`."""
    return titled_tables(found.tables, _cell)


def titled_tables(
    tables: Mapping[str, Sequence[Mapping[str, Any]]], write: Callable[[Any], str]
) -> Iterator[Table]:
    """One table for each title; a column for each name in any of its rows, cells written by a function."""
    for title, rows in tables.items():
        names = list(dict.fromkeys(name for row in rows for name in row))
        table = _table(*names)
        table.title = Text(title)
        table.title_justify = "left"
        for row in rows:
            table.add_row(*(write(row.get(name)) for name in names))
        yield table


def comparison_table(frame: pd.DataFrame, metric: str) -> Table:
    """Make a table of what `comparison_frame` returned."""
    table = _table(
        "sweep", "trials", "seeds", metric, "95 % interval", "minus first", "95 % interval", "above"
    )
    for row in frame.to_dict("records"):
        paired = row.get("paired_seeds", math.nan)
        table.add_row(
            row["sweep"],
            str(row["trials"]),
            str(row["seeds"]),
            number(row["mean"]),
            interval(row["low"], row["high"]),
            number(row.get("difference", math.nan), signed=True),
            interval(row.get("difference_low", math.nan), row.get("difference_high", math.nan)),
            f"{row['seeds_above']:.0f} of {paired:.0f}" if paired > 0 else "",
        )
    return table


def number(value: float, *, signed: bool = False) -> str:
    """Write a score with three decimals; nothing for NaN."""
    return "" if math.isnan(value) else f"{value:+.3f}" if signed else f"{value:.3f}"


def interval(low: float, high: float) -> str:
    """Write an interval; nothing where there is none."""
    return "" if math.isnan(low) else f"[{low:.3f}, {high:.3f}]"


def _cell(value: Any) -> str:
    """Write a score as one, nothing for None, and anything else as it is."""
    if value is None:
        return ""
    return number(value) if isinstance(value, float) else str(value)


def is_adapted(metric: str) -> bool:
    """Whether a score is of what looked at the sealed sessions before it was scored on them."""
    return metric.startswith(f"{Split.TEST_ADAPTED}/")


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for position, heading in enumerate(headings):
        table.add_column(Text(heading), justify="left" if position == 0 else "right", no_wrap=True)
    return table
