"""Mean field of the grid code against its closed form, a slow draw of its scores, and the specification's table."""

import numpy as np
import pytest
from scipy.special import ndtr

from lightning_modules.fault_tolerant.circuit import LogicalNeuron
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.theory.grid_boundary import (
    ANY_DEPTH,
    AS_SPECIFIED,
    boundary,
    boundary_failure,
    boundary_sd,
    closed_form_threshold,
)
from lightning_modules.fault_tolerant.theory.grid_mean_field import (
    GateFormula,
    WireErrors,
    next_wire_errors,
    settled_errors,
    shared_decoder_floor,
    win_probabilities,
)


def simulate_gate(errors: WireErrors, noise: NoiseSpec, n_modules: int, seed: int) -> tuple[float, float]:
    """Draw one NAND with a decoder in every module, one matrix product after the other: shares (e0', e1')."""
    rng = np.random.default_rng(seed)
    wire_error, seen = (errors.of_zero, errors.of_one), {0: 0.0, 1: 0.0}
    for a, b in ((0, 0), (0, 1), (1, 1)):
        total = noise.phase_sd * rng.standard_normal(n_modules)
        for bit in (a, b):
            carried = np.where(rng.random(n_modules) < wire_error[bit], 1 - bit, bit) / 3
            carried = carried + noise.phase_sd * rng.standard_normal(n_modules)
            total += np.where(rng.random(n_modules) < noise.failure, 0, carried)
        parts = np.exp(2j * np.pi * total) + noise.trig_sd * (
            rng.standard_normal(n_modules) + 1j * rng.standard_normal(n_modules)
        )
        scores = np.empty((n_modules, 3))
        for k in range(3):
            # A module's decoder has synapses of its own, cosine and sine apart.
            kept = rng.random((2, n_modules, n_modules)) >= noise.failure
            weight = np.exp(2j * np.pi * k / 3)
            summed = kept[0] @ (parts.real * weight.real) + kept[1] @ (parts.imag * weight.imag)
            scores[:, k] = summed / n_modules + noise.score_sd * rng.standard_normal(n_modules)
        output = np.array([1, 1, 0])[scores.argmax(axis=1)]
        carried = np.where(rng.random(n_modules) < noise.failure, 0, output)
        right = int(not (a and b))
        seen[right] = max(seen[right], float(np.mean(carried != right)))
    return seen[0], seen[1]


def test_three_scores_win_as_often_as_drawn_ones():
    means, sd = np.array([[0.3, 0.0, -0.4], [0.1, 0.1, 0.1]]), 0.5
    drawn = means[:, None] + sd * np.random.default_rng(0).standard_normal((2, 200_000, 3))
    shares = (drawn.argmax(axis=2)[..., None] == np.arange(3)).mean(axis=1)
    found = win_probabilities(means, sd)
    assert found == pytest.approx(shares, abs=0.005)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-12)
    assert win_probabilities(means[:, :2], sd)[0, 1] == pytest.approx(ndtr(-0.3 / (sd * 2**0.5)), abs=1e-12)
    assert win_probabilities(means, 0.0) == pytest.approx(np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]]))


@pytest.mark.parametrize(
    "noise",
    [NoiseSpec.common(0.1, 0.1), NoiseSpec(0.05, score_sd=0.4), NoiseSpec(0.08, phase_sd=0.08, score_sd=0.3)],
)
def test_one_gate_errs_as_a_simulated_one_of_many_modules(noise: NoiseSpec):
    before = WireErrors(0.05, 0.15, ())
    after = next_wire_errors(before, noise)
    of_zero, of_one = np.mean([simulate_gate(before, noise, 700, seed) for seed in range(3)], axis=0)
    assert after.of_zero == pytest.approx(of_zero, abs=0.03)
    assert after.of_one == pytest.approx(of_one, abs=0.03)


