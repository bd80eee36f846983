"""Read-ins of a new day in front of a frozen model, against drift that is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from lightning_modules.lfads.module import Lfads
from lightning_modules.parts.decoding.read_in import FLOOR, ReadIn, energy_distance, fit_read_in
from lightning_modules.parts.errors import DataError
from lightning_modules.rave.module import Rave
from lightning_modules.sable.module import Sable

N_BINS, N_UNITS, N_LATENTS = 8, 16, 3


class Linear(nn.Module):
    """Latents that are linear in the summed counts, behind dropout that must be off."""

    def __init__(self, weights):
        super().__init__()
        self.weights = nn.Parameter(torch.tensor(weights, dtype=torch.float32))
        self.dropout = nn.Dropout(0.5)

    def forward(self, spikes):
        latent = self.dropout(spikes.sum(dim=1)) @ self.weights
        return SimpleNamespace(latent=latent, behaviour=latent[:, None], log_rates=None)


def counts(generator, n_trials, gains=None, mixing=None):
    """Counts that a few clustered latents drive, through units whose gains and wiring may have drifted."""
    centres = np.array([[2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0], [1.2, 1.2, 0]])
    hidden = centres[generator.integers(4, size=n_trials)] + 0.2 * generator.standard_normal((n_trials, 3))
    loadings = np.random.default_rng(7).uniform(0, 1, (3, N_UNITS))
    rates = np.abs(hidden) @ loadings
    if mixing is not None:
        rates = rates @ mixing
    if gains is not None:
        rates = rates * gains
    spikes = generator.poisson(rates[:, None], (n_trials, N_BINS, N_UNITS)).astype(np.uint16)
    return spikes, hidden


@pytest.fixture(scope="module")
def trained():
    """The least-squares decoder of the hidden latents, in sklearn's place a closed form, and its training trials."""
    spikes, hidden = counts(np.random.default_rng(0), 600)
    weights, *_ = np.linalg.lstsq(spikes.sum(axis=1).astype(float), hidden, rcond=None)
    return Linear(weights).train(), spikes


def r2(model, spikes, hidden):
    with torch.no_grad():
        found = model.eval()(torch.as_tensor(spikes.astype(np.float32))).latent.numpy()
    model.train()
    return 1 - np.square(found - hidden).sum() / np.square(hidden - hidden.mean(axis=0)).sum()


@pytest.mark.parametrize(("drift", "part"), [("gains", 0.9), ("wiring", 0.6)])
def test_drift_is_undone_without_labels_for_the_most_part(trained, drift, part):
    model, training = trained
    generator = np.random.default_rng(1)
    gains = np.exp(0.9 * generator.standard_normal(N_UNITS)) if drift == "gains" else None
    mixing = None
    if drift == "wiring":
        mixing = 0.4 * np.eye(N_UNITS) + 0.6 * np.roll(np.eye(N_UNITS), 1, axis=1)
    new_day, hidden = counts(generator, 400, gains, mixing)
    without = r2(model, new_day, hidden)
    found = r2(model, fit_read_in(model, training, new_day)(new_day), hidden)
    undrifted, same = counts(np.random.default_rng(2), 400)
    assert without < 0.6
    assert found - without > part * (r2(model, undrifted, same) - without)


def test_a_day_without_drift_is_left_about_as_it_is(trained):
    model, training = trained
    new_day, hidden = counts(np.random.default_rng(3), 400)
    assert r2(model, fit_read_in(model, training, new_day)(new_day), hidden) == pytest.approx(
        r2(model, new_day, hidden), abs=0.03
    )


def test_neither_the_model_nor_the_callers_random_numbers_change_and_a_seed_repeats_itself(trained):
    model, training = trained
    before = {name: one.clone() for name, one in model.state_dict().items()}
    state = torch.get_rng_state()
    new_day, _ = counts(np.random.default_rng(4), 50)
    first, again, other = (fit_read_in(model, training, new_day, n_steps=20, seed=one) for one in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], one) for name, one in model.state_dict().items())
    assert model.training
    assert all(one.grad is None and one.requires_grad for one in model.parameters())
    assert torch.equal(first.weights, again.weights)
    assert not torch.equal(first.weights, other.weights)


def test_a_strong_penalty_leaves_the_identity(trained):
    model, training = trained
    new_day, _ = counts(np.random.default_rng(5), 60, gains=np.full(N_UNITS, 2.0))
    found = fit_read_in(model, training, new_day, decay=1e6, n_steps=200)
    assert found.weights.abs().max() < 2e-3
    assert found.shift.abs().max() < 2e-3


def test_reading_in_is_the_formula_with_a_floor():
    generator = np.random.default_rng(6)
    spikes = generator.poisson(1.0, (5, 4, 3)).astype(np.uint16)
    scale, weights, shift = (
        generator.uniform(0.5, 1, 3),
        generator.normal(size=(3, 3)),
        generator.normal(size=3),
    )
    read_in = ReadIn(*(torch.tensor(one, dtype=torch.float32) for one in (scale, weights, shift)))
    expected = np.empty(spikes.shape)
    for trial, time, unit in np.ndindex(spikes.shape):
        change = sum(spikes[trial, time, j] / scale[j] * weights[j, unit] for j in range(3)) + shift[unit]
        expected[trial, time, unit] = max(spikes[trial, time, unit] + change * scale[unit], FLOOR)
    np.testing.assert_allclose(read_in(spikes), expected, rtol=1e-4, atol=1e-5)


def test_energy_distance_is_scipys_squared_in_one_dimension():
    generator = np.random.default_rng(8)
    one, other = generator.normal(size=40), generator.normal(0.5, 2.0, size=70)
    found = energy_distance(torch.tensor(one)[:, None], torch.tensor(other)[:, None]).item()
    assert found == pytest.approx(stats.energy_distance(one, other) ** 2, rel=1e-9)


@pytest.mark.parametrize("family", [Sable, Rave, Lfads])
def test_every_family_can_be_read_in_from_counts_with_silent_units(family):
    """The slope of a root is infinite at 0, where most counts are."""
    torch.manual_seed(0)
    extra = {Sable: {"encoder_input": "sqrt"}, Rave: {"n_sessions": 2}, Lfads: {}}[family]
    model = family(
        n_units=6, n_bins=5, bin_width_s=0.05, behaviour_names=["x", "y"],
        mean_counts=[0.2] * 6, behaviour_mean=[0.0] * 2, behaviour_scale=[1.0] * 2, **extra,
    )  # fmt: skip
    generator = np.random.default_rng(9)
    training = generator.poisson(0.2, (40, 5, 6)).astype(np.uint16)
    new_day = generator.poisson(0.6, (40, 5, 6)).astype(np.uint16)
    new_day[..., 0] = 0
    found = fit_read_in(model, training, new_day, n_steps=5)
    assert torch.isfinite(found.weights).all()
    assert found.weights.abs().max() > 1e-3


@pytest.mark.parametrize(
    ("new_day", "arguments", "message"),
    [
        (np.zeros((9, N_BINS, N_UNITS + 1)), {}, r"fitted to 16 units, but got spikes of shape \(9, 8, 17\)"),
        (np.zeros((1, N_BINS, N_UNITS)), {}, "The new day has 1 trials"),
        (np.zeros((9, N_BINS, N_UNITS)), {"n_steps": 0}, "`n_steps` is 0, but must be at least 1"),
    ],
)
def test_what_cannot_be_fitted_is_refused(trained, new_day, arguments, message):
    model, training = trained
    with pytest.raises((DataError, ValueError), match=message):
        fit_read_in(model, training, new_day, **arguments)
