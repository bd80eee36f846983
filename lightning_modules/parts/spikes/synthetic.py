"""Generated sessions of centre-out reaches with a known truth, their drift calibrated to recordings.

One rule turns reaches into ten latents on every day, the stable manifold; what changes from day to day is how
units read it out. Parameters and what linear decoders reach on them: section 7 of the project's SABLE
specification, compared there with the LINK recordings (253 days of one monkey).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.reaches import N_LATENTS, N_TARGETS, Reaches, draw_reaches, latents_of
from lightning_modules.parts.spikes.session import (
    NO_EVENT,
    BehaviourName,
    SpikeSession,
    as_counts,
    select_behaviour,
)
from lightning_modules.parts.spikes.splits import split_sessions
from lightning_modules.parts.spikes.trial_table import trial_bounds

Preset = Literal["none", "default", "strong", "exchangeable", "confounded"]

HIGHEST_RATE = 120.0
"""Spikes/s."""
FIRST_DAY = date(2025, 1, 1)
DIRICHLET = 0.35
"""Concentration of the target frequencies of a confounded day: few targets make up most of its trials."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Drift:
    """How units change from day to day.

    Args:
        turnover: Probability that a channel records a new unit from now on.
        gain_step: Standard deviation of the walk of the log gain per day.
        baseline_step: Standard deviation of the walk of the log rate per day.
        direction_step: Standard deviation of the walk of the preferred direction per day, degrees.
        dead: Probability that a channel is silent on a day.
        common: Standard deviation of the log rate that all units share on a day.
        day_baseline: Standard deviation of a log rate drawn anew each day.
        day_gain: Standard deviation of a log gain drawn anew each day.
        day_direction: Standard deviation of a preferred direction drawn anew each day, degrees.
    """

    turnover: float = 0.0
    gain_step: float = 0.0
    baseline_step: float = 0.0
    direction_step: float = 0.0
    dead: float = 0.0
    common: float = 0.0
    day_baseline: float = 0.0
    day_gain: float = 0.0
    day_direction: float = 0.0


_EXCHANGEABLE = Drift(0.04, 0.05, 0.05, 4.0, 0.04, 0.15, 0.5, 0.3, 20.0)

PRESETS: Mapping[Preset, Drift] = {
    "none": Drift(),
    "default": Drift(0.12, 0.12, 0.15, 10.0, 0.02, 0.08),
    "strong": Drift(0.22, 0.20, 0.30, 14.0, 0.04, 0.15),
    "exchangeable": _EXCHANGEABLE,
    "confounded": _EXCHANGEABLE,
}


@dataclass(frozen=True, eq=False)
class DayTruth:
    """What a session was generated from.

    Args:
        reaches: Parameters of each trial's movement.
        latents: (K, T, 10).
        loadings: Read-out of the latents by each unit on that day, (N, 10).
        log_rates: Log of the rate in spikes/s at latents of zero, (N,).
        replaced: Whether the channel records a new unit since the day before, (N,).
        alive: Whether the channel records anything that day, (N,).
        rates: Spikes/s, (K, T, N).
    """

    reaches: Reaches
    latents: Array
    loadings: Array
    log_rates: Array
    replaced: NDArray[np.bool_]
    alive: NDArray[np.bool_]
    rates: Array


@dataclass(frozen=True, eq=False)
class GeneratedRecording:
    """Sessions on consecutive days, and the truth of each."""

    sessions: tuple[SpikeSession, ...]
    truth: tuple[DayTruth, ...]


def generate_sessions(
    *,
    preset: Preset = "default",
    n_sessions: int = 8,
    trials_per_session: int = 160,
    n_units: int = 96,
    n_bins: int = 36,
    bin_width_s: float = 0.02,
    seed: int = 0,
    behaviour: BehaviourName = "position",
) -> tuple[SpikeSession, ...]:
    """Generate recording days of one animal; see `generate_recording`."""
    return generate_recording(
        preset=preset,
        n_sessions=n_sessions,
        trials_per_session=trials_per_session,
        n_units=n_units,
        n_bins=n_bins,
        bin_width_s=bin_width_s,
        seed=seed,
        behaviour=behaviour,
    ).sessions


