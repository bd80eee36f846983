"""Checks 10, 12, 13, 16, 18, 20, 21 and 22 of section 8: the grid code at full numbers of trials."""

import math

import numpy as np
import pytest
import torch

from lightning_modules.fault_tolerant.circuit import Circuit
from lightning_modules.fault_tolerant.codes.grid_bound import decoder_error_bound, pairwise_distances
from lightning_modules.fault_tolerant.codes.grid_code import GridCode
from lightning_modules.fault_tolerant.codes.grid_codebook import GridCodebook
from lightning_modules.fault_tolerant.codes.grid_moduli import consecutive_coprimes, repeated
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.tasks import TASKS, with_encoder_neurons

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

LOW = NoiseSpec.common(0.02, 0.02)


def thirds(n_modules: int, **options) -> GridCode:
    return GridCode(GridCodebook.of_moduli(repeated(3, n_modules), 3), **options)


def sixteen(n_modules: int) -> GridCode:
    """Return the code of 16 values; these moduli give section 4.2's and 5.5's errors, which name none."""
    return GridCode(GridCodebook.of_moduli(consecutive_coprimes(n_modules, 8), 16, None))


def errors(code: GridCode, circuit: Circuit, noise: NoiseSpec, n_trials: int, seed: int = 0) -> np.ndarray:
    """Return the share of wrong results by row."""
    rows = circuit.rows()
    found = code.simulate(circuit, noise, rows, n_trials, torch.Generator().manual_seed(seed))
    return (found != circuit.evaluate(rows)).any(axis=2).mean(axis=0)


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        (NoiseSpec(0.026), 0.039),
        (NoiseSpec(0.053), 0.142),
        (NoiseSpec(0.105), 0.327),
        (NoiseSpec(0.211), 0.530),
        (NoiseSpec(0.5), 0.599),
        (NoiseSpec(phase_sd=0.032), 0.001),
        (NoiseSpec(phase_sd=0.047), 0.062),
        (NoiseSpec(phase_sd=0.063), 0.264),
        (NoiseSpec(phase_sd=0.095), 0.698),
        (NoiseSpec(trig_sd=0.421), 0.004),
        (NoiseSpec(trig_sd=0.565), 0.059),
        (NoiseSpec(trig_sd=0.851), 0.363),
        (NoiseSpec(score_sd=1.02), 0.031),
        (NoiseSpec(score_sd=1.41), 0.198),
        (NoiseSpec(score_sd=2.18), 0.553),
    ],
)
def test_multiplier_of_the_re_implementation_has_its_errors(noise, expected):
    book = GridCodebook.of_moduli((3, 4, 5, 7, 11, 13, 17), 3)
    code = GridCode(book, "shared", "none", noisy_encoders=False, noisy_reading=True)
    found = errors(code, with_encoder_neurons(TASKS["multiplier_gates"]), noise, 2000).mean()
    assert found == pytest.approx(expected, abs=3 * math.sqrt(expected * (1 - expected) / 8000) + 5e-4)


def test_check_12_worst_input_falls_with_modules_below_threshold_and_not_above():
    low = [errors(thirds(m), TASKS["nand"], NoiseSpec.common(0.03, 0.03), 10_000).max() for m in (6, 12)]
    assert low[0] < 0.02
    assert low[1] < 0.003
    high = [
        errors(thirds(m), TASKS["nand"], NoiseSpec.common(0.20, 0.02), 5000).max() for m in (6, 12, 24, 48)
    ]
    assert min(high[1:]) > high[0] - 0.03
    assert high[-1] > 0.45


def test_check_13_shared_decoder_has_a_floor_and_local_ones_have_none():
    noise = NoiseSpec(0.02, phase_sd=0.02, score_sd=0.35)
    shared = [errors(thirds(m, decoders="shared"), TASKS["nand"], noise, 20_000).max() for m in (6, 12, 24)]
    for found, of_300_trials in zip(shared, [0.030, 0.018, 0.010], strict=True):
        assert found == pytest.approx(of_300_trials, abs=2 * math.sqrt(of_300_trials / 300))
    floor = errors(thirds(400, decoders="shared"), TASKS["nand"], noise, 10_000).max()
    assert floor == pytest.approx(0.0108, abs=0.0035)
    local = [errors(thirds(m), TASKS["nand"], noise, 20_000).max() for m in (6, 12, 24)]
    assert local[0] < 0.010
    assert local[1] < 0.001
    assert local[2] < 0.0003


def test_check_16_multiplier_has_its_error_and_its_slope():
    modules = np.array([4, 6, 8, 12])
    n_trials = np.array([1000, 2000, 4000, 20_000])
    found = [
        errors(thirds(m), TASKS["multiplier_nand"], LOW, n).mean()
        for m, n in zip(modules, n_trials, strict=True)
    ]
    assert found[0] == pytest.approx(0.066, abs=0.012)
    assert found[1] == pytest.approx(0.014, abs=0.005)
    assert 0.0014 < found[2] < 0.0046
    slope = np.polyfit(modules[:3], np.log10(found[:3]), 1)[0]
    assert slope == pytest.approx(-0.36, abs=0.05)
    assert np.polyfit(modules, np.log10(found), 1)[0] == pytest.approx(-0.36, abs=0.06)


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        (LOW, {4: 0.117, 6: 0.038, 8: 0.0098}),
        (NoiseSpec.common(0.04, 0.03), {4: 0.348, 6: 0.195, 8: 0.101, 12: 0.038}),
    ],
)
def test_one_sixteen_way_neuron_has_the_errors_of_section_4_2(noise, expected):
    for n_modules, error in expected.items():
        found = errors(sixteen(n_modules), TASKS["multiplier_16way"], noise, 2000).mean()
        assert found == pytest.approx(error, rel=0.3)


