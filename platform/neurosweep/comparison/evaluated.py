"""What is known of a sweep's winner on sealed data: read back, and put beside that of other sweeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import TypeAdapter
from scipy import stats

from neurosweep.comparison.paired import compare_seeds
from neurosweep.errors import NeurosweepError
from neurosweep.layout import SweepFolder, read_json

CONFIDENCE = 0.95
"""Of every interval."""


@dataclass(frozen=True)
class Opening:
    """One look at sealed sessions.

    Args:
        sweep: Name of the sweep whose configuration was scored.
        trial: Number of the trial.
        sealed: Digest of each session, by its name.
        opened: When, ISO 8601, UTC.
        host: Where.
    """

    sweep: str
    trial: int
    sealed: Mapping[str, str]
    opened: str
    host: str


@dataclass(frozen=True)
class EvaluatedSweep:
    """What `neurosweep evaluate` found; kept as JSON in the sweep's folder.

    Args:
        sweep: Name of the sweep.
        experiment: Its experiment.
        trials: How many trials its search has ended, the budget that its winner was found with.
        trial: Number of the winner.
        validated: The winner's first objective in the search.
        parameters: The winner's parameters.
        metric: Test metric that corresponds to the first objective.
        direction: Whether more or less of it is better.
        seeds: Seed of each scored model.
        scores: Test metrics of each scored model.
        references: Test metrics of what the models are measured against, by name.
        days: One row for each model or reference and sealed session.
        sealed: Digest of each sealed session, by its name.
        openings: Earlier openings of any of these sessions, whatever sweep they were for.
        notes: What to know, in sentences.
        tables: Rows of further tables, by title.
        metrics: Of the data set rather than of one model, by name.
    """

    sweep: str
    experiment: str
    trials: int
    trial: int
    validated: float
    parameters: Mapping[str, Any]
    metric: str
    direction: Literal["maximize", "minimize"]
    seeds: tuple[int, ...]
    scores: tuple[Mapping[str, float], ...]
    references: Mapping[str, Mapping[str, float]]
    days: tuple[Mapping[str, Any], ...]
    sealed: Mapping[str, str]
    openings: tuple[Opening, ...]
    notes: tuple[str, ...]
    tables: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


def read_evaluation(folder: SweepFolder) -> EvaluatedSweep:
    """Read what `neurosweep evaluate` has left.

    Raises:
        NeurosweepError: If the sweep has not been evaluated.
    """
    content = read_json(folder.evaluation)
    if not content:
        raise NeurosweepError(
            f"The sweep `{folder.name}` has not been evaluated.",
            f"Run `neurosweep evaluate {folder.name}` first.",
        )
    return TypeAdapter(EvaluatedSweep).validate_python(content)


def score_frame(found: EvaluatedSweep) -> pd.DataFrame:
    """One row a test metric: its mean over seeds with an interval, and the level of chance where there is one.

    The interval is Student's over seeds: what other seeds would give on the same data. NaN for a single seed.
    """
    rows = []
    for metric in found.scores[0]:
        values = np.array([scores[metric] for scores in found.scores])
        low, high = seed_interval(values)
        chance = found.references.get("chance", {}).get(metric, np.nan)
        rows.append({"metric": metric, "mean": values.mean(), "low": low, "high": high, "chance": chance})
    return pd.DataFrame(rows)


def day_frame(found: EvaluatedSweep, score: str = "r2") -> pd.DataFrame:
    """One row a sealed session: a score of the models, the mean over seeds, and of each reference.

    Args:
        found: An evaluation.
        score: Which of the scores in `EvaluatedSweep.days`.

    Returns:
        Columns `day`, `gap_days`, `model` and the names of the references.
    """
    table: dict[str, dict[str, list[float]]] = {}
    gaps: dict[str, int] = {}
    for row in found.days:
        gaps[row["day"]] = row["gap_days"]
        table.setdefault(row["day"], {}).setdefault(row.get("reference", "model"), []).append(row[score])
    rows = [
        {"day": day, "gap_days": gaps[day], **{name: float(np.mean(each)) for name, each in values.items()}}
        for day, values in table.items()
    ]
    return pd.DataFrame(rows)


def comparison_frame(sweeps: Sequence[EvaluatedSweep], metric: str) -> pd.DataFrame:
    """One row a sweep: its score on the sealed data, and its difference to the first sweep, paired over seeds.

    Args:
        sweeps: Evaluated on the same sealed sessions; the first one is what the others are compared to.
        metric: Such as `test/behaviour_r2`.

    Raises:
        NeurosweepError: If the sweeps were scored on different data, or know no such metric.
    """
    _refuse_incomparable(sweeps, metric)
    rows = []
    for one in sweeps:
        values = np.array([scores[metric] for scores in one.scores])
        low, high = seed_interval(values)
        row = {"sweep": one.sweep, "experiment": one.experiment, "trials": one.trials, "seeds": len(values)}
        row |= {"mean": values.mean(), "low": low, "high": high, "notes": " ".join(one.notes)}
        rows.append({**row, **({} if one is sweeps[0] else _difference(one, sweeps[0], metric))})
    return pd.DataFrame(rows)


def seed_interval(values: np.ndarray) -> tuple[float, float]:
    """Return Student's interval of a mean over seeds; NaN for one seed, or where a seed failed."""
    if len(values) < 2 or not np.isfinite(values).all():
        return np.nan, np.nan
    reach = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * stats.sem(values)
    return float(values.mean() - reach), float(values.mean() + reach)


def _difference(one: EvaluatedSweep, first: EvaluatedSweep, metric: str) -> dict[str, float]:
    """Compare two sweeps over the seeds for which both have a finite score."""
    ours = _scores_of_seeds(one, metric)
    theirs = _scores_of_seeds(first, metric)
    shared = [seed for seed in ours if seed in theirs]
    if len(shared) < 2:
        return {}
    paired = compare_seeds(
        [ours[seed] for seed in shared], [theirs[seed] for seed in shared], confidence=CONFIDENCE
    )
    low, high = paired.t_interval
    return {
        "difference": paired.difference,
        "difference_low": low,
        "difference_high": high,
        "seeds_above": paired.n_greater,
        "paired_seeds": paired.n_seeds,
    }


def _scores_of_seeds(one: EvaluatedSweep, metric: str) -> dict[int, float]:
    scores = zip(one.seeds, one.scores, strict=True)
    return {seed: found[metric] for seed, found in scores if np.isfinite(found[metric])}


def _refuse_incomparable(sweeps: Sequence[EvaluatedSweep], metric: str) -> None:
    digests = {one.sweep: sorted(one.sealed.values()) for one in sweeps}
    if len({tuple(each) for each in digests.values()}) > 1:
        listed = "; ".join(f"`{one.sweep}`: {', '.join(one.sealed)}" for one in sweeps)
        raise NeurosweepError(
            f"The sweeps were scored on different recordings: {listed}.",
            "Launch them with the same `--data.path`, `--data.bin_width_s` and numbers of sessions.",
        )
    for one in sweeps:
        if metric not in one.scores[0]:
            raise NeurosweepError(
                f"`{one.sweep}` has no score `{metric}`; it has: {', '.join(one.scores[0])}.",
                "Give one that all sweeps have with `--metric`.",
            )
