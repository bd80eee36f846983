"""Hypervolume: how much of the space of objectives the Pareto front of a sweep dominates."""

import warnings
from collections.abc import Sequence

import plotly.graph_objects as go
from optuna import visualization
from optuna.exceptions import ExperimentalWarning
from optuna.study import Study
from optuna.trial import TrialState

from neurosweep.experiments import Objective


def reference_point(objectives: Sequence[Objective]) -> list[float] | None:
    """Return the reference of each objective, or None if there is one objective or one without."""
    point = [one.reference for one in objectives if one.reference is not None]
    return point if len(objectives) > 1 and len(point) == len(objectives) else None


def hypervolume_history(study: Study, point: Sequence[float]) -> go.Figure:
    """Draw how the hypervolume grew from completed trial to completed trial."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return visualization.plot_hypervolume_history(study, point)


def hypervolume(study: Study, objectives: Sequence[Objective]) -> float | None:
    """Return the volume between the Pareto front and the reference point; 0 if no trial is better than that.

    Args:
        study: The sweep's study; trials that violate a constraint do not count.
        objectives: Its objectives.

    Returns:
        The volume in units of the objectives, multiplied; None if they have no reference point, or no trial is
        completed.
    """
    point = reference_point(objectives)
    if point is None or not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return None
    # Optuna computes it in a private module alone; what its public figure shows is the same number.
    (line,) = hypervolume_history(study, point).data
    return float(line.y[-1])  # pyright: ignore[reportAttributeAccessIssue]


def in_words(value: float, objectives: Sequence[Objective]) -> str:
    """Write a hypervolume with its reference point."""
    point = ", ".join(f"{one.metric} = {one.reference:.4g}" for one in objectives)
    return f"{value:.4g} (reference point {point})"
