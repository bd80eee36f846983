"""A sweep's winner on data that no search has seen: trained again over seeds, then scored on the sealed sessions.

The retraining is a sweep of its own in which everything is pinned, so that it can be killed and resumed, uses the
cluster, and has its runs in MLflow. Its seeds do not depend on the sweep: evaluations of several sweeps are paired.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from neurosweep.comparison import EvaluatedSweep, best_record
from neurosweep.config import EVALUATION_SEEDS, PopulationConfig, SearchConfig, SweepConfig
from neurosweep.errors import ConfigError, NeurosweepError, TrackingError
from neurosweep.experiments import import_callable
from neurosweep.layout import SweepFolder, TrialFolder, read_json, write_json
from neurosweep.naming import Split
from neurosweep.records import MetricPoint, TrialRecord
from neurosweep.sweeps.inspection import InspectedSweep, inspect_sweep
from neurosweep.sweeps.launch import launch, resume
from neurosweep.sweeps.openings import count_opening
from neurosweep.sweeps.preparation import (
    PreparedSweep,
    connect_store,
    explaining_data,
    load_settings,
    prepare,
    sweep_folder,
)
from neurosweep.sweeps.progress import Observer
from neurosweep.sweeps.result import SweepEnd
from neurosweep.tracking.outbox import now_ms


def evaluate(
    name: str,
    *,
    storage: str = SweepConfig.storage,
    seeds: int = EVALUATION_SEEDS,
    adapt: bool = False,
    observer: Observer | None = None,
    announce: Callable[[str], None] | None = None,
) -> EvaluatedSweep:
    """Train the best trial's configuration again with several seeds and score it on the sealed sessions.

    Args:
        name: The sweep's name.
        storage: Folder of the sweeps.
        seeds: Models to train, or one where a model does not depend on its seed. 0 scores the kept checkpoint alone.
            Of one model there is no interval.
        adapt: Whether to score also what adapts to the sealed sessions without their labels, apart from the rest.
        observer: Is shown the progress of the retraining.
        announce: Is told in a sentence what is about to take a while.

    Raises:
        ConfigError: If the experiment cannot be evaluated, or is a population that cannot be trained again.
        DataError: If nothing is sealed.
        NeurosweepError: If no trial is completed, or the retraining stopped early: the same command continues it.
    """
    sweep = inspect_sweep(name, storage)
    winner = _winner(sweep)
    if sweep.experiment.evaluate is None:
        raise ConfigError(
            f"The experiment `{sweep.experiment.name}` names no function that scores sealed data.",
            "Give its `Experiment` an `evaluate`.",
        )
    if seeds and sweep.config.population.method is not None:
        raise ConfigError(
            f"`{name}` is a population: its winner was trained by several members, one after the other.",
            f"Score the kept model with `neurosweep evaluate {name} --seeds 0`.",
        )
    one_is_all = seeds > 1 and not sweep.experiment.uses_seed
    prepared = prepare(_repeated(sweep.config, winner, seeds=1 if one_is_all else max(seeds, 1)))
    sealed = _open(prepared)  # where nothing is sealed, nothing needs to be trained
    if announce is not None and one_is_all:
        announce(f"one model in place of {seeds}: those of `{sweep.experiment.name}` do not depend on a seed")
    retrained = _retrain(prepared.config, sweep.folder, observer) if seeds else None
    models = _models(retrained, retrained.records) if retrained else _models(sweep, [winner])
    if announce is not None:
        slow = "; what adapts to them is fitted for each, which takes minutes" if adapt else ""
        announce(f"scoring {len(models)} models on {', '.join(sealed.sealed)}{slow}")
    found, drawn = _score(sweep, winner, sealed, models, adapt=adapt)
    write_json(sweep.folder.evaluation, asdict(found))
    _draw(drawn, sweep.folder)
    _log(found, sweep, models)
    return found


@dataclass(frozen=True)
class _Drawn:
    """What an evaluation gives beside numbers.

    Args:
        figures: Matplotlib figures by name.
        files: Content by name of the file.
    """

    figures: Mapping[str, Any]
    files: Mapping[str, bytes]


@dataclass(frozen=True)
class _Model:
    """A trained model that is scored.

    Args:
        folder: Folder of its trial.
        seed: Seed of its training.
        checkpoint: Its weights.
    """

    folder: TrialFolder
    seed: int
    checkpoint: Path


def _winner(sweep: InspectedSweep) -> TrialRecord:
    found = best_record(sweep.records, sweep.experiment.objectives)
    if found is None or found.values is None:
        raise NeurosweepError(
            f"The sweep `{sweep.folder.name}` has no completed trial to evaluate.",
            "Let it finish at least one, or look at the failures with `neurosweep leaderboard`.",
        )
    return found


def _retrain(config: SweepConfig, evaluated: SweepFolder, observer: Observer | None) -> InspectedSweep:
    """Run or continue the sweep that repeats the winner's configuration, a trial for each seed."""
    if sweep_folder(config).config.exists():
        known = inspect_sweep(config.name, config.storage)
        if sum(record.status.is_final for record in known.records) >= config.search.trials:
            return known
        more = {"search": {"trials": config.search.trials}}
        result = resume(config.name, storage=config.storage, overrides=more, observer=observer)
    else:
        result = launch(config, observer=observer)
    if result.end is not SweepEnd.FINISHED:
        raise NeurosweepError(
            f"The retraining `{config.name}` stopped early: {result.end.explanation}.",
            f"The same `neurosweep evaluate {evaluated.name}` continues it.",
        )
    return inspect_sweep(config.name, config.storage)


