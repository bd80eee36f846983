"""The rival: SABLE and LFADS as one writes them in plain PyTorch. Nothing of ours is imported.

Each generator is a Python loop over bins with `torch.nn.GRUCell`, or `torch.nn.GRU` fed with zeros where it gets no
input. Weights have the names of our networks, but for the loops; see `rival_name`.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LOG_RATE_RANGE = (-12.0, 5.0)
STATE_RANGE = (-5.0, 5.0)
LOWEST_VARIANCE = 1e-4


class ReverseGradient(torch.autograd.Function):
    """Identity forwards, minus `strength` times the gradient backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return -ctx.strength * grad, None


class Gaussian(nn.Module):
    """Mean and log-variance of a diagonal Gaussian from features."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.mean = nn.Linear(width, dim)
        self.log_variance = nn.Linear(width, dim)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        variance = self.log_variance(features).exp() + LOWEST_VARIANCE
        return self.mean(features), variance.log()


def sample(mean: Tensor, log_variance: Tensor, training: bool) -> Tensor:
    """A draw in training, the mean in `eval` mode."""
    return mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean) if training else mean


def kl_divergence(mean: Tensor, log_variance: Tensor, prior_mean: Tensor | float, variance: float) -> Tensor:
    """From N(prior_mean, variance), nats, mean over trials."""
    kl = ((mean - prior_mean) ** 2 + log_variance.exp()) / variance - 1 - log_variance + math.log(variance)
    return 0.5 * kl.sum(-1).mean()


class LoopGenerator(nn.Module):
    """GRU cells without input, bin by bin, layer by layer."""

    def __init__(self, hidden: int, layers: int, n_bins: int) -> None:
        super().__init__()
        self.n_bins = n_bins
        self.cells = nn.ModuleList(nn.GRUCell(hidden if layer else 1, hidden) for layer in range(layers))

    def forward(self, initial: Tensor) -> Tensor:
        """Unroll (L, B, H) into states of the last layer (T, B, H)."""
        states = list(initial)
        silence = initial.new_zeros(initial.shape[1], 1)
        outputs = []
        for _ in range(self.n_bins):
            below = silence
            for layer, cell in enumerate(self.cells):
                below = states[layer] = cell(below, states[layer])
            outputs.append(below)
        return torch.stack(outputs)


class GruGenerator(nn.Module):
    """`torch.nn.GRU` fed with zeros."""

    def __init__(self, hidden: int, layers: int, n_bins: int) -> None:
        super().__init__()
        self.n_bins = n_bins
        self.rnn = nn.GRU(1, hidden, num_layers=layers)

    def forward(self, initial: Tensor) -> Tensor:
        """Unroll (L, B, H) into states of the last layer (T, B, H)."""
        return self.rnn(initial.new_zeros(self.n_bins, initial.shape[1], 1), initial)[0]


Unroll = type[LoopGenerator] | type[GruGenerator]


class Bridged(nn.Module):
    """SABLE's generators: a tanh layer from the latent to the first state of each layer."""

    def __init__(self, latent_dim: int, hidden: int, layers: int, n_bins: int, unroll: Unroll) -> None:
        super().__init__()
        self.layers = layers
        self.bridge = nn.Linear(latent_dim, layers * hidden)
        self.unrolled = unroll(hidden, layers, n_bins)

    def forward(self, latent: Tensor) -> Tensor:
        initial = torch.tanh(self.bridge(latent)).reshape(len(latent), self.layers, -1)
        return self.unrolled(initial.transpose(0, 1).contiguous())


