"""Trials of equal length, cut from sessions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.session import Counts, Indices, SpikeSession, Traces

FILLED_BY = 0.95
"""Part of the trials that must fill the window that is chosen by default."""


@dataclass(frozen=True, eq=False)
class SpikeTrials:
    """Trials of equal length from one or more sessions.

    Shapes:
        K trials, T bins, N units, D behavioural dimensions.

    Args:
        spikes: Counts per bin, unsigned integers (K, T, N).
        behaviour: Raw unit of the recording, float32 (K, T, D).
        target: Target of each trial, int64 (K,).
        session: Position of each trial's session in the list of session names, int64 (K,).
    """

    spikes: Counts
    behaviour: Traces
    target: Indices
    session: Indices

    def __len__(self) -> int:
        return len(self.spikes)

    def select(self, trials: Indices) -> "SpikeTrials":
        """Trials at these positions, in this order."""
        return SpikeTrials(
            self.spikes[trials], self.behaviour[trials], self.target[trials], self.session[trials]
        )

    def by_session(self) -> dict[int, "SpikeTrials"]:
        """Trials of each session by its position, in the order of the sessions."""
        return {
            one: self.select(np.flatnonzero(self.session == one)) for one in np.unique(self.session).tolist()
        }


def concatenate_trials(parts: Sequence[SpikeTrials]) -> SpikeTrials:
    """Trials of several sessions, one after the other."""
    return SpikeTrials(
        np.concatenate([part.spikes for part in parts]),
        np.concatenate([part.behaviour for part in parts]),
        np.concatenate([part.target for part in parts]),
        np.concatenate([part.session for part in parts]),
    )


def window_bins(sessions: Sequence[SpikeSession], window_s: float | None) -> int:
    """Bins of the window from a trial's first bin on.

    Args:
        sessions: The training sessions, of one bin width.
        window_s: Length of the window, s. Default: the longest that 95 % of the trials fill.

    Raises:
        DataError: If the window is shorter than a bin, or longer than every trial.
    """
    lengths = np.sort(np.concatenate([session.trial_lengths for session in sessions]))
    if window_s is None:
        return int(lengths[int(np.floor((1 - FILLED_BY) * len(lengths) + 1e-9))])
    width = sessions[0].bin_width_s
    n_bins = round(window_s / width)
    if not 1 <= n_bins <= lengths[-1]:
        raise DataError(
            f"A window of {window_s:g} s is {n_bins} bins of {width:g} s; trials have up to {lengths[-1]}.",
            f"Give `--data.window_s` between {width:g} and {lengths[-1] * width:g}, or leave it out.",
        )
    return n_bins


def cut_trials(session: SpikeSession, *, n_bins: int, session_index: int) -> SpikeTrials:
    """First `n_bins` bins of every trial that has as many; shorter trials are left out.

    Raises:
        DataError: If no trial of the session is as long.
    """
    kept = np.flatnonzero(session.trial_lengths >= n_bins)
    if not len(kept):
        longest = int(session.trial_lengths.max()) * session.bin_width_s
        raise DataError(
            f"{session.source}: no trial fills the window of {n_bins * session.bin_width_s:g} s; "
            f"the longest is {longest:g} s.",
            f"Give `--data.window_s {longest:g}` or less, or leave this session out.",
        )
    bins: NDArray[np.int64] = session.trial_start[kept, None] + np.arange(n_bins)  # (K, T)
    return SpikeTrials(
        spikes=session.spikes[bins],
        behaviour=session.behaviour[bins],
        target=session.target[kept],
        session=np.full(len(kept), session_index, dtype=np.int64),
    )
