"""What the gates of a GRU do to gradients: the part that depends on no other bin."""

import torch
from torch import Tensor

sigmoid_backward = torch.ops.aten.sigmoid_backward
tanh_backward = torch.ops.aten.tanh_backward


def gate_derivatives(gates: Tensor, candidates: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How a gradient of a GRU's new state reaches its own gates: it depends on no other bin, so all bins at once.

    Args:
        gates: Reset, update and the product of the candidate with its bias, (..., 3H).
        candidates: (..., H).
        before: States before each bin, (..., H).

    Returns:
        Factors of the three gates before their nonlinearities (..., 3, H), the factor of the candidate before its
        nonlinearity (..., H), and the update gates (..., H).
    """
    reset, update, product = gates.split(candidates.shape[-1], dim=-1)
    to_candidate = tanh_backward(1 - update, candidates)
    to_gates = torch.empty_like(gates).unflatten(-1, (3, -1))
    # Written in place: stacking three of them would copy the largest array of the backward pass.
    to_reset, to_update, to_product = to_gates.unbind(-2)
    sigmoid_backward.grad_input(to_candidate * product, reset, grad_input=to_reset)
    sigmoid_backward.grad_input(before - candidates, update, grad_input=to_update)
    torch.mul(to_candidate, reset, out=to_product)
    return to_gates, to_candidate, update


def walk_back(grad: Tensor, to_gates: Tensor, update: Tensor, weight: Tensor) -> Tensor:
    """Carry the gradient of a layer's states back through the bins.

    Args:
        grad: Of the states after each bin, (T, C, B, H); C directions.
        to_gates: Of `gate_derivatives`, (T, C, B, 3, H); becomes the gradient of the gates, in place.
        update: Of `gate_derivatives`, (T, C, B, H).
        weight: Of the state, (C, 3H, H).

    Returns:
        Gradient of the first state and of those after each bin, (T + 1, C, B, H).
    """
    grad_states = torch.cat([torch.zeros_like(grad[:1]), grad])
    steps = zip(
        grad_states[:-1].unbind(),
        grad_states[1:].unbind(),
        grad_states[1:].unsqueeze(-2).unbind(),
        to_gates.unbind(),
        to_gates.flatten(-2).unbind(),
        update.unbind(),
        strict=True,
    )
    for grad_before, grad_after, column, gate, gate_row, kept in reversed(list(steps)):
        gate.mul_(column)
        grad_before.addcmul_(grad_after, kept).baddbmm_(gate_row, weight)
    return grad_states
