"""SABLE's blocks, each with the sizes it needs. Equation numbers are those of Jude et al. 2022.

Shapes:
    B trials, T time bins, N units, D behavioural dimensions, Z latent dimensions, F factors, E encoder width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_modules.parts.gaussian import Posterior, make_posterior
from lightning_modules.parts.metrics import LOG_RATE_RANGE, log_mean_counts
from lightning_modules.parts.recurrence import TrialGRU

FIRST_LOG_VARIANCE = -3.0
"""Of the posterior before training. At torch's own, near 0, the sample is noise to both decoders, and within
some hundred updates the KL term closes the latent for good."""


class Encoder(nn.Module):
    """Summarise a whole trial of counts as a Gaussian latent (Eq. 1).

    Args:
        n_units: N.
        hidden: Units of each direction of the GRU.
        layers: GRU layers.
        dropout: Between GRU layers, in training.
        width: E, of the layer W_enc between GRU and posterior.
        latent_dim: Z.
    """

    def __init__(
        self, *, n_units: int, hidden: int, layers: int, dropout: float, width: int, latent_dim: int
    ) -> None:
        super().__init__()
        self.rnn = TrialGRU(n_units, hidden, num_layers=layers, bidirectional=True, dropout=dropout)
        self.summary = nn.Linear(2 * hidden, width)
        self.mean = nn.Linear(width, latent_dim)
        self.log_variance = nn.Linear(width, latent_dim)
        nn.init.constant_(self.log_variance.bias, FIRST_LOG_VARIANCE)

    def forward(self, spikes: Tensor) -> Posterior:
        """Encode counts (B, T, N)."""
        _, last = self.rnn(spikes.transpose(0, 1))
        # Each direction's state after the whole trial: forward at the last bin, backward at the first.
        seen = torch.cat([last[-2], last[-1]], dim=-1)  # (B, 2 hidden)
        summary = torch.tanh(self.summary(seen))
        return make_posterior(self.mean(summary), self.log_variance(summary))


class Generator(nn.Module):
    """Unroll a latent over time: a bridge sets the initial state of a GRU that gets no input (Eqs 2 and 3).

    Args:
        latent_dim: Z.
        hidden: Units of the GRU.
        layers: GRU layers; the bridge sets the state of each.
        n_bins: T.
    """

    def __init__(self, *, latent_dim: int, hidden: int, layers: int, n_bins: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.layers = layers
        self.n_bins = n_bins
        self.bridge = nn.Linear(latent_dim, layers * hidden)
        self.rnn = TrialGRU(1, hidden, num_layers=layers)
        _remember_initial_state(self.rnn)

    def forward(self, latent: Tensor) -> Tensor:
        """Unroll latents (B, Z) into states of the last layer (T, B, hidden)."""
        initial = torch.tanh(self.bridge(latent)).unflatten(-1, (self.layers, self.hidden))
        return self.rnn.unroll(self.n_bins, initial.transpose(0, 1).contiguous())


def _remember_initial_state(rnn: nn.GRU) -> None:
    """Initialise a GRU that gets no input so that late bins still depend on its initial state.

    Orthogonal recurrent weights, and LFADS's update gate bias of +1. With torch's own initialisation the
    state is the same for all trials after a few bins, and no gradient tells the encoder anything.
    """
    for layer in range(rnn.num_layers):
        for gate in getattr(rnn, f"weight_hh_l{layer}").chunk(3):
            nn.init.orthogonal_(gate)
        with torch.no_grad():
            getattr(rnn, f"bias_hh_l{layer}").chunk(3)[1].add_(1.0)


class NeuralDecoder(nn.Module):
    """Log-rates of all units from a latent (Eqs 2, 4 and 5).

    Args:
        latent_dim: Z.
        hidden: Units of the generator.
        factor_dim: F.
        n_bins: T.
        mean_counts: Mean counts per bin of the N units on the training days: where the rates start, since a
            decoder that is wrong about means would hand the encoder a huge gradient that says nothing.
    """

    def __init__(
        self, *, latent_dim: int, hidden: int, factor_dim: int, n_bins: int, mean_counts: Sequence[float]
    ) -> None:
        super().__init__()
        self.generator = Generator(latent_dim=latent_dim, hidden=hidden, layers=1, n_bins=n_bins)
        self.factors = nn.Linear(hidden, factor_dim)
        self.log_rates = nn.Linear(factor_dim, len(mean_counts))
        with torch.no_grad():
            self.log_rates.bias.copy_(log_mean_counts(torch.tensor(mean_counts)))

    def forward(self, latent: Tensor) -> Tensor:
        """Return the log of expected counts per bin, (B, T, N), of latents (B, Z)."""
        factors = self.factors(self.generator(latent))
        return self.log_rates(factors).clamp(*LOG_RATE_RANGE).transpose(0, 1)


class BehaviourDecoder(nn.Module):
    """Standardised behaviour from a latent (Eq. 3).

    Args:
        latent_dim: Z.
        hidden: Units of the generator.
        layers: Layers of the generator.
        width: Of the layer W_beh between generator and output.
        n_bins: T.
        behaviour_dim: D.
    """

    def __init__(
        self, *, latent_dim: int, hidden: int, layers: int, width: int, n_bins: int, behaviour_dim: int
    ) -> None:
        super().__init__()
        self.generator = Generator(latent_dim=latent_dim, hidden=hidden, layers=layers, n_bins=n_bins)
        self.features = nn.Linear(hidden, width)
        self.output = nn.Linear(width, behaviour_dim)

    def forward(self, latent: Tensor) -> Tensor:
        """Return standardised behaviour (B, T, D) of latents (B, Z)."""
        features = torch.relu(self.features(self.generator(latent)))
        return self.output(features).transpose(0, 1)


class SessionClassifier(nn.Module):
    """Which training session a trial is from; the adversary of the control with a session classifier.

    Args:
        latent_dim: Z.
        hidden: Width of its hidden layer.
        n_sessions: Sessions to tell apart.
    """

    def __init__(self, *, latent_dim: int, hidden: int, n_sessions: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(latent_dim, hidden)
        self.output = nn.Linear(hidden, n_sessions)

    def forward(self, latent: Tensor) -> Tensor:
        """Return unnormalised log-probabilities (B, sessions) of latents (B, Z)."""
        return self.output(torch.relu(self.hidden(latent)))
