"""Losses are what their formulas say, worked out by hand or by scipy."""

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from scipy.stats import norm

from lightning_modules.fault_tolerant.learned.losses import (
    margins_of,
    noisy_cross_entropy,
    tail_surrogate,
    worst_share,
)


def test_cross_entropy_is_averaged_over_draws():
    logits = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    truth = torch.tensor([2, 0, 3])
    by_hand = -log_softmax(logits.numpy(), axis=2)[:, range(3), truth.numpy()].mean(axis=0)
    assert noisy_cross_entropy(logits, truth).numpy() == pytest.approx(by_hand, rel=1e-5)


def test_margin_is_the_lead_over_the_strongest_other_value():
    logits = torch.tensor([[[1.0, 4.0, 2.5], [0.0, -1.0, -3.0]]])
    assert margins_of(logits, torch.tensor([1, 2])).tolist() == [[1.5, -3.0]]


def test_tail_surrogate_is_the_logarithm_of_a_normal_tail():
    margins = np.random.default_rng(0).normal([3.0, 8.0, -1.0], [1.0, 0.5, 2.0], (50, 3))
    ratio = margins.mean(axis=0) / margins.std(axis=0, ddof=1)
    found = tail_surrogate(torch.from_numpy(margins)).numpy()
    assert found == pytest.approx(-norm.logcdf(ratio), rel=1e-6)
    # Far beyond what 50 draws could show as an error, the loss still says how good a row is.
    assert 0 < found[1] < 1e-30


def test_worst_share_is_the_mean_of_the_sorted_worst():
    """Half of 5 rows are 2.5 of them: (9 + 7 + 5/2) / 2.5."""
    losses = torch.tensor([1.0, 9.0, 5.0, 3.0, 7.0])
    assert float(worst_share(losses, 0.5)) == pytest.approx((9 + 7 + 2.5) / 2.5)
    assert float(worst_share(losses, 1.0)) == pytest.approx(5.0)
    assert float(worst_share(losses, 0.4)) == pytest.approx(8.0)
    assert float(worst_share(losses, 0.01)) == pytest.approx(9.0)


def test_worst_share_is_the_least_upper_bound_of_rockafellar_and_uryasev():
    """CVaR_α = min over t of t + mean(max(loss - t, 0)) / α, found at one of the losses."""
    losses = torch.rand(16, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for alpha in (0.1, 0.3, 0.77):
        least = min(float(t + (losses - t).clamp_min(0).mean() / alpha) for t in losses)
        assert float(worst_share(losses, alpha)) == pytest.approx(least)
    assert math.isclose(float(worst_share(losses, 1.0)), float(losses.mean()))