def generate_recording(
    *,
    preset: Preset = "default",
    n_sessions: int = 8,
    trials_per_session: int = 160,
    n_units: int = 96,
    n_bins: int = 36,
    bin_width_s: float = 0.02,
    seed: int = 0,
    behaviour: BehaviourName = "position",
) -> GeneratedRecording:
    """Generate recording days of one animal with their truth.

    The same seed gives the same reaches in all presets but `confounded`, the same units on the first day up
    to effects that are redrawn daily, and the same first days however many follow.

    Args:
        preset: Drift from day to day: `none`; `default`, slow and cumulative; `strong`, which makes sessions
            linearly separable; `exchangeable`, redrawn every day, so that many days teach what to ignore;
            `confounded`, exchangeable with other target frequencies on each day except the last two (of four
            or more), which are those that validate and stay sealed by default.
        n_sessions: Days.
        trials_per_session: Trials a day; targets are equally frequent unless confounded.
        n_units: Channels.
        n_bins: Bins of a trial, from the go cue on.
        bin_width_s: Width of a bin, s.
        seed: Seed of everything.
        behaviour: Hand `position` (cm) or `velocity` (cm/s).

    Raises:
        DataError: If a size is not positive or the preset is not known.
    """
    _check_arguments(preset, behaviour, (n_sessions, trials_per_session, n_units, n_bins, bin_width_s))
    streams = [
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3 * n_sessions + 1)
    ]
    times = (np.arange(n_bins, dtype=np.float64) + 0.5) * bin_width_s
    confounded = (
        split_sessions(n_sessions, min_training_sessions=1).training if preset == "confounded" else ()
    )
    units = _draw_units(streams[0], n_units)
    sessions, truth = [], []
    for day in range(n_sessions):
        movement, drift, spiking = streams[3 * day + 1 : 3 * day + 4]
        replaced = np.zeros(n_units, dtype=np.bool_)
        if day > 0:
            units, replaced = _next_day(units, PRESETS[preset], drift)
        frequencies = movement.dirichlet(np.full(N_TARGETS, DIRICHLET)) if day in confounded else None
        reaches = draw_reaches(movement, trials_per_session, frequencies)
        latents = latents_of(reaches, times, bin_width_s=bin_width_s, generator=movement)
        truth.append(
            _read_out(units, PRESETS[preset], drift, reaches=reaches, latents=latents, replaced=replaced)
        )
        counts = spiking.poisson(truth[-1].rates * bin_width_s)
        session = _session(counts, reaches, times=times, bin_width_s=bin_width_s, day=day)
        sessions.append(replace(session, source=f"generated {session.date} (preset {preset}, seed {seed})"))
    return GeneratedRecording(tuple(select_behaviour(one, behaviour) for one in sessions), tuple(truth))


def _check_arguments(preset: str, behaviour: str, sizes: tuple[float, ...]) -> None:
    if preset not in PRESETS:
        raise DataError(f"There is no preset {preset!r}.", f"Give one of {', '.join(get_args(Preset))}.")
    if behaviour not in ("position", "velocity"):
        raise DataError(
            f"Generated sessions hold no {behaviour}.", "Give `--data.behaviour position` or `velocity`."
        )
    if min(sizes) <= 0:
        raise DataError(
            "Sessions, trials, units, bins and bin width must be positive, but are "
            f"{', '.join(map(str, sizes))}.",
            "Raise the one that is not.",
        )


@dataclass(frozen=True, eq=False)
class _Units:
    """State of the channels that carries over to the next day."""

    loadings: Array
    """(N, 10)"""
    log_rates: Array
    gain: Array
    baseline: Array
    direction: Array
    """Radians, as the two other walks (N,)."""


