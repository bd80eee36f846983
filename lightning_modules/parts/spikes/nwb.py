"""Spike sessions from NWB files that follow DANDI 000688 (Perich, Miller, Azabou, Dyer; reaching).

Field names and validity rules: DANDI 000688 and `neuro-galaxy/brainsets` (perich_miller_population_2018).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.cursor import Cursor, Times, read_cursor
from lightning_modules.parts.spikes.events import AS_RECORDED, Alignment, onset_note
from lightning_modules.parts.spikes.session import NO_EVENT, Indices, SpikeSession, as_counts, axis_names
from lightning_modules.parts.spikes.trial_table import select_trials, trial_bounds

DEFAULT_BIN_WIDTH_S = 0.02
"""Bin width where none is asked for: NWB holds spike times, not bins."""
SHORTEST_TRIAL_S, LONGEST_TRIAL_S = 0.5, 6.0


def read_nwb(
    path: Path,
    *,
    bin_width_s: float | None = None,
    behaviour: Literal["velocity", "position"] | None = None,
    alignment: Alignment = AS_RECORDED,
) -> SpikeSession:
    """Read one centre-out session. A trial runs from its go cue to its end; its first bin starts at the cue.

    Aligned otherwise, the first bin starts exactly at the asked time from the event; movement onset, which these
    files do not have, is computed from the cursor's speed after the cue.

    Counts are of spikes in [left, right) of each bin; kinematics are interpolated to bin centres, in the unit
    of the file (cm, cm/s). Kept are rewarded trials with a target, 0.5 to 6 s long, without outliers of the
    cursor. With several areas recorded, only units of M1 are kept.

    Args:
        path: The file.
        bin_width_s: Width of the bins, s. Default: 0.02.
        behaviour: What becomes `SpikeSession.behaviour`. Default: velocity.
        alignment: Where trials begin. Default: at the go cue.

    Raises:
        DataError: If the file cannot be read, lacks a field, or holds no usable trial.
    """
    from pynwb import NWBHDF5IO

    width = DEFAULT_BIN_WIDTH_S if bin_width_s is None else bin_width_s
    if not (np.isfinite(width) and width > 0):
        raise DataError(
            f"A bin width of {width:g} s is not positive.", "Give `--data.bin_width_s` in seconds."
        )
    try:
        with NWBHDF5IO(path=path, mode="r", load_namespaces=True) as file:
            return _read_session(
                file.read(),
                source=path.name,
                width=width,
                behaviour=behaviour or "velocity",
                alignment=alignment,
            )
    except DataError:
        raise
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} cannot be read as NWB: {type(error).__name__}: {error}",
            "The file may be cut off, or not follow DANDI 000688: download it again, or convert it to .npz.",
        ) from error


def _read_session(
    nwb: Any, *, source: str, width: float, behaviour: str, alignment: Alignment
) -> SpikeSession:
    units = _read_units(nwb, source)
    cursor = read_cursor(nwb, source)
    table = _read_trials(nwb, source)
    notes = units.notes
    events = table["go_cue_time"].to_numpy(np.float64)
    if alignment.to == "movement_onset":
        events = cursor.onsets(events, table["stop_time"].to_numpy(np.float64))
        notes += (onset_note(source, np.isfinite(events)),)
    table["first"] = events + alignment.start_s
    span = np.nan_to_num((table["stop_time"] - table["first"]).to_numpy(np.float64))
    # A trial that ends exactly on a bin's edge must not lose that bin to rounding.
    lengths = np.floor(span / width + 1e-6).astype(np.int64)
    selection = select_trials(_reasons_against(table, lengths, cursor), source)
    table, lengths = table.iloc[selection.kept], lengths[selection.kept]
    first = table["first"].to_numpy(np.float64)
    centres = np.concatenate(
        [one + width * (np.arange(n) + 0.5) for one, n in zip(first, lengths, strict=True)]
    )
    traces = {"position": cursor.position.at(centres), "velocity": cursor.velocity.at(centres)}
    decoded = traces[behaviour]
    start, end = trial_bounds(lengths)
    return SpikeSession(
        spikes=as_counts(count_spikes(units.spike_times, starts=first, lengths=lengths, width=width), source),
        behaviour=decoded,
        behaviour_names=tuple(f"{behaviour}_{axis}" for axis in axis_names(decoded.shape[1])),
        trial_start=start,
        trial_end=end,
        target=table["target_id"].to_numpy(np.int64),
        bin_width_s=width,
        unit_ids=units.numbers,
        electrodes=units.electrodes,
        animal=str(nwb.subject.subject_id) if nwb.subject is not None else source.split("_")[0],
        date=nwb.session_start_time.date().isoformat(),
        units_matched_across_sessions=False,
        position=traces["position"],
        go_cue=_cue_bins(table, start=start, lengths=lengths, width=width),
        source=source,
        notes=notes + selection.notes,
    )


def _cue_bins(table: pd.DataFrame, *, start: Indices, lengths: Indices, width: float) -> Indices:
    """Bin of each trial's go cue; `NO_EVENT` where the trial begins after it."""
    since = (table["go_cue_time"] - table["first"]).to_numpy(np.float64)
    bins = np.floor(since / width + 1e-6).astype(np.int64)
    return np.where((bins >= 0) & (bins < lengths), start + bins, NO_EVENT)


