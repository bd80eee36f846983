"""Moduli, spacings, distances and ranges of the grid code against numbers of the specification and brute force."""

import math
from itertools import combinations

import numpy as np
import pytest

from lightning_modules.fault_tolerant.codes.grid_bound import decoder_error_bound, pairwise_distances
from lightning_modules.fault_tolerant.codes.grid_codebook import GridCodebook, candidates_of
from lightning_modules.fault_tolerant.codes.grid_moduli import (
    consecutive_coprimes,
    geometric,
    primes,
    random_moduli,
    repeated,
)
from lightning_modules.fault_tolerant.codes.grid_spacing import crt_spacing, distances
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.tasks import TASKS
from lightning_modules.parts.errors import DataError

SEVEN = (3, 4, 5, 7, 11, 13, 17)


@pytest.mark.parametrize(
    ("moduli", "spacing", "n_symbols", "expected"),
    [
        ((3, 5, 7, 11, 13), 1, 2, 2.84),
        (SEVEN, 1, 2, 3.91),
        (primes(30), 1, 2, 5.14),
        ((3, 4, 5, 7, 11, 13), 1283, 3, 8.54),
        (repeated(3, 4), 1, 3, 6.0),
    ],
)
def test_smallest_distances_are_those_of_section_2_9(moduli, spacing, n_symbols, expected):
    assert distances(moduli, spacing, n_symbols).min() == pytest.approx(expected, abs=0.005)


def test_spacing_for_three_symbols_is_as_good_as_the_specifications_1283():
    moduli = (3, 4, 5, 7, 11, 13)
    spacing = crt_spacing(moduli, 3)
    assert distances(moduli, spacing, 3).min() == pytest.approx(distances(moduli, 1283, 3).min(), abs=1e-9)
    for modulus in moduli:  # near λ / 3, or as far from the other side
        assert min(spacing % modulus, -spacing % modulus) == pytest.approx(modulus / 3, abs=0.5)
    assert spacing <= 1283


@pytest.mark.parametrize("n_symbols", [3, 5, 7])
def test_spacing_is_the_best_of_all_for_few_moduli(n_symbols):
    moduli = (5, 7, 9)
    best = max(distances(moduli, one, n_symbols).min() for one in range(1, math.prod(moduli)))
    assert distances(moduli, crt_spacing(moduli, n_symbols), n_symbols).min() >= 0.95 * best


def test_sets_of_moduli_are_what_they_are_called():
    assert consecutive_coprimes(7, 3) == SEVEN
    assert all(math.gcd(a, b) == 1 for a, b in combinations(consecutive_coprimes(12, 8), 2))  # type: ignore[arg-type]
    assert primes(5, 8) == (11, 13, 17, 19, 23)
    assert geometric(3, 2.0, 1.5) == (2.0, 3.0, 4.5)
    drawn = random_moduli(50, 3, 9, seed=0)
    assert min(drawn) >= 3
    assert max(drawn) <= 9
    assert drawn == random_moduli(50, 3, 9, seed=0)
    assert repeated(3, 2) == (3, 3)


@pytest.mark.parametrize(("moduli", "spacing"), [((3, 4), 1), ((4, 6), 1), ((3, 5), 3), ((6, 4), 2)])
def test_range_is_the_number_of_values_with_phases_of_their_own(moduli, spacing):
    reach = len({tuple(x * spacing % one for one in moduli) for x in range(200)})
    assert GridCodebook.of_moduli(moduli, reach, spacing).n_values == reach
    with pytest.raises(DataError, match=f"{reach + 1} symbols are beyond the code's range"):
        GridCodebook.of_moduli(moduli, reach + 1, spacing)


def test_common_factors_are_named_where_they_cost_the_range():
    with pytest.raises(DataError, match="common factors"):
        GridCodebook.of_moduli((4, 6), 20)


@pytest.mark.parametrize("moduli", [(4, 6, 7), (3, 3), (2.5, 3.5)])
def test_spacing_by_remainders_refuses_moduli_that_are_not_coprime_or_not_whole(moduli):
    with pytest.raises(DataError, match="needs"):
        GridCodebook.of_moduli(moduli, 3, None)


def test_real_moduli_whose_phases_return_are_refused():
    assert GridCodebook.of_moduli((1.5, 2.5), 15, 1).n_values == 15
    with pytest.raises(DataError, match="values 15 apart"):
        GridCodebook.of_moduli((1.5, 2.5), 16, 1)


def test_huge_spacings_keep_exact_phases():
    moduli = consecutive_coprimes(20, 13)
    spacing = crt_spacing(moduli, 16)
    assert spacing > 2**53
    phases = GridCodebook.of_moduli(moduli, 16, None).phases
    np.testing.assert_allclose(phases[5], [5 * spacing % int(one) / one for one in moduli], atol=1e-15)


def test_sums_that_share_phases_are_refused_only_if_their_outputs_differ():
    halves = GridCodebook(np.array([[0.0, 0.0], [0.5, 0.5]]))  # 0 and 2 have the same phases
    xor, nand = TASKS["xor"], TASKS["nand"]
    assert candidates_of(halves, xor, xor.neurons[0]).outputs.tolist() == [0, 1]
    with pytest.raises(DataError, match=r"Sums 0 and 2 .* unambiguous range"):
        candidates_of(halves, nand, nand.neurons[0])


def test_learned_codebook_has_a_candidate_for_every_sum_of_phases():
    phases = np.random.default_rng(0).random((4, 5))
    circuit = TASKS["multiplier_16way"]
    found = candidates_of(GridCodebook(phases), circuit, circuit.neurons[0])
    values = [(a, b) for a in range(4) for b in range(4)]
    np.testing.assert_allclose(found.phases, [(phases[a] + 4 * phases[b]) % 1 for a, b in values])
    assert found.outputs.tolist() == [a * b for a, b in values]


def test_codebook_with_too_few_values_for_a_wire_is_refused():
    with pytest.raises(DataError, match="takes 16 values, but the codebook has phases of 8"):
        GridCodebook.of_moduli(SEVEN, 8).check_carries(TASKS["chain_16x4"])


def test_distances_of_pairs_are_those_of_the_differences():
    book = GridCodebook.of_moduli(SEVEN, 5, 3)
    np.testing.assert_allclose(pairwise_distances(book.phases)[0, 1:], distances(SEVEN, 3, 5))


@pytest.mark.parametrize(
    ("noise", "phase_sd", "expected"),
    [
        (NoiseSpec(), 0.08, 0.0002),
        (NoiseSpec(trig_sd=0.6), 0.0, 0.0135),
        (NoiseSpec(trig_sd=1.0), 0.0, 0.124),
        (NoiseSpec(score_sd=1.5), 0.0, 0.0437),
        (NoiseSpec(0.10), 0.0, 0.0001),
        (NoiseSpec(0.05, trig_sd=0.3, score_sd=0.3), 0.05, 0.0036),
    ],
)
def test_error_bound_is_that_of_section_5_4(noise, phase_sd, expected):
    phases = GridCodebook.of_moduli(SEVEN, 3).phases
    bound = decoder_error_bound(phases, noise, phase_sd=phase_sd).mean()
    assert bound == pytest.approx(expected, rel=0.01, abs=6e-5)


def test_error_bound_without_noise_is_zero():
    phases = GridCodebook.of_moduli(SEVEN, 3).phases
    np.testing.assert_array_equal(decoder_error_bound(phases, NoiseSpec(), phase_sd=0.0), 0.0)
