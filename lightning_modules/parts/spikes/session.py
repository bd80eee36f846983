"""One recording day of binned spikes and behaviour, checked when it is made."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightning_modules.parts.errors import DataError

BehaviourName = Literal["velocity", "position", "emg"]

Counts = NDArray[np.unsignedinteger[Any]]
Indices = NDArray[np.int64]
Traces = NDArray[np.float32]

NO_EVENT = -1
"""Bin of an event that did not happen in a trial, or is not known."""


@dataclass(frozen=True, eq=False)
class SpikeSession:
    """One recording day: spike counts, behaviour and trials on one clock of equal bins.

    Shapes:
        L bins of the recording, N units, D behavioural dimensions, K trials, M muscles.

    Args:
        spikes: Counts per bin, unsigned integers (L, N).
        behaviour: What is decoded, in the unit of the recording, float32 (L, D). NaN only between trials.
        behaviour_names: Names of the D dimensions, such as `velocity_x`.
        trial_start: First bin of each trial, int64 (K,).
        trial_end: Bin after the last one of each trial, int64 (K,).
        target: Target of each trial, int64 (K,); trials of one target are one condition.
        bin_width_s: Width of a bin, s.
        unit_ids: Number of each unit, int64 (N,); where `electrodes` is known, its number on that electrode.
        animal: Who was recorded; sessions of several animals are never mixed.
        date: Day of the recording, ISO 8601 (`2016-10-07`).
        units_matched_across_sessions: Whether the same `unit_ids` mean the same units on every day.
        electrodes: Electrode of each unit, from 0, int64 (N,); None if not known.
        position: Hand or cursor position in the unit of the recording, float32 (L, 2).
        emg: Muscle activity in the unit of the recording, float32 (L, M).
        emg_names: Names of the M muscles.
        active: Whether each unit fired at all on that day, bool (N,).
        go_cue: Bin of each trial's go cue, counted as `trial_start`, int64 (K,); `NO_EVENT` where there is none.
        movement_onset: First bin of each trial's movement as recorded, like `go_cue`.
        extra: Further entries of the file, kept as they are.
        source: File or description, for messages.
        notes: What the reader left out, in sentences.

    Raises:
        DataError: If the parts do not fit together: see `check_session`.
    """

    spikes: Counts
    behaviour: Traces
    behaviour_names: tuple[str, ...]
    trial_start: Indices
    trial_end: Indices
    target: Indices
    bin_width_s: float
    unit_ids: Indices
    animal: str
    date: str
    units_matched_across_sessions: bool
    electrodes: Indices | None = None
    position: Traces | None = None
    emg: Traces | None = None
    emg_names: tuple[str, ...] = ()
    active: NDArray[np.bool_] | None = None
    go_cue: Indices | None = None
    movement_onset: Indices | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    source: str = "session"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_session(self)

    @property
    def n_units(self) -> int:
        """N."""
        return self.spikes.shape[1]

    @property
    def n_trials(self) -> int:
        """K."""
        return len(self.trial_start)

    @property
    def trial_lengths(self) -> Indices:
        """Bins of each trial, (K,)."""
        return self.trial_end - self.trial_start

    def traces(self) -> dict[str, Traces]:
        """Everything continuous that is sampled once a bin, by field name."""
        found = {"behaviour": self.behaviour, "position": self.position, "emg": self.emg}
        return {name: values for name, values in found.items() if values is not None}

    def events(self) -> dict[str, Indices]:
        """What is known of each trial besides its bounds, by field name: bins, or `NO_EVENT`."""
        found = {"go_cue": self.go_cue, "movement_onset": self.movement_onset}
        return {name: values for name, values in found.items() if values is not None}


def check_session(session: SpikeSession) -> None:
    """Refuse a session whose parts do not fit together. Every session passes here when it is made.

    Raises:
        DataError: With the file, what is wrong in it and the cure.
    """
    for check in (_header_problems, _count_problems, _unit_problems, _trace_problems, _trial_problems):
        for problem, remedy in check(session):
            raise DataError(f"{session.source}: {problem}", remedy)
    _check_gaps_in_trials(session)


def select_behaviour(session: SpikeSession, name: BehaviourName | None) -> SpikeSession:
    """Make `name` what is decoded; None leaves the session as it is.

    Raises:
        DataError: If the session does not hold it.
    """
    if name is None or session.behaviour_names[0].startswith(name):
        return session
    if name == "position" and session.position is not None:
        names = tuple(f"position_{axis}" for axis in axis_names(session.position.shape[1]))
        return replace(session, behaviour=session.position, behaviour_names=names)
    if name == "emg" and session.emg is not None:
        return replace(session, behaviour=session.emg, behaviour_names=session.emg_names)
    raise DataError(
        f"{session.source} holds no {name}: its behaviour is {', '.join(session.behaviour_names)}.",
        f"Leave out `--data.behaviour`, or give one that it holds of {', '.join(get_args(BehaviourName))}.",
    )


def axis_names(n_axes: int) -> tuple[str, ...]:
    """Name spatial axes x, y, z, or number them where there are more."""
    return tuple("xyz"[:n_axes]) if n_axes <= 3 else tuple(str(axis) for axis in range(n_axes))


def as_counts(values: NDArray[Any], source: str) -> Counts:
    """Store counts in the smallest unsigned integers that hold them.

    Raises:
        DataError: If they are negative, not whole, or not finite.
    """
    if values.dtype.kind not in "iufb" or not np.all(np.isfinite(values)) or np.any(values % 1):
        raise DataError(
            f"{source}: `spikes` must be whole counts per bin, but is {values.dtype} with fractions or gaps.",
            "Store the number of spikes in each bin, neither rates nor smoothed counts.",
        )
    if values.size and values.min() < 0:
        raise DataError(
            f"{source}: `spikes` has {int((values < 0).sum())} negative counts, the lowest {values.min():g}.",
            "Store the number of spikes in each bin; z-scored or baseline-corrected rates cannot be used.",
        )
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def _header_problems(session: SpikeSession) -> Iterator[tuple[str, str]]:
    if not (np.isfinite(session.bin_width_s) and session.bin_width_s > 0):
        yield (
            f"`bin_width_s` is {session.bin_width_s:g}, not a positive width.",
            "Give the bin width in seconds.",
        )
    try:
        date.fromisoformat(session.date)
    except ValueError:
        yield f"`date` is {session.date!r}, not a day.", "Write it as year-month-day, such as 2016-10-07."


def _count_problems(session: SpikeSession) -> Iterator[tuple[str, str]]:
    spikes = session.spikes
    if spikes.ndim != 2 or 0 in spikes.shape:
        yield (
            f"`spikes` has shape {spikes.shape}, not (bins, units).",
            "Store one row a bin, one column a unit.",
        )
    elif spikes.dtype.kind == "i" and spikes.min() < 0:
        yield f"`spikes` has {int((spikes < 0).sum())} negative counts.", "Store the spikes in each bin."
    elif spikes.dtype.kind not in "ui":
        yield f"`spikes` is {spikes.dtype}, not counts.", "Store unsigned integers, the spikes in each bin."


def _unit_problems(session: SpikeSession) -> Iterator[tuple[str, str]]:
    for name in ("unit_ids", "electrodes", "active"):
        values = getattr(session, name)
        if values is not None and len(values) != session.n_units:
            yield (
                f"`{name}` has {len(values)} entries for {session.n_units} units.",
                f"Give `{name}` one entry for each column of `spikes`.",
            )
            return
    keys = list(unit_keys(session))
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        yield (
            f"unit {twice} occurs more than once in `unit_ids`.",
            "Give each column of `spikes` its own number.",
        )


def unit_keys(session: SpikeSession) -> list[tuple[int, ...]]:
    """What makes each unit itself: its number, or electrode and number, in the order of the columns."""
    columns = [session.unit_ids] if session.electrodes is None else [session.electrodes, session.unit_ids]
    return [tuple(int(part) for part in key) for key in zip(*columns, strict=True)]


def _trace_problems(session: SpikeSession) -> Iterator[tuple[str, str]]:
    for name, values in session.traces().items():
        if values.ndim != 2 or len(values) != len(session.spikes):
            yield (
                f"`{name}` has shape {values.shape}, but `spikes` has {len(session.spikes)} bins.",
                f"Give `{name}` one row for each bin: resample it to the bins of `spikes`.",
            )
    for name, names, values in (
        ("behaviour", session.behaviour_names, session.behaviour),
        ("emg", session.emg_names, session.emg),
    ):
        if values is not None and (len(names) != values.shape[1] or not names):
            yield (
                f"`{name}_names` names {len(names)} of the {values.shape[1]} columns of `{name}`.",
                f"Give `{name}_names` one name for each column of `{name}`.",
            )


def _trial_problems(session: SpikeSession) -> Iterator[tuple[str, str]]:
    start, end, length = session.trial_start, session.trial_end, len(session.spikes)
    if not len(start) == len(end) == len(session.target):
        yield (
            f"`trial_start`, `trial_end` and `target` have {len(start)}, {len(end)} and "
            f"{len(session.target)} entries.",
            "Give each of them one entry for each trial.",
        )
        return
    if not len(start):
        yield "it holds no trial.", "Check the rules by which trials were kept, or leave this session out."
        return
    outside = np.flatnonzero((start < 0) | (end > length) | (end <= start))
    if len(outside):
        first = outside[0]
        yield (
            f"{len(outside)} trials lie outside the recording of {length} bins or are empty; the first is "
            f"trial {first} with bins [{start[first]}, {end[first]}).",
            "Count bins from 0; `trial_end` is the bin after the trial's last one.",
        )
    for name, bins in session.events().items():
        if bins.shape != start.shape or np.any(((bins < 0) | (bins >= length)) & (bins != NO_EVENT)):
            yield (
                f"`{name}` has {bins.size} entries for {len(start)} trials, from {bins.min(initial=0)} to "
                f"{bins.max(initial=0)}; the recording has {length} bins.",
                f"Give `{name}` one bin for each trial, counted from 0 as `trial_start` is, or {NO_EVENT} where it "
                "is not known.",
            )


def _check_gaps_in_trials(session: SpikeSession) -> None:
    inside = bins_in_trials(session)
    missing = ~np.isfinite(session.behaviour)
    missing_inside = missing & inside[:, None]
    if not missing_inside.any():
        return
    dimensions = [
        f"{int(count)} in {name}"
        for name, count in zip(session.behaviour_names, missing_inside.sum(axis=0), strict=True)
        if count
    ]
    trials = trials_with(session, missing.any(axis=1))
    listed = ", ".join(str(trial) for trial in trials[:5]) + (", ..." if len(trials) > 5 else "")
    raise DataError(
        f"{session.source}: `behaviour` is missing (NaN or infinite) in bins of {len(trials)} trials: "
        f"{'; '.join(dimensions)}. Trials: {listed}.",
        "Interpolate the gaps, or take these trials out of `trial_start`, `trial_end` and `target`. "
        "Gaps between trials may stay.",
    )


def bins_in_trials(session: SpikeSession) -> NDArray[np.bool_]:
    """Whether each bin belongs to a trial, (L,)."""
    change = np.zeros(len(session.spikes) + 1, dtype=np.int64)
    np.add.at(change, session.trial_start, 1)
    np.add.at(change, session.trial_end, -1)
    return np.cumsum(change)[:-1] > 0


def trials_with(session: SpikeSession, marked: ArrayLike) -> Indices:
    """Trials that hold a marked bin. `marked` is (L,)."""
    before = np.concatenate([[0], np.cumsum(np.asarray(marked, dtype=np.bool_))])
    return np.flatnonzero(before[session.trial_end] > before[session.trial_start])