def test_failures_alone_are_survived_up_to_the_closed_form():
    found = boundary_failure(NoiseSpec())
    assert closed_form_threshold() == pytest.approx(0.1835, abs=5e-5)
    assert found == pytest.approx(closed_form_threshold(), abs=1e-4)


def test_boundary_in_fifty_layers_is_the_specified_one():
    sds = [0, 0.025, 0.05, 0.075, 0.10, 0.125, 0.15]
    specified = [0.1835, 0.1825, 0.18, 0.174, 0.151, 0.096, 0.001]
    assert boundary(sds, AS_SPECIFIED) == pytest.approx(specified, abs=1.2e-3)
    score_only = boundary_sd(lambda sd: NoiseSpec(score_sd=sd), AS_SPECIFIED)
    assert score_only == pytest.approx(0.571, abs=1e-3)
    common = boundary_sd(lambda sd: NoiseSpec.common(0.0, sd), AS_SPECIFIED, most=0.5)
    assert common == pytest.approx(0.150, abs=1e-3)


def test_at_any_depth_a_little_less_score_noise_is_survived():
    # Errors creep through a bottleneck for more than 50 layers between .565 and .571.
    assert ANY_DEPTH.holds(NoiseSpec(score_sd=0.560))
    assert not ANY_DEPTH.holds(NoiseSpec(score_sd=0.568))
    assert AS_SPECIFIED.holds(NoiseSpec(score_sd=0.568))
    assert ANY_DEPTH.holds(NoiseSpec.common(0.0, 0.149))
    assert not ANY_DEPTH.holds(NoiseSpec.common(0.0, 0.151))


def test_settled_errors_stay_as_they_are():
    noise = NoiseSpec.common(0.08, 0.08)
    settled = settled_errors(noise)
    assert settled is not None
    after = next_wire_errors(settled, noise)
    assert (after.of_zero, after.of_one) == pytest.approx((settled.of_zero, settled.of_one), abs=1e-8)
    assert settled_errors(NoiseSpec(0.25)) is None
    assert settled_errors(NoiseSpec()) == WireErrors(0.0, 0.0, (0.0, 0.0, 0.0))


def test_shared_decoder_has_the_specified_floor():
    noise = NoiseSpec(0.02, phase_sd=0.02, score_sd=0.35)
    floor = shared_decoder_floor(noise)
    assert floor == pytest.approx(0.0108, abs=6e-4)
    # (1, 1), the worst input, by drawing its three scores.
    damping = np.exp(-2 * (np.pi * 0.02) ** 2)
    wire = 0.02 + 0.98 * damping * (0.98 * np.exp(2j * np.pi / 3) + 0.02)
    means = 0.98 * (damping * wire**2 * np.exp(-2j * np.pi * np.arange(3) / 3)).real
    drawn = means + 0.35 * np.random.default_rng(0).standard_normal((2_000_000, 3))
    assert floor == pytest.approx(np.mean(drawn.argmax(axis=1) != 2), rel=0.03)


def test_other_gates_and_phase_steps_are_described():
    either = GateFormula(LogicalNeuron((0, 1), (1, 1), (0, 1, 1)))
    assert settled_errors(NoiseSpec.common(0.03, 0.03), either) is not None
    # Steps of 1/2 cycle put the sums 0 and 2 on one phase, so that a NAND cannot work.
    assert settled_errors(NoiseSpec.common(0.0, 0.03), GateFormula(phase_step=0.5)) is None


def test_networks_outside_the_mean_field_are_refused_with_all_reasons():
    with pytest.raises(ValueError, match=r"every `neuron`.*\n.*2 neighbouring synapses"):
        settled_errors(NoiseSpec(0.1, site="neuron", block=2))
    with pytest.raises(ValueError, match=r"sums reach 5, but its table has 3"):
        GateFormula(LogicalNeuron((0, 1), (1, 4), (1, 1, 0)))
    with pytest.raises(ValueError, match="wires must carry zeros and ones"):
        GateFormula(LogicalNeuron((0, 1), (1, 1), (0, 1, 2)))