class PlainSable(nn.Module):
    """SABLE of our default variant; `sizes` are the constructor's arguments of `Sable`."""

    def __init__(self, sizes: Mapping[str, Any], unroll: Unroll) -> None:
        super().__init__()
        self.sizes = sizes
        n_units, n_bins, latent_dim = sizes["n_units"], sizes["n_bins"], sizes["latent_dim"]
        hidden, width = sizes["encoder_hidden"], sizes["encoder_width"]
        rnn = nn.GRU(n_units, hidden, num_layers=sizes["encoder_layers"], bidirectional=True)
        summary = nn.Linear(2 * hidden, width)
        self.encoder = nn.ModuleDict(
            {"rnn": rnn, "summary": summary, "posterior": Gaussian(width, latent_dim)}
        )
        hidden, factor_dim = sizes["generator_hidden"], sizes["factor_dim"]
        self.neural_decoder = nn.ModuleDict(
            {
                "generator": Bridged(latent_dim, hidden, 1, n_bins, unroll),
                "factors": nn.Linear(hidden, factor_dim),
                "log_rates": nn.Linear(factor_dim, n_units),
            }
        )
        hidden, width = sizes["behaviour_hidden"], sizes["behaviour_width"]
        self.behaviour_decoder = nn.ModuleDict(
            {
                "generator": Bridged(latent_dim, hidden, sizes["behaviour_layers"], n_bins, unroll),
                "features": nn.Linear(hidden, width),
                "output": nn.Linear(width, len(sizes["behaviour_names"])),
            }
        )
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.tensor(sizes["behaviour_mean"]), persistent=False)
        self.register_buffer("scale", torch.tensor(sizes["behaviour_scale"]), persistent=False)

    def loss(self, spikes: Tensor, behaviour: Tensor) -> Tensor:
        """Of a batch (B, T, N) and (B, T, D)."""
        sizes, encoder = self.sizes, self.encoder
        seen = functional.dropout(spikes, sizes["input_dropout"], self.training)
        last = encoder["rnn"](seen.transpose(0, 1))[1]
        summary = torch.tanh(encoder["summary"](torch.cat([last[-2], last[-1]], -1)))
        mean, log_variance = encoder["posterior"](summary)
        latent = sample(mean, log_variance, self.training)

        neural, hand = self.neural_decoder, self.behaviour_decoder
        states = neural["generator"](ReverseGradient.apply(latent, sizes["reversal_strength"]))
        log_rates = neural["log_rates"](neural["factors"](states)).clamp(*LOG_RATE_RANGE).transpose(0, 1)
        features = torch.relu(hand["features"](hand["generator"](latent)))
        predicted = hand["output"](features).transpose(0, 1)

        error = functional.mse_loss(predicted, (behaviour - self.mean) / self.scale)
        nll = functional.poisson_nll_loss(log_rates, spikes, reduction="none").sum(-1).mean()
        kl = kl_divergence(mean, log_variance, 0.0, sizes["prior_variance"])
        kl = sizes["kl_weight"] / sizes["n_bins"] * kl
        return error + kl + sizes["neural_weight"] / math.sqrt(sizes["n_units"]) * nll


class Autonomous(nn.Module):
    """LFADS's generator without input."""

    def __init__(self, latent_dim: int, hidden: int, factor_dim: int, n_bins: int, unroll: Unroll) -> None:
        super().__init__()
        self.bridge = nn.Linear(latent_dim, hidden)
        self.unrolled = unroll(hidden, 1, n_bins)
        self.factors = nn.Linear(hidden, factor_dim, bias=False)

    def forward(self, latent: Tensor, dropout: float) -> Tensor:
        states = self.unrolled(self.bridge(latent).clamp(*STATE_RANGE)[None])
        states = functional.dropout(states, dropout, self.training)
        return functional.linear(states, functional.normalize(self.factors.weight, dim=1))

    def recurrent_weight(self) -> Tensor:
        (weight,) = (one for name, one in self.unrolled.named_parameters() if "weight_hh" in name)
        return weight