def _repeated(config: SweepConfig, winner: TrialRecord, seeds: int) -> SweepConfig:
    """The winner's configuration as a sweep in which nothing is searched."""
    pins: dict[str, dict[str, Any]] = {"model": {}, "data": {}, "trainer": {}}
    for dotted, value in {**config.pins, **winner.parameters}.items():
        section, _, key = dotted.partition(".")
        pins[section][key] = value
    return replace(
        config,
        # The trial is part of the name: a search that goes on may find another winner.
        name=f"{config.name}-evaluation-{winner.number}",
        seed=0,
        search=SearchConfig(
            trials=seeds,
            sampler="random",
            pruner="none",
            objectives=config.search.objectives,
            try_published=False,
        ),
        population=PopulationConfig(),
        **pins,
    )


def _models(sweep: InspectedSweep, records: Sequence[TrialRecord]) -> list[_Model]:
    """The models of completed trials whose checkpoints are there."""
    found = [
        _Model(sweep.folder.trial(record.number), record.seed, checkpoint)
        for record in records
        if record.values is not None and (checkpoint := sweep.checkpoint_of(record)) is not None
    ]
    if not found:
        raise NeurosweepError(
            f"None of {len(records)} trials of `{sweep.folder.name}` has a model to score.",
            f"See `neurosweep leaderboard {sweep.folder.name}`; without `--seeds 0` models are trained again.",
        )
    return found


def _open(prepared: PreparedSweep) -> Any:
    """Open the sealed data of a sweep."""
    open_sealed = import_callable(str(prepared.experiment.evaluate))
    settings = load_settings(prepared.config, prepared.experiment)
    with explaining_data(prepared.config):
        return open_sealed(prepared.data, settings)


def _score(
    sweep: InspectedSweep, winner: TrialRecord, sealed: Any, models: Sequence[_Model], *, adapt: bool
) -> tuple[EvaluatedSweep, _Drawn]:
    """Count the opening, then score."""
    from neurosweep.trials.reload import load_model

    openings = count_opening(
        sweep.folder.openings,
        sweep=sweep.folder.name,
        trial=winner.number,
        sealed={**sealed.sealed, **getattr(sealed, "also_opened", {})},
    )
    loaded = [load_model(model.checkpoint) for model in models]
    with explaining_data(sweep.config):
        found = sealed.score(loaded, adapt=True) if adapt else sealed.score(loaded)
    objective = sweep.experiment.objectives[0]
    assert winner.values is not None
    evaluated = EvaluatedSweep(
        sweep=sweep.folder.name,
        experiment=sweep.experiment.name,
        trials=sum(record.status.is_final for record in sweep.records),
        trial=winner.number,
        validated=winner.values[0],
        parameters=dict(winner.parameters),
        metric=f"{Split.TEST}/{objective.metric.partition('/')[2]}",
        direction=objective.direction,
        seeds=tuple(model.seed for model in models),
        scores=tuple(found.scores),
        references=found.references,
        days=tuple(found.days),
        sealed=sealed.sealed,
        openings=tuple(openings),
        notes=(*sealed.notes, *getattr(found, "notes", ())),
        tables=getattr(found, "tables", {}),
        metrics=getattr(found, "metrics", {}),
    )
    return evaluated, _Drawn(getattr(found, "figures", {}), getattr(found, "files", {}))


def _draw(drawn: _Drawn, folder: SweepFolder) -> None:
    """Write figures and files in place of those of an earlier evaluation."""
    from neurosweep.trials.drawing import save_figures

    if drawn.figures or drawn.files:
        save_figures(drawn.figures, folder.evaluation_figures, drawn.files)
    else:
        shutil.rmtree(folder.evaluation_figures, ignore_errors=True)


def _log(found: EvaluatedSweep, sweep: InspectedSweep, models: Sequence[_Model]) -> None:
    """Bring the test metrics to the runs of the scored models, and the whole with figures to the sweep's own run."""
    store = connect_store(sweep.config, sweep.experiment)
    try:
        for model, scores in zip(models, found.scores, strict=True):
            run_id = read_json(model.folder.delivery).get("run_id")
            if run_id is not None:
                now = now_ms()
                store.log_points(run_id, [MetricPoint(key, value, 0, now) for key, value in scores.items()])
        run_id = read_json(sweep.folder.delivery).get("run_id")
        if run_id is not None:
            store.upload(run_id, sweep.folder.evaluation.name, sweep.folder.evaluation)
            now = now_ms()
            store.log_points(
                run_id, [MetricPoint(key, value, 0, now) for key, value in found.metrics.items()]
            )
            drawn = sweep.folder.evaluation_figures
            if drawn.exists():
                store.upload(run_id, drawn.name, drawn)
    except Exception as error:  # MLflow's client raises what it likes; the result is on disk
        raise TrackingError(
            f"The evaluation is in {sweep.folder.evaluation}, but could not be sent to {store.uri}: {error}",
            f"Run `neurosweep evaluate {sweep.folder.name}` again; trained models are not trained again.",
        ) from error
