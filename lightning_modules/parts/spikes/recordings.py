"""Recordings of a sweep: sessions read or generated, split and sealed once. Without torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.reader import read_sessions
from lightning_modules.parts.spikes.rebin import rebin_session
from lightning_modules.parts.spikes.session import SpikeSession
from lightning_modules.parts.spikes.splits import SessionSplit, split_sessions, split_trials
from lightning_modules.parts.spikes.synthetic import generate_sessions
from lightning_modules.parts.spikes.units import align_units
from lightning_modules.parts.spikes.windows import (
    SpikeTrials,
    concatenate_trials,
    cut_trials,
    window_bins,
)


@dataclass(frozen=True, eq=False)
class SpikeData:
    """What a search may see: trials to train on and to validate with. Sealed sessions are named, not held.

    Args:
        training: Trials (K, T, N) and (K, T, D); their `session` counts along `session_names`.
        validation: Trials of later sessions or held-out trials, never a training trial.
        bin_width_s: Width of a bin, s.
        behaviour_names: Names of the D behavioural dimensions.
        unit_names: Names of the N input columns.
        session_names: Days of the opened sessions, in order.
        sealed_sessions: Days of the sessions that no search opens.
        notes: What was left out and what to know, in sentences for the user.
    """

    training: SpikeTrials
    validation: SpikeTrials
    bin_width_s: float
    behaviour_names: tuple[str, ...]
    unit_names: tuple[str, ...]
    session_names: tuple[str, ...]
    sealed_sessions: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def splits(self) -> dict[str, SpikeTrials]:
        """The opened splits by name."""
        return {"training": self.training, "validation": self.validation}


def load_sessions(
    *,
    path: str | None = None,
    bin_width_s: float | None = None,
    window_s: float | None = None,
    units: Literal["auto", "matched", "padded", "channel"] = "auto",
    behaviour: Literal["velocity", "position", "emg"] | None = None,
    validation_sessions: int | None = None,
    test_sessions: int | None = None,
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
        units: Common input columns: `matched` keeps the units that recur in every session, `channel` sums the
            units of each electrode, `padded` keeps the files' order and pads. `auto` takes the first of
            `matched`, `channel`, `padded` that the sessions allow.
        behaviour: What is decoded. Default: what an `.npz` file calls `behaviour`, velocity from `.nwb` and
            `.mat`, position from generated sessions.
        validation_sessions: Whole days for validation; 0 holds out trials instead. Default: 1 from four
            sessions on.
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
    if path is not None:
        sessions = read_sessions(path, bin_width_s=bin_width_s, behaviour=behaviour)
    else:
        if behaviour == "emg":
            raise DataError(
                "Generated sessions hold no emg.", "Give `--data.behaviour position` or `velocity`."
            )
        generated = generate_sessions(
            preset=preset,
            n_sessions=n_sessions,
            trials_per_session=trials_per_session,
            n_units=n_units,
            n_bins=n_bins,
            bin_width_s=generated_bin_width_s,
            seed=generator_seed,
            behaviour=behaviour or "position",
        )
        sessions = tuple(rebin_session(session, bin_width_s) for session in generated)
    split = split_sessions(
        len(sessions),
        validation_sessions=validation_sessions,
        test_sessions=test_sessions,
        min_training_sessions=min_training_sessions,
    )
    data = _prepare(
        sessions, split, units=units, window_s=window_s, fraction=validation_fraction, split_seed=split_seed
    )
    if path is not None:
        return data
    note = f"Generated sessions (preset {preset}, seed {generator_seed}); `--data.path` reads recordings."
    return replace(data, notes=(note, *data.notes))


def _prepare(
    sessions: Sequence[SpikeSession],
    split: SessionSplit,
    *,
    units: Literal["auto", "matched", "padded", "channel"],
    window_s: float | None,
    fraction: float,
    split_seed: int,
) -> SpikeData:
    """Bring the opened sessions onto one axis and one window. Nothing here looks into a sealed session."""
    names = name_sessions(sessions)
    aligned = align_units([sessions[position] for position in split.opened], units)
    n_training = len(split.training)
    n_bins = window_bins(aligned.sessions[:n_training], window_s)
    trials = [
        cut_trials(session, n_bins=n_bins, session_index=index)
        for index, session in enumerate(aligned.sessions)
    ]
    if split.validation:
        training, validation = trials[:n_training], trials[n_training:]
    else:
        halves = [
            split_trials(part.target, fraction=fraction, seed=(split_seed, index))
            for index, part in enumerate(trials)
        ]
        training = [part.select(kept) for part, (kept, _) in zip(trials, halves, strict=True)]
        validation = [part.select(held_out) for part, (_, held_out) in zip(trials, halves, strict=True)]
    first = aligned.sessions[0]
    window = n_bins * first.bin_width_s
    notes = [note for session in aligned.sessions for note in session.notes]
    notes += aligned.notes
    notes += _window_notes(aligned.sessions, trials, window)
    notes.append(_split_note(names, split, fraction))
    return SpikeData(
        training=concatenate_trials(training),
        validation=concatenate_trials(validation),
        bin_width_s=first.bin_width_s,
        behaviour_names=first.behaviour_names,
        unit_names=aligned.names,
        session_names=tuple(names[position] for position in split.opened),
        sealed_sessions=tuple(names[position] for position in split.sealed),
        notes=tuple(notes),
    )


def name_sessions(sessions: Sequence[SpikeSession]) -> tuple[str, ...]:
    """Name sessions by their day; the second of a day is `2016-06-26 (2)`."""
    days = [session.date for session in sessions]
    ranks = [days[: position + 1].count(day) for position, day in enumerate(days)]
    return tuple(day if rank == 1 else f"{day} ({rank})" for day, rank in zip(days, ranks, strict=True))


def _window_notes(
    sessions: Sequence[SpikeSession], trials: Sequence[SpikeTrials], window: float
) -> tuple[str, ...]:
    dropped = sum(session.n_trials - len(part) for session, part in zip(sessions, trials, strict=True))
    total = sum(session.n_trials for session in sessions)
    return (
        (f"{dropped} of {total} trials shorter than the window of {window:g} s left out.",) if dropped else ()
    )


def _split_note(names: Sequence[str], split: SessionSplit, fraction: float) -> str:
    def listed(positions: Sequence[int]) -> str:
        return ", ".join(names[position] for position in positions)

    validation = listed(split.validation) if split.validation else f"{fraction:.0%} of each session's trials"
    sealed = f"; sealed: {listed(split.sealed)}" if split.sealed else "; nothing is sealed"
    return f"Training: {listed(split.training)}; validation: {validation}{sealed}."
