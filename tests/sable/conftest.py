from collections.abc import Callable
from typing import Any

import pytest
import torch

from lightning_modules.parts.spikes.batch import LabelledSpikeBatch
from lightning_modules.sable.module import Sable

N_UNITS, N_BINS = 10, 12

BuildSable = Callable[..., Sable]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def keep_torch_defaults() -> Any:
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    assert torch.get_default_dtype() == dtype


@pytest.fixture
def trials() -> LabelledSpikeBatch:
    """24 trials of 4 targets on 3 days: direction sets the rates, and movement runs along it."""
    generator = torch.Generator().manual_seed(7)
    target = torch.arange(24) % 4
    session = torch.arange(24) // 8
    angle = target * torch.pi / 2
    direction = torch.stack([angle.cos(), angle.sin()], dim=-1)  # (B, 2)
    tuning = torch.randn(2, N_UNITS, generator=generator)
    time = torch.linspace(0, 1, N_BINS)
    profile = torch.sin(torch.pi * time)
    rates = torch.exp((direction @ tuning)[:, None] * profile[:, None] - 0.5)
    spikes = torch.poisson(rates, generator=generator)
    noise = 0.05 * torch.randn(24, N_BINS, 2, generator=generator)
    behaviour = 30 * (direction[:, None] * time[:, None] + noise) + 5
    return LabelledSpikeBatch(spikes, behaviour, session, target)


@pytest.fixture
def build(trials: LabelledSpikeBatch) -> BuildSable:
    """Small networks for `trials`, without dropout and warm-ups unless asked for."""
    defaults: dict[str, Any] = {
        "n_units": N_UNITS,
        "n_bins": N_BINS,
        "bin_width_s": 0.03,
        "behaviour_names": ["x", "y"],
        "mean_counts": trials.spikes.mean(dim=(0, 1)).tolist(),
        "behaviour_mean": trials.behaviour.mean(dim=(0, 1)).tolist(),
        "behaviour_scale": trials.behaviour.std(dim=(0, 1)).tolist(),
        "latent_dim": 3,
        "encoder_hidden": 6,
        "encoder_width": 5,
        "generator_hidden": 6,
        "factor_dim": 4,
        "behaviour_hidden": 7,
        "behaviour_width": 5,
        "reversal_strength": 0.7,
        "reversal_schedule": "constant",
        "kl_warmup_steps": 0,
        "input_dropout": 0.0,
    }

    def make(**settings: Any) -> Sable:
        torch.manual_seed(3)
        return Sable(**{**defaults, **settings})

    return make
