"""One axis of input columns for all sessions: what a column means decides what can be learned."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.session import SpikeSession, as_counts, unit_keys

UnitMode = Literal["auto", "matched", "padded", "channel"]

CHANNELS_PER_BANK = 32
"""Arrays are wired in banks of 32 electrodes: a Utah array has three, two arrays have six."""

MOST_ELECTRODES = 4096
"""Larger numbers of units are names, not places on an array."""


@dataclass(frozen=True, eq=False)
class AlignedUnits:
    """Sessions whose columns are the same axis.

    Args:
        sessions: The sessions, spikes (L, N) with one N.
        names: Name of each column, N of them.
        notes: What the user should know about the axis.
    """

    sessions: tuple[SpikeSession, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class PlacedUnits:
    """A session on an axis that other sessions have made.

    Args:
        session: The session, spikes (L, N).
        absent: Columns of the axis that the session does not record; silent in `session`.
        left_out: Units or electrodes of the session that the axis does not have, by name.
    """

    session: SpikeSession
    absent: tuple[str, ...]
    left_out: tuple[str, ...]


def align_units(sessions: Sequence[SpikeSession], mode: UnitMode = "auto") -> AlignedUnits:
    """Bring the units of all sessions onto one axis.

    Args:
        sessions: Sessions of one animal.
        mode: `matched` keeps the units that occur in every session: the same number, or the same number on
            the same electrode. `channel` sums the units of each electrode; where no session knows its
            electrodes, matched units are threshold crossings, each its own electrode. `padded` keeps the order
            of the files and adds silent columns up to the largest session. `auto` is `matched` if the sessions
            say that their units are matched, else `channel` if their electrodes are known, else `padded`.

    Raises:
        DataError: If the sessions lack what the mode needs.
    """
    if mode not in get_args(UnitMode):
        raise DataError(
            f"`units` is {mode!r}.", f"Give `--data.units` one of {', '.join(get_args(UnitMode))}."
        )
    if mode == "auto":
        mode = _automatic(sessions)
    return {"matched": _match, "channel": _pool, "padded": _pad}[mode](sessions)


def place_units(session: SpikeSession, names: Sequence[str]) -> PlacedUnits:
    """Bring a session onto the axis of a trained model: columns by name, silence where it has none.

    Args:
        session: A session that had no part in making the axis.
        names: What `align_units` called the columns, (N,).

    Raises:
        DataError: If the session does not say what the axis is made of, or shares no column with it.
    """
    if names[0].startswith("electrode_"):
        (numbers,) = _electrodes([session])
        ours = [f"electrode_{number}" for number in numbers.tolist()]
    elif names[0].startswith("column_"):
        ours = [f"column_{column}" for column in range(session.n_units)]
    else:
        has_electrodes = names[0].count("_") == 2
        if has_electrodes != (session.electrodes is not None):
            raise DataError(
                f"{session.source} {'lacks' if has_electrodes else 'has'} `electrodes`, by which the model's "
                f"units, such as {names[0]}, are {'named' if has_electrodes else 'not named'}.",
                f"{'Add them to' if has_electrodes else 'Remove them from'} the session, or decode it with a "
                "model that was trained on sessions like it.",
            )
        ours = ["unit_" + "_".join(str(part) for part in key) for key in unit_keys(session)]
    column_of = {name: column for column, name in enumerate(names)}
    known = [position for position, name in enumerate(ours) if name in column_of]
    if not known:
        raise DataError(
            f"{session.source} records none of the model's {len(names)} columns ({names[0]}, ...).",
            "Decode a session of the same array, with the same `--data.units`.",
        )
    placed = np.zeros((len(names), len(session.spikes)), dtype=np.int64)
    np.add.at(placed, [column_of[ours[position]] for position in known], session.spikes[:, known].T)
    present = {ours[position] for position in known}
    return PlacedUnits(
        session=_with_columns(session, as_counts(placed.T, session.source)),
        absent=tuple(name for name in names if name not in present),
        left_out=tuple(dict.fromkeys(name for name in ours if name not in column_of)),
    )


def _automatic(sessions: Sequence[SpikeSession]) -> UnitMode:
    if all(session.units_matched_across_sessions for session in sessions):
        return "matched"
    return "channel" if all(session.electrodes is not None for session in sessions) else "padded"


def _match(sessions: Sequence[SpikeSession]) -> AlignedUnits:
    known = [session.electrodes is not None for session in sessions]
    unmatched = [session.source for session in sessions if not session.units_matched_across_sessions]
    if (unmatched and not all(known)) or any(known) != all(known):
        raise DataError(
            f"{', '.join(unmatched) or 'The sessions'}: the units are not matched across sessions, so that "
            "the same number is another unit on another day, and not every session knows its electrodes.",
            "Give `--data.units padded`, or add `electrodes` to the sessions for `--data.units channel`.",
        )
    columns = [{key: column for column, key in enumerate(unit_keys(session))} for session in sessions]
    shared = [key for key in columns[0] if all(key in other for other in columns[1:])]
    if not shared:
        raise DataError(
            f"No unit occurs in all of {', '.join(session.source for session in sessions)}.",
            "Give `--data.units channel` if the electrodes are known, else `--data.units padded`.",
        )
    aligned = [
        _with_columns(session, session.spikes[:, [column[key] for key in shared]], keys=shared)
        for session, column in zip(sessions, columns, strict=True)
    ]
    notes = []
    if unmatched:
        notes.append(
            "Units count as the same where electrode and number recur; sorting may have renumbered them."
        )
    largest = max(session.n_units for session in sessions)
    if len(shared) < largest:
        notes.append(
            f"{len(shared)} units occur in every session (the largest has {largest}); others left out."
        )
    names = ["unit_" + "_".join(str(part) for part in key) for key in shared]
    return AlignedUnits(tuple(aligned), tuple(names), tuple(notes))


def _pool(sessions: Sequence[SpikeSession]) -> AlignedUnits:
    electrodes = _electrodes(sessions)
    last = max(int(numbers.max()) for numbers in electrodes)
    # Whole banks, so that the axis does not shrink with the last electrode that happened to record a unit.
    n_channels = (last // CHANNELS_PER_BANK + 1) * CHANNELS_PER_BANK
    aligned = []
    for session, numbers in zip(sessions, electrodes, strict=True):
        pooled = np.zeros((n_channels, len(session.spikes)), dtype=np.int64)
        np.add.at(pooled, numbers, session.spikes.T)
        aligned.append(_with_columns(session, as_counts(pooled.T, session.source)))
    note = f"Units are summed on each of {n_channels} electrodes."
    return AlignedUnits(tuple(aligned), tuple(f"electrode_{number}" for number in range(n_channels)), (note,))


def _electrodes(sessions: Sequence[SpikeSession]) -> list[NDArray[np.int64]]:
    """Electrode of each unit of each session. Matched units without one are threshold crossings."""
    known = [session.electrodes for session in sessions if session.electrodes is not None]
    if len(known) == len(sessions):
        return known
    numbers = [session.unit_ids for session in sessions]
    in_range = all(one.min() >= 0 and one.max() < MOST_ELECTRODES for one in numbers)
    if not known and in_range and all(session.units_matched_across_sessions for session in sessions):
        _check_channel_counts(sessions)
        return numbers
    unknown = ", ".join(session.source for session in sessions if session.electrodes is None)
    raise DataError(
        f"{unknown} does not say which electrode each unit was recorded on.",
        "Add `electrodes` to the session, or give `--data.units padded`.",
    )


def _check_channel_counts(sessions: Sequence[SpikeSession]) -> None:
    """Every channel of an array has threshold crossings, so that fewer of them are no silence."""
    first = {session.n_units: session.source for session in reversed(sessions)}
    if len(first) > 1:
        listed = "; ".join(f"{count} ({first[count]})" for count in sorted(first))
        raise DataError(
            f"The sessions differ in their number of channels: {listed}. A channel that was not recorded would count "
            "as one that fell silent.",
            "Give `--data.units matched` for the channels that every session has, or leave the odd sessions out.",
        )


def _pad(sessions: Sequence[SpikeSession]) -> AlignedUnits:
    n_units = max(session.n_units for session in sessions)
    aligned = [
        _with_columns(session, np.pad(session.spikes, ((0, 0), (0, n_units - session.n_units))))
        for session in sessions
    ]
    note = (
        f"Units are not matched across sessions: {n_units} columns in the order of the files, padded with "
        "silence. Input weights learned on one day mean nothing on another; expect decoding of unseen days "
        "near chance."
    )
    matched = all(session.units_matched_across_sessions for session in sessions)
    names = tuple(f"column_{column}" for column in range(n_units))
    return AlignedUnits(tuple(aligned), names, () if matched else (note,))


def _with_columns(
    session: SpikeSession, spikes: NDArray[np.unsignedinteger], keys: Sequence[tuple[int, ...]] | None = None
) -> SpikeSession:
    """The session with other columns, which are numbered anew unless `keys` says what they are."""
    numbers = np.arange(spikes.shape[1]) if keys is None else np.array([key[-1] for key in keys])
    has_electrodes = keys is not None and len(keys[0]) == 2
    electrodes = np.array([key[0] for key in keys]) if keys is not None and has_electrodes else None
    return replace(session, spikes=spikes, unit_ids=numbers, electrodes=electrodes, active=None)
