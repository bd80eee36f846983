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

from lightning_modules.lfads.controlled import LoopNoise, LoopWeights, run_loop
from lightning_modules.parts.gaussian import Posterior, make_posterior
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
        return functional.linear(input, self.normalised)

    @property
    def normalised(self) -> Tensor:
        """The weights that are used, (F, H)."""
        return functional.normalize(self.weight, dim=1)


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
        states = self.rnn.unroll(self.n_bins, initial[None])
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
        own, shared = self.controller.weight_ih.split([encoding.shape[2], len(self.factors.weight)], dim=1)
        seen = functional.linear(
            functional.dropout(encoding, self.dropout, self.training), own, self.controller.bias_ih
        )
        heads = self.inputs.mean, self.inputs.log_variance
        weights = LoopWeights(
            feedback=shared,
            controller=self.controller.weight_hh,
            controller_bias=self.controller.bias_hh,
            head=torch.cat([one.weight for one in heads]),
            head_bias=torch.cat([one.bias for one in heads]),
            inputs=self.cell.weight_ih,
            input_bias=self.cell.bias_ih,
            generator=self.cell.weight_hh,
            generator_bias=self.cell.bias_hh,
            factors=self.factors.normalised,
        )
        state = self.bridge(latent).clamp(*STATE_RANGE)
        controller_state = self.first_controller_state.expand(len(latent), -1)
        with torch.autocast(latent.device.type, enabled=False):  # the loop writes into tensors of one type
            kind = self.cell.weight_hh.dtype
            found = run_loop(
                seen.to(kind),
                state.to(kind),
                controller_state,
                weights,
                self._noise(len(seen), state.to(kind)),
            )
        posterior = Posterior(found.mean.transpose(0, 1), found.log_variance.transpose(0, 1))
        return Controlled(found.factors, posterior, found.inputs.transpose(0, 1))

    def _noise(self, n_bins: int, state: Tensor) -> LoopNoise:
        """Draw dropout and the noise of the inputs for states (B, H); in `eval` there is none."""
        n_trials, size = state.shape
        n_factors, n_inputs = len(self.factors.weight), self.cell.input_size
        states, factors = (
            functional.dropout(state.new_ones(shape), self.dropout, self.training)
            for shape in ((n_bins + 1, n_trials, size), (n_bins, n_trials, n_factors))
        )
        inputs = state.new_zeros(n_bins, n_trials, n_inputs)
        return LoopNoise(states, factors, inputs.normal_() if self.training else inputs)


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
