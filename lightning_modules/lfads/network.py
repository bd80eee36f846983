"""LFADS's blocks, each with the sizes it needs.

Shapes:
    B trials, T time bins, N units, Z latent dimensions (of the initial condition), U inferred inputs, F factors,
    H hidden units of the generator, C of each direction of the inputs' encoder.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_modules.parts.gaussian import Posterior, draw, make_posterior
from lightning_modules.parts.metrics import LOG_RATE_RANGE, log_mean_counts
from lightning_modules.parts.recurrence import TrialGRU

STATE_RANGE = (-5.0, 5.0)
"""Of the generator's units, LFADS's cell clip. Each new state lies between the one before and a candidate within
±1, so that clipping the initial state bounds all that follow."""

INPUT_LAG = 1
"""Bins by which the controller's view is late in the forward and early in the backward encoding: it never reads the
counts of the bin that its input drives, which keeps inferred inputs from copying single spikes."""


class GaussianHead(nn.Module):
    """A diagonal Gaussian from features.

    Args:
        width: Of the features.
        dim: Dimensions of the Gaussian.
    """

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.mean = scaled_linear(width, dim)
        self.log_variance = scaled_linear(width, dim)

    def forward(self, features: Tensor) -> Posterior:
        """Return the Gaussians of features (..., width)."""
        return make_posterior(self.mean(features), self.log_variance(features))


class TrialEncoder(nn.Module):
    """A bidirectional GRU over a trial, whose first states are learned.

    Args:
        n_units: N.
        hidden: Units of each direction.
    """

    def __init__(self, n_units: int, hidden: int) -> None:
        super().__init__()
        self.rnn = TrialGRU(n_units, hidden, bidirectional=True)
        # The released code scales input and recurrent weights of an encoder as one matrix.
        scale_recurrence(self.rnn, input_fan=n_units + hidden, state_fan=n_units + hidden)
        self.first_state = nn.Parameter(torch.zeros(2, 1, hidden))

    def forward(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Encode counts (T, B, N).

        Returns:
            States of both directions (T, B, 2 hidden), and each direction's state after the whole trial, forward
            at the last bin and backward at the first, (B, 2 hidden).
        """
        first = self.first_state.expand(-1, counts.shape[1], -1).contiguous()
        states, last = self.rnn(counts, first)
        return states, torch.cat([last[0], last[1]], dim=-1)


def lag_encoding(states: Tensor, lag: int) -> Tensor:
    """Delay the forward half of an encoding and advance its backward half; what is missing at the ends is 0.

    Args:
        states: (T, B, 2C), forward before backward.
        lag: Bins.
    """
    forward, backward = states.chunk(2, dim=-1)
    missing = torch.zeros_like(forward[:lag])
    late = torch.cat([missing, forward[: len(forward) - lag]])
    early = torch.cat([backward[lag:], missing])
    return torch.cat([late, early], dim=-1)


class Factors(nn.Linear):
    """Factors of generator states: linear without offset, the weights of each factor scaled to norm 1."""

    def __init__(self, hidden: int, factor_dim: int) -> None:
        super().__init__(hidden, factor_dim, bias=False)
        nn.init.normal_(self.weight, std=hidden**-0.5)

    def forward(self, input: Tensor) -> Tensor:
        """Return factors (..., F) of states (..., H)."""
        return functional.linear(input, functional.normalize(self.weight, dim=1))


class AutonomousGenerator(nn.Module):
    """Unroll an initial condition over time in a GRU that gets no input.

    Args:
        latent_dim: Z.
        hidden: H.
        factor_dim: F.
        n_bins: T.
        dropout: Probability that a unit is set to 0 on its way to the factors.
    """

    def __init__(self, *, latent_dim: int, hidden: int, factor_dim: int, n_bins: int, dropout: float) -> None:
        super().__init__()
        self.n_bins = n_bins
        self.dropout = dropout
        self.bridge = scaled_linear(latent_dim, hidden)
        self.rnn = TrialGRU(1, hidden)
        scale_recurrence(self.rnn, input_fan=1, state_fan=hidden)
        self.factors = Factors(hidden, factor_dim)

    @property
    def recurrent_weight(self) -> Tensor:
        """(3H, H)."""
        return self.rnn.weight_hh_l0  # type: ignore[no-any-return]

    def forward(self, latent: Tensor) -> Tensor:
        """Return factors (T, B, F) of initial conditions (B, Z)."""
        initial = self.bridge(latent).clamp(*STATE_RANGE)
        states, _ = self.rnn(latent.new_zeros(self.n_bins, len(latent), 1), initial[None])
        return self.factors(functional.dropout(states, self.dropout, self.training))


