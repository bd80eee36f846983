"""Sections of the report on what the sweep found, each a pure function from the trials to markup."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from statistics import stdev
from typing import Any

from optuna.study import Study

from neurosweep.comparison.charts import best_so_far, importance_bars, learning_curves
from neurosweep.comparison.figures import IMPORTANCES_MEANING, NotDrawableError, importances
from neurosweep.comparison.hypervolume import in_words
from neurosweep.comparison.leaderboard import (
    FEASIBLE,
    is_missing,
    leaderboard,
    objective_columns,
    varying_parameters,
)
from neurosweep.comparison.pages import Html, chart, element, facts_table, join, section
from neurosweep.comparison.ranking import RankedTrial, best_seen, ranked_trials
from neurosweep.comparison.wording import short_names, short_value
from neurosweep.experiments import Objective
from neurosweep.layout import SweepFolder
from neurosweep.naming import Status
from neurosweep.records import TrialRecord

_FINALISTS = 5
"""Completed trials whose spread the report states."""


def subtitle(*, experiment: str, records: Sequence[TrialRecord], written: datetime) -> Html:
    """Say which experiment this was, and when."""
    started = min((record.started for record in records if record.started), default=None)
    ended = max((record.ended for record in records if record.ended), default=None)
    parts = [f"Experiment {experiment}"]
    if started is not None:
        parts.append(f"{_moment(started)} to {_moment(ended)}" if ended else f"started {_moment(started)}")
    parts.append(f"report of {_moment(written)}")
    return element("p", " · ".join(parts), class_="soft")


def tiles(
    *, records: Sequence[TrialRecord], objectives: Sequence[Objective], best: TrialRecord | None
) -> Html:
    """Show the best value and the number of trials by status."""
    shown = []
    if best is not None and best.values is not None:
        for objective, value in zip(objectives, best.values, strict=True):
            label = f"best {objective.metric}" if len(objectives) == 1 else f"{objective.metric} of the best"
            shown.append(_tile(short_value(value, digits=4), label))
    counts = Counter(record.status for record in records)
    always = (Status.COMPLETED, Status.PRUNED, Status.FAILED)
    shown.extend(
        _tile(str(counts[status]), status) for status in Status if counts[status] or status in always
    )
    return element("div", *shown, class_="tiles")


def headline(
    *,
    folder: SweepFolder,
    records: Sequence[TrialRecord],
    objectives: Sequence[Objective],
    best: TrialRecord | None,
    reload_command: str | None,
    volume: float | None = None,
) -> Html:
    """Describe the best trial and how to load it, or say why there is none; with it the front's hypervolume."""
    if best is None or best.values is None:
        return section("Best trial", element("p", _why_none(records, objectives[0])))
    checkpoint = folder.trial(best.number).best_checkpoint
    seen = best_seen(best, objectives[0])
    facts: dict[str, object] = {
        "trial": f"{best.number} ({best.origin}, seed {best.seed})",
        **{
            one.metric: short_value(value, digits=6)
            for one, value in zip(objectives, best.values, strict=True)
        },
        "best epoch": "not recorded" if seen is None else f"{seen[0]} (counted from 0)",
        "checkpoint": "none was kept" if checkpoint is None else element("code", checkpoint.resolve()),
    }
    body = [facts_table(facts)]
    if len(objectives) > 1:
        front = sorted(trial.record.number for trial in ranked_trials(records, objectives) if trial.rank == 1)
        text = (
            "With several objectives there is no single best trial. No trial is better in all objectives "
            f"than those of the Pareto front: {', '.join(map(str, front))}. Shown here is the one that is "
            f"best in {objectives[0].metric}."
        )
        if volume is not None:
            text += f" The front's hypervolume is {in_words(volume, objectives)}."
        body.insert(0, element("p", text, class_="note"))
    body += [element("h3", "Configuration"), facts_table(best.parameters)]
    if reload_command is not None:
        body += [element("h3", "Load it"), element("pre", reload_command)]
    return section("Best trial", *body)


def trust(*, records: Sequence[TrialRecord], objectives: Sequence[Objective]) -> Html:
    """Warn that the best of many is optimistic; give the finalists' spread and the published place."""
    objective = objectives[0]
    completed = _ranked_by_first_objective(records, objective)
    if not completed:
        return Html()
    scores = [value for trial in completed if (value := trial.scores[0]) is not None]
    body = [
        element(
            "p",
            f"The best of {len(scores)} noisy scores is optimistic: part of its lead is luck, and more so "
            "the more trials there are (the winner's curse). Train the finalists again with new seeds and "
            "score them on sessions that no trial has seen before you report a value.",
        )
    ]
    top = scores[:_FINALISTS]
    if len(top) > 1:
        spread = (
            f"The {len(top)} best completed trials lie between {short_value(top[0], digits=4)} and "
            f"{short_value(top[-1], digits=4)} {objective.metric}: a range of "
            f"{short_value(abs(top[0] - top[-1]))}, a standard deviation of {short_value(stdev(top))}. "
            "A difference that another seed could make does not rank them."
        )
        body.append(element("p", spread))
    for trial in completed:
        if trial.record.origin == "published":
            text = (
                f"Published values (trial {trial.record.number}): {short_value(trial.scores[0], digits=4)} "
                f"{objective.metric}, place {trial.rank} of {len(completed)}."
            )
            body.append(element("p", text))
    return section("How far to trust it", *body)


