"""Spike sessions from PyalData and TrialData `.mat` files: one struct per trial, already binned.

Field names: `NeuralAnalysis/PyalData`; older camel-case names as in Dryad 10.5061/dryad.xd2547dkt.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy.io
from numpy.typing import NDArray

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.events import AS_RECORDED, Alignment, align_trials
from lightning_modules.parts.spikes.rebin import rebin_session
from lightning_modules.parts.spikes.session import NO_EVENT, Indices, SpikeSession, as_counts, axis_names
from lightning_modules.parts.spikes.trial_table import select_trials, trial_bounds

ALIASES = {
    "tgtDir": "target_direction",
    "idx_goCueTime": "idx_go_cue",
    "idx_tgtOnTime": "idx_target_on",
    "idx_startTime": "idx_trial_start",
    "idx_endTime": "idx_trial_end",
}
FIELDS = {"velocity": "vel", "position": "pos"}
DATE_FORMATS = ("%m-%d-%Y", "%Y-%m-%d", "%m/%d/%Y", "%Y/%m/%d", "%Y%m%d")

Trial = Mapping[str, Any]


def read_pyaldata(
    path: Path,
    *,
    bin_width_s: float | None = None,
    behaviour: Literal["velocity", "position"] | None = None,
    alignment: Alignment = AS_RECORDED,
) -> SpikeSession:
    """Read one session. A trial runs from its go cue to its end, both bins included, and is its own stretch.

    Aligned otherwise, it runs from the asked time from the event to its end; movement onset is `idx_movement_on`
    where the file has it, else computed from the speed after the go cue.

    Kept are rewarded trials (`result` R), of the baseline where the session has epochs (`epoch` BL), without
    gaps in the kinematics. M1 is used where the file holds several areas.

    Args:
        path: A `.mat` file of version 5 or 7.3 with one variable, an array of structs.
        bin_width_s: Bins are combined to this width, s: spikes summed, kinematics averaged. Default: as
            stored.
        behaviour: What becomes `SpikeSession.behaviour`. Default: velocity.
        alignment: Where trials begin. Default: at the go cue.

    Raises:
        DataError: If the file cannot be read, lacks a field, or holds no usable trial.
    """
    trials = [_rename(trial) for trial in _load_trials(path)]
    source = path.name
    spikes_field = _spikes_field(trials[0], source)
    field = FIELDS[behaviour or "velocity"]
    _require(
        trials[0], (field, "idx_go_cue", "idx_trial_end", "target_direction", "result", "bin_size"), source
    )
    # No event comes before the go cue: a window reaches back from it by this much at the most.
    lead = max(0, -round(alignment.start_s / float(trials[0]["bin_size"])))
    bounds = [_bounds(trial, spikes_field, lead) for trial in trials]
    reasons = [_reason_against(trial, field, span) for trial, span in zip(trials, bounds, strict=True)]
    selection = select_trials(reasons, source)
    session = _build_session(
        [trials[trial] for trial in selection.kept],
        bounds=[bounds[trial] for trial in selection.kept],
        spikes_field=spikes_field,
        field=field,
        path=path,
        notes=selection.notes,
    )
    return rebin_session(align_trials(session, alignment), bin_width_s)


def _build_session(
    trials: list[Trial],
    *,
    bounds: list[tuple[int, int]],
    spikes_field: str,
    field: str,
    path: Path,
    notes: tuple[str, ...],
) -> SpikeSession:
    source = path.name
    spikes = np.concatenate(
        [_rows(trial, spikes_field)[a:b] for trial, (a, b) in zip(trials, bounds, strict=True)]
    )
    traces = {
        name: np.concatenate([_rows(trial, name)[a:b] for trial, (a, b) in zip(trials, bounds, strict=True)])
        for name in {field, "pos"} & trials[0].keys()
    }
    decoded = traces[field].astype(np.float32)
    quantity = "velocity" if field == "vel" else "position"
    electrodes, numbers = _unit_guide(trials[0], spikes_field, spikes.shape[1])
    rows = np.array(bounds, dtype=np.int64)
    start, end = trial_bounds(rows[:, 1] - rows[:, 0])
    return SpikeSession(
        spikes=as_counts(spikes, source),
        behaviour=decoded,
        behaviour_names=tuple(f"{quantity}_{axis}" for axis in axis_names(decoded.shape[1])),
        trial_start=start,
        trial_end=end,
        target=np.array([_target(trial) for trial in trials], dtype=np.int64),
        bin_width_s=float(trials[0]["bin_size"]),
        unit_ids=numbers,
        electrodes=electrodes,
        animal=str(trials[0].get("monkey", path.stem.split("_")[0])),
        date=_date(trials[0], path),
        units_matched_across_sessions=False,
        position=traces["pos"].astype(np.float32) if "pos" in traces else None,
        go_cue=_event_bins(trials, "idx_go_cue", rows, start),
        movement_onset=_event_bins(trials, "idx_movement_on", rows, start)
        if "idx_movement_on" in trials[0]
        else None,
        source=source,
        notes=notes,
    )


def _event_bins(trials: list[Trial], name: str, rows: Indices, start: Indices) -> Indices:
    """Bins of an event on the session's clock; `NO_EVENT` where it is missing or outside the rows [a, b) used."""
    found = np.array([_number(trial[name]) - 1 for trial in trials])
    inside = (found >= rows[:, 0]) & (found < rows[:, 1])
    return np.where(inside, start + np.nan_to_num(found).astype(np.int64) - rows[:, 0], NO_EVENT)


