"""Crossings of curves whose crossings are known, and what is claimed of them."""

import numpy as np
import pytest

from lightning_modules.fault_tolerant.estimates.crossings import ErrorCurve
from lightning_modules.fault_tolerant.figures_levels import MeasuredLevels, draw_levels
from lightning_modules.fault_tolerant.studies.level_crossings import find_crossings

SCANNED = (0.030, 0.034, 0.038, 0.042, 0.046, 0.050)
FURTHER = (0.055, 0.06, 0.07, 0.08, 0.10, 0.14)
THRESHOLD, AMPLITUDE, RATIO = 0.040, 0.2, 0.3


def bare_crossing(level: int) -> float:
    """Where a level of the constructed code is as good as a bare neuron."""
    return THRESHOLD + AMPLITUDE * RATIO**level


def curve(level: int, trials: int) -> ErrorCurve:
    """Return counts without chance: error = p (p / p_l)^(2^l - 1), so that it is p at p_l."""
    noise = np.array(SCANNED + (FURTHER if level <= 2 else ()))
    errors = np.minimum(noise * (noise / bare_crossing(level)) ** (2**level - 1), 0.95)
    return ErrorCurve(
        f"level {level}", noise, np.round(errors * trials).astype(int), np.full(len(noise), trials)
    )


def pair_crossing(less: int, more: int) -> float:
    """Solve the equation of two constructed curves: (p / p_m)^(2^m - 1) = (p / p_l)^(2^l - 1)."""
    a, b = 2**less - 1, 2**more - 1
    return (bare_crossing(more) ** b / bare_crossing(less) ** a) ** (1 / (b - a))


def test_crossings_and_the_extrapolated_threshold_of_constructed_levels_are_found():
    found = find_crossings({level: curve(level, 10**6) for level in (1, 2, 3, 4)}, SCANNED, seed=0)
    for level in (2, 3, 4):
        assert found.bare[level].noise == pytest.approx(bare_crossing(level), rel=0.005)
    for pair in ((2, 3), (3, 4)):
        assert found.pairs[pair].noise == pytest.approx(pair_crossing(*pair), rel=0.005)
    assert found.threshold is not None
    middle, low, high = found.threshold
    assert low < THRESHOLD < high
    assert middle == pytest.approx(THRESHOLD, rel=0.02)
    # Check 25: levels 2, 3 and 4 cross within the noise that was scanned.
    assert found.notes[-1].startswith("Three levels bear out a threshold at p = 0.0386 ")


def test_nothing_is_claimed_of_two_levels_or_of_few_trials():
    two = find_crossings({level: curve(level, 10**6) for level in (1, 2)}, SCANNED, seed=0)
    assert two.threshold is None
    assert "it takes 3" in two.notes[-1]
    few = find_crossings({level: curve(level, 30) for level in (2, 3, 4)}, SCANNED, seed=0)
    assert few.threshold is None
    assert few.notes[-1].startswith("No threshold is claimed")


def test_measured_levels_stand_beside_the_published_ones():
    curves = {level: curve(level, 10**5) for level in (2, 3)}
    found = find_crossings(curves, SCANNED, seed=0)
    figure = draw_levels(MeasuredLevels("constructed", {}, found.bare, found.pairs, found.threshold))
    published, ours = figure.axes
    crosses = {float(line.get_xdata()[0]) for line in published.lines if line.get_marker() == "x"}
    assert crosses == {0.120, 0.064, 0.046, 0.040}
    legend = [text.get_text() for text in ours.get_legend().get_texts()]
    (pair,) = [text for text in legend if text.startswith("levels 2 and 3 cross")]
    assert float(pair.split(": ")[1].split(" ")[0]) == pytest.approx(pair_crossing(2, 3), rel=0.01)
