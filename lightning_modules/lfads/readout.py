"""Behaviour from factors: ridge regression of the whole trajectory on the whole trial, in closed form."""

import math

import torch
from torch import Tensor, nn


class TrajectoryReadout(nn.Module):
    """Standardised behaviour from the factors of a whole trial, linear and fitted in closed form.

    Before it is fitted it gives zeros, the mean behaviour. What was fitted lives in buffers, so that it travels
    with the weights.

    Shapes:
        B or K trials, T time bins, F factors, D behavioural dimensions.

    Args:
        n_bins: T.
        factor_dim: F.
        behaviour_dim: D.
    """

    def __init__(self, *, n_bins: int, factor_dim: int, behaviour_dim: int) -> None:
        super().__init__()
        self.weight: Tensor
        self.bias: Tensor
        self.register_buffer("weight", torch.zeros(n_bins * factor_dim, n_bins * behaviour_dim))
        self.register_buffer("bias", torch.zeros(n_bins * behaviour_dim))

    @torch.no_grad()
    def fit(self, factors: Tensor, behaviour: Tensor, penalty: float) -> None:
        """Fit to trials; see `ridge`.

        Args:
            factors: (K, T, F).
            behaviour: Standardised, (K, T, D).
            penalty: Above 0.
        """
        weight, bias = ridge(factors.flatten(1), behaviour.flatten(1), penalty)
        self.weight.copy_(weight)
        self.bias.copy_(bias)

    def forward(self, factors: Tensor) -> Tensor:
        """Return standardised behaviour (B, T, D) of factors (B, T, F)."""
        trajectory = torch.addmm(self.bias, factors.flatten(1), self.weight)
        return trajectory.unflatten(1, (factors.shape[1], -1))


def ridge(features: Tensor, targets: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Return weights and offset of ridge regression on standardised features; the offset is not penalised.

    Args:
        features: (K, P). One that never varies gets weight 0.
        targets: (K, Q).
        penalty: α > 0 of ‖Y - XW‖² + α‖W‖², X standardised; sklearn's `StandardScaler` and `Ridge(alpha)`.

    Returns:
        Weights (P, Q) and offset (Q,) for features as they are, float64; not finite if features are not.
    """
    features, targets = features.double(), targets.double()
    mean, deviation = features.mean(dim=0), features.std(dim=0, correction=0)
    varies = deviation > torch.finfo(torch.float32).eps * features.abs().amax(dim=0)
    scale = torch.where(varies, deviation, math.inf)
    standard = (features - mean) / scale
    offset = targets.mean(dim=0)
    centred = targets - offset
    if features.shape[1] <= features.shape[0]:
        solved = _solve(standard.T @ standard, standard.T @ centred, penalty)
    else:  # fewer trials than features: the same weights from the smaller system
        solved = standard.T @ _solve(standard @ standard.T, centred, penalty)
    weight = solved / scale[:, None]
    return weight, offset - mean @ weight


def _solve(gram: Tensor, right: Tensor, penalty: float) -> Tensor:
    gram.diagonal().add_(penalty)
    # The variant that does not raise: a diverged model shows as a score that is not finite.
    return torch.cholesky_solve(right, torch.linalg.cholesky_ex(gram).L)
