"""Circuits against arithmetic, and the counts of section 4.1."""

import numpy as np
import pytest

from lightning_modules.fault_tolerant.circuit import Circuit, LogicalNeuron
from lightning_modules.fault_tolerant.tasks import (
    TASKS,
    adder,
    formula_size,
    identity_chain,
    multiplier_of_gates,
    multiplier_of_nands,
    multiplier_of_one_neuron,
    random_formula,
    single_gate,
    with_encoder_neurons,
)


def numbers(bits: np.ndarray) -> np.ndarray:
    return bits @ (1 << np.arange(bits.shape[1])[::-1])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("nand", np.logical_and), ("and", np.logical_and), ("or", np.logical_or), ("xor", np.logical_xor)],
)
def test_gates_compute_their_logical_function(kind, expected):
    circuit = single_gate(kind)
    truth = expected(*circuit.rows().T).astype(int) ^ (kind == "nand")
    np.testing.assert_array_equal(circuit.evaluate(circuit.rows())[:, 0], truth)


@pytest.mark.parametrize("circuit", [multiplier_of_nands(), multiplier_of_gates()], ids=lambda one: one.name)
def test_multipliers_of_bits_are_right_in_all_16_rows(circuit):
    rows = circuit.rows()
    assert len(rows) == 16
    product = numbers(rows[:, :2]) * numbers(rows[:, 2:])
    np.testing.assert_array_equal(numbers(circuit.evaluate(rows)), product)


def test_multiplier_of_nands_has_14_gates_depth_4_and_40_without_fan_out():
    circuit = multiplier_of_nands()
    assert (len(circuit.neurons), circuit.depth, formula_size(circuit)) == (14, 4, 40)
    assert all(neuron.table == (1, 1, 0) for neuron in circuit.neurons)


def test_multiplier_of_gates_has_6_ands_and_2_xors():
    tables = [neuron.table for neuron in multiplier_of_gates().neurons]
    assert tables.count((0, 0, 1)) == 6
    assert tables.count((0, 1, 0)) == 2


def test_one_neuron_of_16_sums_multiplies():
    circuit = multiplier_of_one_neuron()
    rows = circuit.rows()
    assert circuit.neurons[0].n_symbols == 16
    np.testing.assert_array_equal(circuit.evaluate(rows)[:, 0], rows[:, 0] * rows[:, 1])


@pytest.mark.parametrize("n_bits", [1, 2, 3])
def test_adders_add_over_the_whole_truth_table(n_bits):
    circuit = adder(n_bits)
    rows = circuit.rows()
    assert len(rows) == 4**n_bits
    total = numbers(rows[:, :n_bits]) + numbers(rows[:, n_bits:])
    np.testing.assert_array_equal(numbers(circuit.evaluate(rows)), total)
    assert len(circuit.neurons) == 5 + 9 * (n_bits - 1)


@pytest.mark.parametrize("depth", [1, 4, 12])
def test_random_formula_has_its_depth_and_reads_every_gate_once(depth):
    circuit = random_formula(depth, seed=3)
    gates = [one for neuron in circuit.neurons for one in neuron.inputs if one >= 4]
    assert circuit.depth == depth
    assert sorted(gates) == list(range(4, 3 + len(circuit.neurons)))
    assert formula_size(circuit) == len(circuit.neurons)


def test_seed_decides_the_formula():
    assert random_formula(5, seed=1) == random_formula(5, seed=1)
    assert random_formula(5, seed=1).neurons != random_formula(5, seed=2).neurons


def test_chain_returns_what_it_was_given_after_all_layers():
    circuit = identity_chain(16, 64)
    assert circuit.depth == len(circuit.neurons) == 64
    np.testing.assert_array_equal(circuit.evaluate(circuit.rows()), circuit.rows())


@pytest.mark.parametrize("name", ["nand", "multiplier_gates", "multiplier_16way"])
def test_encoder_neurons_change_the_network_and_not_the_function(name):
    circuit = TASKS[name]
    encoded = with_encoder_neurons(circuit)
    assert len(encoded.neurons) == len(circuit.neurons) + len(circuit.input_sizes)
    np.testing.assert_array_equal(encoded.evaluate(circuit.rows()), circuit.evaluate(circuit.rows()))


def test_fractional_weights_are_refused_before_anything_runs():
    with pytest.raises(ValueError, match="phases can only be added by whole numbers"):
        Circuit("half", (2, 2), (LogicalNeuron((0, 1), (1, 0.5), (1, 1, 0)),), (2,))  # type: ignore[arg-type]
