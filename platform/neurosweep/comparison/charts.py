"""The report's charts, drawn from the trials' records so that pruned and failed trials are seen too."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from neurosweep.comparison.ranking import best_seen
from neurosweep.experiments import Objective
from neurosweep.naming import Status
from neurosweep.records import TrialRecord

BEST_COLOR = "#e8710a"
_COLORS = {
    Status.COMPLETED: "#4c8dd6",
    Status.PRUNED: "#9aa3b2",
    Status.FAILED: "#d6524a",
    Status.INTERRUPTED: "#b08bd9",
    Status.RUNNING: "#3aa981",
    Status.WAITING: "#9aa3b2",
}
_LAYERS = tuple(_COLORS)
"""What lies on top, first to last."""
# Transparent, with grey that can be read on white and on black: the same figure serves both colour schemes.
_LAYOUT: dict[str, Any] = {
    "template": "none",
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {
        "color": "#7d8798",
        "family": "system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif",
        "size": 12.5,
    },
    "margin": {"l": 64, "r": 16, "t": 34, "b": 48},
    "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    "modebar": {"bgcolor": "rgba(0,0,0,0)"},
    "hoverlabel": {"font": {"size": 12}},
}
_AXIS: dict[str, Any] = {"gridcolor": "rgba(128,128,128,.22)", "zeroline": False, "automargin": True}
_WHISKER = 5.0
"""Curve points this many interquartile ranges worse than the median are left out of view."""


def learning_curves(
    *, records: Sequence[TrialRecord], objective: Objective, best: TrialRecord | None
) -> go.Figure:
    """Draw the first objective by epoch for every trial that reported one, the best trial on top."""
    others = [record for record in records if record.curve and record is not best]
    figure = go.Figure()
    named: set[Status] = set()
    for record in sorted(others, key=lambda one: (-_LAYERS.index(one.status), one.number)):
        figure.add_trace(_curve(record, first=record.status not in named))
        named.add(record.status)
    if best is not None and best.curve:
        figure.add_trace(_best_curve(best, objective))
    lay_out(figure, x_title="epoch", y_title=objective.metric)
    figure.update_yaxes(range=_view(records, objective))
    return figure


def best_so_far(records: Sequence[TrialRecord], objective: Objective) -> go.Figure:
    """Draw each trial's value of the first objective by number, and the best completed one up to there.

    Trials that violate a constraint are left out.
    """
    figure = go.Figure()
    completed = sorted(
        (record.number, record.values[0])
        for record in records
        if record.status is Status.COMPLETED and record.values is not None and record.feasible
    )
    pruned = [
        (record.number, seen[1])
        for record in records
        if record.status is Status.PRUNED and (seen := best_seen(record, objective)) is not None
    ]
    best: list[float] = []
    for _, value in completed:
        best.append(value if not best or objective.better(value, best[-1]) else best[-1])
    numbers = [number for number, _ in completed]
    last = max((record.number for record in records), default=0)
    line = {"color": BEST_COLOR, "width": 2, "shape": "hv"}
    figure.add_trace(
        go.Scatter(
            x=[*numbers, last] if best else [],
            y=[*best, best[-1]] if best else [],
            mode="lines",
            name="best so far",
            line=line,
        )
    )
    figure.add_trace(_points(points=completed, status=Status.COMPLETED, name="completed", symbol="circle"))
    if pruned:
        name = "pruned (best value seen)"
        figure.add_trace(_points(points=pruned, status=Status.PRUNED, name=name, symbol="circle-open"))
    lay_out(figure, x_title="trial", y_title=objective.metric)
    return figure


def importance_bars(shares: Mapping[str, float]) -> go.Figure:
    """Draw the parameters' importances as bars, the greatest on top."""
    smallest_first = sorted(shares.items(), key=lambda item: item[1])
    names = [name for name, _ in smallest_first]
    values = [share for _, share in smallest_first]
    labels = [f"{100 * share:.0f} %" for share in values]
    color = _COLORS[Status.COMPLETED]
    figure = go.Figure(
        go.Bar(
            x=values,
            y=names,
            orientation="h",
            text=labels,
            textposition="outside",
            marker={"color": color},
            cliponaxis=False,
            hovertemplate="%{y}: %{text}<extra></extra>",
        )
    )
    lay_out(figure, x_title="share of the variation explained", y_title="")
    figure.update_layout(bargap=0.35)
    figure.update_xaxes(tickformat=".0%", rangemode="tozero")
    return figure


def _curve(record: TrialRecord, *, first: bool) -> go.Scatter:
    epochs = sorted(record.curve)
    color = _COLORS[record.status]
    return go.Scatter(
        x=epochs,
        y=[record.curve[epoch] for epoch in epochs],
        mode="lines" if len(epochs) > 1 else "markers",
        name=str(record.status),
        legendgroup=str(record.status),
        showlegend=first,
        line={"color": color, "width": 1.3, "dash": "dot" if record.status is Status.FAILED else "solid"},
        opacity=0.75,
        hovertemplate=f"trial {record.number} ({record.status})<br>epoch %{{x}}: %{{y:.4g}}<extra></extra>",
    )


def _best_curve(record: TrialRecord, objective: Objective) -> go.Scatter:
    epochs = sorted(record.curve)
    seen = best_seen(record, objective)
    peak = None if seen is None else seen[0]
    return go.Scatter(
        x=epochs,
        y=[record.curve[epoch] for epoch in epochs],
        mode="lines+markers",
        name=f"trial {record.number} (best)",
        line={"color": BEST_COLOR, "width": 2.6},
        marker={"size": [9 if epoch == peak else 0.1 for epoch in epochs]},
        hovertemplate=f"trial {record.number} (best)<br>epoch %{{x}}: %{{y:.4g}}<extra></extra>",
    )


def _points(*, points: Sequence[tuple[int, float]], status: Status, name: str, symbol: str) -> go.Scatter:
    return go.Scatter(
        x=[number for number, _ in points],
        y=[value for _, value in points],
        mode="markers",
        name=name,
        marker={"color": _COLORS[status], "size": 8, "symbol": symbol},
        hovertemplate="trial %{x}: %{y:.4g}<extra></extra>",
    )


def lay_out(figure: go.Figure, *, x_title: str, y_title: str) -> None:
    """Give a figure the report's look, and its axes their titles."""
    figure.update_layout(**_LAYOUT)
    figure.update_xaxes(title=x_title, **_AXIS)
    figure.update_yaxes(title=y_title, **_AXIS)


def _view(records: Sequence[TrialRecord], objective: Objective) -> list[float] | None:
    """Return a range without the points so bad that they would flatten all curves, or None to show all."""
    values = np.array([value for record in records for value in record.curve.values()], dtype=float)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return None
    lower, middle, upper = np.quantile(values, [0.25, 0.5, 0.75])
    margin = _WHISKER * (upper - lower)
    shown = (
        values[values >= middle - margin]
        if objective.direction == "maximize"
        else values[values <= middle + margin]
    )
    if shown.size == values.size:
        return None
    padding = 0.05 * float(np.ptp(shown)) or abs(float(middle)) * 0.05
    return [float(shown.min()) - padding, float(shown.max()) + padding]
