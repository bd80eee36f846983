"""Behaviour from features of whole trials: ridge regression of the whole trajectory, in closed form."""

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.utils.data import Dataset

READ_AT_ONCE = 1024
"""Training trials in a batch for the fit of a read-out; no gradient is kept, so that memory is no concern."""


class TrajectoryReadout(nn.Module):
    """Standardised behaviour from features of a whole trial, linear and fitted in closed form.

    Before it is fitted it gives zeros, the mean behaviour. What was fitted lives in buffers, so that it travels
    with the weights.

    Shapes:
        B or K trials, P features, T time bins, D behavioural dimensions.

    Args:
        n_features: P.
        n_bins: T.
        behaviour_dim: D.
    """

    def __init__(self, *, n_features: int, n_bins: int, behaviour_dim: int) -> None:
        super().__init__()
        self.n_bins = n_bins
        self.weight: Tensor
        self.bias: Tensor
        self.register_buffer("weight", torch.zeros(n_features, n_bins * behaviour_dim))
        self.register_buffer("bias", torch.zeros(n_bins * behaviour_dim))

    @torch.no_grad()
    def fit(self, features: Tensor, behaviour: Tensor, penalty: float) -> None:
        """Fit to trials; see `ridge`.

        Args:
            features: (K, P), or any shape that is P when flattened, such as bins and factors.
            behaviour: Standardised, (K, T, D).
            penalty: Above 0.
        """
        weight, bias = ridge(features.flatten(1), behaviour.flatten(1), penalty)
        self.weight.copy_(weight)
        self.bias.copy_(bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return standardised behaviour (B, T, D) of features, shaped as in `fit`."""
        trajectory = torch.addmm(self.bias, features.flatten(1), self.weight)
        return trajectory.unflatten(1, (self.n_bins, -1))


def trials_to_fit(module: pl.LightningModule) -> Dataset[Any] | None:
    """Return the training trials that a read-out is fitted to before a validation, or None where it is kept.

    It is fitted in `Trainer.fit` alone, and not in the sanity check, which comes before there are any trials. A copy
    that was trained without one session, its `held_out_session`, is not shown it here either.
    """
    if module.trainer.state.fn != TrainerFn.FITTING or module.trainer.sanity_checking:
        return None
    trials: Any = module.trainer.train_dataloader.dataset  # type: ignore[union-attr]
    held_out = getattr(module, "held_out_session", None)
    return trials if held_out is None else _OtherSessions(trials, held_out)


class _OtherSessions(Dataset[Any]):
    """Labelled trials without those of one session."""

    def __init__(self, trials: Any, session: int) -> None:
        self._trials = trials
        sessions = trials[list(range(len(trials)))].session
        self._positions = (sessions != session).nonzero().flatten()

    def __getitem__(self, rows: list[int]) -> Any:
        return self._trials[self._positions[rows].tolist()]

    def __len__(self) -> int:
        return len(self._positions)


@torch.no_grad()
def read_all(
    trials: Dataset[Any], features_of: Callable[[Tensor], Tensor], like: Tensor
) -> tuple[Tensor, Tensor]:
    """Return features and behaviour of all trials.

    All, in their own order, and not an epoch's batches: what an epoch shows, in which order, and what a worker gets
    of it must not matter to what is fitted.

    Args:
        trials: Gives a `SpikeBatch` for a list of positions, as the data sets of `SpikeDataModule` do.
        features_of: Makes features (B, ...) of spikes (B, T, N).
        like: A tensor with the device and type that spikes should have.

    Returns:
        Features (K, ...) and behaviour in the recording's unit (K, T, D).
    """
    features, behaviour = [], []
    for rows in torch.arange(len(trials)).split(READ_AT_ONCE):  # type: ignore[arg-type]
        batch = trials[rows.tolist()]
        features.append(features_of(batch.spikes.to(like)))
        behaviour.append(batch.behaviour.to(like))
    return torch.cat(features), torch.cat(behaviour)


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
