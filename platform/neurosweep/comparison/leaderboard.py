"""The leaderboard: one row per trial, best first, as a data frame, as CSV and as a table for the terminal."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from neurosweep.comparison.ranking import epochs_run, ranked_trials
from neurosweep.comparison.wording import short_names, short_value
from neurosweep.experiments import Objective
from neurosweep.layout import SweepFolder, write_atomically
from neurosweep.naming import Status
from neurosweep.records import TrialRecord

TABLE_WIDTH = 100
"""Characters that the terminal table fits."""

FEASIBLE = "feasible"
"""Column that is there only where constraints are."""
_BEFORE_OBJECTIVES = ("rank", "trial", "status")
_AFTER_OBJECTIVES = ("epochs", "seconds", "origin", "failure", "seed")
_COLUMN_PADDING = 2
"""Blanks that rich puts between two columns of a box without vertical lines."""
_ABSENT = object()
_STATUS_STYLES = {Status.COMPLETED: "green", Status.FAILED: "red", Status.PRUNED: "dim"}


def leaderboard(records: Sequence[TrialRecord], objectives: Sequence[Objective]) -> pd.DataFrame:
    """Rank trials, best first.

    Args:
        records: Trials in any order.
        objectives: What was searched for; the first one decides.

    Returns:
        One row per trial with the columns `rank`, `trial`, `status`, one per objective named by its metric,
        `epochs`, `seconds` (wall time, s), `origin`, `failure`, `seed`, then every parameter by dotted name
        in the order in which the trials first had them. Where constraints are known, `feasible` after the
        objectives says which trials keep them. Only completed trials have a `rank`. The objective of
        a trial that is pruned or unfinished is the best value it reported. What a trial does not have is
        missing.
    """
    trials = ranked_trials(records, objectives)
    metrics = [objective.metric for objective in objectives]
    columns: dict[str, Any] = {
        "rank": pd.array([trial.rank for trial in trials], dtype="Int64"),
        "trial": pd.array([trial.record.number for trial in trials], dtype="int64"),
        "status": [str(trial.record.status) for trial in trials],
    }
    for index, metric in enumerate(metrics):
        columns[metric] = pd.array([trial.scores[index] for trial in trials], dtype="float64")
    if any(record.violations for record in records):
        columns[FEASIBLE] = pd.array(
            [trial.record.feasible if trial.record.violations else None for trial in trials], dtype="boolean"
        )
    columns |= {
        "epochs": pd.array([epochs_run(trial.record) for trial in trials], dtype="int64"),
        "seconds": pd.array([trial.record.seconds for trial in trials], dtype="float64"),
        "origin": [trial.record.origin for trial in trials],
        "failure": [None if (why := trial.record.failure) is None else str(why) for trial in trials],
        "seed": pd.array([trial.record.seed for trial in trials], dtype="int64"),
    }
    by_number = sorted(records, key=lambda record: record.number)
    for name in dict.fromkeys(name for record in by_number for name in record.parameters):
        columns[name] = _parameter_column(name, [trial.record for trial in trials])
    return pd.DataFrame(columns)


def objective_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns of a leaderboard that hold objectives."""
    names = list(frame.columns)
    end = FEASIBLE if FEASIBLE in names else _AFTER_OBJECTIVES[0]
    return names[len(_BEFORE_OBJECTIVES) : names.index(end)]


def parameter_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns of a leaderboard that hold parameters."""
    names = list(frame.columns)
    return names[names.index(_AFTER_OBJECTIVES[-1]) + 1 :]


def varying_parameters(frame: pd.DataFrame) -> list[str]:
    """Return the parameters that take more than one value over the trials that have them."""
    return [
        name
        for name in parameter_columns(frame)
        if len({repr(value) for value in frame[name] if not is_missing(value)}) > 1
    ]


def is_missing(value: Any) -> bool:
    """Whether a cell is empty. `pandas.isna` alone would answer for each item of a list."""
    return pd.api.types.is_scalar(value) and bool(pd.isna(value))


def write_csv(folder: SweepFolder, frame: pd.DataFrame) -> Path:
    """Write a leaderboard as CSV into the sweep's folder, with full precision."""
    write_atomically(folder.leaderboard, frame.to_csv(index=False))
    return folder.leaderboard


