"""Evaluations as tables on the screen."""

import math

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from neurosweep.comparison.evaluated import EvaluatedSweep, day_frame, score_frame


def score_table(found: EvaluatedSweep) -> Table:
    """One row a test metric."""
    table = _table("metric", "mean over seeds", "95 % interval", "chance")
    for row in score_frame(found).to_dict("records"):
        cells = (number(row["mean"]), interval(row["low"], row["high"]), number(row["chance"]))
        table.add_row(str(row["metric"]), *cells)
    return table


def day_table(found: EvaluatedSweep) -> Table:
    """R² of each sealed session: of the models, and of each reference."""
    frame = day_frame(found)
    table = _table("R² on", "after", *frame.columns[2:])
    for row in frame.to_dict("records"):
        scores = (number(row[name]) for name in frame.columns[2:])
        table.add_row(str(row["day"]), f"{row['gap_days']} d", *scores)
    return table


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


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for position, heading in enumerate(headings):
        table.add_column(Text(heading), justify="left" if position == 0 else "right", no_wrap=True)
    return table