class Controlled(NamedTuple):
    """What a controlled generator did.

    Args:
        factors: (T, B, F).
        input_posterior: Of the inferred inputs, (B, T, U).
        inputs: What drove the generator, (B, T, U).
    """

    factors: Tensor
    input_posterior: Posterior
    inputs: Tensor


class ControlledGenerator(nn.Module):
    """A generator driven by a controller, which reads an encoding of the trial and the factors of the bin before.

    Args:
        latent_dim: Z.
        hidden: H.
        factor_dim: F.
        controller_dim: U.
        controller_hidden: Units of the controller.
        encoding_dim: 2C.
        dropout: Probability that a unit is set to 0 on its way to the factors, or an input of the controller.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        hidden: int,
        factor_dim: int,
        controller_dim: int,
        controller_hidden: int,
        encoding_dim: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.bridge = scaled_linear(latent_dim, hidden)
        self.cell = nn.GRUCell(controller_dim, hidden)
        scale_recurrence(self.cell, input_fan=controller_dim, state_fan=hidden)
        self.factors = Factors(hidden, factor_dim)
        self.controller = nn.GRUCell(encoding_dim + factor_dim, controller_hidden)
        scale_recurrence(self.controller, input_fan=encoding_dim + factor_dim, state_fan=controller_hidden)
        self.first_controller_state = nn.Parameter(torch.zeros(1, controller_hidden))
        self.inputs = GaussianHead(controller_hidden, controller_dim)

    @property
    def recurrent_weight(self) -> Tensor:
        """(3H, H)."""
        return self.cell.weight_hh

    def forward(self, latent: Tensor, encoding: Tensor) -> Controlled:
        """Generate from initial conditions (B, Z) and the lagged encoding of the trial (T, B, 2C)."""
        encoding = functional.dropout(encoding, self.dropout, self.training)
        state = self.bridge(latent).clamp(*STATE_RANGE)
        controller_state = self.first_controller_state.expand(len(latent), -1)
        factors = self.factors(functional.dropout(state, self.dropout, self.training))
        bins: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        for seen in encoding:
            fed_back = functional.dropout(factors, self.dropout, self.training)
            controller_state = self.controller(torch.cat([seen, fed_back], dim=-1), controller_state)
            posterior = self.inputs(controller_state)
            given = draw(posterior) if self.training else posterior.mean
            state = self.cell(given, state)
            factors = self.factors(functional.dropout(state, self.dropout, self.training))
            bins.append((factors, *posterior, given))
        all_factors, mean, log_variance, inputs = (torch.stack(one) for one in zip(*bins, strict=True))
        posterior = Posterior(mean.transpose(0, 1), log_variance.transpose(0, 1))
        return Controlled(all_factors, posterior, inputs.transpose(0, 1))


class Rates(nn.Linear):
    """Log of expected counts per bin from factors.

    Args:
        factor_dim: F.
        mean_counts: Mean counts per bin of the N units on the training days: where the rates start.
    """

    def __init__(self, factor_dim: int, mean_counts: Sequence[float]) -> None:
        super().__init__(factor_dim, len(mean_counts))
        nn.init.normal_(self.weight, std=factor_dim**-0.5)
        with torch.no_grad():
            self.bias.copy_(log_mean_counts(torch.tensor(mean_counts)))

    def forward(self, input: Tensor) -> Tensor:
        """Return log-rates (..., N) of factors (..., F)."""
        return super().forward(input).clamp(*LOG_RATE_RANGE)


def scaled_linear(width: int, dim: int) -> nn.Linear:
    """Return a linear layer as LFADS initialises it: weights N(0, 1/width), offset 0."""
    linear = nn.Linear(width, dim)
    nn.init.normal_(linear.weight, std=width**-0.5)
    nn.init.zeros_(linear.bias)
    return linear


def scale_recurrence(rnn: nn.GRU | nn.GRUCell, *, input_fan: int, state_fan: int) -> None:
    """Initialise a GRU as LFADS does: weights N(0, 1/fan), offsets 0, except 1 for the update gate.

    Args:
        rnn: One layer, any directions.
        input_fan: Of the input weights.
        state_fan: Of the recurrent weights.
    """
    for name, parameter in rnn.named_parameters():
        if name.startswith("weight"):
            fan = input_fan if name.startswith("weight_ih") else state_fan
            nn.init.normal_(parameter, std=fan**-0.5)
        else:
            nn.init.zeros_(parameter)
            if name.startswith("bias_hh"):
                nn.init.ones_(parameter.detach().chunk(3)[1])