def test_check_18_value_survives_64_layers_and_more_modules_keep_it_better():
    noise, circuit = NoiseSpec.common(0.01, 0.03), TASKS["chain_16x64"]
    few = errors(sixteen(8), circuit, noise, 300).mean()
    many = errors(sixteen(12), circuit, noise, 300).mean()
    assert sixteen(12).resources(circuit).neurons == 64 * 240
    assert few == pytest.approx(0.020, abs=0.01)
    assert many < 0.004
    # Averaging repetition of equal size: .151 and .045 (section 5.5).
    assert few < 0.151
    shallow = errors(sixteen(8), TASKS["chain_16x16"], noise, 600).mean()
    assert few == pytest.approx(4 * shallow, rel=0.5)  # one error rate for every layer


def test_check_20_one_one_is_the_worst_input_with_every_number_of_modules():
    for n_modules in (4, 8, 12):
        found = errors(thirds(n_modules), TASKS["nand"], NoiseSpec(0.08), 10_000)
        assert found.argmax() == 3
        assert found.max() > found.mean()


def test_check_21_failures_of_all_modules_together_leave_no_gain():
    alone = [errors(thirds(m), TASKS["multiplier_nand"], LOW, 1000).mean() for m in (4, 8, 12)]
    together = [
        errors(thirds(m, correlated=True), TASKS["multiplier_nand"], LOW, 300).mean() for m in (4, 8, 12)
    ]
    assert alone[2] < alone[0] / 30
    assert together[2] > 0.7 * together[0]
    assert together[2] > 100 * alone[2]


def test_check_21_random_codebook_is_as_good_as_a_grid_of_equal_distance():
    def smallest(phases: np.ndarray) -> float:
        return (pairwise_distances(phases) + 99 * np.eye(len(phases))).min()

    rng = np.random.default_rng(0)
    random = max((rng.random((16, 8)) for _ in range(4000)), key=smallest)
    moduli = consecutive_coprimes(8, 13)
    grids = [GridCodebook.of_moduli(moduli, 16, spacing).phases for spacing in range(1, 4000)]
    grid = min(grids, key=lambda phases: abs(smallest(phases) - smallest(random)))
    noise = NoiseSpec.common(0.03, 0.03)
    found = [
        errors(GridCode(GridCodebook(one)), TASKS["chain_16x16"], noise, 400).mean() for one in (random, grid)
    ]
    assert smallest(grid) == pytest.approx(smallest(random), rel=0.01)
    assert found[0] == pytest.approx(found[1], rel=0.25)


def test_check_22_failing_winners_move_the_threshold_to_where_theory_puts_it():
    # A wire is right with (1 - p)² if winners are ideal, and (1 - p)³ if they fail; (1, 1) is decoded if that is
    # above 2/3 (section 3.2.3): p0 = 1 - √(2/3) = .184 and 1 - ∛(2/3) = .126.
    def falls(p: float, *, noisy_wta: bool) -> bool:
        # Encoders of the plain circuit have no winner that could fail.
        circuit = with_encoder_neurons(TASKS["nand"]) if noisy_wta else TASKS["nand"]
        few, many = (
            errors(thirds(m, noisy_wta=noisy_wta), circuit, NoiseSpec.common(p, 0.02), 1000).max()
            for m in (24, 96)
        )
        return many < few

    assert falls(0.17, noisy_wta=False)
    assert not falls(0.21, noisy_wta=False)
    assert falls(0.11, noisy_wta=True)
    assert not falls(0.15, noisy_wta=True)


@pytest.mark.parametrize(
    ("noise", "phase_sd", "low", "high"),
    [
        (NoiseSpec(score_sd=1.5), 0.0, 0.87, 1.15),
        (NoiseSpec(trig_sd=0.6), 0.0, 0.87, 1.15),
        (NoiseSpec(), 0.08, 5.0, 10.0),
    ],
)
def test_error_bound_is_close_for_score_noise_and_too_low_for_phase_noise(noise, phase_sd, low, high):
    phases = GridCodebook.of_moduli((3, 4, 5, 7, 11, 13, 17), 3).phases
    rng, n = np.random.default_rng(0), 200_000
    wrong = []
    for truth in range(3):
        angle = 2 * np.pi * (phases[truth] + phase_sd * rng.standard_normal((n, 7)))
        trig = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
        trig += noise.trig_sd * rng.standard_normal(trig.shape)
        scores = trig @ np.concatenate([np.cos(2 * np.pi * phases), np.sin(2 * np.pi * phases)], axis=1).T
        scores += noise.score_sd * rng.standard_normal(scores.shape)
        wrong.append((scores.argmax(axis=1) != truth).mean())
    ratio = np.mean(wrong) / decoder_error_bound(phases, noise, phase_sd=phase_sd).mean()
    assert low < ratio < high