def _draw_units(generator: np.random.Generator, n_units: int) -> _Units:
    loadings = generator.normal(0, 0.45, (n_units, N_LATENTS)) * generator.gamma(2, 0.5, (n_units, 1))
    loadings[:, 7] = np.abs(loadings[:, 7])
    loadings[:, 8:] *= 0.6
    log_rates = generator.normal(np.log(10), 0.6, n_units)
    return _Units(loadings, log_rates, *np.zeros((3, n_units)))


def _next_day(
    units: _Units, drift: Drift, generator: np.random.Generator
) -> tuple[_Units, NDArray[np.bool_]]:
    n_units = len(units.gain)
    replaced = generator.random(n_units) < drift.turnover
    fresh = _draw_units(generator, n_units)
    steps = generator.normal(size=(3, n_units))
    walks = (
        units.gain + drift.gain_step * steps[0],
        units.baseline + drift.baseline_step * steps[1],
        units.direction + np.deg2rad(drift.direction_step) * steps[2],
    )
    after = _Units(
        np.where(replaced[:, None], fresh.loadings, units.loadings),
        np.where(replaced, fresh.log_rates, units.log_rates),
        *(np.where(replaced, 0.0, walk) for walk in walks),
    )
    return after, replaced


def _read_out(
    units: _Units,
    drift: Drift,
    generator: np.random.Generator,
    *,
    reaches: Reaches,
    latents: Array,
    replaced: NDArray[np.bool_],
) -> DayTruth:
    """Rates of the day: min(exp(e^gain R(direction) C · latents + log rate), 120)."""
    n_units = len(units.gain)
    day_baseline, day_gain, day_direction = generator.normal(size=(3, n_units))
    gain = units.gain + drift.day_gain * day_gain
    direction = units.direction + np.deg2rad(drift.day_direction) * day_direction
    loadings = np.exp(gain)[:, None] * rotate_loadings(units.loadings, direction)
    log_rates = units.log_rates + units.baseline + drift.day_baseline * day_baseline
    log_rates = log_rates + drift.common * generator.normal()
    alive = generator.random(n_units) >= drift.dead
    rates = np.minimum(np.exp(latents @ loadings.T + log_rates), HIGHEST_RATE) * alive
    return DayTruth(reaches, latents, loadings, log_rates, replaced, alive, rates)


def rotate_loadings(loadings: Array, angle: Array) -> Array:
    """Turn each unit's preferred direction by `angle` (N,), in every plane that carries direction.

    The second plane's phase runs at twice the direction, so it turns by twice the angle.
    """
    turned = loadings.copy()
    for first, multiple in ((0, 1), (2, 2), (4, 1), (8, 1)):
        cos, sin = np.cos(multiple * angle), np.sin(multiple * angle)
        x, y = loadings[:, first], loadings[:, first + 1]
        turned[:, first], turned[:, first + 1] = cos * x - sin * y, sin * x + cos * y
    return turned


def _session(
    counts: NDArray[np.int64], reaches: Reaches, *, times: Array, bin_width_s: float, day: int
) -> SpikeSession:
    n_trials, n_bins, n_units = counts.shape
    position = reaches.position(times).reshape(-1, 2).astype(np.float32)
    start, end = trial_bounds(np.full(n_trials, n_bins, dtype=np.int64))
    onset = np.floor(reaches.reaction_s / bin_width_s).astype(np.int64)
    return SpikeSession(
        spikes=as_counts(counts.reshape(-1, n_units), "generated"),
        behaviour=reaches.velocity(times).reshape(-1, 2).astype(np.float32),
        behaviour_names=("velocity_x", "velocity_y"),
        trial_start=start,
        trial_end=end,
        target=reaches.target,
        bin_width_s=bin_width_s,
        unit_ids=np.arange(n_units),
        animal="generated",
        date=(FIRST_DAY + timedelta(days=day)).isoformat(),
        units_matched_across_sessions=True,
        position=position,
        go_cue=start,
        movement_onset=np.where(onset < n_bins, start + onset, NO_EVENT),
    )
