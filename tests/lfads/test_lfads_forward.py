"""LFADS's forward pass against slow loops of `nn.GRUCell`, in float64."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from lightning_modules.lfads.controlled import LoopNoise, LoopWeights, run_loop
from lightning_modules.lfads.module import Lfads
from lightning_modules.lfads.network import AutonomousGenerator, ControlledGenerator, TrialEncoder
from lightning_modules.parts.gaussian import Posterior
from lightning_modules.parts.recurrence import TrialGRU

BuildLfads = Callable[..., Lfads]


class Reference(NamedTuple):
    """What the slow loops give."""

    latent: Tensor
    log_variance: Tensor
    factors: Tensor
    log_rates: Tensor
    inputs: Tensor | None = None
    input_log_variance: Tensor | None = None


def perturbed(model: Lfads) -> Lfads:
    """The model in float64 and `eval` mode with every parameter moved, so that none is at a neutral start."""
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.double().eval()


def cell_of(rnn: TrialGRU, suffix: str) -> nn.GRUCell:
    cell = nn.GRUCell(rnn.input_size, rnn.hidden_size).double()
    weights = {name: getattr(rnn, f"{name}_l0{suffix}") for name in cell.state_dict()}
    cell.load_state_dict(weights)
    return cell


def encode(encoder: TrialEncoder, spikes: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """States of the forward and of the backward direction, both in the order of time."""
    both = []
    for direction, suffix in enumerate(("", "_reverse")):
        cell = cell_of(encoder.rnn, suffix)
        state = encoder.first_state[direction].expand(len(spikes), -1)
        states = []
        order = range(spikes.shape[1]) if direction == 0 else reversed(range(spikes.shape[1]))
        for time in order:
            state = cell(spikes[:, time], state)
            states.append(state)
        both.append(states if direction == 0 else states[::-1])
    return both[0], both[1]


def factors_of(state: Tensor, weight: Tensor) -> Tensor:
    return state @ (weight / weight.square().sum(dim=1, keepdim=True).sqrt()).T


def floored(head: nn.Linear, features: Tensor) -> Tensor:
    return torch.log(head(features).exp() + 1e-4)


@torch.no_grad()
def run_slowly(model: Lfads, spikes: Tensor) -> Reference:
    forward, backward = encode(model.encoder, spikes)
    summary = torch.cat([forward[-1], backward[0]], dim=1)
    latent = model.initial_condition.mean(summary)
    log_variance = floored(model.initial_condition.log_variance, summary)
    generator = model.generator
    state = generator.bridge(latent).clamp(-5, 5)
    factors, inputs, variances = [], [], []
    if isinstance(generator, ControlledGenerator):
        assert model.input_encoder is not None
        late, early = encode(model.input_encoder, spikes)
        silent = torch.zeros_like(late[0])
        controller = generator.first_controller_state.expand(len(spikes), -1)
        fed_back = factors_of(state, generator.factors.weight)
        for time in range(spikes.shape[1]):
            from_before = late[time - 1] if time > 0 else silent
            from_after = early[time + 1] if time + 1 < spikes.shape[1] else silent
            controller = generator.controller(torch.cat([from_before, from_after, fed_back], 1), controller)
            inputs.append(generator.inputs.mean(controller))
            variances.append(floored(generator.inputs.log_variance, controller))
            state = generator.cell(inputs[-1], state).clamp(-5, 5)
            fed_back = factors_of(state, generator.factors.weight)
            factors.append(fed_back)
    else:
        cell = cell_of(generator.rnn, "")
        for _ in range(spikes.shape[1]):
            state = cell(spikes.new_zeros(len(spikes), 1), state).clamp(-5, 5)
            factors.append(factors_of(state, generator.factors.weight))
    all_factors = torch.stack(factors, dim=1)
    log_rates = (all_factors @ model.rates.weight.T + model.rates.bias).clamp(-12, 5)
    if not inputs:
        return Reference(latent, log_variance, all_factors, log_rates)
    return Reference(
        latent, log_variance, all_factors, log_rates, torch.stack(inputs, 1), torch.stack(variances, 1)
    )


@pytest.mark.parametrize("controller_dim", [0, 2])
@pytest.mark.parametrize("stretch", [1.0, 30.0])
def test_the_network_equals_slow_loops_of_gru_cells_that_clip_every_state(
    build: BuildLfads, spikes: Tensor, controller_dim: int, stretch: float
) -> None:
    model = perturbed(build(controller_dim=controller_dim))
    with torch.no_grad():
        model.generator.bridge.weight.mul_(stretch)  # the larger one starts outside the clip
        output = model(spikes)
    expected = run_slowly(model, spikes)
    torch.testing.assert_close(output.posterior.mean, expected.latent, rtol=0, atol=1e-12)
    torch.testing.assert_close(output.posterior.log_variance, expected.log_variance, rtol=0, atol=1e-12)
    assert torch.equal(output.latent, output.posterior.mean)
    torch.testing.assert_close(output.factors, expected.factors, rtol=0, atol=1e-12)
    torch.testing.assert_close(output.log_rates, expected.log_rates, rtol=0, atol=1e-12)
    if controller_dim:
        torch.testing.assert_close(output.inputs, expected.inputs, rtol=0, atol=1e-12)
        found = output.input_posterior.log_variance
        torch.testing.assert_close(found, expected.input_log_variance, rtol=0, atol=1e-12)
    else:
        assert output.inputs is output.input_posterior is None
    # The clip is at work in the second case only.
    initial = model.generator.bridge(expected.latent).abs().max()
    assert (initial > 5) == (stretch > 1)


def test_gradients_of_the_controlled_generator_agree_with_finite_differences(
    build: BuildLfads, spikes: Tensor
) -> None:
    generator = perturbed(build(controller_dim=2)).generator
    assert isinstance(generator, ControlledGenerator)
    latent = torch.randn(2, 5, dtype=torch.double, requires_grad=True)
    encoding = torch.randn(4, 2, 6, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *args: generator(*args).factors, (latent, encoding))


def test_gradients_of_the_loop_agree_with_finite_differences_in_every_argument() -> None:
    """With dropout and drawn inputs, through all that it returns: 3 bins, 2 trials, H 4, C 3, U 2, F 5."""

    rng = torch.Generator().manual_seed(0)

    def some(*shape: int) -> Tensor:
        return (0.5 * torch.randn(shape, dtype=torch.double, generator=rng)).requires_grad_()

    weights = (some(9, 5), some(9, 3), some(9), some(4, 3), some(4), some(12, 2), some(12), some(12, 4))
    given = (some(3, 2, 9), some(2, 4), some(2, 3), *weights, some(12), some(5, 4))
    masks = [
        torch.bernoulli(torch.full(shape, 0.6), generator=rng).double() / 0.6
        for shape in ((4, 2, 4), (3, 2, 5))
    ]
    noise = LoopNoise(*masks, torch.randn(3, 2, 2, dtype=torch.double, generator=rng))

    def run(shares: Tensor, state: Tensor, controller_state: Tensor, *weights: Tensor) -> Any:
        return tuple(run_loop(shares, state, controller_state, LoopWeights(*weights), noise))

    assert torch.autograd.gradcheck(run, given)


def test_the_loop_with_noise_equals_gru_cells_bin_by_bin(build: BuildLfads) -> None:
    rng = torch.Generator().manual_seed(0)
    generator = perturbed(build(controller_dim=2)).generator
    assert isinstance(generator, ControlledGenerator)
    latent, encoding = (
        torch.randn(shape, dtype=torch.double, generator=rng) for shape in ((3, 5), (4, 3, 6))
    )
    noise = LoopNoise(
        torch.rand(5, 3, generator.cell.hidden_size, dtype=torch.double, generator=rng),
        torch.rand(4, 3, 4, dtype=torch.double, generator=rng),
        torch.randn(4, 3, 2, dtype=torch.double, generator=rng),
    )
    generator._noise = lambda *_: noise  # what the generator draws is tested elsewhere
    found = generator.eval()(latent, encoding)
    state = generator.bridge(latent).clamp(-5, 5)
    controller = generator.first_controller_state.expand(3, -1)
    factors = factors_of(state * noise.state_masks[0], generator.factors.weight)
    for time in range(4):
        fed_back = factors * noise.factor_masks[time]
        controller = generator.controller(torch.cat([encoding[time], fed_back], dim=1), controller)
        deviation = torch.exp(0.5 * floored(generator.inputs.log_variance, controller))
        given = generator.inputs.mean(controller) + deviation * noise.inputs[time]
        state = generator.cell(given, state)
        factors = factors_of(state * noise.state_masks[time + 1], generator.factors.weight)
        torch.testing.assert_close(found.factors[time], factors, rtol=0, atol=1e-12)
        torch.testing.assert_close(found.inputs[:, time], given, rtol=0, atol=1e-12)


def test_controller_of_a_bin_does_not_read_the_counts_of_that_bin(build: BuildLfads, spikes: Tensor) -> None:
    """Of its direct view: with no factors fed back and no initial condition, an input ignores its own bin."""
    model = perturbed(build(controller_dim=2))
    assert isinstance(model.generator, ControlledGenerator)
    with torch.no_grad():
        model.initial_condition.mean.weight.zero_()
        model.generator.controller.bias_hh.chunk(3)[1].fill_(-1000)  # no memory of earlier bins, ...
        model.generator.controller.weight_hh.zero_()
        model.generator.controller.weight_ih[:, 6:].zero_()  # no factors
    spikes = spikes.clone().requires_grad_()
    inputs = model(spikes).inputs
    reached = torch.stack(
        [
            torch.autograd.grad(inputs[:, 4].sum(), spikes, retain_graph=True)[0][:, time].norm()
            for time in range(9)
        ]
    )
    assert reached[4] == 0
    assert (reached[[0, 3, 5, 8]] > 0).all()


@pytest.mark.parametrize("controller_dim", [0, 2])
def test_outputs_depend_on_the_own_trial_only(build: BuildLfads, spikes: Tensor, controller_dim: int) -> None:
    model = perturbed(build(controller_dim=controller_dim))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(
        model(spikes[order]).log_rates, model(spikes).log_rates[order], rtol=0, atol=1e-12
    )
    torch.testing.assert_close(model(spikes[2:3]).factors, model(spikes).factors[2:3], rtol=0, atol=1e-12)


def test_without_a_controller_rates_follow_from_the_initial_condition_alone(
    build: BuildLfads, spikes: Tensor
) -> None:
    model = perturbed(build())
    assert isinstance(model.generator, AutonomousGenerator)
    with torch.no_grad():
        model.initial_condition.mean.weight.zero_()
    rates = model(spikes).log_rates
    torch.testing.assert_close(rates, rates[:1].expand_as(rates), rtol=0, atol=1e-12)
    assert (rates[:, 1:] - rates[:, :-1]).abs().max() > 1e-3  # it moves by itself


@pytest.mark.parametrize("controller_dim", [0, 2])
def test_the_order_of_units_does_not_matter_if_first_and_last_layers_follow_it(
    build: BuildLfads, spikes: Tensor, controller_dim: int
) -> None:
    model = perturbed(build(controller_dim=controller_dim))
    order = torch.randperm(spikes.shape[-1])
    before = model.terms(model(spikes), spikes)
    encoders = [one for one in (model.encoder, model.input_encoder) if one is not None]
    with torch.no_grad():
        for encoder in encoders:
            for suffix in ("", "_reverse"):
                weight = getattr(encoder.rnn, f"weight_ih_l0{suffix}")
                weight.copy_(weight[:, order].clone())
        model.rates.weight.copy_(model.rates.weight[order].clone())
        model.rates.bias.copy_(model.rates.bias[order].clone())
    after = model.terms(model(spikes[..., order]), spikes[..., order])
    torch.testing.assert_close(after.neural, before.neural, rtol=0, atol=1e-12)
    torch.testing.assert_close(after.kl, before.kl, rtol=0, atol=1e-12)


@pytest.mark.parametrize("controller_dim", [0, 2])
def test_training_draws_from_the_posteriors_and_evaluation_takes_their_means(
    build: BuildLfads, spikes: Tensor, controller_dim: int
) -> None:
    model = build(controller_dim=controller_dim).double().train().requires_grad_(False)
    output = model(spikes[:1].expand(6000, -1, -1))
    drawn = [(output.latent, output.posterior)]
    if controller_dim:
        drawn.append((output.inputs[:, 4], Posterior(*(one[:, 4] for one in output.input_posterior))))
    for sample, posterior in drawn:
        deviation = (0.5 * posterior.log_variance).exp()
        noise = (sample - posterior.mean) / deviation
        assert noise.mean(dim=0).abs().max() < 5 / 6000**0.5
        torch.testing.assert_close(noise.var(dim=0), torch.ones_like(noise[0]), rtol=0.1, atol=0)
    model.eval()
    assert torch.equal(model(spikes).latent, model(spikes).posterior.mean)


def test_recurrent_networks_start_as_the_released_code_starts_them(build: BuildLfads) -> None:
    model = build(controller_dim=2, generator_hidden=60, encoder_hidden=50, controller_hidden=40)
    generator = model.generator
    assert isinstance(generator, ControlledGenerator)
    for weight, fan in (
        (model.encoder.rnn.weight_hh_l0, 60),  # 10 units and 50 states, as one matrix
        (model.encoder.rnn.weight_ih_l0_reverse, 60),
        (generator.cell.weight_hh, 60),
        (generator.controller.weight_hh, 40),
        (generator.cell.weight_ih, 2),
        (generator.controller.weight_ih, 10),  # two directions of 3 and 4 factors
    ):
        assert isinstance(weight, Tensor)
        assert weight.std().item() == pytest.approx(fan**-0.5, rel=0.12)
    for offset in (
        generator.cell.bias_hh,
        generator.controller.bias_hh,
        model.encoder.rnn.bias_hh_l0_reverse,
    ):
        assert isinstance(offset, Tensor)
        reset, update, candidate = offset.chunk(3)
        assert (update == 1).all()
        assert not torch.cat([reset, candidate]).any()


@pytest.mark.parametrize("controller_dim", [0, 2])
def test_dropout_reaches_encoders_latent_controller_and_factors(
    build: BuildLfads, spikes: Tensor, controller_dim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of what each of them reads is exactly 0 in training, and nothing in evaluation."""
    model = perturbed(build(dropout=0.5, controller_dim=controller_dim))
    read: dict[str, list[Tensor]] = {}

    def note(name: str, columns: slice = slice(None)) -> Callable[..., None]:
        return lambda _, inputs: read.setdefault(name, []).append(inputs[0][..., columns])

    model.encoder.rnn.register_forward_pre_hook(note("counts"))
    model.initial_condition.mean.register_forward_pre_hook(note("summary"))
    model.generator.factors.register_forward_pre_hook(note("states"))
    if isinstance(model.generator, ControlledGenerator):
        with torch.no_grad():  # the first gates of the controller are the encoding that it reads
            model.generator.controller.weight_ih[:6, :6] = torch.eye(6)
            model.generator.controller.bias_ih.zero_()

        def noted(shares: Tensor, *others: Any) -> Any:
            read["encoding"] = list(shares[..., :6])
            read["states"], read["factors"] = list(others[3].state_masks), list(others[3].factor_masks)
            return run_loop(shares, *others)

        monkeypatch.setattr("lightning_modules.lfads.network.run_loop", noted)
    for training, wanted in ((True, 0.5), (False, 0.0)):
        read.clear()
        model.train(training)(spikes.repeat(20, 1, 1) + 1)
        assert len(read) == (5 if controller_dim else 3)
        for name, inputs in read.items():
            # Not the first and last bin, where the encoding is missing on one side.
            inner = inputs if len(inputs) == 1 else inputs[1:-1]
            assert (torch.stack(inner) == 0).double().mean().item() == pytest.approx(wanted, abs=0.05), name
