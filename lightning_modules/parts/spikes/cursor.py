"""Continuous cursor signals of an NWB recording: interpolating them, finding unusable samples."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.events import onsets_of
from lightning_modules.parts.spikes.session import NO_EVENT

LARGEST_ACCELERATION = 1500.0
"""Norm in cm/s²; above it the animal struggles, it does not reach (rule of `neuro-galaxy/brainsets`)."""
LARGEST_POSITION = 10.0
"""Distance from the centre along either axis, cm (same rule)."""

Times = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Signal:
    """A continuous signal: ascending times (L,) in s, values (L, D)."""

    times: Times
    values: NDArray[np.float64]

    def at(self, times: Times) -> NDArray[np.float32]:
        """Interpolate linearly; (len(times), D)."""
        columns = [np.interp(times, self.times, column) for column in self.values.T]
        return np.stack(columns, axis=1).astype(np.float32)

    def touches(self, marked: ArrayLike, start: Times, stop: Times) -> NDArray[np.bool_]:
        """Whether any marked sample (L,) lies in each interval [start, stop]."""
        before = np.concatenate([[0], np.cumsum(np.asarray(marked, dtype=np.bool_))])
        first, end = np.searchsorted(self.times, start, "left"), np.searchsorted(self.times, stop, "right")
        return before[end] > before[first]


@dataclass(frozen=True, eq=False)
class Cursor:
    """Position (cm), velocity (cm/s) and, where the file has it, acceleration (cm/s²)."""

    position: Signal
    velocity: Signal
    acceleration: Signal | None

    def is_missing(self, start: Times, stop: Times) -> NDArray[np.bool_]:
        """Whether position or velocity has gaps in each interval, or does not cover it."""
        missing = np.zeros(len(start), dtype=np.bool_)
        for signal in (self.position, self.velocity):
            missing |= (start < signal.times[0]) | (stop > signal.times[-1])
            missing |= signal.touches(~np.isfinite(signal.values).all(axis=1), start, stop)
        return missing

    def is_outlier(self, start: Times, stop: Times) -> NDArray[np.bool_]:
        """Whether the cursor leaves the workspace or is torn away in each interval."""
        far = (np.abs(self.position.values) > LARGEST_POSITION).any(axis=1)
        outlier = self.position.touches(far, start, stop)
        if self.acceleration is not None:
            torn = np.linalg.norm(self.acceleration.values, axis=1) > LARGEST_ACCELERATION
            outlier |= self.acceleration.touches(torn, start, stop)
        return outlier

    def onsets(self, start: Times, stop: Times) -> Times:
        """Time of the first movement in each interval, s; NaN where there is none or the velocity has gaps."""
        speed = np.linalg.norm(self.velocity.values, axis=1)
        found = np.full(len(start), np.nan)
        usable = np.flatnonzero(np.isfinite(start + stop))
        usable = usable[(start[usable] < stop[usable]) & ~self.is_missing(start[usable], stop[usable])]
        if not len(usable):
            return found
        first = np.searchsorted(self.velocity.times, start[usable], "left")
        end = np.searchsorted(self.velocity.times, stop[usable], "right")
        onsets = onsets_of([speed[a:b] for a, b in zip(first, end, strict=True)])
        moves = onsets != NO_EVENT
        found[usable[moves]] = self.velocity.times[(first + onsets)[moves]]
        return found


def read_cursor(nwb: Any, source: str) -> Cursor:
    """Read the cursor of an NWB file with the names of DANDI 000688.

    Raises:
        DataError: If position or velocity is missing.
    """
    signals = {name: _read_signal(nwb, name, source) for name in ("position", "velocity", "acceleration")}
    position, velocity = signals["position"], signals["velocity"]
    if position is None or velocity is None:
        lacking = ", ".join(name for name in ("position", "velocity") if signals[name] is None)
        raise DataError(
            f"{source} holds no cursor {lacking} (`processing/behavior/Position/cursor_pos`, "
            "`processing/behavior/Velocity/cursor_vel`).",
            "Use a file of DANDI 000688, or convert the session to .npz.",
        )
    return Cursor(position, velocity, signals["acceleration"])


def _read_signal(nwb: Any, name: str, source: str) -> Signal | None:
    try:
        series = nwb.processing["behavior"][name.capitalize()][f"cursor_{name[:3]}"]
    except KeyError:
        return None
    values = np.asarray(series.data[:], dtype=np.float64)
    if series.timestamps is None:
        times = series.starting_time + np.arange(len(values)) / series.rate
    else:
        times = np.asarray(series.timestamps[:], dtype=np.float64)
    if values.ndim != 2 or len(times) != len(values) or not len(times):
        raise DataError(
            f"{source}: the cursor's {name} has shape {values.shape} for {len(times)} time stamps.",
            "Use a file of DANDI 000688, or convert the session to .npz.",
        )
    # Some files repeat time stamps, which would make interpolation ambiguous.
    times, first = np.unique(times, return_index=True)
    return Signal(times, values[first])
