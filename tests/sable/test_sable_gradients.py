"""The exact identities of gradient reversal in SABLE, in float64 with fixed noise."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lightning_modules.parts.gaussian import kl_from_prior
from lightning_modules.parts.spikes.batch import LabelledSpikeBatch, SpikeBatch
from lightning_modules.sable.module import Sable
from lightning_modules.sable.objective import neural_term, total, weigh

BuildSable = Callable[..., Sable]
STRENGTH = 0.7


@pytest.fixture
def batch(trials: LabelledSpikeBatch) -> SpikeBatch:
    return SpikeBatch(trials.spikes.double(), trials.behaviour.double())


def _gradients(model: Sable, batch: SpikeBatch) -> dict[str, Tensor]:
    model.double().zero_grad()
    torch.manual_seed(11)
    total(weigh(model.terms(model(batch.spikes), batch), model.weights_in_force)).backward()
    return {
        name: torch.zeros_like(one) if one.grad is None else one.grad.clone()
        for name, one in model.named_parameters()
    }


def _part(gradients: dict[str, Tensor], part: str) -> Tensor:
    return torch.cat([one.flatten() for name, one in gradients.items() if name.startswith(part)])


NEURAL_ONLY = {"behaviour_weight": 0.0, "kl_weight": 0.0}


def test_reconstruction_reaches_the_encoder_with_its_sign_turned_and_scaled(
    build: BuildSable, batch: SpikeBatch
) -> None:
    sable = _part(_gradients(build(**NEURAL_ONLY), batch), "encoder")
    plain = _part(_gradients(build(**NEURAL_ONLY, variant="no_reversal"), batch), "encoder")
    assert plain.norm() > 1e-3
    torch.testing.assert_close(sable, -STRENGTH * plain, rtol=0, atol=1e-14)


def test_reversal_leaves_the_neural_decoders_own_gradient_untouched(
    build: BuildSable, batch: SpikeBatch
) -> None:
    sable = _gradients(build(**NEURAL_ONLY), batch)
    plain = _gradients(build(**NEURAL_ONLY, variant="no_reversal"), batch)
    assert torch.equal(_part(sable, "neural_decoder"), _part(plain, "neural_decoder"))
    assert not _part(sable, "behaviour_decoder").any()


def test_encoder_gradient_is_behaviour_plus_kl_minus_reversed_reconstruction(
    build: BuildSable, batch: SpikeBatch
) -> None:
    def encoder(**settings: float | str) -> Tensor:
        return _part(_gradients(build(**settings), batch), "encoder")

    behaviour = encoder(neural_weight=0.0, kl_weight=0.0)
    kl = encoder(neural_weight=0.0, behaviour_weight=0.0)
    neural = encoder(behaviour_weight=0.0, kl_weight=0.0, variant="no_reversal")
    torch.testing.assert_close(encoder(), behaviour + kl - STRENGTH * neural, rtol=0, atol=1e-14)


def test_the_bridge_of_the_neural_decoder_minimises_reconstruction_error(
    build: BuildSable, batch: SpikeBatch
) -> None:
    model = build(**NEURAL_ONLY)
    gradients = _gradients(model, batch)

    def error() -> Tensor:
        torch.manual_seed(11)
        log_rates = model(batch.spikes).log_rates
        assert log_rates is not None
        return neural_term(log_rates, batch.spikes)

    with torch.no_grad():
        before = error()
        for name, parameter in model.named_parameters():
            if name.startswith("neural_decoder.generator.bridge"):
                parameter -= 1e-3 * gradients[name]
        assert error() < before


def test_with_stopped_gradient_the_encoder_does_not_depend_on_reconstruction(
    build: BuildSable, batch: SpikeBatch
) -> None:
    with_it = _gradients(build(variant="stop_gradient"), batch)
    without = _gradients(build(variant="stop_gradient", neural_weight=0.0), batch)
    assert torch.equal(_part(with_it, "encoder"), _part(without, "encoder"))
    assert _part(with_it, "neural_decoder").any()


def test_behaviour_only_trains_the_encoder_as_a_stopped_gradient_does(
    build: BuildSable, batch: SpikeBatch
) -> None:
    stopped = _gradients(build(variant="stop_gradient"), batch)
    alone = _gradients(build(variant="behaviour_only"), batch)
    for part in ("encoder", "behaviour_decoder"):
        torch.testing.assert_close(_part(alone, part), _part(stopped, part), rtol=0, atol=1e-15)
    assert not any(name.startswith("neural_decoder") for name in alone)


def test_strength_minus_one_reproduces_the_training_without_reversal(
    build: BuildSable, batch: SpikeBatch
) -> None:
    def train(model: Sable) -> Tensor:
        optimizer = torch.optim.Adam(model.double().parameters(), lr=1e-2)
        torch.manual_seed(5)
        for _ in range(5):
            optimizer.zero_grad()
            total(weigh(model.terms(model(batch.spikes), batch), model.weights_in_force)).backward()
            optimizer.step()
        return torch.nn.utils.parameters_to_vector(model.parameters())

    turned_twice = build()
    turned_twice.reversal_strength = -1.0
    assert torch.equal(train(turned_twice), train(build(variant="no_reversal")))


def test_outputs_depend_on_the_own_trial_only(build: BuildSable, batch: SpikeBatch) -> None:
    model = build().double().eval()
    order = torch.randperm(len(batch.spikes))
    straight, shuffled = model(batch.spikes), model(batch.spikes[order])
    torch.testing.assert_close(shuffled.behaviour, straight.behaviour[order], rtol=0, atol=1e-12)
    torch.testing.assert_close(shuffled.log_rates, straight.log_rates[order], rtol=0, atol=1e-12)


def test_decoders_see_nothing_but_the_latent(build: BuildSable, batch: SpikeBatch) -> None:
    model = build().double().eval()
    with torch.no_grad():
        model.encoder.mean.weight.zero_()
        rates = model(batch.spikes).log_rates
        behaviour = model(batch.spikes).behaviour
    assert rates is not None
    for output in (rates, behaviour):
        torch.testing.assert_close(output, output[:1].expand_as(output), rtol=0, atol=1e-12)


def test_the_order_of_units_does_not_matter_if_first_and_last_layer_follow_it(
    build: BuildSable, batch: SpikeBatch
) -> None:
    model = build().double().eval()
    order = torch.randperm(batch.spikes.shape[-1])
    before = model.terms(model(batch.spikes), batch)
    assert model.neural_decoder is not None
    with torch.no_grad():
        for suffix in ("", "_reverse"):
            weight = getattr(model.encoder.rnn, f"weight_ih_l0{suffix}")
            weight.copy_(weight[:, order].clone())
        readout = model.neural_decoder.log_rates
        readout.weight.copy_(readout.weight[order].clone())
        readout.bias.copy_(readout.bias[order].clone())
    permuted = SpikeBatch(batch.spikes[..., order], batch.behaviour)
    after = model.terms(model(permuted.spikes), permuted)
    torch.testing.assert_close(total(after), total(before), rtol=0, atol=1e-12)


def test_encoder_reads_the_final_forward_and_the_first_time_backward_state(
    build: BuildSable, batch: SpikeBatch
) -> None:
    encoder = build(encoder_layers=2).double().encoder
    reference = torch.nn.GRU(10, 6, num_layers=2, bidirectional=True, batch_first=True).double()
    reference.load_state_dict(encoder.rnn.state_dict())
    states, _ = reference(batch.spikes)
    expected = torch.cat([states[:, -1, :6], states[:, 0, 6:]], dim=-1)
    read = []
    encoder.summary.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    encoder(batch.spikes)
    torch.testing.assert_close(read[0], expected, rtol=0, atol=1e-12)


def test_kl_term_is_that_of_torchs_distributions(build: BuildSable, batch: SpikeBatch) -> None:
    posterior = build().double().encoder(batch.spikes)
    normal = torch.distributions.Normal
    for prior_variance in (0.1, 1.0):
        expected = torch.distributions.kl_divergence(
            normal(posterior.mean, (0.5 * posterior.log_variance).exp()),
            normal(torch.zeros(3, dtype=torch.double), prior_variance**0.5),
        )
        result = kl_from_prior(posterior, 0.0, prior_variance)
        torch.testing.assert_close(result, expected.sum(dim=-1).mean(), rtol=0, atol=1e-12)


def test_posterior_variance_is_the_heads_plus_the_floor(build: BuildSable, batch: SpikeBatch) -> None:
    encoder = build().double().encoder
    heads: list[Tensor] = []
    encoder.log_variance.register_forward_hook(lambda *call: heads.append(call[2]))
    variance = encoder(batch.spikes).log_variance.exp()
    torch.testing.assert_close(variance, heads[0].exp() + 1e-4, rtol=1e-12, atol=0)


def test_the_neural_decoder_alone_learns_at_its_own_pace(build: BuildSable) -> None:
    model = build(learning_rate=1e-3, neural_learning_rate_ratio=4.0)
    pace = {
        id(one): group["lr"] for group in model.configure_optimizers().param_groups for one in group["params"]
    }
    assert len(pace) == len(list(model.parameters()))
    for name, one in model.named_parameters():
        assert pace[id(one)] == pytest.approx(4e-3 if name.startswith("neural_decoder.") else 1e-3), name
