"""Optuna's figures of a sweep, each as an HTML page that opens offline and as an MLflow artifact."""

import logging
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
import plotly.graph_objects as go
from optuna import visualization
from optuna.exceptions import ExperimentalWarning
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from neurosweep.comparison.hypervolume import hypervolume_history, reference_point
from neurosweep.comparison.pages import Html, chart, element, join, page
from neurosweep.experiments import Objective
from neurosweep.layout import SweepFolder, write_atomically

logger = logging.getLogger(__name__)

IMPORTANCES_MEANING = (
    "Share of the variation over the completed trials that each parameter explains on its own (fANOVA). "
    "Parameters that only some trials have are left out. "
    "Few trials, or one very poor one, make this a rough guide."
)


class NotDrawableError(ValueError):
    """The sweep does not hold what the figure shows; the message says why, as a sentence."""


def write_figures(*, study: Study, folder: SweepFolder, objectives: Sequence[Objective]) -> dict[str, Path]:
    """Write Optuna's figures into the sweep's folder.

    A figure that cannot be drawn becomes a page that says why: a finished sweep must not fail over a picture.

    Args:
        study: The sweep's study.
        folder: Where to write.
        objectives: The study's objectives; their metrics name the axes.

    Returns:
        Pages by the name of the figure: `history`, `importances`, `parallel_coordinate`, `slices`,
        `intermediate_values` and, with several objectives, `pareto_front`, and `hypervolume` if these have a
        reference point.
    """
    written: dict[str, Path] = {}
    for name, kind in _KINDS.items():
        if name == "pareto_front" and len(objectives) == 1:
            continue
        if name == "hypervolume" and reference_point(objectives) is None:
            continue
        path = folder.figures / f"{name}.html"
        heading = join(element("h1", kind.title), element("p", kind.meaning, class_="soft"))
        try:
            drawn = kind.draw(study, objectives)
        except NotDrawableError as reason:
            body, has_charts = _apology(str(reason)), False
        except Exception as error:  # whatever Optuna cannot draw, the sweep itself is done
            logger.warning("Sweep %s: the figure %s cannot be drawn.", folder.name, name, exc_info=True)
            body, has_charts = _apology(f"Optuna could not draw it: {type(error).__name__}: {error}"), False
        else:
            body, has_charts = join(*(chart(figure, height=kind.height) for figure in drawn)), True
        body = element("section", body, class_="optuna")
        title = f"{kind.title} · {folder.name}"
        write_atomically(path, page(title=title, body=join(heading, body), charts=has_charts))
        written[name] = path
    return written


def importances(*, study: Study, objectives: Sequence[Objective], index: int) -> dict[str, float]:
    """Estimate how much of an objective's variation each parameter explains (fANOVA, Hutter et al. 2014).

    Args:
        study: The sweep's study.
        objectives: Its objectives.
        index: Which of them.

    Returns:
        Shares that sum to 1, greatest first. Parameters that only some trials have are left out.

    Raises:
        NotDrawableError: If there is nothing to explain, or nothing to explain it with.
    """
    names = _assessable_parameters(study, index)
    target = _target(objectives, index)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # of the argument `normalize`
            found = get_param_importances(
                study, evaluator=_evaluator(), params=names, target=target, normalize=False
            )
    except RuntimeError as error:  # the forest found nothing to split
        raise NotDrawableError(f"fANOVA cannot assess these trials: {error}") from error
    total = sum(found.values())
    if total <= 0:
        # Optuna's own normalization would now give every parameter the same share.
        raise NotDrawableError("No parameter on its own explains any variation of the objective.")
    return {name: share / total for name, share in found.items()}


@dataclass(frozen=True)
class _Kind:
    title: str
    meaning: str
    height: int
    draw: Callable[[Study, Sequence[Objective]], list[go.Figure]]


def _history(study: Study, objectives: Sequence[Objective]) -> list[go.Figure]:
    _completed(study, at_least=1)
    return [
        visualization.plot_optimization_history(
            study, target=_target(objectives, index), target_name=objective.metric
        )
        for index, objective in enumerate(objectives)
    ]


def _importances(study: Study, objectives: Sequence[Objective]) -> list[go.Figure]:
    return [
        visualization.plot_param_importances(
            study,
            evaluator=_evaluator(),
            params=_assessable_parameters(study, index),
            target=_target(objectives, index),
            target_name=objective.metric,
        )
        for index, objective in enumerate(objectives)
    ]


