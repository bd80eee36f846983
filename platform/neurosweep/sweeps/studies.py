"""Studies: what a family shows without a sweep, written to a folder and to an MLflow run of its own."""

import csv
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from neurosweep.config import SweepConfig
from neurosweep.errors import ConfigError, TrackingError, as_data_error
from neurosweep.experiments import Experiment, did_you_mean, find_experiment, import_object
from neurosweep.layout import write_atomically, write_json
from neurosweep.naming import Status, Tag
from neurosweep.provenance import describe_code, fingerprint
from neurosweep.records import MetricPoint
from neurosweep.sweeps.data_inspection import write_pictures
from neurosweep.sweeps.preparation import storage_root
from neurosweep.sweeps.study_settings import fill_settings
from neurosweep.tracking import TrackingStore, connect, now_ms

Say = Callable[[str], None]
ARTIFACTS = "study"
"""Folder of the run's artifacts."""


@dataclass(frozen=True)
class FinishedStudy:
    """A study that was run.

    Args:
        result: What it found: `figures`, `tables`, `metrics` and `notes`.
        settings: With which.
        folder: Where its files lie.
        files: Their names.
        run_id: MLflow run.
        uri: MLflow.
        seconds: How long it took, s.
    """

    result: Any
    settings: Any
    folder: Path
    files: tuple[str, ...]
    run_id: str
    uri: str
    seconds: float


def studies_of(experiment: Experiment) -> Mapping[str, Any]:
    """Return the studies of a family by name: see `Experiment.studies`.

    Raises:
        ConfigError: If it offers none.
    """
    if experiment.studies is None:
        raise ConfigError(
            f"The experiment `{experiment.name}` offers no studies.",
            "Name another family, or give its `Experiment` a mapping `studies`.",
        )
    return import_object(experiment.studies)


def find_study(experiment: Experiment, name: str) -> Any:
    """Return a study by its name.

    Raises:
        ConfigError: If there is none; the message lists what there is.
    """
    studies = studies_of(experiment)
    if name not in studies:
        raise ConfigError(
            f"`{experiment.name}` has no study `{name}`.{did_you_mean(name, studies)} "
            f"There are: {', '.join(studies)}.",
            f"`neurosweep study {experiment.name}` says what each of them shows.",
        )
    return studies[name]


def run_study(
    target: str,
    name: str,
    given: Mapping[str, Any],
    *,
    out: str | None = None,
    storage: str = SweepConfig.storage,
    tracking_uri: str | None = None,
    say: Say,
) -> FinishedStudy:
    """Run a study, and keep what it found as PNG, CSV and text, and in MLflow.

    Args:
        target: The experiment.
        name: The study.
        given: Settings by name.
        out: Folder for the files; default `studies/FAMILY-STUDY-TIME` in the storage.
        storage: Folder of the sweeps.
        tracking_uri: MLflow; default SQLite in the storage.
        say: Is told how far it is.

    Raises:
        ConfigError: If there is no such study, or its settings or the folder are wrong.
        DataError: If the study cannot be done with these settings.
        TrackingError: If MLflow cannot be used; what was found by then is in the folder.
    """
    experiment = find_experiment(target)
    study = find_study(experiment, name)
    settings = fill_settings(study.settings, given, study=name)
    title = f"{experiment.name}-{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    root = storage_root(storage)
    folder = _free_folder(Path(out).expanduser().resolve() if out else root / "studies" / title)
    store = connect(
        tracking_uri or f"sqlite:///{root / 'mlflow.db'}",
        experiment=experiment.name,
        artifact_location=str(root / "mlartifacts"),
    )
    started = time.monotonic()
    with _run_of(store, experiment, name, settings, title) as run_id:
        with as_data_error(f"The study `{name}` cannot be done", "Change its settings."):
            result = study.run(settings, say)
        seconds = time.monotonic() - started
        _write(result, settings, folder, heading=f"{experiment.name}: {study.summary}", seconds=seconds)
        _log(store, run_id, result, folder, seconds)
    files = tuple(sorted(one.name for one in folder.iterdir()))
    return FinishedStudy(result, settings, folder, files, run_id, store.uri, seconds)


def _free_folder(folder: Path) -> Path:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there already.", "Name a new or an empty folder by `--out`.")
    return folder


@contextmanager
def _run_of(
    store: TrackingStore, experiment: Experiment, name: str, settings: Any, title: str
) -> Iterator[str]:
    """Open a run of its own for the block, and end it as the block ends."""
    tags = {
        Tag.KIND: "study",
        Tag.EXPERIMENT: experiment.name,
        Tag.STUDY: name,
        Tag.CONFIG_HASH: fingerprint(asdict(settings)),
        Tag.STATUS: str(Status.RUNNING),
        **describe_code().as_tags(),
    }
    run_id = store.client.create_run(store.experiment_id, run_name=title, tags={}).info.run_id
    store.set_tags(run_id, tags)
    store.log_parameters(run_id, asdict(settings))
    try:
        yield run_id
    except BaseException as error:
        failed = isinstance(error, Exception)
        _end(store, run_id, Status.FAILED if failed else Status.INTERRUPTED, "FAILED" if failed else "KILLED")
        raise
    _end(store, run_id, Status.COMPLETED, "FINISHED")


def _end(store: TrackingStore, run_id: str, status: Status, state: str) -> None:
    if store.is_reachable():
        store.set_tags(run_id, {Tag.STATUS: str(status)})
        store.set_state(run_id, state)


def _write(result: Any, settings: Any, folder: Path, *, heading: str, seconds: float) -> None:
    write_pictures(result.figures, folder)
    for name, rows in result.tables.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, _columns(rows))
            table.writeheader()
            table.writerows(rows)
    write_json(folder / "settings.json", asdict(settings))
    lines = [heading, "", "Settings:"]
    lines += [f"  {name} = {json.dumps(value)}" for name, value in asdict(settings).items()]
    lines += ["", "Found:"]
    lines += [f"  {name} = {value:.6g}" for name, value in result.metrics.items()]
    for name, rows in result.tables.items():
        lines += ["", f"{name}:", *_aligned(rows)]
    lines += ["", *result.notes, "", f"Took {seconds:.0f} s. {describe_code().command}"]
    write_atomically(folder / "summary.txt", "\n".join(lines) + "\n")


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _aligned(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write rows below each other, a column as wide as its widest cell."""
    names = _columns(rows)
    lines = [names, *([brief(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(names))]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def brief(value: Any) -> str:
    """Write a cell of a study's table: numbers with four digits, nothing for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _log(store: TrackingStore, run_id: str, result: Any, folder: Path, seconds: float) -> None:
    try:
        now = now_ms()
        found = {**result.metrics, "cost/seconds": seconds}
        store.log_points(run_id, [MetricPoint(name, float(value), 0, now) for name, value in found.items()])
        store.set_tags(run_id, {Tag.NOTE: "\n\n".join(result.notes)})
        store.upload(run_id, ARTIFACTS, folder)
    except Exception as error:  # MLflow's client raises what it likes; the result is on disk
        raise TrackingError(
            f"The study is in {folder}, but could not be sent to {store.uri}: {error}",
            "Run it again once MLflow answers.",
        ) from error