def _load_trials(path: Path) -> list[Trial]:
    try:
        variables = _load_variables(path)
    except (OSError, EOFError, KeyError, TypeError, ValueError, scipy.io.matlab.MatReadError) as error:
        raise DataError(
            f"{path} cannot be read as .mat: {type(error).__name__}: {error}",
            "The file may be empty, cut off or corrupt: copy or download it again.",
        ) from error
    tables = {name: value for name, value in variables.items() if not name.startswith("__")}
    if len(tables) != 1:
        raise DataError(
            f"{path} holds {len(tables)} variables ({', '.join(tables)}), not one array of trials.",
            "Save the trial data alone, as `save(file, 'trial_data')` does.",
        )
    found = next(iter(tables.values()))
    trials = (
        _by_trial(found) if isinstance(found, Mapping) else list(np.atleast_1d(np.asarray(found, object)))
    )
    if not trials or not all(isinstance(trial, Mapping) for trial in trials):
        raise DataError(
            f"{path}: `{next(iter(tables))}` is not an array of structs, one for each trial.",
            "Save PyalData or TrialData trials, or convert the session to .npz.",
        )
    return trials


def _by_trial(table: Mapping[str, Any]) -> list[Trial]:
    """Trials of a struct: mat73 gives many as one list for each field, a single one as itself."""
    columns = list(table.values())
    if columns and all(isinstance(column, list) and len(column) == len(columns[0]) for column in columns):
        return [dict(zip(table, row, strict=True)) for row in zip(*columns, strict=True)]
    return [table]


def _load_variables(path: Path) -> dict[str, Any]:
    try:
        return scipy.io.loadmat(path, simplify_cells=True)
    except NotImplementedError:  # scipy's answer to version 7.3
        import mat73

        return mat73.loadmat(str(path), verbose=False)


def _rename(trial: Trial) -> Trial:
    return {ALIASES.get(name, name): value for name, value in trial.items()}


def _require(trial: Trial, names: tuple[str, ...], source: str) -> None:
    missing = [name for name in names if name not in trial]
    if missing:
        raise DataError(
            f"{source}: the trials lack {', '.join(missing)}. They hold {', '.join(sorted(trial))}.",
            "Export the trials with these fields, or convert the session to .npz.",
        )


def _spikes_field(trial: Trial, source: str) -> str:
    fields = [name for name in trial if name.endswith("_spikes")]
    for preferred in ("M1_spikes", "MCx_spikes"):
        if preferred in fields:
            return preferred
    if len(fields) == 1:
        return fields[0]
    raise DataError(
        f"{source} holds no M1 spikes, but {', '.join(fields) or 'no spikes at all'}.",
        "Keep one `*_spikes` field in the file.",
    )


def _rows(trial: Trial, name: str) -> NDArray[Any]:
    """A time-varying field as (bins, columns); readers of MATLAB files squeeze a single column away."""
    values = np.asarray(trial[name])
    return values[:, None] if values.ndim == 1 else values


def _bounds(trial: Trial, spikes_field: str, lead: int) -> tuple[int, int]:
    """Rows [start, end) from `lead` before the go cue; none without one. MATLAB counts from 1, the end included."""
    cue, last = _number(trial["idx_go_cue"]), _number(trial["idx_trial_end"])
    if not np.isfinite([cue, last]).all() or cue < 1:
        return 0, 0
    return max(0, int(cue) - 1 - lead), min(int(last), len(_rows(trial, spikes_field)))


def _reason_against(trial: Trial, field: str, bounds: tuple[int, int]) -> str:
    if str(trial["result"]) != "R":
        return "not rewarded"
    if str(trial.get("epoch", "BL")) != "BL":
        return "outside the baseline"
    anchors = [_number(trial[name]) for name in ("idx_go_cue", "idx_trial_end", "target_direction")]
    if not np.all(np.isfinite(anchors)):
        return "without go cue, end or target"
    start, end = bounds
    if not 1 <= anchors[0] <= end:
        return "without bins after the go cue"
    if not np.isfinite(_rows(trial, field)[start:end].astype(np.float64)).all():
        return "with missing kinematics"
    return ""


def _number(value: Any) -> float:
    """A scalar field; empty and vector-valued ones count as missing."""
    array = np.asarray(np.nan if value is None else value, dtype=np.float64)
    return float(array.item()) if array.size == 1 else np.nan


def _target(trial: Trial) -> int:
    """Number the eight directions 0 to 7 from -3π/4 on, as the lab does; π and -π are the same target."""
    return (round((_number(trial["target_direction"]) + np.pi) / (np.pi / 4)) - 1) % 8


def _unit_guide(trial: Trial, spikes_field: str, n_units: int) -> tuple[Indices | None, Indices]:
    """Electrode of each unit, from 0, and its number on it."""
    guide = trial.get(spikes_field.removesuffix("_spikes") + "_unit_guide")
    if guide is None:
        return None, np.arange(n_units)
    pairs = np.asarray(guide, dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0] - 1, pairs[:, 1]


def _date(trial: Trial, path: Path) -> str:
    for text in (str(trial.get("date", "")), *re.findall(r"\d{4}-\d{2}-\d{2}|\d{8}", path.stem)):
        for style in DATE_FORMATS:
            try:
                return datetime.strptime(text, style).date().isoformat()
            except ValueError:
                continue
    raise DataError(
        f"{path.name} names no date: neither its field `date` ({trial.get('date')!r}) nor the file's name.",
        "Put the day into the file's name, such as Chewie_CO_20161021.mat.",
    )
