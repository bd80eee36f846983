"""Go cue and movement onset: where they are, and trials that begin at one of them.

Movement onset follows PyalData's `get_movement_onset` (the last sample before the acceleration's first peak
with less than half of that peak), without its thresholds in cm/s, so that force serves as well: the first peak
of at least half the largest counts, and no trial is searched for a fixed speed instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import find_peaks

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.session import NO_EVENT, Indices, SpikeSession

EventName = Literal["start", "go_cue", "movement_onset"]

STILL = 0.2
"""A trial whose speed stays below this part of the session's median peak does not move."""
UNDER_WAY = 0.5
"""An onset at more than this part of the trial's peak speed is no onset: the trial began in mid-movement."""


@dataclass(frozen=True)
class Alignment:
    """Where a trial begins.

    Args:
        to: `start`, the first bin of the trial as recorded; `go_cue`; or `movement_onset`.
        start_s: From that event to the trial's first bin, s; negative before it.

    Raises:
        DataError: If the event is not known, or `start_s` is not finite or before the recorded start.
    """

    to: EventName = "start"
    start_s: float = 0.0

    def __post_init__(self) -> None:
        if self.to not in get_args(EventName):
            raise DataError(
                f"`align_to` is {self.to!r}.",
                f"Give `--data.align_to` one of {', '.join(get_args(EventName))}.",
            )
        if not np.isfinite(self.start_s) or (self.to == "start" and self.start_s < 0):
            raise DataError(
                f"`window_start_s` is {self.start_s:g}, but a trial aligned to `{self.to}` has no bins there.",
                "Give `--data.window_start_s` 0 or more, or `--data.align_to go_cue` or `movement_onset` with a "
                "negative one.",
            )

    def __str__(self) -> str:
        side = "after" if self.start_s > 0 else "before"
        offset = f"{abs(self.start_s):g} s {side} " if self.start_s else ""
        return f"{offset}{'its' if self.to == 'start' else 'the'} {self.to.replace('_', ' ')}"


AS_RECORDED = Alignment()


def onset_of(speed: ArrayLike) -> int:
    """Sample at which movement begins in one trial.

    Args:
        speed: From the go cue on, at equal steps, in any unit, (T,).

    Returns:
        Position of the last sample before the rise of the speed; `NO_EVENT` without a rise, or where the trial
        begins in mid-movement.
    """
    speed = np.asarray(speed, dtype=np.float64)
    rise = np.diff(speed, prepend=speed[:1])
    # A rise that ends with the trial is a peak too.
    peaks, _ = find_peaks(np.append(rise, -np.inf))
    if not len(peaks) or rise[peaks].max() <= 0:
        return NO_EVENT
    peak = peaks[rise[peaks] >= rise[peaks].max() / 2][0]
    onset = int(np.flatnonzero(rise[:peak] < rise[peak] / 2)[-1])
    return onset if speed[onset] <= UNDER_WAY * speed.max() else NO_EVENT


def onsets_of(speeds: Sequence[NDArray[np.floating]]) -> Indices:
    """Onset within each trial, `NO_EVENT` where it does not move; see `onset_of`."""
    peaks = np.array([speed.max(initial=0.0) for speed in speeds])
    moves = peaks >= STILL * np.median(peaks)
    return np.array(
        [onset_of(speed) if ok else NO_EVENT for speed, ok in zip(speeds, moves, strict=True)], dtype=np.int64
    )


def find_onsets(session: SpikeSession) -> Indices:
    """First bin of movement of each trial on the session's clock, from its speed after the go cue, (K,).

    The speed is the norm of a behaviour called velocity, or else of the change of position, or else of the
    change of the behaviour.
    """
    first = session.trial_start
    if session.go_cue is not None:
        first = np.maximum(first, session.go_cue)
    spans = list(zip(first, np.maximum(first, session.trial_end), strict=True))
    onsets = onsets_of([_speed(session, slice(start, end)) for start, end in spans])
    return np.where(onsets == NO_EVENT, NO_EVENT, first + onsets)


def align_trials(session: SpikeSession, alignment: Alignment) -> SpikeSession:
    """Let trials begin at an event, at the nearest whole bin; those that do not reach back to it are left out.

    Raises:
        DataError: If the session does not know the event, or no trial is left.
    """
    if alignment == AS_RECORDED:
        return session
    event, notes = _event(session, alignment)
    start = event + round(alignment.start_s / session.bin_width_s)
    kept = np.flatnonzero((event != NO_EVENT) & (start >= session.trial_start) & (start < session.trial_end))
    if not len(kept):
        raise DataError(
            f"{session.source}: none of {session.n_trials} trials has a bin {alignment}; "
            f"{int((event == NO_EVENT).sum())} lack the event.",
            "Give `--data.window_start_s` nearer to 0, or `--data.align_to start`.",
        )
    if len(kept) < session.n_trials:
        dropped = session.n_trials - len(kept)
        notes += (
            f"{session.source}: {dropped} of {session.n_trials} trials without a bin {alignment} left out.",
        )
    return replace(keep_trials(session, kept), trial_start=start[kept], notes=session.notes + notes)


def keep_trials(session: SpikeSession, kept: Indices) -> SpikeSession:
    """The session with the trials at these positions; all bins stay."""
    events = {name: values[kept] for name, values in session.events().items()}
    return replace(
        session,
        trial_start=session.trial_start[kept],
        trial_end=session.trial_end[kept],
        target=session.target[kept],
        **events,
    )


def onset_note(source: str, found: NDArray[np.bool_]) -> str:
    """Say that movement onset was not recorded, but found in some of the trials."""
    return f"{source}: movement onset computed from the speed, in {found.sum()} of {len(found)} trials."


def _event(session: SpikeSession, alignment: Alignment) -> tuple[Indices, tuple[str, ...]]:
    if alignment.to == "start":
        return session.trial_start, ()
    recorded = session.events().get(alignment.to)
    if recorded is not None:
        return recorded, ()
    if alignment.to == "movement_onset":
        onsets = find_onsets(session)
        return onsets, (onset_note(session.source, onsets != NO_EVENT),)
    raise DataError(
        f"{session.source} does not say when the go cue was.",
        "Add `go_cue`, its bin in each trial, to the session, or leave out `--data.align_to go_cue`: trials then "
        "begin at `trial_start`.",
    )


def _speed(session: SpikeSession, bins: slice) -> NDArray[np.float64]:
    """Speed in one trial, up to a constant factor."""
    if session.behaviour_names[0].startswith("velocity"):
        return np.linalg.norm(session.behaviour[bins].astype(np.float64), axis=1)
    trace = session.behaviour if session.position is None else session.position
    steps = np.linalg.norm(np.diff(trace[bins].astype(np.float64), axis=0), axis=1)
    # The first bin repeats the first step: a step of nothing there would look like a trial that begins at rest.
    return np.concatenate([steps[:1], steps])