def progress(
    *, records: Sequence[TrialRecord], objectives: Sequence[Objective], best: TrialRecord | None
) -> Html:
    """Draw the learning curves and the best value so far."""
    objective = objectives[0]
    if any(record.curve for record in records):
        curves = chart(learning_curves(records=records, objective=objective, best=best), height=440)
        hint = "Click a name to hide its curves; double-click the chart to see all points."
        drawn = join(curves, element("p", hint, class_="soft"))
    else:
        drawn = element("p", "No trial has reported a value yet.")
    learning = section("Learning curves", drawn)
    if best is None:
        return learning
    history = chart(best_so_far(records, objective), height=340)
    return join(learning, section("Best so far", history))


def parameter_importances(study: Study, objectives: Sequence[Objective]) -> Html:
    """Draw how much each parameter matters for each objective, or say why that cannot be told."""
    body: list[Html] = []
    for index, objective in enumerate(objectives):
        if len(objectives) > 1:
            body.append(element("h3", objective.metric))
        try:
            shares = importances(study=study, objectives=objectives, index=index)
        except NotDrawableError as reason:
            body.append(element("p", reason))
            continue
        body.append(chart(importance_bars(shares), height=110 + 26 * len(shares)))
        body.append(element("p", IMPORTANCES_MEANING, class_="soft"))
    return section("What mattered", *body)


def standings(
    *, records: Sequence[TrialRecord], objectives: Sequence[Objective], best: TrialRecord | None
) -> Html:
    """Show the leaderboard with all trials and the parameters that vary."""
    if not records:
        return section("Leaderboard", element("p", "No trial has started."))
    frame = leaderboard(records, objectives)
    metrics = objective_columns(frame)
    parameters = varying_parameters(frame)
    names = short_names(parameters)
    feasible = [FEASIBLE] if FEASIBLE in frame else []
    columns = ["rank", "trial", "status", *metrics, *feasible, "epochs", "seconds", *parameters]
    columns += ["origin", "failure"]
    numeric = {"rank", "trial", "epochs", "seconds", *metrics}
    styles = {column: "number" if column in numeric else "text" for column in columns}
    heads = (element("th", names.get(name, name), title=name, class_=style) for name, style in styles.items())
    rows = []
    for row in frame.to_dict("records"):
        texts = _cells(row, metrics=metrics)
        cells = (element("td", texts[column], class_=style) for column, style in styles.items())
        kind = "best" if best is not None and row["trial"] == best.number else str(row["status"])
        rows.append(element("tr", *cells, class_=kind))
    head = element("thead", element("tr", *heads))
    table = element("table", head, element("tbody", *rows), class_="board")
    text = "* best value seen; the trial did not run to its end. Parameters with a single value are left out."
    return section("Leaderboard", element("div", table, class_="scroll"), element("p", text, class_="soft"))


def _tile(value: str, label: str) -> Html:
    return element("div", element("b", value), element("span", label), class_="tile")


def _ranked_by_first_objective(records: Sequence[TrialRecord], objective: Objective) -> list[RankedTrial]:
    completed = [
        replace(one, values=one.values[:1])
        for one in records
        if one.status is Status.COMPLETED and one.values and one.feasible
    ]
    return ranked_trials(completed, [objective])


def _why_none(records: Sequence[TrialRecord], objective: Objective) -> str:
    if records and all(record.status is Status.FAILED for record in records):
        return "Every trial failed, so there is no best one. The reasons are listed under Failures."
    if any(record.status is Status.COMPLETED for record in records):
        return "Every completed trial violates a constraint, so there is no best one."
    pruned = next((one for one in ranked_trials(records, [objective]) if one.scores[0] is not None), None)
    if pruned is None:
        return "No trial has completed."
    value = short_value(pruned.scores[0], digits=4)
    number = pruned.record.number
    return f"No trial has completed. The best value seen is {value} {objective.metric} in trial {number}."


def _cells(row: Mapping[Any, Any], *, metrics: Sequence[str]) -> dict[str, str]:
    cells = {column: "" if is_missing(value) else short_value(value) for column, value in row.items()}
    if cells["seconds"]:
        cells["seconds"] = f"{row['seconds']:.1f}"
    mark = "" if cells["rank"] else "*"
    scores = {metric: short_value(row[metric], digits=4) + mark for metric in metrics if cells[metric]}
    return cells | scores


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
