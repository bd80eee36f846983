"""Exact draws of failures: every pattern of lost synapses as often as independence says."""

import numpy as np
import pytest
import torch
from scipy.stats import binom, chisquare

from lightning_modules.fault_tolerant.codes.grid_faults import Chance, fault_positions, surviving_bytes
from lightning_modules.fault_tolerant.codes.grid_scores import decoder_scores
from lightning_modules.fault_tolerant.noise import NoiseSpec


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


@pytest.mark.parametrize("p", [0.003, 0.08, 0.7])
def test_faults_are_as_many_and_as_far_apart_as_independent_ones(p, generator):
    n = 400_000
    found = fault_positions(n, p, generator).numpy()
    assert (np.diff(found) > 0).all()
    assert found[0] >= 0
    assert found[-1] < n
    assert 1e-4 < binom.cdf(len(found), n, p) < 1 - 1e-4
    gaps = np.bincount(np.minimum(np.diff(found) - 1, 5), minlength=6)
    expected = np.append(p * (1 - p) ** np.arange(5), (1 - p) ** 5)
    assert chisquare(gaps, expected * gaps.sum()).pvalue > 1e-4


def test_extreme_probabilities_fail_all_or_none(generator):
    assert fault_positions(1000, 1.0, generator).tolist() == list(range(1000))
    assert len(fault_positions(1000, 0.0, generator)) == 0
    assert len(fault_positions(1000, 1e-300, generator)) == 0
    assert len(fault_positions(0, 0.5, generator)) == 0


def test_bytes_and_the_rest_together_fail_with_p_exactly(generator):
    for p in (0.1, 0.2, 0.5, 0.999, 1.0):
        alive, rest = surviving_bytes(100_000, p, generator)
        by_bytes = 1 - alive.double().mean().item()
        steps = min(int(p * 256), 255) / 256
        assert by_bytes == pytest.approx(steps, abs=0.007)
        assert steps + (1 - steps) * rest == pytest.approx(p, abs=1e-12)


@pytest.mark.parametrize("p", [0.04, 0.3])
def test_scores_lose_every_combination_of_synapses_equally_often_in_every_decoder(p, generator):
    n_symbols, n_inputs, n_decoders, n = 3, 6, 2, 20_000
    # Weights are powers of two: the digits of a score tell which synapses have failed.
    decoder = (2.0 ** torch.arange(n_inputs)).repeat(n_symbols, 1)
    trig = (1 + torch.arange(n) % 7).float().repeat(n_inputs, 1)
    scores = decoder_scores(trig, decoder, n_decoders, Chance(NoiseSpec(p), generator, generator))
    digits = scores / trig[0]
    assert torch.allclose(digits, digits.round(), atol=1e-4)
    patterns = digits.round().long().numpy()
    survivors = np.array([bin(one).count("1") for one in range(2**n_inputs)])
    expected = (1 - p) ** survivors * p ** (n_inputs - survivors)
    often = expected * n > 5
    for symbol in range(n_symbols):
        for which in range(n_decoders):
            counts = np.bincount(patterns[symbol, which], minlength=len(expected))
            # Rare patterns are one class, together with the most frequent one, so that it is never empty.
            rest = n - counts[often][:-1].sum()
            shares = np.append(expected[often][:-1], 1 - expected[often][:-1].sum())
            assert chisquare(np.append(counts[often][:-1], rest), shares * n).pvalue > 1e-4
    lost = patterns != 2**n_inputs - 1
    both = (lost[0, 0] & lost[1, 1]).mean()
    assert both == pytest.approx((1 - (1 - p) ** n_inputs) ** 2, abs=4 * np.sqrt(0.25 / n))


def test_correlated_failures_strike_all_modules_and_frozen_ones_all_evaluations(generator):
    values = torch.ones(2, 5, 400)
    together = Chance(NoiseSpec(0.3), generator, generator, correlated=True).failed(values)
    assert (together == together[:, :1]).all()
    assert 0 < together.mean() < 1
    frozen = Chance(NoiseSpec(0.3, persistence="frozen"), generator, generator).failed(values)
    assert (frozen == frozen[..., :1]).all()
    assert 0 < frozen.mean() < 1