def leaderboard_table(
    frame: pd.DataFrame, *, limit: int | None = None, parameters: Sequence[str] | None = None
) -> Table:
    """Make a table that fits 100 characters.

    Args:
        frame: A leaderboard.
        limit: Number of rows to show, from the best; None shows all.
        parameters: Parameters to show by dotted name; None shows those that vary. Those that do not fit are
            named below the table.
    """
    shown = frame if limit is None else frame.head(limit)
    chosen = varying_parameters(frame) if parameters is None else list(parameters)
    names = short_names(chosen)
    wanted = [_Column(names[name], [_cell(value) for value in shown[name]]) for name in chosen]
    columns = _fixed_columns(shown)
    dropped: list[str] = []
    for column in wanted:
        if sum(each.width for each in [*columns, column]) <= TABLE_WIDTH:
            columns.append(column)
        else:
            dropped.append(column.name)
    caption = _caption(frame=frame, shown=shown, dropped=dropped)
    table = Table(
        box=box.SIMPLE_HEAD,
        caption=Text(caption),
        caption_justify="left",
        pad_edge=False,
        collapse_padding=True,
    )
    for column in columns:
        justify = "right" if column.is_number else "left"
        table.add_column(Text(column.heading), justify=justify, vertical="bottom", no_wrap=True)
    for index, status in enumerate(shown["status"]):
        cells = (Text(column.cells[index]) for column in columns)
        table.add_row(*cells, style=_STATUS_STYLES.get(Status(status), ""))
    return table


@dataclass(frozen=True)
class _Column:
    name: str
    cells: list[str]
    is_number: bool = False

    @property
    def heading(self) -> str:
        """The name in lines no wider than its cells, as far as its parts allow."""
        parts = re.findall(r"[^_/]*[_/]|[^_/]+", self.name)
        limit = max(map(len, [*parts, *self.cells]), default=0)
        lines = [""]
        for part in parts:
            if len(lines[-1] + part) > limit:
                lines.append("")
            lines[-1] += part
        return "\n".join(lines)

    @property
    def width(self) -> int:
        return max(map(len, [*self.heading.split("\n"), *self.cells])) + _COLUMN_PADDING


def _parameter_column(name: str, records: Sequence[TrialRecord]) -> pd.Series:
    # A chosen None is a value of its own, unlike a parameter that the trial does not have.
    chosen = [record.parameters.get(name, _ABSENT) for record in records]
    values = [None if value is _ABSENT else "None" if value is None else value for value in chosen]
    present = [value for value in values if value is not None]
    # Otherwise a gap would turn the integers around it into floats: 12 layers into 12.0.
    whole = len(present) < len(values) and all(type(value) is int for value in present)
    return pd.Series(values, dtype="Int64" if whole else None)


def _fixed_columns(frame: pd.DataFrame) -> list[_Column]:
    ranks = [_cell(rank) for rank in frame["rank"]]
    objectives = [
        _Column(metric, [_score(value, rank) for value, rank in zip(frame[metric], ranks, strict=True)], True)
        for metric in objective_columns(frame)
    ]
    seconds = ["" if is_missing(value) else f"{value:.1f}" for value in frame["seconds"]]
    return [
        _Column("rank", ranks, True),
        _Column("trial", [str(number) for number in frame["trial"]], True),
        _Column("status", list(frame["status"])),
        *objectives,
        *([_Column(FEASIBLE, [_yes_or_no(value) for value in frame[FEASIBLE]])] if FEASIBLE in frame else []),
        _Column("epochs", [str(epochs) for epochs in frame["epochs"]], True),
        _Column("seconds", seconds, True),
    ]


def _yes_or_no(value: Any) -> str:
    return "" if is_missing(value) else "yes" if value else "no"


def _score(value: float, rank: str) -> str:
    if is_missing(value):
        return ""
    return short_value(float(value), digits=4) + (" " if rank else "*")


def _cell(value: Any) -> str:
    return "" if is_missing(value) else short_value(value)


def _caption(*, frame: pd.DataFrame, shown: pd.DataFrame, dropped: Sequence[str]) -> str:
    parts = []
    metric = objective_columns(frame)[0]
    if any(
        is_missing(rank) and not is_missing(score)
        for rank, score in zip(shown["rank"], shown[metric], strict=True)
    ):
        parts.append("* best value seen; the trial did not run to its end.")
    if len(shown) < len(frame):
        parts.append(f"{len(frame) - len(shown)} more trials in leaderboard.csv.")
    if dropped:
        parts.append(f"No room for: {', '.join(dropped)} (see leaderboard.csv).")
    return " ".join(parts)
