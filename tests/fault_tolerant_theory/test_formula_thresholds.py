"""Thresholds of formulas of noisy gates: closed forms against recursions, and against published numbers."""

import numpy as np
import pytest
from scipy.stats import binom

from lightning_modules.fault_tolerant.theory.formulas import (
    majority,
    majority_threshold,
    majority_threshold_by_recursion,
    nand_amplitude,
    nand_threshold,
    nand_threshold_by_recursion,
    restored_nand_error,
    restored_nand_threshold,
)


def test_nand_threshold_solves_its_quadratic_and_is_found_by_the_recursion():
    threshold = nand_threshold()
    assert 8 * threshold**2 - 12 * threshold + 1 == pytest.approx(0, abs=1e-12)
    assert threshold == pytest.approx(0.08856, abs=5e-6)
    assert nand_threshold_by_recursion() == pytest.approx(threshold, abs=1e-7)


@pytest.mark.parametrize(("flip", "amplitude"), [(0.07, 0.52), (0.085, 0.23), (0.0885, 0.036), (0.10, 0.0)])
def test_two_values_of_nand_formulas_stay_apart_as_specified(flip: float, amplitude: float):
    assert nand_amplitude(flip) == pytest.approx(amplitude, abs=0.005)


@pytest.mark.parametrize(("n_inputs", "threshold"), [(3, 1 / 6), (5, 7 / 30), (7, 0.2714), (9, 0.2968)])
def test_majority_thresholds_are_the_published_ones_and_are_found_by_the_recursion(
    n_inputs: int, threshold: float
):
    assert majority_threshold(n_inputs) == pytest.approx(threshold, abs=5e-5)
    assert majority_threshold_by_recursion(n_inputs) == pytest.approx(majority_threshold(n_inputs), abs=1e-6)


def test_majority_is_wrong_as_often_as_a_binomial_says():
    wrong = np.linspace(0.05, 0.95, 7)
    assert [majority(one, 7) for one in wrong] == pytest.approx(binom.sf(3, 7, wrong))


def test_majority_of_an_even_number_is_refused():
    with pytest.raises(ValueError, match="majority of 4 inputs has ties"):
        majority_threshold(4)


def test_restored_nand_loses_its_small_fixed_point_at_the_specified_flip_probability():
    threshold = restored_nand_threshold()
    assert threshold == pytest.approx(0.0169, abs=5e-5)
    # Independent of the iteration: the smallest root of next(e) - e on a grid exists below, and not above.
    errors = np.linspace(0, 0.2, 20001)

    def has_small_root(flip: float) -> bool:
        spoilt = flip + (1 - 2 * flip) * (1 - (1 - errors) ** 2)
        restored = flip + (1 - 2 * flip) * binom.sf(1, 3, spoilt)
        return bool(np.any(restored < errors))

    assert has_small_root(threshold - 1e-4)
    assert not has_small_root(threshold + 1e-4)
    assert restored_nand_error(0.001) == pytest.approx(0.001, rel=0.05)
