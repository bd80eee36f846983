"""Many small descents side by side, each by its own gradient."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

Losses = Callable[[list[Tensor]], Tensor]


def descend(
    losses: Losses,
    start: list[Tensor],
    rates: list[float],
    n_steps: int,
    last_share: float,
    bounds: list[float | None],
) -> tuple[list[Tensor], Tensor]:
    """Follow the gradient of each row's own loss by Adam and keep each row's best point.

    Args:
        losses: Of rows, (B,), at points (B, ...).
        start: Points.
        rates: Learning rate of each point.
        n_steps: Steps.
        last_share: Of the rates at the last step, to which they fall by a cosine.
        bounds: Largest size of the entries of each point; None for any.

    Returns:
        The best points met, the start included, and their losses (B,).
    """
    points = [one.detach().clone().requires_grad_() for one in start]
    optimizer = torch.optim.Adam(
        [{"params": [one], "lr": rate} for one, rate in zip(points, rates, strict=True)]
    )
    cosine = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: last_share + (1 - last_share) * _half_cosine(step / n_steps)
    )
    best = [one.detach().clone() for one in points]
    lowest = torch.full_like(points[0][:, 0], torch.inf, requires_grad=False).detach()
    for step in range(n_steps + 1):
        current = losses(points)
        with torch.no_grad():
            better = current < lowest
            lowest = torch.where(better, current, lowest)
            best = [torch.where(better[:, None], one, kept) for one, kept in zip(points, best, strict=True)]
        if step == n_steps:
            break
        for one, gradient in zip(points, torch.autograd.grad(current.sum(), points), strict=True):
            one.grad = gradient
        optimizer.step()
        cosine.step()
        with torch.no_grad():
            for one, bound in zip(points, bounds, strict=True):
                if bound is not None:
                    one.clamp_(-bound, bound)
    return [one.detach() for one in best], lowest.detach()


def _half_cosine(progress: float) -> float:
    return (1 + math.cos(math.pi * progress)) / 2
