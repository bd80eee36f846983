"""Recordings of a sweep: sessions read or generated, split and sealed once. Without torch."""

import functools
import hashlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.events import AS_RECORDED, Alignment, align_trials
from lightning_modules.parts.spikes.matching import SessionMatching, average_day
from lightning_modules.parts.spikes.reader import read_sessions
from lightning_modules.parts.spikes.rebin import rebin_session
from lightning_modules.parts.spikes.session import SpikeSession
from lightning_modules.parts.spikes.splits import SessionSplit, split_sessions, split_trials
from lightning_modules.parts.spikes.synthetic import generate_sessions
from lightning_modules.parts.spikes.units import align_units, place_units
from lightning_modules.parts.spikes.windows import (
    SpikeTrials,
    concatenate_trials,
    cut_trials,
    window_bins,
)

FEWEST_TO_LEAVE_ONE_OUT = 3
"""Training days: of two, each copy would be trained on one, where nothing tells it what changes between days."""


@dataclass(frozen=True, eq=False)
class SpikeData:
    """What a search may see: trials to train on and to validate with. Sealed sessions are named, not held.

    Args:
        training: Trials (K, T, N) and (K, T, D); their `session` counts along `session_names`.
        validation: Trials of later sessions or held-out trials, never a training trial. Only where one day is left
            out at a time, they are the training trials, each for a model that was trained without its day.
        animal: Who was recorded.
        bin_width_s: Width of a bin, s.
        behaviour_names: Names of the D behavioural dimensions.
        unit_names: Names of the N input columns.
        session_names: Days of the opened sessions, in order.
        sealed_sessions: Days of the sessions that no search opens.
        notes: What was left out and what to know, in sentences for the user.
        alignment: Where trials begin.
        leave_one_day_out: Whether each training day validates models that were trained on the others.
        matching: What models see every session matched to; None where they see the counts.
    """

    training: SpikeTrials
    validation: SpikeTrials
    animal: str
    bin_width_s: float
    behaviour_names: tuple[str, ...]
    unit_names: tuple[str, ...]
    session_names: tuple[str, ...]
    sealed_sessions: tuple[str, ...]
    notes: tuple[str, ...]
    alignment: Alignment = AS_RECORDED
    leave_one_day_out: bool = False
    matching: SessionMatching | None = None

    def as_seen(self, trials: SpikeTrials) -> SpikeTrials:
        """Return trials of whole sessions as models see them."""
        return trials if self.matching is None else self.matching.match_sessions(trials)

    @property
    def splits(self) -> dict[str, SpikeTrials]:
        """The opened splits by name."""
        return {"training": self.training, "validation": self.validation}


def load_sessions(
    *,
    path: str | None = None,
    bin_width_s: float | None = None,
    window_s: float | None = None,
    align_to: Literal["start", "go_cue", "movement_onset"] = "start",
    window_start_s: float = 0.0,
    units: Literal["auto", "matched", "padded", "channel"] = "auto",
    match_sessions: bool = False,
    behaviour: Literal["velocity", "position", "emg"] | None = None,
    validation_sessions: int | None = None,
    test_sessions: int | None = None,
    leave_one_day_out: bool = False,
    validation_fraction: float = 0.2,
    split_seed: int = 0,
    min_training_sessions: int = 2,
    preset: Literal["none", "default", "strong", "exchangeable", "confounded"] = "default",
    n_sessions: int = 5,
    trials_per_session: int = 96,
    n_units: int = 64,
    n_bins: int = 24,
    generated_bin_width_s: float = 0.03,
    generator_seed: int = 0,
) -> SpikeData:
    """Read or generate the sessions of one animal and split them by day.

    From four sessions on, the last one is sealed, the one before it validates and the others train. Fewer
    sessions all train and hold out trials for validation.

    Args:
        path: Session file, or folder of `.npz`, `.nwb` (DANDI 000688) or `.mat` (PyalData) files, one a day.
            Default: generated sessions.
        bin_width_s: Width of the time bins, s; a whole multiple of the recorded one. Default: as recorded,
            0.02 s for NWB.
        window_s: Length of a trial from its first bin on, s; shorter trials are left out. Default: the
            longest that 95 % of the training sessions' trials fill.
        align_to: Where a trial begins: `start`, as a session says (the go cue in `.nwb` and `.mat`); `go_cue`; or
            `movement_onset`, which is computed from the speed where a session does not hold it.
        window_start_s: From there to the trial's first bin, s; negative before the event. Trials that do not reach
            so far back are left out.
        units: Common input columns: `matched` keeps the units that recur in every session, `channel` sums the
            units of each electrode, `padded` keeps the files' order and pads. `auto` takes the first of
            `matched`, `channel`, `padded` that the sessions allow.
        match_sessions: Whether models see each session with the mean and the spread that every unit has on the average
            training day. This adapts: of a new session it needs the trials, though not their labels.
        behaviour: What is decoded. Default: what an `.npz` file calls `behaviour`, velocity from `.nwb` and
            `.mat`, position from generated sessions.
        validation_sessions: Whole days for validation; 0 holds out trials instead. Default: 1 from four
            sessions on.
        leave_one_day_out: Whether all days but the sealed ones train, and each validates copies of the model that are
            trained without it. Needs three training days; of fewer, trials are held out.
        test_sessions: Last days, sealed until the evaluation. Default: 1 from four sessions on.
        validation_fraction: Part of each session's trials that is held out where no whole day validates.
        split_seed: Seed of the choice of held-out trials.
        min_training_sessions: Fewest days to train on.
        preset: Drift of generated sessions, from `none` to `strong`.
        n_sessions: Generated days.
        trials_per_session: Trials of a generated day.
        n_units: Channels of generated sessions.
        n_bins: Time bins of a generated trial.
        generated_bin_width_s: Width of the bins of generated sessions, s.
        generator_seed: Seed of generated sessions.

    Raises:
        DataError: If the recordings cannot be read, do not belong together or are too few.
    """
    return _prepare(_read(locals()))


