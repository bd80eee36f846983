"""Where Gaussian noise first makes a decoder err: the points of its decision boundary that are nearest to no noise."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_modules.parts.errors import DataError

Margins = Callable[[Tensor], Tensor]
"""From noise (B, D) of unit variance to margins (B,); the output is wrong where the margin is below 0."""
MOST_STEPS = 200
NEAR = 1e-6


@dataclass(frozen=True, eq=False)
class NearestErrors:
    """Points to which draws of noise are moved.

    Args:
        points: Noise, (K, D), of unit variance.
        shares: Of draws that are moved to each point, (K,); their sum is 1.
    """

    points: Tensor
    shares: Tensor

    @classmethod
    def at(cls, points: Tensor) -> "NearestErrors":
        """Share draws out by the tail beyond each point, so that the more probable error gets more."""
        tails = torch.special.log_ndtr(-points.norm(dim=1))
        return cls(points, torch.softmax(tails, dim=0))


def linear_errors(gaps: Tensor, gradients: Tensor) -> NearestErrors:
    """Return the nearest errors of linear scores, in closed form.

    Args:
        gaps: How far the right score lies above each rival without noise, (K,), above 0.
        gradients: How each gap changes with the noise, (K, D): a gap is `gaps + gradients @ noise`.

    Raises:
        DataError: If a gap is not above 0, so that the output is wrong already without noise, or none changes with it.
    """
    if not bool((gaps > 0).all()):
        raise DataError(
            f"The smallest gap between scores is {gaps.min().item():g}: the output is wrong already without noise.",
            "Estimate this error by counting; it is not small.",
        )
    squares = gradients.square().sum(dim=1, keepdim=True)
    reachable = squares[:, 0] > 0
    if not bool(reachable.any()):
        raise DataError("No gap changes with the noise, so the output is never wrong.", "Give some noise.")
    return NearestErrors.at((-gaps[:, None] * gradients / squares)[reachable])


def nearest_error(margins: Margins, start: Tensor) -> Tensor:
    """Search the nearest point of a curved boundary, (D,), along gradients of the margin.

    It is the nearest one near the start: start from each rival's side if there may be several.

    Args:
        margins: Differentiable.
        start: Noise, (D,), at which the margin has a gradient.

    Raises:
        DataError: If no boundary is found.

    Source:
        Rackwitz & Fiessler 1978, Computers & Structures 9: the design point of structural reliability.
    """
    point = start
    for _ in range(MOST_STEPS):
        noise = point.detach().clone().requires_grad_()
        margin = margins(noise[None])[0]
        (slope,) = torch.autograd.grad(margin, noise)
        square = slope.square().sum()
        if square == 0:
            break
        moved = slope * ((slope @ point - margin.detach()) / square)
        # Half steps: whole ones may jump to and fro across a strongly curved boundary.
        after = (point + moved) / 2
        if float((after - point).norm()) < NEAR * (1 + float(point.norm())):
            return moved
        point = after
    raise DataError(
        f"No decision boundary was found within {MOST_STEPS} steps from the given noise.",
        "Start elsewhere, for example from noise that makes the output wrong.",
    )
