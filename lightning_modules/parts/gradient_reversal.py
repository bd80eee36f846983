"""The gradient reversal layer: nothing on the way forward, another sign on the way back."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return -ctx.strength * grad, None


def reverse_gradient(x: Tensor, strength: float) -> Tensor:
    """Return `x`; the gradient that comes back through it is multiplied by -`strength`.

    Args:
        x: Any shape.
        strength: 0 stops the gradient, -1 lets it pass unchanged, above 0 turns it around: what lies before
            `x` then maximises what lies behind it minimises.

    Source:
        Ganin et al. 2016, JMLR 17(59), arXiv:1505.07818.
    """
    return _ReverseGradient.apply(x, strength)  # type: ignore[no-any-return]
