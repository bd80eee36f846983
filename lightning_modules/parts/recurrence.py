"""A gated recurrent unit for many short trials: torch's own on a GPU, a leaner backward pass on a CPU."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from lightning_modules.parts.autonomous import AutonomousRecurrence
from lightning_modules.parts.gates import gate_derivatives, walk_back


class TrialGRU(nn.GRU):
    """`torch.nn.GRU` with the same parameters and values, about twice as fast on a CPU for small layers.

    Small layers on a CPU spend their time in calling operations, not in arithmetic, and automatic
    differentiation of the loop over bins calls some thirty a bin. Written out, both passes together take
    seven, and both directions share them.

    Shapes:
        T time bins, B trials, H hidden units, L layers, C directions.

    Args:
        input_size: Width of the input.
        hidden_size: H.
        num_layers: L.
        bidirectional: Whether C is 2 rather than 1.
        dropout: Probability that an input of a layer after the first is set to 0 in training.

    Source:
        Cho et al. 2014, arXiv:1406.1078, in the form that cuDNN and torch use (reset gate after the product).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers=num_layers, bidirectional=bidirectional, dropout=dropout
        )

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        """Run over all bins.

        Args:
            input: (T, B, input_size).
            hx: Initial states, (L·C, B, H). Default: zeros.

        Returns:
            States of the last layer (T, B, C·H), and the state of every layer and direction after its last
            step (L·C, B, H): the last bin for the forward direction, the first bin for the backward one.
        """
        if input.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            return super().forward(input, hx)
        directions = 2 if self.bidirectional else 1
        n_states = self.num_layers * directions
        first = input.new_zeros(n_states, input.shape[1], self.hidden_size) if hx is None else hx
        last = []
        for layer, initial in enumerate(first.split(directions)):
            if layer:
                input = functional.dropout(input, self.dropout, self.training)
            # (T, C, B, H); the backward direction in its own order.
            states = self._run_layer(input, initial, layer)
            last.append(states[-1])
            outputs = [states[:, 0], *(one.flip(0) for one in states[:, 1:].unbind(1))]
            input = torch.cat(outputs, dim=-1) if len(outputs) > 1 else outputs[0]
        return input, torch.cat(last)

    def unroll(self, n_bins: int, initial: Tensor) -> Tensor:
        """Run without input: what a generator does, whose first layer then needs no input's share of its gates.

        Args:
            n_bins: T.
            initial: First states, (L, B, H).

        Returns:
            States of the last layer, (T, B, H), as `forward` gives for an input of zeros.
        """
        if initial.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            return self.forward(initial.new_zeros(n_bins, initial.shape[1], self.input_size), initial)[0]
        states = AutonomousRecurrence.apply(initial[0], n_bins, *self.all_weights[0])
        for layer in range(1, self.num_layers):
            states = functional.dropout(states, self.dropout, self.training)
            states = self._run_layer(states, initial[layer : layer + 1], layer)[:, 0]
        return states  # type: ignore[no-any-return]

    def _run_layer(self, input: Tensor, initial: Tensor, layer: int) -> Tensor:
        directions = len(initial)
        weights = self.all_weights[layer * directions : (layer + 1) * directions]
        input_weight, state_weight, input_bias, state_bias = zip(*weights, strict=True)
        shares = [
            functional.linear(one, weight, bias)
            for one, weight, bias in zip((input, input.flip(0)), input_weight, input_bias, strict=False)
        ]
        return _Recurrence.apply(  # type: ignore[no-any-return]
            torch.stack(shares, dim=1), initial, torch.stack(state_weight), torch.stack(state_bias)
        )


class _Recurrence(torch.autograd.Function):
    """States of a GRU layer from the input's share of its gates, with the gradient written out.

    With h the state before the bin, a = W h + b and x the input's share: reset r = σ(x_r + a_r), update
    u = σ(x_u + a_u), candidate n = tanh(x_n + r a_n), next state h' = u h + (1 - u) n.
    """

    @staticmethod
    def forward(ctx: Any, shares: Tensor, initial: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return the states after each bin.

        Args:
            ctx: Keeps what `backward` needs.
            shares: x, (T, C, B, 3H), gates in the order r, u, n.
            initial: First h, (C, B, H).
            weight: W, (C, 3H, H).
            bias: b, (C, 3H).

        Returns:
            h' of every bin, (T, C, B, H).
        """
        n_bins, directions, n_trials, width = shares.shape
        size = width // 3
        # The product W h is added in place: to x + b for reset and update, to b for the candidate.
        gates = bias.unsqueeze(1).expand_as(shares).clone()
        gates[..., : 2 * size] += shares[..., : 2 * size]
        candidates = shares.new_empty(n_bins, directions, n_trials, size)
        states = shares.new_empty(n_bins + 1, directions, n_trials, size)
        states[0] = initial
        before, *after = states.unbind()
        transposed = weight.transpose(1, 2)
        steps = zip(
            gates.unbind(),
            gates[..., : 2 * size].unbind(),
            *(part.unbind() for part in gates.split(size, dim=-1)),
            shares[..., 2 * size :].unbind(),
            candidates.unbind(),
            after,
            strict=True,
        )
        for gate, reset_and_update, reset, update, product, share, candidate, state in steps:
            gate.baddbmm_(before, transposed)
            reset_and_update.sigmoid_()
            torch.addcmul(share, reset, product, out=candidate).tanh_()
            before = torch.lerp(candidate, before, update, out=state)
        ctx.save_for_backward(gates, candidates, states, weight)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(  # type: ignore[override]
        ctx: Any, grad: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the gradients of the four arguments from that of the states, (T, C, B, H)."""
        gates, candidates, states, weight = ctx.saved_tensors
        n_bins, directions, n_trials, size = candidates.shape
        before = states[:-1]
        to_gates, to_candidate, update = gate_derivatives(gates, candidates, before)  # (T, C, B, 3, H)
        grad_states = walk_back(grad, to_gates, update, weight)
        grad_gates = to_gates.flatten(-2)
        grad_shares = grad_gates.clone()
        torch.mul(grad_states[1:], to_candidate, out=grad_shares[..., 2 * size :])
        rows = grad_gates.transpose(0, 1).reshape(directions, n_bins * n_trials, 3 * size)
        states_before = before.transpose(0, 1).reshape(directions, n_bins * n_trials, size)
        return grad_shares, grad_states[0], rows.transpose(1, 2) @ states_before, rows.sum(dim=1)
