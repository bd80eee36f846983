import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.special import expit
from torch import nn

from lightning_modules.rave.network import (
    Autoencoder,
    ResidualBlock,
    TrialInput,
    autoencoder_block,
    latent_head,
    smoothing_matrix,
)

Array = NDArray[np.float64]


@pytest.mark.parametrize("deviation", [0.7, 3.0])
def test_counts_are_smoothed_as_by_scipy_and_the_ends_of_a_trial_keep_their_mass(deviation: float) -> None:
    counts = np.random.default_rng(0).poisson(2.0, size=(15, 4)).astype(float)
    spread = {"sigma": deviation, "axis": 0, "mode": "constant", "truncate": 40.0}
    expected = gaussian_filter1d(counts, **spread) / gaussian_filter1d(np.ones_like(counts), **spread)
    found = smoothing_matrix(15, deviation).double() @ torch.tensor(counts)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_without_smoothing_the_input_is_counts_in_standard_deviations_of_a_poisson_unit() -> None:
    found = TrialInput(n_bins=4, mean_counts=[2.25, 0.5], smoothing_bins=0.0)(torch.full((1, 4, 2), 3.0))
    expected = torch.tensor([(3 - 2.25) / 1.5, (3 - 0.5) / 0.5**0.5]).expand(1, 4, 2)
    torch.testing.assert_close(found, expected)


def test_poisson_units_have_mean_0_and_variance_1_in_every_bin_of_the_input() -> None:
    rates = torch.tensor([0.3, 4.0])
    n_trials, n_bins = 20_000, 6
    spikes = torch.poisson(rates.expand(n_trials, n_bins, 2), generator=torch.Generator().manual_seed(1))
    found = TrialInput(n_bins=n_bins, mean_counts=rates.tolist(), smoothing_bins=1.5)(spikes)
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(n_bins, 2), rtol=0, atol=5 / n_trials**0.5)
    torch.testing.assert_close(found.var(dim=0), torch.ones(n_bins, 2), rtol=0, atol=0.06)


def test_a_unit_that_was_silent_in_training_is_scaled_as_if_it_had_fired_once_a_trial() -> None:
    found = TrialInput(n_bins=25, mean_counts=[0.0], smoothing_bins=0.0)(torch.ones(1, 25, 1))
    torch.testing.assert_close(found, torch.full((1, 25, 1), 5.0))


def normalise(features: Array, layer: nn.Module) -> Array:
    """Batch normalisation of a batch by its own statistics."""
    assert isinstance(layer, nn.BatchNorm1d)
    assert layer.weight is not None
    assert layer.bias is not None
    deviation = np.sqrt(features.var(axis=0) + layer.eps)
    standard = (features - features.mean(axis=0)) / deviation
    return standard * layer.weight.detach().numpy() + layer.bias.detach().numpy()


def weight_of(layer: nn.Module) -> Array:
    assert isinstance(layer, nn.Linear)
    return layer.weight.detach().numpy()


def test_a_block_of_the_autoencoder_is_twice_normalise_elu_linear_and_nothing_else() -> None:
    block = autoencoder_block(5, 3, 0.0).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    features = np.random.default_rng(0).normal(size=(8, 5))
    expected = features
    for first in (0, 4):
        hidden = normalise(expected, block[first])
        expected = np.where(hidden > 0, hidden, np.expm1(hidden)) @ weight_of(block[first + 3]).T
    np.testing.assert_allclose(block(torch.tensor(features)).detach().numpy(), expected, rtol=0, atol=1e-12)


def test_a_residual_block_adds_twice_normalise_silu_linear_to_its_input() -> None:
    block = ResidualBlock(4, 0.0).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    features = np.random.default_rng(0).normal(size=(8, 4))
    change = features
    for first in (0, 4):
        hidden = normalise(change, block.change[first])
        change = (hidden * expit(hidden)) @ weight_of(block.change[first + 3]).T
    found = block(torch.tensor(features)).detach().numpy()
    np.testing.assert_allclose(found, features + change, rtol=0, atol=1e-12)


def linear_shapes(network: nn.Module) -> list[tuple[int, ...]]:
    """Outputs and inputs of the linear layers in order, and whether they have an offset."""
    return [
        (one.out_features, one.in_features, one.bias is not None)
        for one in network.modules()
        if isinstance(one, nn.Linear)
    ]


def test_published_widths_are_those_of_raves_network() -> None:
    """256, 128, 64 and a latent of 49, decoded through the same widths in reverse."""
    network = Autoencoder(n_inputs=1000, width=256, layers=3, latent_dim=49, dropout=0.0)
    assert linear_shapes(network.encoder) == [
        (256, 1000, False),
        (128, 256, False), (128, 128, False),
        (64, 128, False), (64, 64, False),
        (49, 64, False), (49, 49, False),
    ]  # fmt: skip
    assert linear_shapes(network.decoder) == [
        (49, 49, True),
        (64, 49, False), (64, 64, False),
        (128, 64, False), (128, 128, False),
        (256, 128, False), (256, 256, False),
        (1000, 256, True),
    ]  # fmt: skip
    head = latent_head(49, width=128, layers=2, outputs=3, dropout=0.1)
    assert linear_shapes(head) == [(128, 49, True), *[(128, 128, False)] * 4, (3, 128, True)]


def test_before_training_residual_blocks_are_the_identity_and_the_mean_is_reconstructed() -> None:
    features = torch.randn(50, 6)
    assert (ResidualBlock(6, 0.0)(features) - features).abs().max() < 0.01
    network = Autoencoder(n_inputs=12, width=8, layers=2, latent_dim=3, dropout=0.0)
    assert network.decoder(torch.randn(50, 3)).abs().max() < 0.01