class Controlled(nn.Module):
    """LFADS's generator with a controller: its input depends on the bin before, so that only a loop does it."""

    def __init__(self, latent_dim: int, hidden: int, factor_dim: int, sizes: Mapping[str, Any]) -> None:
        super().__init__()
        encoding_dim, controller_hidden = 2 * sizes["input_encoder_hidden"], sizes["controller_hidden"]
        self.bridge = nn.Linear(latent_dim, hidden)
        self.cell = nn.GRUCell(sizes["controller_dim"], hidden)
        self.factors = nn.Linear(hidden, factor_dim, bias=False)
        self.controller = nn.GRUCell(encoding_dim + factor_dim, controller_hidden)
        self.first_controller_state = nn.Parameter(torch.zeros(1, controller_hidden))
        self.inputs = Gaussian(controller_hidden, sizes["controller_dim"])

    def forward(self, latent: Tensor, encoding: Tensor, dropout: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return factors (T, B, F), and mean and log-variance of the inputs (T, B, U)."""
        encoding = functional.dropout(encoding, dropout, self.training)
        state = self.bridge(latent).clamp(*STATE_RANGE)
        controller = self.first_controller_state.expand(len(latent), -1)
        weight = functional.normalize(self.factors.weight, dim=1)
        factors = functional.linear(functional.dropout(state, dropout, self.training), weight)
        bins = []
        for seen in encoding:
            fed_back = functional.dropout(factors, dropout, self.training)
            controller = self.controller(torch.cat([seen, fed_back], -1), controller)
            mean, log_variance = self.inputs(controller)
            state = self.cell(sample(mean, log_variance, self.training), state)
            factors = functional.linear(functional.dropout(state, dropout, self.training), weight)
            bins.append((factors, mean, log_variance))
        all_factors, mean, log_variance = (torch.stack(one) for one in zip(*bins, strict=True))
        return all_factors, mean, log_variance

    def recurrent_weight(self) -> Tensor:
        return self.cell.weight_hh


class TrialEncoder(nn.Module):
    """A bidirectional GRU with learned first states."""

    def __init__(self, n_units: int, hidden: int) -> None:
        super().__init__()
        self.rnn = nn.GRU(n_units, hidden, bidirectional=True)
        self.first_state = nn.Parameter(torch.zeros(2, 1, hidden))

    def forward(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        return self.rnn(counts, self.first_state.repeat(1, counts.shape[1], 1))


class PlainLfads(nn.Module):
    """LFADS; `sizes` are the constructor's arguments of `Lfads`."""

    def __init__(self, sizes: Mapping[str, Any], unroll: Unroll) -> None:
        super().__init__()
        self.sizes = sizes
        n_units, latent_dim = sizes["n_units"], sizes["latent_dim"]
        decoder = latent_dim, sizes["generator_hidden"], sizes["factor_dim"]
        self.encoder = TrialEncoder(n_units, sizes["encoder_hidden"])
        self.initial_condition = Gaussian(2 * sizes["encoder_hidden"], latent_dim)
        self.prior_mean = nn.Parameter(torch.zeros(latent_dim))
        self.generator: Autonomous | Controlled
        if sizes["controller_dim"]:
            self.input_encoder = TrialEncoder(n_units, sizes["input_encoder_hidden"])
            self.input_prior = nn.ParameterDict(
                {name: torch.zeros(sizes["controller_dim"]) for name in ("log_tau", "log_noise_variance")}
            )
            self.generator = Controlled(*decoder, sizes)
        else:
            self.generator = Autonomous(*decoder, sizes["n_bins"], unroll)
        self.rates = nn.Linear(sizes["factor_dim"], n_units)

    def loss(self, spikes: Tensor, behaviour: Tensor) -> Tensor:
        """Of a batch of spikes (B, T, N)."""
        sizes, dropout = self.sizes, self.sizes["dropout"]
        counts = functional.dropout(spikes, dropout, self.training).transpose(0, 1)
        _, last = self.encoder(counts)
        summary = functional.dropout(torch.cat([last[0], last[1]], -1), dropout, self.training)
        mean, log_variance = self.initial_condition(summary)
        latent = sample(mean, log_variance, self.training)
        loss = sizes["kl_weight"] * kl_divergence(
            mean, log_variance, self.prior_mean, sizes["prior_variance"]
        )
        if isinstance(self.generator, Controlled):
            forward, backward = self.input_encoder(counts)[0].chunk(2, -1)
            nothing = torch.zeros_like(forward[:1])
            encoding = torch.cat([torch.cat([nothing, forward[:-1]]), torch.cat([backward[1:], nothing])], -1)
            factors, mean, log_variance = self.generator(latent, encoding, dropout)
            loss = loss + sizes["input_kl_weight"] * self.input_kl(mean, log_variance)
            loss = loss + sizes["controller_l2"] * (self.generator.controller.weight_hh**2).mean() / 2
        else:
            factors = self.generator(latent, dropout)
        log_rates = self.rates(factors).clamp(*LOG_RATE_RANGE).transpose(0, 1)
        nll = functional.poisson_nll_loss(log_rates, spikes, reduction="none").sum((1, 2)).mean()
        return loss + nll + sizes["generator_l2"] * (self.generator.recurrent_weight() ** 2).mean() / 2

    def input_kl(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        """From the autoregressive prior; (T, B, U), nats, mean over trials."""
        phi = torch.exp(-torch.exp(-self.input_prior["log_tau"]))
        noise = self.input_prior["log_noise_variance"].exp()
        variance = log_variance.exp()
        first = noise / (1 - phi**2)
        kl = 0.5 * ((variance[0] + mean[0] ** 2) / first + first.log() - 1 - log_variance[0]).sum(-1).mean()
        missed = (mean[1:] - phi * mean[:-1]) ** 2 + variance[1:] + phi**2 * variance[:-1]
        return kl + 0.5 * (missed / noise + noise.log() - 1 - log_variance[1:]).sum((0, 2)).mean()


def rival_name(ours: str, unroll: Unroll) -> str:
    """The rival's name of one of our weights."""
    name = re.sub(r"^encoder\.(mean|log_variance)\.", r"encoder.posterior.\1.", ours)
    name = name.replace("generator.rnn.", "generator.unrolled.rnn.")
    if unroll is LoopGenerator:
        name = re.sub(r"unrolled\.rnn\.(\w+)_l(\d+)$", r"unrolled.cells.\2.\1", name)
    return name
