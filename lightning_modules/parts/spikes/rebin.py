"""Wider bins: spikes are summed, behaviour is averaged, each trial from its own first bin."""

from dataclasses import replace

import numpy as np

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.session import NO_EVENT, Indices, SpikeSession, Traces, as_counts


def rebin_session(session: SpikeSession, bin_width_s: float | None) -> SpikeSession:
    """Combine whole bins of each trial into bins of `bin_width_s`; None or the same width changes nothing.

    What lies between trials is left out, and so are the bins at a trial's end that fill no wider bin: each
    trial becomes its own stretch, aligned to its own first bin.

    Raises:
        DataError: If the width is not a whole multiple of the recorded one, or no trial fills one bin.
    """
    if bin_width_s is None or np.isclose(bin_width_s, session.bin_width_s, rtol=1e-6):
        return session
    factor = _whole_factor(session, bin_width_s)
    lengths = session.trial_lengths // factor
    kept = np.flatnonzero(lengths)
    if not len(kept):
        raise DataError(
            f"{session.source}: no trial is as long as one bin of {bin_width_s:g} s.",
            f"Give a smaller `--data.bin_width_s`; the recording has {session.bin_width_s:g} s.",
        )
    lengths = lengths[kept]
    first = session.trial_start[kept]
    rows = np.concatenate([np.arange(a, a + n * factor) for a, n in zip(first, lengths, strict=True)])
    rows = rows.reshape(-1, factor)
    means: dict[str, Traces] = {
        name: values[rows].mean(axis=1, dtype=np.float64).astype(np.float32)
        for name, values in session.traces().items()
    }
    trial_end = np.cumsum(lengths)
    events = {
        name: _wider(values[kept] - first, lengths=lengths, factor=factor, trial_start=trial_end - lengths)
        for name, values in session.events().items()
    }
    return replace(
        session,
        spikes=as_counts(session.spikes[rows].sum(axis=1, dtype=np.int64), session.source),
        trial_start=trial_end - lengths,
        trial_end=trial_end,
        target=session.target[kept],
        bin_width_s=float(bin_width_s),
        notes=session.notes + _note(session, kept, bin_width_s),
        **means,
        **events,
    )


def _wider(since: Indices, *, lengths: Indices, factor: int, trial_start: Indices) -> Indices:
    """Wider bin of an event, from its bins since the trial's first one; what lies outside is not known any more."""
    bins = since // factor
    return np.where((since >= 0) & (bins < lengths), trial_start + bins, NO_EVENT)


def _whole_factor(session: SpikeSession, bin_width_s: float) -> int:
    factor = round(bin_width_s / session.bin_width_s)
    if factor < 1 or not np.isclose(factor * session.bin_width_s, bin_width_s, rtol=1e-6):
        near = max(factor, 1) * session.bin_width_s
        raise DataError(
            f"{session.source} has bins of {session.bin_width_s:g} s; they do not make up {bin_width_s:g} s.",
            f"Give `--data.bin_width_s` a whole multiple of {session.bin_width_s:g}, such as {near:g}.",
        )
    return factor


def _note(session: SpikeSession, kept: Indices, bin_width_s: float) -> tuple[str, ...]:
    dropped = session.n_trials - len(kept)
    return (
        (f"{session.source}: {dropped} trials shorter than a bin of {bin_width_s:g} s left out.",)
        if dropped
        else ()
    )
