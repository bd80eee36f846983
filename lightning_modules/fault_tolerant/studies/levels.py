"""Levels of the concatenated median code: errors, where they cross, and what may be claimed of a threshold."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import torch

from lightning_modules.fault_tolerant.codes.median_circuits import CircuitName
from lightning_modules.fault_tolerant.codes.median_relu import CodedRelu
from lightning_modules.fault_tolerant.estimates.crossings import ErrorCurve
from lightning_modules.fault_tolerant.estimates.error_estimate import ErrorEstimate, counted
from lightning_modules.fault_tolerant.estimates.strata import sample_strata
from lightning_modules.fault_tolerant.figures_levels import MeasuredLevels, draw_levels
from lightning_modules.fault_tolerant.noise import NoiseSpec, Site
from lightning_modules.fault_tolerant.studies.counting import columns_of, scaled
from lightning_modules.fault_tolerant.studies.level_crossings import LevelCrossings, find_crossings
from lightning_modules.fault_tolerant.theory.concatenation import FITTED, rms_log_error
from lightning_modules.fault_tolerant.theory.published_figure import POINTS
from lightning_modules.parts.arguments import outside
from lightning_modules.parts.studies import Row, Say, StudyResult

COUNTED = MappingProxyType({1: 100_000, 2: 60_000, 3: 10_000, 4: 800})
"""Evaluations at each p: level 4 takes two minutes of one core."""
STRATA_SETS = MappingProxyType({0: 64, 1: 20_000, 2: 80_000})
"""Sets of faults of the levels whose errors are weighted for any p."""
SMALL = (0.01, 0.015, 0.02, 0.025)
"""p where too few errors occur to be counted, below those that are."""
LARGE = (0.052, 0.056, 0.06, 0.065, 0.07, 0.08, 0.10, 0.12, 0.14, 0.16)
"""p above; of levels 1 and 2, and up to .07 of level 3."""
SCANNED: Mapping[tuple[CircuitName, Site], tuple[float, ...]] = MappingProxyType(
    {
        ("N4", "synapse"): (0.028, 0.031, 0.034, 0.037, 0.040, 0.044, 0.048),
        ("L3", "synapse"): (0.026, 0.030, 0.034, 0.038, 0.042, 0.046, 0.050),
        ("N4", "neuron"): (0.050, 0.055, 0.060, 0.065, 0.070, 0.075),
        ("L3", "neuron"): (0.050, 0.060, 0.070, 0.080, 0.090),
    }
)
"""p around the crossings of the highest levels; fault_tolerant.md sections 3.1.7 and 5.2."""
LeveledErrors = dict[int, list[tuple[float, ErrorEstimate]]]


@dataclass(frozen=True)
class LevelSettings:
    """Which code is simulated, and how much.

    Args:
        circuit: Median's circuit, N4 or L3.
        site: What fails by itself, synapse or neuron.
        highest_level: From 1 to 4; of a threshold there is word from 3 levels above 0 on.
        failures: Probabilities p around the crossings; none given takes those of the circuit.
        evaluations: Times the usual number of evaluations, which takes three minutes of one core.
        seed: Of all draws.

    Raises:
        ValueError: If a value is out of range; all problems at once.
    """

    circuit: CircuitName = "N4"
    site: Site = "synapse"
    highest_level: int = 4
    failures: tuple[float, ...] = ()
    evaluations: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        problems = outside(vars(self), ("evaluations",), "above 0", lambda one: one > 0)
        if not 1 <= self.highest_level <= max(COUNTED):
            problems.append(f"`highest_level` is {self.highest_level}, but must be from 1 to {max(COUNTED)}.")
        rising = all(a < b for a, b in pairwise(self.failures))
        if self.failures and not (
            len(self.failures) > 1 and rising and 0 < self.failures[0] <= self.failures[-1] < 1
        ):
            problems.append(f"`failures` are {self.failures}; give two or more that rise, within 0 and 1.")
        if problems:
            raise ValueError("These levels cannot be simulated:\n  " + "\n  ".join(problems))

    @property
    def scanned(self) -> tuple[float, ...]:
        """p around the crossings."""
        return self.failures or SCANNED[self.circuit, self.site]


def study_levels(settings: LevelSettings, say: Say) -> StudyResult:
    """Simulate a coded ReLU of input 1 by level, and find the crossings.

    Levels 1 and 2 at small p come from strata by number of faults, which are weighted for every p; what lies around
    the crossings is counted. A threshold is claimed only where each of two successive crossings of three levels lies,
    with its interval, inside the p that were scanned.

    Source:
        fault_tolerant.md sections 3.1.7, 5.1, 5.2, 7.7 and check 25.
    """
    errors, curves = _measure(settings, say)
    found = find_crossings(curves, settings.scanned, settings.seed)
    name = f"{settings.circuit}, a lost {settings.site}"
    figure = draw_levels(MeasuredLevels(name, errors, found.bare, found.pairs, found.threshold))
    return StudyResult(
        {"levels": figure},
        {"errors": _rows(errors), "crossings": _crossing_rows(found)},
        _metrics(found),
        (
            f"A ReLU of input 1 coded with the median {settings.circuit}, every {settings.site} of the code failing by "
            "itself; encoding and read-out are ideal. Intervals are of 95 %.",
            *found.notes,
        ),
    )


def _measure(settings: LevelSettings, say: Say) -> tuple[LeveledErrors, dict[int, ErrorCurve]]:
    errors: LeveledErrors = {}
    curves = {}
    levels = range(settings.highest_level + 1)
    for level in levels:
        low = [p for p in SMALL if p < settings.scanned[0]]
        if level == 0:
            low = [*low, *settings.scanned, *(p for p in LARGE if p > settings.scanned[-1])]
        stratified = _stratified(level, low, settings) if level in STRATA_SETS else []
        counts = _counts(level, settings) if level else None
        errors[level] = stratified
        if counts is not None:
            curves[level] = counts
            errors[level] = stratified + [
                (float(p), counted(int(k), int(n)))
                for p, k, n in zip(counts.noise, counts.events, counts.trials, strict=True)
            ]
        last = errors[level][-1]
        say(f"level {level} of {settings.highest_level}: error {last[1]} at p = {last[0]:g}")
    return errors, curves


def _stratified(
    level: int, failures: list[float], settings: LevelSettings
) -> list[tuple[float, ErrorEstimate]]:
    """Estimate errors at small p from sets with k faults, which are drawn once for all p."""
    if not failures:
        return []
    relu = CodedRelu(level, settings.circuit)
    strata = sample_strata(
        relu.harmful(settings.site),
        relu.n_sites(settings.site),
        failures,
        scaled(STRATA_SETS[level], max(settings.evaluations, 0.2)),
        torch.Generator().manual_seed(settings.seed),
    )
    return [(p, strata.errors_at(p).worst) for p in failures]


def _counts(level: int, settings: LevelSettings) -> ErrorCurve:
    relu, n_trials = CodedRelu(level, settings.circuit), scaled(COUNTED[level], settings.evaluations)
    largest = {1: 1.0, 2: 1.0, 3: 0.07}.get(level, 0.0)
    failures = [*settings.scanned, *(p for p in LARGE if settings.scanned[-1] < p <= largest)]
    generator = torch.Generator().manual_seed(settings.seed + level)
    events = [
        relu.count_errors(NoiseSpec(failure=p, site=settings.site), n_trials, generator) for p in failures
    ]
    return ErrorCurve(
        f"level {level}", np.array(failures), np.array(events), np.full(len(failures), n_trials)
    )


def _rows(errors: LeveledErrors) -> list[Row]:
    return [
        {"level": level, "p": p, "method": one.method, **columns_of(one)}
        for level, points in errors.items()
        for p, one in points
    ]


def _crossing_rows(found: LevelCrossings) -> list[Row]:
    named = [(f"{level} and a bare neuron", one) for level, one in found.bare.items()]
    named += [(f"{less} and {more}", one) for (less, more), one in found.pairs.items()]
    return [
        {"levels": name, "p": one.noise, "low": one.low, "high": one.high, "misfit": one.misfit}
        for name, one in named
    ]


def _metrics(found: LevelCrossings) -> dict[str, float]:
    metrics = {f"crossing/bare_{level}": one.noise for level, one in found.bare.items()}
    metrics |= {f"crossing/{less}_{more}": one.noise for (less, more), one in found.pairs.items()}
    if found.threshold is not None:
        metrics |= dict(zip(("threshold", "threshold_low", "threshold_high"), found.threshold, strict=True))
    return metrics | {"published/rms_log_error": rms_log_error(FITTED.error, POINTS)}