def count_spikes(
    spike_times: Sequence[Times], *, starts: Times, lengths: Indices, width: float
) -> NDArray[np.int64]:
    """Count spikes in [left, right) of the bins of all trials, (bins of all trials, units).

    Args:
        spike_times: For each unit its ascending spike times, s.
        starts: Left edge of each trial's first bin, s.
        lengths: Number of bins of each trial.
        width: Width of a bin, s.
    """
    edges = np.concatenate(
        [start + width * np.arange(n + 1) for start, n in zip(starts, lengths, strict=True)]
    )
    # The last edge of a trial and the first of the next enclose no bin.
    is_bin = np.ones(len(edges), dtype=np.bool_)
    is_bin[np.cumsum(lengths + 1) - 1] = False
    counts = [np.diff(np.searchsorted(times, edges, "left"), append=0)[is_bin] for times in spike_times]
    return np.stack(counts, axis=1)


@dataclass(frozen=True, eq=False)
class _Units:
    """Spike times of each unit, s; its number on its electrode; its electrode, from 0 within the array."""

    spike_times: list[Times]
    numbers: Indices
    electrodes: Indices | None
    notes: tuple[str, ...]


def _read_units(nwb: Any, source: str) -> _Units:
    if nwb.units is None or not len(nwb.units):
        raise DataError(f"{source} holds no units.", "Use a file with sorted units or threshold crossings.")
    times = [
        np.sort(np.asarray(nwb.units["spike_times"][unit], np.float64)) for unit in range(len(nwb.units))
    ]
    if nwb.electrodes is None or "electrodes" not in nwb.units.colnames:
        note = f"{source}: the electrodes of the units are not known; units of all areas are used."
        return _Units(times, np.arange(len(times)), None, (note,))
    rows = _electrode_rows(nwb.units)
    motor = _in_primary_motor_cortex(nwb.electrodes.to_dataframe())
    if not motor[rows].any():
        note = f"{source}: no unit is in M1; units of all areas are used."
        return _Units(times, _number_within(rows), rows, (note,))
    chosen = np.flatnonzero(motor[rows])
    # Electrodes count from 0 within M1, so that an array of PMd listed first does not shift the channels.
    electrodes = (np.cumsum(motor) - 1)[rows[chosen]]
    left_out = len(rows) - len(chosen)
    notes = (f"{source}: {left_out} units outside M1 left out.",) if left_out else ()
    return _Units([times[unit] for unit in chosen], _number_within(electrodes), electrodes, notes)


def _electrode_rows(units: Any) -> Indices:
    """Row in the electrode table of each unit's first electrode."""
    column = units["electrodes"]
    if not hasattr(column, "target"):
        return np.asarray(column.data[:], dtype=np.int64)
    ends = np.asarray(column.data[:], dtype=np.int64)
    return np.asarray(column.target.data[:], dtype=np.int64)[np.concatenate([[0], ends[:-1]])]


def _in_primary_motor_cortex(electrodes: pd.DataFrame) -> NDArray[np.bool_]:
    group = electrodes["group_name"].astype(str) == "electrode_group_M1"
    return (group | (electrodes["location"].astype(str) == "Primary Motor Cortex")).to_numpy()


def _number_within(electrodes: Indices) -> Indices:
    """Number the units of each electrode 0, 1, ... in the order of the file."""
    return pd.Series(electrodes).groupby(electrodes).cumcount().to_numpy(np.int64)


def _read_trials(nwb: Any, source: str) -> pd.DataFrame:
    table = pd.DataFrame() if nwb.trials is None else nwb.trials.to_dataframe()
    if "go_cue_time_array" in table:
        raise DataError(
            f"{source} is a random-target session: each of its trials has several targets.",
            "Use the centre-out sessions; their file names say `CO`.",
        )
    missing = [name for name in ("start_time", "stop_time", "go_cue_time", "result") if name not in table]
    if "target_id" not in table and "target_dir" not in table:
        missing.append("target_id or target_dir")
    if missing:
        raise DataError(
            f"{source}: the table of trials lacks {', '.join(missing)}.",
            "Use a file of DANDI 000688, or convert the session to .npz.",
        )
    if "target_id" not in table:
        table["target_id"] = np.mod(np.round(table["target_dir"].astype(float) / (np.pi / 4)), 8)
    return table


def _reasons_against(table: pd.DataFrame, lengths: Indices, cursor: Cursor) -> list[str]:
    """Why each trial is left out, or an empty text. Of several reasons the last one here counts."""
    cue, stop = table["go_cue_time"].to_numpy(np.float64), table["stop_time"].to_numpy(np.float64)
    first, start = table["first"].to_numpy(np.float64), table["start_time"].to_numpy(np.float64)
    duration = stop - start
    rules = {
        "with missing kinematics": cursor.is_missing(first, stop),
        "with cursor outliers": cursor.is_outlier(first, stop),
        "shorter than a bin": lengths < 1,
        "that start too late for the window": first < start,
        "without movement onset": np.isnan(first),
        "not 0.5 to 6 s long": ~((duration > SHORTEST_TRIAL_S) & (duration < LONGEST_TRIAL_S)),
        "without go cue or target": np.isnan(cue) | table["target_id"].isna().to_numpy(),
        "not rewarded": (table["result"].astype(str) != "R").to_numpy(),
    }
    reasons = [""] * len(table)
    for reason, applies in rules.items():
        for trial in np.flatnonzero(applies):
            reasons[trial] = reason
    return reasons