@functools.wraps(load_sessions)
def load_sessions_to_tell_apart(**settings: Any) -> SpikeData:
    """Load sessions for a method that is taught to tell the training days apart; see `load_sessions`.

    Raises:
        DataError: As `load_sessions`, or if there is one training day only, whatever `min_training_sessions` says.
    """
    data = load_sessions(**settings)
    n_training = len(np.unique(data.training.session))
    if n_training < 2:
        raise DataError(
            f"There is {n_training} training session ({data.session_names[0]}), but a classifier of sessions needs 2 "
            "or more to tell apart.",
            "Add sessions, or launch `sable` with `--model.variant no_reversal`, which needs one.",
        )
    return data


@dataclass(frozen=True, eq=False)
class OpenedTest:
    """The sealed sessions, opened: trials that no search has seen, on the axis of the search.

    Args:
        trials: (K, T, N) and (K, T, D); their `session` counts along `session_names`.
        session_names: Days of the sealed sessions, in order.
        digests: Hash of the spikes of each sealed session as recorded; it tells which recording was opened.
        notes: What was left out and what to know, in sentences for the user.
    """

    trials: SpikeTrials
    session_names: tuple[str, ...]
    digests: tuple[str, ...]
    notes: tuple[str, ...]


def open_sealed_sessions(data: SpikeData, settings: Mapping[str, Any]) -> OpenedTest:
    """Open what `load_sessions` sealed. Whoever calls this counts it: seen once, a test day is a validation day.

    Args:
        data: What the search saw.
        settings: What `load_sessions` was given for it.

    Raises:
        DataError: If nothing is sealed, or a sealed session does not fit.
    """
    defaults = {name: one.default for name, one in inspect.signature(load_sessions).parameters.items()}
    read = _read({**defaults, **settings})
    if not read.split.sealed:
        raise DataError(
            "No session is sealed: there is nothing that the search has not seen.",
            "Launch the search with `--data.test_sessions 1` or more, and enough sessions.",
        )
    n_bins, trials = data.training.spikes.shape[1], []
    notes = [] if data.matching is None else ["Adapted to the unlabelled trials of each sealed session."]
    sealed = [read.sessions[position] for position in read.split.sealed]
    for index, session in enumerate(sealed):
        placed = place_units(session, data.unit_names)
        trials.append(cut_trials(placed.session, n_bins=n_bins, session_index=index))
        if placed.absent:
            notes.append(
                f"{data.sealed_sessions[index]}: {len(placed.absent)} of {len(data.unit_names)} units are absent, so "
                "silent."
            )
    notes += _window_notes(sealed, trials, n_bins * data.bin_width_s)
    digests = tuple(_digest(session) for session in sealed)
    return OpenedTest(concatenate_trials(trials), data.sealed_sessions, digests, tuple(notes))


