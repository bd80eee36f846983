"""What one of several workers of a trial does differently: gradients, randomness and metrics that agree."""

import random
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.distributed
from ray.train.lightning import RayDDPStrategy, RayLightningEnvironment

from neurosweep.naming import Split
from neurosweep.trials.setup import WorkerRank
from neurosweep.trials.slices import find_slices, slice_loader


class WeightedDDPStrategy(RayDDPStrategy):
    """DDP whose mean over the workers is weighted by the size of their slices of a batch.

    Every worker's gradient is of the loss on its slice. For a loss that is a mean over the batch, the weighted
    mean is the gradient of the global batch, whatever the slices' sizes. What a module computes from the whole
    batch, such as the statistics of a BatchNorm layer, it computes from its slice.

    Modules with branches leave parameters out of some steps, and a search space may ask for such modules, so DDP
    looks for unused parameters in each step; that costs a walk through the graph.
    """

    def __init__(self) -> None:
        super().__init__(find_unused_parameters=True)
        self.weight = 1.0

    def backward(
        self, closure_loss: torch.Tensor, optimizer: torch.optim.Optimizer | None, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Run the backward pass on the weighted loss; what the module logs is not touched."""
        weighted = closure_loss if self.weight == 1.0 else closure_loss * self.weight
        return super().backward(weighted, optimizer, *args, **kwargs)


class RankCallback(pl.Callback):
    """Keeps a worker in step with the others.

    Every worker validates the whole validation set. It costs the time that one worker needs, but any metric, R²
    and medians included, then is what one worker would have computed, and a module needs no `sync_dist`. So that a
    module that draws at random in validation agrees too, which plateau schedulers rely on, all workers validate
    with the random state of rank 0 and take up their own again afterwards. A scheduler that monitors a `train/`
    metric must have it logged with `sync_dist=True`.
    """

    def __init__(self) -> None:
        self._own: list[Any] | None = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Weight the loss by the size of this worker's slice."""
        strategy = trainer.strategy
        assert isinstance(strategy, WeightedDDPStrategy)
        strategy.weight = find_slices(trainer.train_dataloader).weight(batch_idx)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take up the random state of rank 0."""
        self._own = _random_state()
        _set_random_state(from_rank_0(self._own))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go back to the worker's own random state; rank 0 goes on where validation has left it."""
        if self._own is not None and not trainer.is_global_zero:
            _set_random_state(self._own)


def trainer_arguments() -> dict[str, Any]:
    """Return what the Trainer of one of several workers is built with."""
    return {
        "strategy": WeightedDDPStrategy(),
        "plugins": [RayLightningEnvironment()],
        "use_distributed_sampler": False,  # the slices do that, without repeating or dropping samples
    }


def slice_training_batches(data_module: pl.LightningDataModule, worker: WorkerRank) -> None:
    """Let a data module give the worker's slice of each training batch.

    `batch_size` stays that of the global batch, so that a configuration means the same with any number of workers.
    """
    whole = data_module.train_dataloader

    def train_dataloader() -> Any:
        return slice_loader(whole(), worker, from_rank_0)

    setattr(data_module, "train_dataloader", train_dataloader)  # noqa: B010, a method for a type checker


def from_rank_0(value: Any) -> Any:
    """Return what rank 0 passed; every worker has to call this at the same point."""
    holder = [value]
    torch.distributed.broadcast_object_list(holder, src=0)
    return holder[0]


def agree_on_metrics(metrics: dict[str, float]) -> dict[str, float]:
    """Return the same metrics on every worker, so that all decide alike.

    Metrics of the training split are means over the workers, because each saw its slices only. The others are
    those of rank 0.
    """
    gathered: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, metrics)

    def agreed(name: str) -> float:
        if not name.startswith(f"{Split.TRAIN}/"):
            return gathered[0][name]
        return float(np.mean([one[name] for one in gathered if name in one]))

    return {name: agreed(name) for name in gathered[0]}


def _random_state() -> list[Any]:
    device = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return [torch.get_rng_state(), device, np.random.get_state(), random.getstate()]


def _set_random_state(state: list[Any]) -> None:
    cpu, device, of_numpy, of_python = state
    torch.set_rng_state(cpu)
    if device is not None:
        torch.cuda.set_rng_state(device)
    np.random.set_state(of_numpy)
    random.setstate(of_python)
