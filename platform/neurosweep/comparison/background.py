"""Sections of the report on how the sweep went: failures, cost, what was searched, provenance, commands."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import Study

from neurosweep.comparison.cost import sweep_cost
from neurosweep.comparison.pages import Html, element, facts_table, listing, section
from neurosweep.comparison.wording import duration, short_value
from neurosweep.layout import SweepFolder
from neurosweep.naming import Status
from neurosweep.records import TrialRecord


def failures(folder: SweepFolder, records: Sequence[TrialRecord]) -> Html:
    """List the failed trials with reason, message and traceback, those without a usable objective."""
    failed = sorted((one for one in records if one.status is Status.FAILED), key=lambda one: one.number)
    if not failed:
        return Html()
    reasons = Counter("unknown" if one.failure is None else str(one.failure) for one in failed)
    summary = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    rows = []
    for one in failed:
        path = folder.trial(one.number).failure
        rows.append(
            element(
                "tr",
                element("td", one.number),
                element("td", "unknown" if one.failure is None else one.failure, class_="bad"),
                element("td", one.failure_message or "", class_="wrap"),
                element("td", element("code", path.relative_to(folder.root)) if path.exists() else ""),
            )
        )
    table = listing(("trial", "reason", "message", "traceback"), rows)
    return section("Failures", element("p", f"{summary}."), element("div", table, class_="scroll"))


def costs(records: Sequence[TrialRecord], wall_seconds: float | None) -> Html:
    """State trial time, wall time and the estimate of what pruning saved."""
    cost = sweep_cost(records)
    wall = _span(records) if wall_seconds is None else wall_seconds
    facts = {"time of all trials": f"{duration(cost.trial_seconds)} (each from its first start to its end)"}
    if wall:
        facts["wall time"] = f"{duration(wall)} ({cost.trial_seconds / wall:.1f} trials at a time on average)"
    if cost.saved_seconds is None:
        facts["saved by pruning"] = "unknown: no trial ran to its end, so a full trial's length is not known"
    elif cost.saved_seconds > 0:
        facts["saved by pruning"] = f"about {duration(cost.saved_seconds)} of trial time"
        estimate = (
            "Estimate: each pruned trial would have gone on at its own seconds per epoch up to the median "
            f"length of the completed trials, {short_value(cost.full_epochs)} epochs."
        )
        return section("Cost", facts_table(facts), element("p", estimate, class_="soft"))
    else:
        facts["saved by pruning"] = "nothing"
    return section("Cost", facts_table(facts))


def searched(*, study: Study, pinned: Mapping[str, Any], best: TrialRecord | None) -> Html:
    """List the ranges that were searched, with the best trial's choice, and what was pinned."""
    space = {name: ranges for name, ranges in _search_space(study).items() if name not in pinned}
    chosen = {} if best is None else best.parameters
    rows = [
        element(
            "tr",
            element("td", element("code", name)),
            element("td", "; later ".join(map(_range, ranges))),
            element("td", chosen.get(name, "")),
        )
        for name, ranges in space.items()
    ]
    body = (
        [listing(("parameter", "range", "best trial"), rows)]
        if rows
        else [element("p", "No parameter was searched.")]
    )
    if pinned:
        body += [
            element("h3", "Pinned"),
            facts_table(pinned),
        ]
    return section("What was searched", *body)


def origin(*, seed: int, data_hash: str, data_notes: Sequence[str], provenance: Mapping[str, Any]) -> Html:
    """Say what it takes to repeat the sweep: seed, data, code."""
    facts: dict[str, object] = {
        "seed": seed,
        "data hash": element("code", data_hash) if data_hash else "unknown",
    }
    facts |= {name: element("code", value) for name, value in _flat(provenance).items()}
    notes = element("ul", *(element("li", note) for note in data_notes)) if data_notes else Html()
    return section(
        "Where it came from", facts_table(facts), element("h3", "Data") if data_notes else Html(), notes
    )


def commands(*, resume_command: str, mlflow_command: str) -> Html:
    """Give the commands that continue and show the sweep."""
    return section(
        "Go on",
        element("h3", "Continue the sweep, or add trials"),
        element("pre", resume_command),
        element("h3", "Compare runs in MLflow"),
        element("pre", mlflow_command),
    )


def _search_space(study: Study) -> dict[str, list[BaseDistribution]]:
    # A sweep that was resumed with another space has several ranges for a parameter, oldest first.
    found: dict[str, list[BaseDistribution]] = {}
    for trial in study.get_trials(deepcopy=False):
        for name, distribution in trial.distributions.items():
            known = found.setdefault(name, [])
            if distribution not in known:
                known.append(distribution)
    return found


def _range(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return "one of " + ", ".join(map(str, distribution.choices))
    if isinstance(distribution, FloatDistribution | IntDistribution):
        bounds = f"{short_value(distribution.low)} to {short_value(distribution.high)}"
        step = f", in steps of {short_value(distribution.step)}" if distribution.step not in (None, 1) else ""
        return bounds + (", logarithmic" if distribution.log else "") + step
    return str(distribution)


def _flat(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _span(records: Sequence[TrialRecord]) -> float | None:
    started = [record.started for record in records if record.started is not None]
    ended = [record.ended for record in records if record.ended is not None]
    return (max(ended) - min(started)).total_seconds() if started and ended else None