def _digest(session: SpikeSession) -> str:
    content = np.ascontiguousarray(session.spikes.astype(np.uint32))
    return hashlib.sha256(repr(content.shape).encode() + content.tobytes()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class _Read:
    """Sessions with their split and the settings of `load_sessions`."""

    sessions: tuple[SpikeSession, ...]
    split: SessionSplit
    settings: Mapping[str, Any]


def _read(settings: Mapping[str, Any]) -> _Read:
    """Read or generate sessions and say which are for what.

    Args:
        settings: Every argument of `load_sessions`.
    """
    wanted = {
        name: settings[name] for name in ("validation_sessions", "test_sessions", "min_training_sessions")
    }
    sessions = _generate(settings) if settings["path"] is None else _read_files(settings)
    if settings["leave_one_day_out"]:
        if wanted["validation_sessions"]:
            raise DataError(
                f"`validation_sessions` is {wanted['validation_sessions']}, but each training day is left out once.",
                "Leave out `--data.validation_sessions`, or give `--data.leave_one_day_out false`.",
            )
        wanted["validation_sessions"] = 0
    return _Read(sessions, split_sessions(len(sessions), **wanted), settings)


def _read_files(settings: Mapping[str, Any]) -> tuple[SpikeSession, ...]:
    return read_sessions(
        settings["path"],
        bin_width_s=settings["bin_width_s"],
        behaviour=settings["behaviour"],
        alignment=_alignment(settings),
    )


def _generate(settings: Mapping[str, Any]) -> tuple[SpikeSession, ...]:
    if settings["behaviour"] == "emg":
        raise DataError("Generated sessions hold no emg.", "Give `--data.behaviour position` or `velocity`.")
    shared = ("preset", "n_sessions", "trials_per_session", "n_units", "n_bins")
    generated = generate_sessions(
        **{name: settings[name] for name in shared},
        bin_width_s=settings["generated_bin_width_s"],
        seed=settings["generator_seed"],
        behaviour=settings["behaviour"] or "position",
    )
    aligned = [align_trials(session, _alignment(settings)) for session in generated]
    return tuple(rebin_session(session, settings["bin_width_s"]) for session in aligned)


def _alignment(settings: Mapping[str, Any]) -> Alignment:
    return Alignment(settings["align_to"], settings["window_start_s"])


def _prepare(read: _Read) -> SpikeData:
    """Bring the opened sessions onto one axis and one window. Nothing here looks into a sealed session."""
    sessions, split, settings = read.sessions, read.split, read.settings
    fraction = settings["validation_fraction"]
    names = name_sessions(sessions)
    aligned = align_units([sessions[position] for position in split.opened], settings["units"])
    n_training = len(split.training)
    n_bins = window_bins(aligned.sessions[:n_training], settings["window_s"])
    trials = [
        cut_trials(session, n_bins=n_bins, session_index=index)
        for index, session in enumerate(aligned.sessions)
    ]
    leaves_out = settings["leave_one_day_out"] and n_training >= FEWEST_TO_LEAVE_ONE_OUT
    if leaves_out:
        training = validation = trials
    elif split.validation:
        training, validation = trials[:n_training], trials[n_training:]
    else:
        halves = [
            split_trials(part.target, fraction=fraction, seed=(settings["split_seed"], index))
            for index, part in enumerate(trials)
        ]
        training = [part.select(kept) for part, (kept, _) in zip(trials, halves, strict=True)]
        validation = [part.select(held_out) for part, (_, held_out) in zip(trials, halves, strict=True)]
    first = aligned.sessions[0]
    window = n_bins * first.bin_width_s
    notes = [] if settings["path"] is not None else [_generated_note(settings)]
    if _alignment(settings) != AS_RECORDED:
        notes.append(f"Trials begin {_alignment(settings)}.")
    notes += [note for session in aligned.sessions for note in session.notes]
    notes += aligned.notes
    notes += _window_notes(aligned.sessions, trials, window)
    if settings["match_sessions"]:
        notes.append(
            "Adapted: of each session, the test sessions too, the unlabelled trials are used to match its units."
        )
    notes.append(_split_note(names, split, "each training day in turn" if leaves_out else fraction))
    return SpikeData(
        training=concatenate_trials(training),
        validation=concatenate_trials(validation),
        animal=first.animal,
        bin_width_s=first.bin_width_s,
        behaviour_names=first.behaviour_names,
        unit_names=aligned.names,
        session_names=tuple(names[position] for position in split.opened),
        sealed_sessions=tuple(names[position] for position in split.sealed),
        notes=tuple(notes),
        alignment=_alignment(settings),
        leave_one_day_out=leaves_out,
        matching=average_day([part.spikes for part in training]) if settings["match_sessions"] else None,
    )


def name_sessions(sessions: Sequence[SpikeSession]) -> tuple[str, ...]:
    """Name sessions by their day; the second of a day is `2016-06-26 (2)`."""
    days = [session.date for session in sessions]
    ranks = [days[: position + 1].count(day) for position, day in enumerate(days)]
    return tuple(day if rank == 1 else f"{day} ({rank})" for day, rank in zip(days, ranks, strict=True))


def _generated_note(settings: Mapping[str, Any]) -> str:
    return (
        f"Generated sessions (preset {settings['preset']}, seed {settings['generator_seed']}); `--data.path` reads "
        "recordings."
    )


def _window_notes(
    sessions: Sequence[SpikeSession], trials: Sequence[SpikeTrials], window: float
) -> tuple[str, ...]:
    dropped = sum(session.n_trials - len(part) for session, part in zip(sessions, trials, strict=True))
    total = sum(session.n_trials for session in sessions)
    return (
        (f"{dropped} of {total} trials shorter than the window of {window:g} s left out.",) if dropped else ()
    )


def _split_note(names: Sequence[str], split: SessionSplit, held_out: float | str) -> str:
    """Say who trains, who validates and who is sealed.

    Args:
        names: Of all sessions.
        split: Their positions.
        held_out: What validates where no whole session does: the share of each session's trials, or a description.
    """

    def listed(positions: Sequence[int]) -> str:
        return ", ".join(names[position] for position in positions)

    validation = held_out if isinstance(held_out, str) else f"{held_out:.0%} of each session's trials"
    validation = listed(split.validation) if split.validation else validation
    sealed = f"; sealed: {listed(split.sealed)}" if split.sealed else "; nothing is sealed"
    return f"Training: {listed(split.training)}; validation: {validation}{sealed}."