def _parallel_coordinate(study: Study, objectives: Sequence[Objective]) -> list[go.Figure]:
    names = _varying_parameters(_completed(study, at_least=2))
    return [
        visualization.plot_parallel_coordinate(
            study, params=names, target=_target(objectives, index), target_name=objective.metric
        )
        for index, objective in enumerate(objectives)
    ]


def _slices(study: Study, objectives: Sequence[Objective]) -> list[go.Figure]:
    names = _varying_parameters(_completed(study, at_least=2))
    return [
        visualization.plot_slice(
            study, params=names, target=_target(objectives, index), target_name=objective.metric
        )
        for index, objective in enumerate(objectives)
    ]


def _intermediate_values(study: Study, objectives: Sequence[Objective]) -> list[go.Figure]:
    if not any(trial.intermediate_values for trial in study.get_trials(deepcopy=False)):
        raise NotDrawableError("No trial has reported a value to the pruner.")
    figure = visualization.plot_intermediate_values(study)
    figure.update_layout(xaxis_title="Epoch", yaxis_title=objectives[0].metric)
    return [figure]


def _pareto_front(study: Study, objectives: Sequence[Objective]) -> list[go.Figure]:
    _completed(study, at_least=1)
    if len(objectives) > 3:
        raise NotDrawableError(
            f"The front of {len(objectives)} objectives has no picture; the leaderboard lists it (rank 1)."
        )
    return [visualization.plot_pareto_front(study, target_names=[one.metric for one in objectives])]


def _hypervolume(study: Study, objectives: Sequence[Objective]) -> list[go.Figure]:
    point = reference_point(objectives)
    if point is None:
        raise NotDrawableError("The objectives have no reference point.")
    _completed(study, at_least=1)
    return [hypervolume_history(study, point)]


_KINDS = {
    "history": _Kind("Optimization history", "Value of each completed trial in its order.", 480, _history),
    "importances": _Kind(
        "Parameter importances",
        IMPORTANCES_MEANING,
        480,
        _importances,
    ),
    "parallel_coordinate": _Kind(
        "Parallel coordinates", "One line for each completed trial.", 560, _parallel_coordinate
    ),
    "slices": _Kind("Slices", "Objective against each parameter, completed trials.", 480, _slices),
    "intermediate_values": _Kind(
        "Intermediate values", "What each trial reported to the pruner, by epoch.", 560, _intermediate_values
    ),
    "pareto_front": _Kind(
        "Pareto front",
        "Completed trials; no trial is better than those of the front in all objectives.",
        600,
        _pareto_front,
    ),
    "hypervolume": _Kind(
        "Hypervolume",
        "What the Pareto front of the trials so far dominates, up to the reference point.",
        480,
        _hypervolume,
    ),
}


def _target(objectives: Sequence[Objective], index: int) -> Callable[[FrozenTrial], float] | None:
    """Pick one of several objectives."""
    # Given a target, Optuna no longer knows its direction, so a single objective goes without.
    if len(objectives) == 1:
        return None
    return lambda trial: trial.values[index]


def _completed(study: Study, *, at_least: int) -> list[FrozenTrial]:
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(trials) < at_least:
        have = f"{len(trials)} trial has" if len(trials) == 1 else "No trial has"
        raise NotDrawableError(f"{have} completed; this figure needs at least {at_least}.")
    return trials


def _varying_parameters(trials: Sequence[FrozenTrial]) -> list[str]:
    values: dict[str, set[str]] = {}
    for trial in trials:
        for name, value in trial.params.items():
            values.setdefault(name, set()).add(repr(value))
    names = [name for name, taken in values.items() if len(taken) > 1]
    if not names:
        raise NotDrawableError("Every parameter has a single value in all completed trials.")
    return names


def _assessable_parameters(study: Study, index: int) -> list[str]:
    trials = _completed(study, at_least=2)
    # fANOVA passes over infinite values, so they count neither as trials nor as variation.
    if len({trial.values[index] for trial in trials if math.isfinite(trial.values[index])}) < 2:
        raise NotDrawableError(
            "The completed trials do not differ in their value: there is nothing to explain."
        )
    shared = optuna.search_space.intersection_search_space(trials)
    names = [name for name in _varying_parameters(trials) if name in shared]
    if not names:
        raise NotDrawableError(
            "No parameter that varies is present, with the same range, in all completed trials."
        )
    return names


def _evaluator() -> FanovaImportanceEvaluator:
    return FanovaImportanceEvaluator(seed=0)


def _apology(reason: str) -> Html:
    return join(element("h2", "There is nothing to draw yet"), element("p", reason))
