import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from lightning_modules.parts.inputs import drop_units, jitter_gains, transform_counts
from lightning_modules.parts.spikes.batch import LabelledSpikeBatch


def test_the_root_makes_the_variance_of_poisson_counts_the_same_at_every_rate() -> None:
    rates = torch.tensor([20.0, 40.0, 160.0])
    counts = torch.poisson(rates.expand(40_000, 3))
    variances = transform_counts(counts, "sqrt").var(dim=0)
    np.testing.assert_allclose(variances, 0.25, rtol=0.05)  # Anscombe 1948: a quarter
    assert torch.equal(transform_counts(counts, "counts"), counts)
    np.testing.assert_allclose(transform_counts(counts, "log1p"), np.log1p(counts.numpy()), rtol=1e-6)


def test_gains_are_log_normal_and_one_for_each_unit_of_a_trial() -> None:
    ones = torch.ones(3000, 5, 4)
    gains = jitter_gains(ones, 0.3)
    assert torch.equal(gains, gains[:, :1].expand_as(gains)), "the same at every bin"
    fit = stats.kstest(gains[:, 0].log().flatten().numpy(), "norm", args=(0, 0.3))
    assert fit.pvalue > 1e-3
    assert torch.equal(jitter_gains(ones, 0.0), ones)


def test_dropped_units_are_silent_for_the_whole_trial_and_the_others_are_not_scaled_up() -> None:
    counts = torch.poisson(torch.full((2000, 6, 5), 3.0))
    dropped = drop_units(counts, 0.25)
    silent = (dropped == 0).all(dim=1)
    assert torch.equal(
        dropped[~silent[:, None].expand_as(counts)], counts[~silent[:, None].expand_as(counts)]
    )
    share, n = silent.double().mean().item(), silent.numel()
    assert abs(share - 0.25) < 4 * math.sqrt(0.25 * 0.75 / n) + math.exp(-18)
    assert torch.equal(drop_units(counts, 0.0), counts)


@pytest.mark.parametrize("settings", [{"gain_jitter": 0.5}, {"unit_dropout": 0.5}, {"encoder_input": "sqrt"}])
def test_only_the_encoder_sees_imitated_drift_and_only_in_training(
    build: Any, trials: LabelledSpikeBatch, settings: dict[str, Any]
) -> None:
    model, seen = build(**settings), []
    model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.eval()(trials.spikes)
    expected = trials.spikes.sqrt() if "encoder_input" in settings else trials.spikes
    assert torch.equal(seen[0], expected)
    output = model.train()(trials.spikes)
    assert torch.equal(seen[1], expected) == ("encoder_input" in settings)
    terms = model.terms(output, trials)
    log_likelihood = stats.poisson.logpmf(trials.spikes, output.log_rates.detach().exp())
    factorials = torch.lgamma(trials.spikes + 1).sum().item()
    bins = trials.spikes.shape[0] * trials.spikes.shape[1]
    assert terms.neural.item() == pytest.approx((-log_likelihood.sum() - factorials) / bins, rel=1e-5)


def test_bad_settings_of_the_input_are_all_named(build: Any) -> None:
    with pytest.raises(ValueError, match=r"(?s)gain_jitter.*unit_dropout.*encoder_input"):
        build(gain_jitter=-1.0, unit_dropout=1.0, encoder_input="cube")
