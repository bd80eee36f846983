"""What learning under noise minimises: pure functions of draws, rows of a truth table and outputs."""

import torch
from torch import Tensor
from torch.nn import functional


def noisy_cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    """Return -log of the probability of the truth, averaged over draws of the noise.

    Args:
        logits: Of every value of a wire, (K draws, R rows, V values).
        truth: Value of each row, int64 (R,).

    Returns:
        Of each row, (R,).

    Source:
        fault_tolerant.md section 7.3.
    """
    n_draws, n_rows, n_values = logits.shape
    flat = functional.cross_entropy(logits.reshape(-1, n_values), truth.repeat(n_draws), reduction="none")
    return flat.view(n_draws, n_rows).mean(dim=0)


def margins_of(logits: Tensor, truth: Tensor) -> Tensor:
    """Return how far the truth is ahead of the strongest other value, (K, R); it errs where that is below 0."""
    at = truth.expand(logits.shape[:2]).unsqueeze(2)
    others = logits.scatter(2, at, -torch.inf)
    return logits.gather(2, at).squeeze(2) - others.amax(dim=2)


def tail_surrogate(margins: Tensor) -> Tensor:
    """Return -log Φ(mean / standard deviation) of the margins of each row, over draws.

    It has a slope far below the errors that draws show. Where margins are Gaussian, Φ(-mean / sd) is the error.

    Args:
        margins: (K draws, R rows), at least two draws.

    Returns:
        (R,).

    Source:
        fault_tolerant.md section 7.3. Moments are those of the draws, not of section 2.8, which holds for the grid
        code's first decoder only [inferred].
    """
    sd = margins.var(dim=0).clamp_min(torch.finfo(margins.dtype).eps).sqrt()
    return -torch.special.log_ndtr(margins.mean(dim=0) / sd)


def worst_share(losses: Tensor, alpha: float) -> Tensor:
    """Return the conditional value at risk: the mean over the worst share α of rows, a scalar.

    A row that only partly belongs to the share counts for its part. α = 1 is the mean; below 1 / R it is the worst row.

    Args:
        losses: Of each row, (R,).
        alpha: α, above 0 up to 1.

    Source:
        fault_tolerant.md section 7.3.
    """
    count = max(alpha * len(losses), 1.0)
    weights = (count - torch.arange(len(losses), device=losses.device, dtype=losses.dtype)).clamp(0, 1)
    return (losses.sort(descending=True).values * weights).sum() / count
