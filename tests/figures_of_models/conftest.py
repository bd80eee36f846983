"""Small recordings and models whose predictions are known, for pictures whose numbers are known."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from lightning_modules.parts.spikes import SpikeTrials
from lightning_modules.parts.spikes.data_module import SpikeDataModule
from lightning_modules.parts.spikes.recordings import SpikeData

DAYS = ("2026-03-01", "2026-03-04", "2026-03-05", "2026-03-12")


class Output(NamedTuple):
    behaviour: torch.Tensor
    latent: torch.Tensor
    log_rates: torch.Tensor | None


class Linear(torch.nn.Module):
    """Predicts from the mean counts of a trial, so that what it says of trials can be computed beside it."""

    def __init__(
        self, n_units: int, *, behaviour: int, latents: int, rates: bool = True, spoil: float = 0.0
    ) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(3)
        self.reads = torch.nn.Parameter(torch.randn(n_units, behaviour, generator=rng))
        self.codes = torch.nn.Parameter(torch.randn(n_units, latents, generator=rng))
        self.rates, self.spoil = rates, spoil

    def forward(self, spikes: torch.Tensor) -> Output:
        behaviour = spikes.cumsum(1) / spikes.shape[1] @ self.reads + self.spoil
        log_rates = torch.log(spikes.mean(1, keepdim=True).expand_as(spikes) + 0.1)
        return Output(behaviour, spikes.mean(1) @ self.codes, log_rates if self.rates else None)


def make_trials(
    sessions: list[int], *, per_session: int, behaviour: int, targets: int, seed: int
) -> SpikeTrials:
    rng = np.random.default_rng(seed)
    n = len(sessions) * per_session
    target = np.arange(n) % targets
    spikes = rng.poisson(0.4 + 0.3 * (np.arange(9) % targets == target[:, None, None]), size=(n, 6, 9))
    walk = rng.standard_normal((n, 6, behaviour)).cumsum(axis=1)
    return SpikeTrials(
        spikes=spikes.astype(np.uint8),
        behaviour=(walk + target[:, None, None]).astype(np.float32),
        target=target.astype(np.int64),
        session=np.repeat(sessions, per_session).astype(np.int64),
    )


@pytest.fixture
def make_data() -> Callable[..., SpikeData]:
    """Three training days and one held-out day; or, with `held_out_trials`, trials of the training days."""

    def make(
        *, behaviour: int = 2, targets: int = 4, per_session: int = 12, held_out_trials: bool = False
    ) -> SpikeData:
        shape: dict[str, Any] = {"per_session": per_session, "behaviour": behaviour, "targets": targets}
        return SpikeData(
            training=make_trials([0, 1, 2], **shape, seed=0),
            validation=make_trials([0, 1, 2] if held_out_trials else [3], **shape, seed=1),
            animal="Monkey",
            bin_width_s=0.05,
            behaviour_names=tuple(f"velocity_{axis}" for axis in "xyzuv"[:behaviour]),
            unit_names=tuple(f"unit_{unit}" for unit in range(9)),
            session_names=DAYS[:3] if held_out_trials else DAYS,
            sealed_sessions=("2026-03-20",),
            notes=(),
        )

    return make


@pytest.fixture
def make_model() -> Callable[..., Linear]:
    def make(data: SpikeData, *, latents: int = 5, **options: Any) -> Linear:
        return Linear(9, behaviour=len(data.behaviour_names), latents=latents, **options).eval()

    return make


@pytest.fixture
def few() -> Callable[[SpikeData, int], SpikeData]:
    """Keep the first trials of training and validation alone."""

    def cut(data: SpikeData, n: int) -> SpikeData:
        first = np.arange(n)
        return replace(data, training=data.training.select(first), validation=data.validation.select(first))

    return cut


@pytest.fixture
def as_module() -> Callable[[SpikeData], SpikeDataModule]:
    return lambda data: SpikeDataModule(data, batch_size=8)


@pytest.fixture
def say() -> Callable[[Linear, SpikeTrials], Output]:
    """What a model says of trials, without the code under test."""

    def run(model: Linear, trials: SpikeTrials) -> Output:
        with torch.no_grad():
            return model(torch.tensor(trials.spikes.astype(np.float32)))

    return run
