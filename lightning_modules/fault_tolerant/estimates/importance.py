"""Tiny errors from Gaussian noise: draws moved to where the decoder errs, weighted back."""

import math

import torch
from torch import Tensor

from lightning_modules.fault_tolerant.estimates.boundaries import Margins, NearestErrors
from lightning_modules.fault_tolerant.estimates.error_estimate import CONFIDENCE, ErrorEstimate, z_of
from lightning_modules.parts.errors import DataError

MOST_NOISE = 2**24
"""Numbers that are drawn at once: B D."""
FEWEST_EFFECTIVE = 10.0
"""Draws of equal weight; of fewer, an interval cannot be trusted."""


def shifted_error(
    margins: Margins,
    nearest: NearestErrors,
    n_draws: int,
    generator: torch.Generator,
    confidence: float = CONFIDENCE,
) -> ErrorEstimate:
    """Estimate how often Gaussian noise makes the output wrong, however rarely.

    Noise is drawn from a mixture of unit Gaussians around the nearest errors. Its weight is the ratio of the densities
    of noise as it is and of the mixture, which is at most e^(-d^2/2) over the point's share on the far side of a flat
    boundary at distance d. Errors far from all given points are missed: give one for each rival.

    Args:
        margins: Below 0 where the output is wrong.
        nearest: Where draws are moved to.
        n_draws: Draws.
        generator: Of the draws; they are made on its device in the points' precision.
        confidence: Of the interval, which is that of a logarithm that is normal.

    Raises:
        DataError: If the errors weigh as few draws as `FEWEST_EFFECTIVE`: the points do not lie where errors begin.
    """
    sums = torch.zeros(2, dtype=torch.float64)
    events, size = 0, max(1, MOST_NOISE // nearest.points.shape[1])
    for start in range(0, n_draws, size):
        weights = _weights_of_errors(margins, nearest, min(size, n_draws - start), generator)
        sums += torch.stack([weights.sum(), weights.square().sum()]).cpu()
        events += len(weights)
    total, squares = sums.tolist()
    effective = total**2 / squares if squares > 0 else 0.0
    if effective < FEWEST_EFFECTIVE:
        raise DataError(
            f"{events} of {n_draws} moved draws were wrong, which weigh as much as {effective:.1f}; so few leave no "
            "interval, and moved draws without errors leave no bound.",
            "Move the draws to where each rival begins to win, or draw more.",
        )
    estimate = total / n_draws
    variance = (squares / n_draws - estimate**2) / n_draws
    width = z_of(confidence) * math.sqrt(max(variance, 0.0)) / estimate
    low, high = estimate * math.exp(-width), min(1.0, estimate * math.exp(width))
    return ErrorEstimate(events, n_draws, estimate, low, high, "importance", effective)


def _weights_of_errors(
    margins: Margins, nearest: NearestErrors, n_draws: int, generator: torch.Generator
) -> Tensor:
    """Return the weights of those draws that are wrong, float64."""
    points = nearest.points
    chosen = torch.multinomial(nearest.shares, n_draws, replacement=True, generator=generator)
    fresh = torch.randn(
        n_draws, points.shape[1], generator=generator, device=points.device, dtype=points.dtype
    )
    noise = fresh + points[chosen]
    noise = noise[margins(noise) < 0].double()
    # log of N(x; m, 1)/N(x; 0, 1) = x m - m^2/2
    far = points.double()
    ratios = noise @ far.T - far.square().sum(dim=1) / 2 + nearest.shares.double().log()
    return torch.exp(-torch.logsumexp(ratios, dim=1))
