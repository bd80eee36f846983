"""The grid code's simulator: exact without noise, exhaustively enumerated with failures, and as published."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from lightning_modules.fault_tolerant.circuit import Circuit
from lightning_modules.fault_tolerant.codes import grid_simulator
from lightning_modules.fault_tolerant.codes.grid_code import GridCode
from lightning_modules.fault_tolerant.codes.grid_codebook import GridCodebook
from lightning_modules.fault_tolerant.codes.grid_moduli import consecutive_coprimes, repeated
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.tasks import TASKS, identity_chain, with_encoder_neurons
from lightning_modules.parts.errors import DataError

SEVEN = GridCodebook.of_moduli((3, 4, 5, 7, 11, 13, 17), 3)
SHORT = [name for name in TASKS if name != "chain_16x256"]


def thirds(n_modules: int, **options) -> GridCode:
    return GridCode(GridCodebook.of_moduli(repeated(3, n_modules), 3), **options)


def errors(
    code: GridCode, circuit: Circuit, noise: NoiseSpec, n_trials: int, seed: int = 0, **options
) -> np.ndarray:
    """Return the share of wrong results by row."""
    rows = circuit.rows()
    found = code.simulate(circuit, noise, rows, n_trials, torch.Generator().manual_seed(seed), **options)
    assert found.shape == (n_trials, len(rows), len(circuit.outputs))
    return (found != circuit.evaluate(rows)).any(axis=2).mean(axis=0)


@pytest.mark.parametrize("decoders", ["shared", "local"])
@pytest.mark.parametrize("representation", ["phase", "phasor", "population"])
def test_every_task_is_exact_without_noise(representation, decoders):
    for name in SHORT:
        circuit = TASKS[name]
        n_symbols = max(neuron.n_symbols for neuron in circuit.neurons)
        for spacing in (1, None):
            book = GridCodebook.of_moduli(consecutive_coprimes(4, 5), n_symbols, spacing)
            code = GridCode(book, decoders, representation=representation)
            assert not errors(code, circuit, NoiseSpec(), 1).any(), name


def test_learned_codebook_is_exact_without_noise():
    phases = np.random.default_rng(1).random((16, 6))
    for name in ("nand", "multiplier_nand", "multiplier_16way", "chain_16x16"):
        assert not errors(GridCode(GridCodebook(phases)), TASKS[name], NoiseSpec(), 1).any()


@pytest.mark.parametrize("noise", [NoiseSpec(0.05), NoiseSpec(score_sd=0.8), NoiseSpec(phase_sd=0.1)])
def test_two_evaluations_differ_with_noise_and_are_equal_from_one_seed(noise):
    circuit, code = TASKS["multiplier_nand"], thirds(4)

    def run(generator: torch.Generator) -> np.ndarray:
        return code.simulate(circuit, noise, circuit.rows(), 20, generator)

    generator = torch.Generator().manual_seed(0)
    first, second = run(generator), run(generator)
    assert (first != second).any()
    np.testing.assert_array_equal(run(torch.Generator().manual_seed(0)), first)


PUBLISHED = [
    ("nand", NoiseSpec(phase_sd=0.053), 0.0160),
    ("nand", NoiseSpec(phase_sd=0.079), 0.105),
    ("nand", NoiseSpec(phase_sd=0.105), 0.239),
    ("nand", NoiseSpec(trig_sd=0.632), 0.0223),
    ("nand", NoiseSpec(trig_sd=0.947), 0.1127),
    ("nand", NoiseSpec(score_sd=1.263), 0.0237),
    ("nand", NoiseSpec(score_sd=1.684), 0.0804),
    ("nand", NoiseSpec(0.05), 0.0308),
    ("nand", NoiseSpec(0.10), 0.0997),
    ("nand", NoiseSpec(0.20), 0.235),
    ("xor", NoiseSpec(0.05), 0.0495),
    ("xor", NoiseSpec(0.10), 0.1636),
]


@pytest.mark.parametrize(("name", "noise", "expected"), PUBLISHED)
def test_errors_are_those_of_section_5_3_within_three_standard_errors_of_3000_trials(name, noise, expected):
    code = GridCode(SEVEN, "shared", "none", noisy_encoders=False, noisy_reading=True)
    found = errors(code, with_encoder_neurons(TASKS[name]), noise, 6000).mean()
    assert found == pytest.approx(expected, abs=3 * math.sqrt(expected * (1 - expected) / 3000))


def chance_of_reading_one(p: float, site: str, n_extra: int) -> float:
    """Enumerate all failures of one identity neuron with one module and phases 0 and .3 that reads value 1."""
    weights = [(math.cos(2 * math.pi * u), math.sin(2 * math.pi * u)) for u in (0.0, 0.3)]
    total = 0.0
    for alive in product((0, 1), repeat=7 + n_extra):
        encoder, reading, a, b, c, d, output = alive[:7]
        phase = 0.3 * encoder * reading
        cosine, sine = math.cos(2 * math.pi * phase), math.sin(2 * math.pi * phase)
        if site == "synapse":
            scores = [
                a * cosine * weights[0][0] + b * sine * weights[0][1],
                c * cosine * weights[1][0] + d * sine * weights[1][1],
            ]
        else:
            cosine, sine = a * cosine, b * sine
            scores = [alone * (cosine * x + sine * y) for alone, (x, y) in zip((c, d), weights, strict=True)]
        one = scores[1] > scores[0] + 1e-5
        if one and output and all(alive[7:]):
            total += p ** (len(alive) - sum(alive)) * (1 - p) ** sum(alive)
    return total


@pytest.mark.parametrize("noisy_wta", [False, True])
@pytest.mark.parametrize("site", ["synapse", "neuron"])
@pytest.mark.parametrize("p", [0.06, 0.3])
def test_errors_of_one_neuron_are_those_of_all_failures_enumerated(p, site, noisy_wta):
    code = GridCode(GridCodebook(np.array([[0.0], [0.3]])), noisy_wta=noisy_wta)
    found = errors(code, identity_chain(2, 1), NoiseSpec(p, site=site), 40_000)
    right = chance_of_reading_one(p, site, int(noisy_wta))
    assert found[1] == pytest.approx(1 - right, abs=4 * math.sqrt(right * (1 - right) / 40_000))


def test_multiplier_of_784_neurons_has_the_error_of_section_4_2():
    code, circuit = thirds(8), TASKS["multiplier_nand"]
    assert code.resources(circuit).neurons == 784
    assert 0.0014 < errors(code, circuit, NoiseSpec.common(0.02, 0.02), 800).mean() < 0.0046


@pytest.mark.parametrize(
    ("name", "decoders", "n_modules", "n_neurons"),
    [
        ("nand", "shared", 6, 27),
        ("nand", "local", 6, 42),
        ("multiplier_nand", "shared", 8, 490),
        ("multiplier_nand", "local", 12, 1176),
        ("multiplier_gates", "local", 4, 224),
    ],
)
def test_neurons_are_counted_as_in_sections_2_6_and_4_2(name, decoders, n_modules, n_neurons):
    assert thirds(n_modules, decoders=decoders).resources(TASKS[name]).neurons == n_neurons


def test_synapses_depth_encoders_and_winner_take_all_are_counted():
    m, n, s = 2, 6, 3
    shared, local = (thirds(n, decoders=one).resources(TASKS["nand"]) for one in ("shared", "local"))
    assert shared.synapses == m * n + 2 * n + 3 * n * s
    assert local.synapses == m * n + 2 * n + 2 * n * n * s + n * s
    assert (local.depth, local.encoders) == (4, 2 * n)
    with_wta = thirds(n, wta_cost=True).resources(TASKS["nand"])
    assert with_wta.neurons == local.neurons + n * s
    assert with_wta.depth == 5


def test_sixteen_way_neuron_has_20_neurons_a_module():
    code = GridCode(GridCodebook.of_moduli(consecutive_coprimes(8, 13), 16, None))
    assert code.resources(TASKS["multiplier_16way"]).neurons == 160


def test_chunks_bound_memory_and_leave_the_errors_alone(monkeypatch):
    circuit, noise, code = TASKS["nand"], NoiseSpec(0.1), thirds(4)
    whole = errors(code, circuit, noise, 4000).mean()
    sizes = []
    scores = grid_simulator.decoder_scores
    monkeypatch.setitem(grid_simulator.MASKS_PER_CHUNK, "cpu", 50_000)

    def watched(trig, decoder, n_decoders, chance):
        sizes.append(decoder.numel() * n_decoders * trig.shape[1])
        return scores(trig, decoder, n_decoders, chance)

    monkeypatch.setattr(grid_simulator, "decoder_scores", watched)
    parts = errors(code, circuit, noise, 4000, seed=1).mean()
    assert max(sizes) <= 50_000
    assert len(sizes) > 10
    assert parts == pytest.approx(whole, abs=4 * math.sqrt(2 * whole / 16_000))


def test_frozen_failures_are_the_same_in_all_trials_and_chunks(monkeypatch):
    monkeypatch.setitem(grid_simulator.MASKS_PER_CHUNK, "cpu", 20_000)
    circuit, noise, code = TASKS["nand"], NoiseSpec(0.12, persistence="frozen"), thirds(4)
    shares = [errors(code, circuit, noise, 120, seed) for seed in range(400)]  # two chunks
    assert set(np.concatenate(shares)) == {0.0, 1.0}
    transient = errors(code, circuit, replace(noise, persistence="transient"), 4000).mean()
    assert np.mean(shares) == pytest.approx(transient, abs=4 * math.sqrt(transient / 400))


def test_failures_of_all_modules_together_destroy_the_gain():
    alone = [errors(thirds(m), TASKS["nand"], NoiseSpec(0.05), 3000).max() for m in (4, 12)]
    together = [
        errors(thirds(m, correlated=True), TASKS["nand"], NoiseSpec(0.05), 3000).max() for m in (4, 12)
    ]
    assert alone[1] < alone[0] / 10
    assert together[1] > 0.8 * together[0]


def test_one_one_is_the_worst_input_of_nand_under_failures():
    found = errors(thirds(6), TASKS["nand"], NoiseSpec(0.06), 4000)
    assert found.argmax() == 3
    assert found.max() > 2 * found.mean()


@pytest.mark.parametrize("representation", ["phasor", "population"])
def test_missing_votes_harm_less_than_wrong_ones(representation):
    noise = NoiseSpec(0.15)
    plain = errors(thirds(6), TASKS["nand"], noise, 2000).max()
    assert errors(thirds(6, representation=representation), TASKS["nand"], noise, 2000).max() < plain / 2


def test_learned_weights_replace_the_correlation_decoder():
    code, circuit, noise = thirds(5), TASKS["nand"], NoiseSpec(0.1)
    (gate,) = code.gates(circuit)
    always_first = replace(gate, bias=torch.tensor([100.0, 0.0, 0.0]))
    assert errors(code, circuit, NoiseSpec(), 2, gates=(always_first,)).tolist() == [0, 0, 0, 1]
    louder = replace(gate, decoder=4 * gate.decoder)  # a power of two: the same rounding
    np.testing.assert_array_equal(
        errors(code, circuit, noise, 50, gates=(louder,)), errors(code, circuit, noise, 50)
    )


def test_norms_only_change_how_much_score_noise_matters():
    found = [
        errors(thirds(9, score_norm=norm), TASKS["nand"], NoiseSpec(score_sd=0.6), 4000).mean()
        for norm in ("none", "root", "modules")
    ]
    assert found[0] == found[1] == 0
    assert found[2] > 0
    scaled = errors(thirds(9, score_norm="none"), TASKS["nand"], NoiseSpec(score_sd=5.4), 4000).mean()
    assert scaled == pytest.approx(found[2], abs=4 * math.sqrt(2 * found[2] / 16_000))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"decoders": "both"}, "`decoders` is 'both', but must be one of shared, local"),
        ({"n_tuned": 5}, "`n_tuned` is 5, but must be even"),
        ({"representation": "phasor", "trig_fails": True}, "`trig_fails` is for `phase` modules"),
    ],
)
def test_options_that_no_grid_code_has_are_refused(options, expected):
    with pytest.raises(ValueError, match=expected):
        thirds(3, **options)


def test_noise_in_blocks_and_circuits_beyond_the_range_are_refused_before_anything_runs():
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    circuit = TASKS["nand"]
    with pytest.raises(DataError, match="not in blocks of 4"):
        thirds(3).simulate(circuit, NoiseSpec(0.1, block=4), circuit.rows(), 1, generator)
    twos = GridCode(GridCodebook.of_moduli((2, 2), 2))
    with pytest.raises(DataError, match="beyond the code's unambiguous range"):
        twos.simulate(circuit, NoiseSpec(0.1), circuit.rows(), 1, generator)
    assert torch.equal(generator.get_state(), state)


def test_codes_too_large_for_memory_are_refused_and_their_size_is_named():
    with pytest.raises(DataError, match="GiB"):
        thirds(20_000).simulate(TASKS["nand"], NoiseSpec(0.1), TASKS["nand"].rows(), 1, torch.Generator())


def test_rows_may_be_any_in_any_number_and_are_kept_apart():
    rows = np.array([[1, 1], [0, 1], [1, 1]])
    code = thirds(6)
    found = code.simulate(TASKS["nand"], NoiseSpec(), rows, 5, torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(found, np.broadcast_to([[0], [1], [0]], (5, 3, 1)))
