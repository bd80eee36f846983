"""A GRU layer that runs without input, with its gradient written out: the loop of every generator on a CPU."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_modules.parts.gates import gate_derivatives, walk_back


class AutonomousRecurrence(torch.autograd.Function):
    """States of a GRU layer whose input is zero; the equations are those of `TrialGRU`.

    What an input would add to the gates is the same in all bins, and is left to the biases.
    """

    @staticmethod
    def forward(
        ctx: Any,
        initial: Tensor,
        n_bins: int,
        input_weight: Tensor,
        weight: Tensor,
        input_bias: Tensor,
        state_bias: Tensor,
    ) -> Tensor:
        """Return the states after each bin.

        Args:
            ctx: Keeps what `backward` needs.
            initial: First state, (B, H).
            n_bins: T.
            input_weight: Of the input, (3H, inputs); takes no part, and its gradient is zero.
            weight: Of the state, (3H, H), gates in the order reset, update, candidate.
            input_bias: (3H,).
            state_bias: (3H,).

        Returns:
            (T, B, H).
        """
        n_trials, size = initial.shape
        gates = initial.new_empty(n_bins, n_trials, 3 * size)
        candidates = initial.new_empty(n_bins, n_trials, size)
        states = initial.new_empty(n_bins + 1, n_trials, size)
        states[0] = initial
        # The reset gate multiplies the state's share of the candidate alone, so that only there the biases stay apart.
        bias = state_bias.clone()
        bias[: 2 * size] += input_bias[: 2 * size]
        share, transposed = input_bias[2 * size :], weight.t()
        before, *after = states.unbind()
        steps = zip(
            gates.unbind(),
            gates[..., : 2 * size].unbind(),
            *(part.unbind() for part in gates.split(size, dim=-1)),
            candidates.unbind(),
            after,
            strict=True,
        )
        for gate, reset_and_update, reset, update, product, candidate, state in steps:
            torch.addmm(bias, before, transposed, out=gate)
            reset_and_update.sigmoid_()
            torch.addcmul(share, reset, product, out=candidate).tanh_()
            before = torch.lerp(candidate, before, update, out=state)
        ctx.save_for_backward(gates, candidates, states, input_weight, weight)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Return the gradients of `forward`'s arguments from that of the states, (T, B, H)."""
        gates, candidates, states, input_weight, weight = ctx.saved_tensors
        n_bins, n_trials, size = candidates.shape
        to_gates, to_candidate, update = gate_derivatives(gates, candidates, states[:-1])  # (T, B, 3, H)
        grad, of_gates, update = (part.unsqueeze(1) for part in (grad, to_gates, update))  # of one direction
        grad_states = walk_back(grad, of_gates, update, weight.unsqueeze(0)).squeeze(1)
        rows = to_gates.view(n_bins * n_trials, 3 * size)
        grad_state_bias = rows.sum(dim=0)
        grad_input_bias = grad_state_bias.clone()
        torch.sum(to_candidate.mul_(grad_states[1:]), dim=(0, 1), out=grad_input_bias[2 * size :])
        grad_weight = rows.t() @ states[:-1].view(n_bins * n_trials, size)
        return (
            grad_states[0],
            None,
            torch.zeros_like(input_weight),
            grad_weight,
            grad_input_bias,
            grad_state_bias,
        )
