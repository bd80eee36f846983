import pytest
import torch
from torch import nn

from lightning_modules.parts.recurrence import TrialGRU


def _pair(layers: int, bidirectional: bool) -> tuple[TrialGRU, nn.GRU]:
    ours = TrialGRU(4, 5, num_layers=layers, bidirectional=bidirectional).double()
    torchs = nn.GRU(4, 5, num_layers=layers, bidirectional=bidirectional).double()
    torchs.load_state_dict(ours.state_dict())
    return ours, torchs


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
def test_states_and_all_gradients_are_those_of_torchs_gru(layers: int, bidirectional: bool) -> None:
    results = []
    spikes = torch.randn(7, 6, 4, dtype=torch.double, requires_grad=True)
    initial = torch.randn(layers * (1 + bidirectional), 6, 5, dtype=torch.double, requires_grad=True)
    for rnn in _pair(layers, bidirectional):
        states, last = rnn(spikes, initial)
        loss = states.sin().sum() + last.square().sum()
        gradients = torch.autograd.grad(loss, [spikes, initial, *rnn.parameters()])
        results.append([states, last, *gradients])
    for ours, torchs in zip(*results, strict=True):
        torch.testing.assert_close(ours, torchs, rtol=0, atol=1e-11)


def test_without_initial_states_it_starts_from_zero_as_torch_does() -> None:
    ours, torchs = _pair(2, True)
    spikes = torch.randn(7, 6, 4, dtype=torch.double)
    for mine, theirs in zip(ours(spikes), torchs(spikes), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


def test_dropout_between_layers_draws_what_torchs_gru_draws() -> None:
    ours = TrialGRU(4, 5, num_layers=3, bidirectional=True, dropout=0.4).double()
    torchs = nn.GRU(4, 5, num_layers=3, bidirectional=True, dropout=0.4).double()
    torchs.load_state_dict(ours.state_dict())
    spikes = torch.randn(7, 6, 4, dtype=torch.double)
    seen = []
    for rnn in (ours, torchs):
        torch.manual_seed(3)
        seen.append(rnn(spikes)[0])
    torch.testing.assert_close(*seen, rtol=0, atol=1e-12)
    without = ours.eval()(spikes)[0]
    assert not torch.allclose(seen[0], without)
    torch.testing.assert_close(without, torchs.eval()(spikes)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("layers", [1, 3])
def test_without_input_states_and_all_gradients_are_torchs_for_an_input_of_zeros(layers: int) -> None:
    ours, torchs = _pair(layers, False)
    initial = torch.randn(layers, 6, 5, dtype=torch.double, requires_grad=True)
    results = []
    for states, rnn in (
        (ours.unroll(7, initial), ours),
        (torchs(torch.zeros(7, 6, 4, dtype=torch.double), initial)[0], torchs),
    ):
        loss = states.sin().sum() + states[-1].square().sum()
        results.append([states, *torch.autograd.grad(loss, [initial, *rnn.parameters()])])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-11)


def test_gradients_without_input_pass_torchs_finite_difference_check() -> None:
    rnn = TrialGRU(1, 3).double()
    initial = torch.randn(1, 2, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda first, *_: rnn.unroll(4, first), (initial, *rnn.parameters()))


def test_gradients_pass_torchs_finite_difference_check() -> None:
    rnn = TrialGRU(2, 3, bidirectional=True).double()
    spikes = torch.randn(4, 2, 2, dtype=torch.double, requires_grad=True)
    initial = torch.randn(2, 2, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(rnn, (spikes, initial))


def test_a_graph_can_be_walked_twice_when_it_is_retained() -> None:
    rnn = TrialGRU(2, 3)
    loss = rnn(torch.randn(4, 2, 2))[0].sum()
    weights = list(rnn.parameters())
    first = torch.autograd.grad(loss, weights, retain_graph=True)
    second = torch.autograd.grad(loss, weights)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_under_autocast_it_runs_in_lower_precision_like_torchs() -> None:
    rnn = TrialGRU(2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states, _ = rnn(torch.randn(4, 2, 2))
    states.float().sum().backward()
    assert all(torch.isfinite(one.grad).all() for one in rnn.parameters() if one.grad is not None)
