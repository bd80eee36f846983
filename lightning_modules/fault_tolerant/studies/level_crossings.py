"""Crossings of the levels' curves: with a bare neuron, with each other, and what follows of a threshold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lightning_modules.fault_tolerant.estimates.crossings import (
    Crossing,
    ErrorCurve,
    claim_threshold,
    find_crossing,
)
from lightning_modules.fault_tolerant.estimates.error_estimate import CONFIDENCE, z_of
from lightning_modules.fault_tolerant.theory.concatenation import extrapolate
from lightning_modules.fault_tolerant.theory.published_figure import THRESHOLD
from lightning_modules.parts.errors import DataError

NEAR = 5
"""Points next to a crossing of two levels on which its line is laid, unless the scanned ones show it."""
NEAR_BARE = 3
"""The same of a level and a bare neuron, whose ratio bends sooner."""
FEWEST_EVENTS = 3
"""Errors of a point by which it is judged how near it is."""
N_REDRAWS = 400
SETTLED_SHARE = 0.9
"""Of the redraws that must settle with the level for an extrapolated threshold to be stated."""


@dataclass(frozen=True)
class LevelCrossings:
    """What the curves of several levels have in common.

    Args:
        bare: Crossings with a bare neuron, error = p, by level.
        pairs: Crossings of two successive levels.
        threshold: Extrapolation of `bare` to infinite level with its interval, which is that of the counts alone;
            None where they bear out none.
        notes: What was not found and why, and whether a threshold may be claimed.
    """

    bare: Mapping[int, Crossing]
    pairs: Mapping[tuple[int, int], Crossing]
    threshold: tuple[float, float, float] | None
    notes: tuple[str, ...]


def find_crossings(curves: Mapping[int, ErrorCurve], scanned: Sequence[float], seed: int) -> LevelCrossings:
    """Find the crossings of levels from 1 on.

    Args:
        curves: By level.
        scanned: p that all of them have.
        seed: Of the intervals.
    """
    notes: list[str] = []
    bare, pairs = {}, {}
    for level, curve in sorted(curves.items()):
        crossing = _try(curve, None, seed, notes)
        if crossing is not None:
            bare[level] = crossing
    for less, more in pairwise(sorted(curves)):
        first, second = (
            _part(curves[level], np.isin(curves[level].noise, scanned)) for level in (less, more)
        )
        # What a threshold is claimed by, if it shows the crossing; the lowest levels cross above it.
        crossing = _inside(first, second, seed) or _try(curves[less], curves[more], seed, notes)
        if crossing is not None:
            pairs[less, more] = crossing
    threshold = _extrapolated(bare, seed, notes)
    notes.append(_claim(curves, scanned, seed))
    return LevelCrossings(bare, pairs, threshold, tuple(notes))


def _part(curve: ErrorCurve, chosen: np.ndarray) -> ErrorCurve:
    return ErrorCurve(curve.name, curve.noise[chosen], curve.events[chosen], curve.trials[chosen])


def _logs(curve: ErrorCurve) -> np.ndarray:
    return np.log((curve.events + 0.5) / (curve.trials + 1))


def _inside(less: ErrorCurve, more: ErrorCurve, seed: int) -> Crossing | None:
    try:
        found = find_crossing(less, more, seed=seed)
    except DataError:
        return None
    return found if found.is_inside else None


def _try(less: ErrorCurve, more: ErrorCurve | None, seed: int, notes: list[str]) -> Crossing | None:
    """Find a crossing; where there is none, or it leaves the noise that was scanned, note why."""
    names = f"{less.name} and {'a bare neuron' if more is None else more.name}"
    if more is not None:
        less = _part(less, np.isin(less.noise, more.noise))
        more = _part(more, np.isin(more.noise, less.noise))
    gaps = np.abs(_logs(less) - (np.log(less.noise) if more is None else _logs(more)))
    events = less.events if more is None else np.minimum(less.events, more.events)
    order = np.argsort(np.where(events < FEWEST_EVENTS, np.inf, gaps), kind="stable")
    near = np.sort(order[: NEAR_BARE if more is None else NEAR])
    near = np.arange(near[0], near[-1] + 1)
    try:
        found = find_crossing(_part(less, near), None if more is None else _part(more, near), seed=seed)
    except DataError as error:
        notes.append(f"No crossing of {names}: {error.problem}")
        return None
    if not found.is_inside:
        notes.append(
            f"The crossing of {names}, {found.noise:.4f} [{found.low:.4f}, {found.high:.4f}], leaves the p that were "
            "scanned, and is left out."
        )
        return None
    return found


def _extrapolated(
    bare: Mapping[int, Crossing], seed: int, notes: list[str]
) -> tuple[float, float, float] | None:
    """Continue the crossings with a bare neuron from level 2 on, as the published line does."""
    centres = {level: one.noise for level, one in bare.items() if level >= 2}
    try:
        middle = extrapolate(centres).threshold
    except DataError as error:
        notes.append(f"No extrapolated threshold: {error.problem}")
        return None
    rng, drawn = np.random.default_rng(seed), []
    width = 2 * z_of(CONFIDENCE)
    for _ in range(N_REDRAWS):
        redrawn = {
            level: rng.normal(p, (bare[level].high - bare[level].low) / width) for level, p in centres.items()
        }
        try:
            drawn.append(extrapolate(redrawn).threshold)
        except DataError:
            continue
    if len(drawn) < SETTLED_SHARE * N_REDRAWS:
        notes.append(
            f"The extrapolated threshold {middle:.4f} is left out: of {N_REDRAWS} redraws of the crossings only "
            f"{len(drawn)} settle with the level. More evaluations would tell."
        )
        return None
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return middle, float(low), float(high)


def _claim(curves: Mapping[int, ErrorCurve], scanned: Sequence[float], seed: int) -> str:
    """Say whether the three highest levels bear out a threshold."""
    highest = [_part(curves[level], np.isin(curves[level].noise, scanned)) for level in sorted(curves)[-3:]]
    try:
        claim = claim_threshold(highest, seed=seed)
    except DataError as error:
        return f"No threshold is claimed: {error.problem}"
    before, last = claim.crossings[-2:]
    falling = (
        " The crossings still fall with the level, so that it may lie lower."
        if last.high < before.low
        else ""
    )
    return (
        f"Three levels bear out a threshold at p = {last.noise:.4f} [{last.low:.4f}, {last.high:.4f}], where "
        f"{' and '.join(claim.names[-1])} cross; published, of another circuit: {THRESHOLD}.{falling}"
    )
