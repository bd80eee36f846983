"""Slices of global batches: what each worker of a trial trains on."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader, IterableDataset, Sampler

from neurosweep.errors import NeurosweepError
from neurosweep.trials.setup import WorkerRank

Batches = list[list[Any]]
"""Positions in the data set, batch by batch: those of an epoch."""


class UnsliceableLoaderError(NeurosweepError):
    """The training loader's batches cannot be divided among workers."""


@dataclass(frozen=True)
class Slice:
    """One worker's part of a global batch.

    Args:
        positions: Positions in the data set.
        weight: Of the worker's loss, so that the mean over workers of their weighted gradients is the gradient
            of the global batch.
    """

    positions: list[Any]
    weight: float


def slice_batch(batch: Sequence[Any], worker: WorkerRank) -> Slice:
    """Return every `world_size`-th position of a batch, from the worker's rank on.

    Slices of an uneven batch differ in size by one. The gradient of a loss that is a mean over the batch is then
    the mean of the slices' gradients weighted by size. A worker that gets nothing of a very small batch repeats
    its first position with weight 0, because every worker has to take every step.
    """
    positions = list(batch[worker.rank :: worker.world_size])
    if not positions:
        return Slice([batch[0]], 0.0)
    return Slice(positions, len(positions) * worker.world_size / len(batch))


class SlicedBatches(Sampler[list[Any]]):
    """Draws an epoch's global batches and yields the worker's slice of each.

    Rank 0 draws them all when an epoch begins and shares them, so they are those of a trial with one worker,
    whatever the sampler's source of randomness.

    Args:
        batches: Sampler of global batches.
        worker: Whose slices.
        share: Gives every worker what rank 0 passes to it.
    """

    def __init__(
        self,
        batches: Iterable[Any],
        *,
        worker: WorkerRank,
        share: Callable[[Batches | None], Batches],
    ) -> None:
        self._batches: Any = batches
        self._worker = worker
        self._share = share
        self._weights: list[float] = []

    def set_epoch(self, epoch: int) -> None:
        """Pass the epoch on; Lightning tells samplers that want to know."""
        for sampler in (self._batches, getattr(self._batches, "sampler", None)):
            if set_epoch := getattr(sampler, "set_epoch", None):
                set_epoch(epoch)

    def weight(self, batch_index: int) -> float:
        """Weight of the worker's loss on a batch of the epoch under way."""
        return self._weights[batch_index]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[Any]]:
        drawn = [_positions(batch) for batch in self._batches] if self._worker.leads else None
        slices = [slice_batch(batch, self._worker) for batch in self._share(drawn)]
        self._weights = [one.weight for one in slices]
        for one in slices:
            yield one.positions


def slice_loader(
    loader: Any, worker: WorkerRank, share: Callable[[Batches | None], Batches]
) -> DataLoader[Any]:
    """Return a copy of a training loader that yields the worker's slice of each of its batches.

    Args:
        loader: What the data module's `train_dataloader` returned.
        worker: Whose slices.
        share: Gives every worker what rank 0 passes to it.

    Raises:
        UnsliceableLoaderError: If it is not one DataLoader over a data set with positions.
    """
    if not isinstance(loader, DataLoader):
        raise UnsliceableLoaderError(
            f"`train_dataloader` returns a {type(loader).__name__}, whose batches cannot be divided among workers.",
            "Return one torch DataLoader, or leave `--workers-per-trial` at 1.",
        )
    if isinstance(loader.dataset, IterableDataset):
        raise UnsliceableLoaderError(
            f"The training data is an IterableDataset, `{type(loader.dataset).__name__}`: its samples have no "
            "positions by which to divide a batch among workers.",
            "Give the data set `__getitem__` and `__len__`, or leave `--workers-per-trial` at 1.",
        )
    # Without a batch sampler the sampler itself may yield whole batches, to a data set that indexes them at once.
    name = "sampler" if loader.batch_sampler is None else "batch_sampler"
    sliced = copy.copy(loader)
    # The class forbids to replace a sampler, since that may not fit `batch_size`; here it stays as it is. Building
    # a loader anew would need the arguments of subclasses.
    sliced.__dict__[name] = SlicedBatches(getattr(loader, name), worker=worker, share=share)
    return sliced


def find_slices(loader: Any) -> SlicedBatches:
    """Return the sampler that `slice_loader` put into a loader.

    Raises:
        UnsliceableLoaderError: If something has replaced it since.
    """
    for name in ("batch_sampler", "sampler"):
        if isinstance(found := getattr(loader, name, None), SlicedBatches):
            return found
    raise UnsliceableLoaderError(
        "Something has replaced the training loader, so every worker would train on whole batches.",
        "Leave out Trainer arguments that change loaders, such as `overfit_batches`.",
    )


def _positions(batch: Any) -> list[Any]:
    if hasattr(batch, "tolist"):
        batch = batch.tolist()
    if not isinstance(batch, Sequence) or isinstance(batch, str) or not batch:
        raise UnsliceableLoaderError(
            f"The training sampler yields {batch!r} for a step: a single sample cannot be divided among workers.",
            "Give the DataLoader a `batch_size`, or leave `--workers-per-trial` at 1.",
        )
    return list(batch)
