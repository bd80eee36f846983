"""Spike sessions as `.npz` files, one a day: the project's own format."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.session import NO_EVENT, SpikeSession, as_counts

REQUIRED = (
    "spikes",
    "behaviour",
    "behaviour_names",
    "trial_start",
    "trial_end",
    "target",
    "bin_width_s",
    "unit_ids",
    "animal",
    "date",
    "units_matched_across_sessions",
)
LABELS = ("behaviour", "behaviour_names", "target")
"""Of the required entries those that only training and scoring need."""
NOT_RECORDED = "not recorded"
"""Name of the behaviour of a session that holds none."""
OPTIONAL = ("electrodes", "position", "emg", "emg_names", "active", "go_cue", "movement_onset")


def read_npz(path: Path, *, labelled: bool = True) -> SpikeSession:
    """Read one session.

    Args:
        path: The file.
        labelled: Whether behaviour and targets must be there. Otherwise missing behaviour is one dimension of
            zeros called `NOT_RECORDED`, and missing targets are -1.

    Raises:
        DataError: If the file cannot be read, an entry is missing, or the entries do not fit together.
    """
    entries = _load(path)
    if not labelled:
        entries = {**_without_labels(entries), **entries}
    missing = [name for name in REQUIRED if name not in entries]
    if missing:
        raise DataError(
            f"{path} is not a spike session: {', '.join(missing)} missing. "
            f"It holds {', '.join(entries) or 'nothing'}.",
            "Add the missing entries; `lightning_modules.parts.spikes.write_npz` writes a complete session.",
        )
    source = path.name
    return SpikeSession(
        spikes=as_counts(entries["spikes"], source),
        behaviour=_real(entries, "behaviour", source),
        behaviour_names=_names(entries["behaviour_names"]),
        trial_start=_integers(entries, "trial_start", source),
        trial_end=_integers(entries, "trial_end", source),
        target=_integers(entries, "target", source),
        bin_width_s=float(_scalar(entries, "bin_width_s", source)),
        unit_ids=_integers(entries, "unit_ids", source),
        animal=str(_scalar(entries, "animal", source)),
        date=str(_scalar(entries, "date", source)),
        units_matched_across_sessions=bool(_scalar(entries, "units_matched_across_sessions", source)),
        electrodes=_integers(entries, "electrodes", source) if "electrodes" in entries else None,
        position=_real(entries, "position", source) if "position" in entries else None,
        emg=_real(entries, "emg", source) if "emg" in entries else None,
        emg_names=_names(entries["emg_names"]) if "emg_names" in entries else (),
        active=entries["active"].astype(np.bool_) if "active" in entries else None,
        go_cue=_events(entries, "go_cue", source),
        movement_onset=_events(entries, "movement_onset", source),
        extra={name: values for name, values in entries.items() if name not in REQUIRED + OPTIONAL},
        source=source,
    )


def _without_labels(entries: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What stands for labels that a session lacks; nothing where it lacks more."""
    if any(name not in entries for name in REQUIRED if name not in LABELS):
        return {}
    labels: dict[str, NDArray[Any]] = {"target": np.full(entries["trial_start"].shape, -1)}
    if "behaviour" not in entries:
        labels["behaviour"] = np.zeros((len(entries["spikes"]), 1), dtype=np.float32)
        labels["behaviour_names"] = np.array([NOT_RECORDED])
    return labels


def write_npz(session: SpikeSession, path: Path) -> None:
    """Write one session, compressed, with its further entries."""
    entries: dict[str, Any] = dict(session.extra)
    for name in REQUIRED + OPTIONAL:
        values = getattr(session, name)
        if values is not None and not (name == "emg_names" and session.emg is None):
            entries[name] = np.asarray(values)
    np.savez_compressed(path, allow_pickle=False, **entries)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise DataError(
                f"{path} holds a single array, not a session.", "Save the session with `write_npz`."
            )
        with archive:
            return {name: archive[name] for name in archive.files}
    except DataError:
        raise
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read as .npz: {error}",
            "The file is empty, cut off or corrupt, or holds pickled objects: copy or save it again.",
        ) from error


def _real(entries: dict[str, NDArray[Any]], name: str, source: str) -> NDArray[np.float32]:
    if entries[name].dtype.kind not in "iuf":
        raise DataError(f"{source}: `{name}` is {entries[name].dtype}, not numbers.", "Store it as float32.")
    return entries[name].astype(np.float32)


def _integers(entries: dict[str, NDArray[Any]], name: str, source: str) -> NDArray[np.int64]:
    values = entries[name]
    if values.ndim != 1 or values.dtype.kind not in "iuf" or np.any(values % 1):
        raise DataError(
            f"{source}: `{name}` is {values.dtype} of shape {values.shape}, not a row of whole numbers.",
            f"Store `{name}` as one int64 for each trial or unit.",
        )
    return values.astype(np.int64)


def _events(entries: dict[str, NDArray[Any]], name: str, source: str) -> NDArray[np.int64] | None:
    """Bins of an event; NaN stands for a trial without it, as in many tables."""
    if name not in entries:
        return None
    values = entries[name]
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), NO_EVENT, values)
    return _integers({name: values}, name, source)


def _scalar(entries: dict[str, NDArray[Any]], name: str, source: str) -> Any:
    if entries[name].size != 1:
        raise DataError(
            f"{source}: `{name}` has {entries[name].size} values.", f"Store one value as `{name}`."
        )
    return entries[name].item()


def _names(values: NDArray[Any]) -> tuple[str, ...]:
    return tuple(str(name) for name in np.atleast_1d(values))
