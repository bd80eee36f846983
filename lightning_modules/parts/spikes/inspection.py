"""What recordings hold, what they lack, and what that rules out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import get_args

import numpy as np

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.events import find_onsets
from lightning_modules.parts.spikes.reader import disagreements
from lightning_modules.parts.spikes.session import NO_EVENT, SpikeSession, Traces, bins_in_trials
from lightning_modules.parts.spikes.splits import SessionSplit, split_sessions
from lightning_modules.parts.spikes.units import UnitMode, align_units
from lightning_modules.parts.spikes.windows import window_bins

FEW_TRIALS = 5
"""With a fifth of the trials held out, a target with fewer trials need not be among them."""


@dataclass(frozen=True)
class Finding:
    """Something that recordings lack, and what it rules out or how it is mended."""

    problem: str
    consequence: str


@dataclass(frozen=True)
class TraceFacts:
    """Range of a continuous signal within trials, in the unit of the recording."""

    name: str
    lowest: float
    highest: float


@dataclass(frozen=True)
class SessionFacts:
    """What one recording day holds.

    Args:
        source: Its file.
        animal: Who was recorded.
        date: Day, ISO 8601.
        n_bins: Bins in all.
        bin_width_s: Width of a bin, s.
        n_units: Units.
        n_electrodes: Electrodes with a unit; None if the session does not know them.
        units_matched: Whether the session says that its units are those of the other days.
        mean_rates_hz: Mean rate of each unit over all bins, Hz.
        behaviour: What is decoded, dimension by dimension.
        has_position: Whether the position was recorded besides.
        emg_names: Muscles, if any.
        targets: Trials of each target.
        trial_s: Length of each trial, s.
        go_cues: Trials with a go cue; None if none is recorded.
        onsets: Trials with a recorded movement onset; None if none is recorded.
        onsets_from_speed: Trials in which the speed shows a movement onset.
        notes: What the reader left out.
    """

    source: str
    animal: str
    date: str
    n_bins: int
    bin_width_s: float
    n_units: int
    n_electrodes: int | None
    units_matched: bool
    mean_rates_hz: tuple[float, ...]
    behaviour: tuple[TraceFacts, ...]
    has_position: bool
    emg_names: tuple[str, ...]
    targets: tuple[tuple[int, int], ...]
    trial_s: tuple[float, ...]
    go_cues: int | None
    onsets: int | None
    onsets_from_speed: int
    notes: tuple[str, ...]

    @property
    def n_trials(self) -> int:
        """Trials."""
        return len(self.trial_s)

    @property
    def silent_units(self) -> int:
        """Units without a spike."""
        return sum(rate == 0 for rate in self.mean_rates_hz)


@dataclass(frozen=True)
class ModeFacts:
    """Whether the sessions' units can be brought onto one axis in one way.

    Args:
        mode: See `align_units`.
        n_columns: Input columns that come of it; None if it does not work.
        automatic: Whether `auto` takes it.
        notes: What to know about it, or why it does not work.
    """

    mode: UnitMode
    n_columns: int | None
    automatic: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class RecordingFacts:
    """What the sessions of one animal hold together.

    Args:
        sessions: Each of them, by date.
        modes: The ways to bring units onto one axis.
        split: Who trains, validates and is sealed by default; None if they are too few.
        window_bins: T by default.
        findings: What is missing.
    """

    sessions: tuple[SessionFacts, ...]
    modes: tuple[ModeFacts, ...]
    split: SessionSplit | None
    window_bins: int
    findings: tuple[Finding, ...]


def describe_session(session: SpikeSession) -> SessionFacts:
    """Count and measure one session."""
    targets, counts = np.unique(session.target, return_counts=True)
    rates = session.spikes.mean(axis=0, dtype=np.float64) / session.bin_width_s
    return SessionFacts(
        source=session.source,
        animal=session.animal,
        date=session.date,
        n_bins=len(session.spikes),
        bin_width_s=session.bin_width_s,
        n_units=session.n_units,
        n_electrodes=None if session.electrodes is None else len(np.unique(session.electrodes)),
        units_matched=session.units_matched_across_sessions,
        mean_rates_hz=tuple(rates.tolist()),
        behaviour=_ranges(session.behaviour, session),
        has_position=session.position is not None,
        emg_names=session.emg_names,
        targets=tuple(zip(targets.tolist(), counts.tolist(), strict=True)),
        trial_s=tuple((session.trial_lengths * session.bin_width_s).tolist()),
        go_cues=_known(session.go_cue),
        onsets=_known(session.movement_onset),
        onsets_from_speed=int((find_onsets(session) != NO_EVENT).sum()),
        notes=session.notes,
    )


def describe_recordings(sessions: Sequence[SpikeSession]) -> RecordingFacts:
    """Describe sessions by themselves and together.

    Args:
        sessions: At least one, by date.
    """
    facts = tuple(describe_session(session) for session in sessions)
    try:
        split = split_sessions(len(sessions))
    except DataError:
        split = None
    training = [sessions[position] for position in split.training] if split else list(sessions)
    modes = _modes(sessions)
    findings = chain(
        (Finding(error.problem, error.remedy) for error in disagreements(sessions)),
        _about_days(facts, split),
        _about_units(modes),
        _about_targets(facts),
        _about_events(facts),
        _about_behaviour(facts),
    )
    return RecordingFacts(facts, modes, split, window_bins(training, None), tuple(findings))


def _ranges(traces: Traces, session: SpikeSession) -> tuple[TraceFacts, ...]:
    inside = traces[bins_in_trials(session)]
    ranges = zip(
        session.behaviour_names, inside.min(axis=0).tolist(), inside.max(axis=0).tolist(), strict=True
    )
    return tuple(TraceFacts(name, low, high) for name, low, high in ranges)


def _known(events: np.ndarray | None) -> int | None:
    return None if events is None else int((events != NO_EVENT).sum())


def _modes(sessions: Sequence[SpikeSession]) -> tuple[ModeFacts, ...]:
    names = align_units(sessions, "auto").names
    found = []
    for mode in get_args(UnitMode):
        if mode == "auto":
            continue
        try:
            aligned = align_units(sessions, mode)
        except DataError as error:
            found.append(ModeFacts(mode, None, False, (error.problem,)))
        else:
            found.append(ModeFacts(mode, len(aligned.names), aligned.names == names, aligned.notes))
    return tuple(found)


def _about_days(facts: Sequence[SessionFacts], split: SessionSplit | None) -> Iterator[Finding]:
    if split is None:
        yield Finding(
            f"{len(facts)} session{'s' * (len(facts) > 1)} only.",
            "No day can be held out, and a reversed gradient or a session classifier, which need two days to train "
            "on, cannot be trained: `--model.variant no_reversal --data.min_training_sessions 1`.",
        )
    elif not split.sealed:
        yield Finding(
            f"{len(facts)} sessions only.",
            "By default no day is sealed and trials, not days, are held out: no score says how a later day is decoded.",
        )


def _about_units(modes: Sequence[ModeFacts]) -> Iterator[Finding]:
    if [mode.mode for mode in modes if mode.n_columns] == ["padded"]:
        yield Finding(
            "The units are neither matched across sessions nor known by electrode.",
            "`--data.units matched` and `channel` are ruled out; with `padded`, expect decoding of unseen days near "
            "chance without supervised alignment.",
        )


def _about_targets(facts: Sequence[SessionFacts]) -> Iterator[Finding]:
    everywhere = {target for one in facts for target, _ in one.targets}
    if len(everywhere) == 1:
        yield Finding(
            "All trials have one target.",
            "Target probes, within-target R² and alignment by condition are ruled out.",
        )
    for one in facts:
        missing = sorted(everywhere - {target for target, _ in one.targets})
        if missing:
            yield Finding(
                f"{one.source}: no trial of {_listed_targets(missing)}.",
                "Alignment by condition (CCA on matched targets) cannot use it.",
            )
        few = [target for target, count in one.targets if count < FEW_TRIALS]
        if few:
            yield Finding(
                f"{one.source}: fewer than {FEW_TRIALS} trials of {_listed_targets(few)}.",
                "Held-out trials need not hold it, and scores within the target rest on next to nothing.",
            )


def _listed_targets(targets: Sequence[int]) -> str:
    return f"target{'s' * (len(targets) > 1)} {', '.join(str(target) for target in targets)}"


def _about_events(facts: Sequence[SessionFacts]) -> Iterator[Finding]:
    without_cue = [one.source for one in facts if not one.go_cues]
    if without_cue:
        yield Finding(
            f"No go cue in {', '.join(without_cue)}.",
            "`--data.align_to go_cue` is ruled out; trials begin at `trial_start`.",
        )
    for one in facts:
        found = one.onsets if one.onsets is not None else one.onsets_from_speed
        if found < one.n_trials:
            yield Finding(
                f"{one.source}: no movement onset in {one.n_trials - found} of {one.n_trials} trials.",
                "`--data.align_to movement_onset` leaves them out.",
            )


def _about_behaviour(facts: Sequence[SessionFacts]) -> Iterator[Finding]:
    for one in facts:
        still = [trace.name for trace in one.behaviour if trace.lowest == trace.highest]
        if still:
            yield Finding(
                f"{one.source}: {', '.join(still)} never changes.",
                "It cannot be decoded, and R² of that dimension is not defined.",
            )
