"""What recordings hold: an experiment's own inspection of a path, its pictures written to a folder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from neurosweep.errors import ConfigError, DataError, as_data_error
from neurosweep.experiments import BUILT_IN, find_experiment, import_callable

RESOLUTION = 150
"""Dots per inch of the pictures."""


def inspect_data(path: Path, *, experiment: str | None = None) -> Any:
    """Inspect recordings as an experiment does: see `Experiment.inspect`.

    Args:
        path: File or folder.
        experiment: Whose data it is. Default: the first of the built-in families that can read it.

    Raises:
        ConfigError: If the experiment is not known or cannot inspect data.
        DataError: If the path holds nothing that it knows.
    """
    if experiment is None:
        return _recognise(path)
    found = find_experiment(experiment)
    if found.inspect is None:
        raise ConfigError(
            f"The experiment `{found.name}` does not say how its data is inspected.",
            "Name another one by `--experiment`, or give it an `inspect`.",
        )
    return _inspect(path, found.inspect)


def _recognise(path: Path) -> Any:
    """Inspect a path as the first family does that can read it; where none can, say what each of them lacks."""
    ways = dict.fromkeys(one.inspect for one in BUILT_IN.values() if one.inspect is not None)
    unreadable, errors = [], []
    for way in ways:
        try:
            found = _inspect(path, way)
        except DataError as error:
            errors.append(error)
            continue
        if found.readable:
            return found
        unreadable.append(found)
    if unreadable:
        problems = dict.fromkeys(problem for one in unreadable for problem in one.problems)
        return replace(unreadable[0], problems=tuple(problems))
    raise errors[0]


def _inspect(path: Path, way: str) -> Any:
    with as_data_error(str(path), "Check the path."):
        return import_callable(way)(str(path))


def picture_folder(path: Path, wanted: str | None) -> Path:
    """Return where pictures of recordings go: as wanted, or beside the working directory's files.

    Raises:
        ConfigError: If that is where the recordings are.
    """
    path = path.expanduser().resolve()
    folder = Path(wanted or f"{path.stem if path.is_file() else path.name}-inspection").expanduser().resolve()
    recordings = path if path.is_dir() else path.parent
    if folder == recordings or (path.is_dir() and recordings in folder.parents):
        raise ConfigError(
            f"The pictures would be written to {folder}, among the recordings.",
            "Name another folder by `--plot`.",
        )
    return folder


def write_pictures(figures: Any, folder: Path) -> list[Path]:
    """Write matplotlib figures as PNG, one a name."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, figure in figures.items():
        files.append(folder / f"{name}.png")
        figure.savefig(files[-1], dpi=RESOLUTION)
    return files
