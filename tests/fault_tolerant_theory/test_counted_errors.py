"""Intervals of counted errors, lines through them and their crossings, against scipy and constructed truths."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from lightning_modules.fault_tolerant.estimates.crossings import (
    ErrorCurve,
    claim_threshold,
    find_crossing,
)
from lightning_modules.fault_tolerant.estimates.error_estimate import (
    ErrorEstimate,
    bound_without_events,
    counted,
    over_inputs,
    wilson,
)
from lightning_modules.fault_tolerant.estimates.log_line import fit_log_line
from lightning_modules.fault_tolerant.theory.concatenation import FITTED
from lightning_modules.parts.errors import DataError


@pytest.mark.parametrize(("events", "trials"), [(0, 10), (1, 10), (10, 4000), (37, 60), (60, 60)])
@pytest.mark.parametrize("confidence", [0.95, 0.68])
def test_wilson_interval_is_scipys(events: int, trials: int, confidence: float):
    exact = binomtest(events, trials).proportion_ci(confidence, method="wilson")
    assert wilson(events, trials, confidence) == pytest.approx((exact.low, exact.high), abs=1e-12)


def test_specified_interval_of_the_multiplier_is_that_of_ten_errors_in_four_thousand():
    found = counted(10, 4000)
    assert (found.estimate, found.low, found.high) == pytest.approx((0.0025, 0.0014, 0.0046), abs=5e-5)
    assert str(found) == "0.0025 [0.0014, 0.0046]"


def test_no_error_gives_the_bound_of_three_and_never_zero():
    found = counted(0, 300)
    assert found.is_bound
    assert found.estimate == found.high == pytest.approx(3 / 300, rel=0.002)
    assert (1 - found.high) ** 300 < 0.05 < (1 - 0.99 * found.high) ** 300
    assert str(found) == "< 0.01 (0 of 300)"
    assert bound_without_events(1) == 1.0
    with pytest.raises(ValueError, match="not be 0"):
        ErrorEstimate(0, 100, 0.0, 0.0, 0.03)
    with pytest.raises(ValueError, match="5 errors in 4 trials"):
        counted(5, 4)


def test_worst_input_is_covered_although_it_was_chosen():
    rng = np.random.default_rng(0)
    rates, trials, n_repeats = np.full(16, 0.02), 500, 400
    events = rng.binomial(trials, rates, size=(n_repeats, 16))
    found = [over_inputs(one.tolist(), trials) for one in events]
    covered = np.mean([one.worst.low <= 0.02 <= one.worst.high for one in found])
    assert covered >= 0.95
    # The interval of the largest alone, as if it had not been chosen, misses far more often.
    naive = [counted(int(one.max()), trials) for one in events]
    assert np.mean([one.low <= 0.02 <= one.high for one in naive]) < 0.85
    assert np.mean([one.mean.low <= 0.02 <= one.mean.high for one in found]) == pytest.approx(0.95, abs=0.03)


def test_worst_and_mean_input_are_told_apart():
    found = over_inputs([1, 0, 30, 1], 1000)
    assert (found.worst_row, found.worst.estimate, found.mean.estimate) == (2, 0.03, 0.008)
    shared = over_inputs([1, 0, 30, 1], 1000, shared_noise=True).mean
    assert shared.estimate == pytest.approx(found.mean.estimate)
    exact = binomtest(8, 1000).proportion_ci(method="wilson")
    assert (shared.low, shared.high) == pytest.approx((exact.low, exact.high))
    nothing = over_inputs([0, 0], 100)
    assert nothing.worst.is_bound
    assert nothing.mean.high == pytest.approx(3 / 200, rel=0.002)


def test_slope_of_the_specified_multiplier_is_found_with_its_interval():
    modules, errors, trials = [4, 6, 8, 12], [0.066, 0.014, 0.0025, 0.0004], [4000] * 4
    events = [round(error * n) for error, n in zip(errors, trials, strict=True)]
    line = fit_log_line(modules, events, trials)
    assert line.slope == pytest.approx(-0.36, abs=0.05)
    assert line.slope_low < -0.36 < line.slope_high


def test_slope_covers_the_truth_also_where_points_have_no_errors():
    rng = np.random.default_rng(1)
    modules = np.array([4, 6, 8, 10, 12])
    truth = 10 ** (0.3 - 0.36 * modules)
    lines = [fit_log_line(modules, rng.binomial(2000, truth), [2000] * 5) for _ in range(150)]
    covered = np.mean([line.slope_low <= -0.36 <= line.slope_high for line in lines])
    assert covered == pytest.approx(0.95, abs=0.06)
    assert np.mean([line.slope for line in lines]) == pytest.approx(-0.36, abs=0.01)
    assert np.mean([line.misfit for line in lines]) == pytest.approx(1, abs=0.4)
    assert lines[0].error(8) == pytest.approx(truth[2], rel=0.4)


def test_slope_of_errors_at_one_place_is_refused():
    with pytest.raises(DataError, match="seen at 1 of 3 places"):
        fit_log_line([4, 6, 8], [5, 0, 0], [100] * 3)


def make_curve(level: int, low: float, high: float) -> ErrorCurve:
    noise, trials = np.linspace(low, high, 7), 100_000
    rates = [FITTED.error(p, level) for p in noise]
    events = np.random.default_rng(level).binomial(trials, rates)
    return ErrorCurve(f"level {level}", noise, events, np.full(7, trials))


def test_crossing_of_two_power_laws_is_found_and_covered():
    noise = np.linspace(0.03, 0.06, 6)
    trials = np.full(6, 3000)
    rng = np.random.default_rng(2)
    covered = []
    for seed in range(60):
        less, more = (
            ErrorCurve("one", noise, rng.binomial(3000, 0.1 * (noise / 0.042) ** power), trials)
            for power in (2, 4)
        )
        found = find_crossing(less, more, seed=seed)
        covered.append(found.low <= 0.042 <= found.high)
    assert np.mean(covered) >= 0.88
    assert found.noise == pytest.approx(0.042, abs=0.003)
    assert found.is_inside


def test_crossing_with_a_bare_neuron_is_the_pseudo_threshold():
    found = find_crossing(make_curve(4, 0.0455, 0.048), None)
    assert found.low <= FITTED.crossing(4) <= found.high
    assert found.high < 1.01 * found.low


def test_curves_without_errors_leave_no_zero_in_a_crossing():
    noise, trials = np.array([0.01, 0.03, 0.1]), np.full(3, 200)
    less = ErrorCurve("less", noise, np.array([2, 8, 25]), trials)
    more = ErrorCurve("more", noise, np.array([0, 4, 80]), trials)
    found = find_crossing(less, more)
    assert 0.01 < found.low < found.noise < found.high < 0.1


def test_threshold_takes_three_levels_and_crossings_within_the_scan():
    curves = [make_curve(level, 0.0345, 0.038) for level in (3, 4, 5)]
    claim = claim_threshold(curves)
    assert claim.names == (("level 3", "level 4"), ("level 4", "level 5"))
    # Levels of a recursion that feeds on the error alone all cross at its threshold.
    assert claim.last.low <= FITTED.threshold() <= claim.last.high
    assert claim.last.high - claim.last.low < 0.002
    with pytest.raises(DataError, match="2 levels of redundancy bear out no threshold"):
        claim_threshold(curves[:2])


def test_crossing_outside_the_scan_is_no_threshold():
    noise, trials = np.array([0.01, 0.02, 0.03]), np.full(3, 100_000)
    curves = [
        ErrorCurve(
            f"power {power}",
            noise,
            binom.isf(0.5, 100_000, 0.1 * (noise / 0.05) ** power).astype(int),
            trials,
        )
        for power in (1, 2, 3)
    ]
    assert find_crossing(*curves[:2]).noise == pytest.approx(0.05, rel=0.05)
    with pytest.raises(DataError, match="leaves the noise that was scanned"):
        claim_threshold(curves)
    with pytest.raises(DataError, match="cannot be told"):
        find_crossing(curves[1], curves[0])
    with pytest.raises(DataError, match="counted at other noise"):
        find_crossing(curves[0], replace(curves[1], noise=noise * 2))


def test_impossible_curves_are_refused_with_all_reasons():
    with pytest.raises(ValueError, match=r"more errors than trials.*\n.*must rise"):
        ErrorCurve("odd", np.array([0.2, 0.1]), np.array([5, 1]), np.array([4, 4]))
