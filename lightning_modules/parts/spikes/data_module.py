"""Trials in batches, mixed across sessions, in an order that a resumed trial repeats."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.batch import LabelledSpikeBatch, SpikeBatch
from lightning_modules.parts.spikes.input_description import describe_input
from lightning_modules.parts.spikes.order import epoch_order
from lightning_modules.parts.spikes.recordings import SpikeData
from lightning_modules.parts.spikes.windows import SpikeTrials

VALIDATION_BATCH = 1024
"""Trials in a validation batch; no gradient is kept, so that memory is no concern."""


class SpikeDataModule(pl.LightningDataModule):
    """Batches of trials, mixed across sessions; training batches do not say which session a trial is from.

    The order of an epoch depends on seed and epoch alone, so that a resumed trial sees what it would have
    seen.

    Args:
        data: What `load_sessions` returned.
        batch_size: Trials in a training batch.
        session_balanced: Whether every session contributes equally many trials to an epoch.
        seed: Seed of the order of training trials.

    Raises:
        DataError: If `batch_size` is not positive.
    """

    def __init__(
        self, data: SpikeData, *, batch_size: int = 48, session_balanced: bool = True, seed: int = 0
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise DataError(f"`batch_size` is {batch_size}.", "Give `--data.batch_size` 1 or more.")
        self.data = data
        self.batch_size = batch_size
        self._seen = data.as_seen(data.training)
        self._training = self._make_training(self._seen)
        self._validation = _labelled(data.as_seen(data.validation))
        self._batches = SessionBatches(
            data.training.session, batch_size=batch_size, balanced=session_balanced, seed=seed
        )

    @property
    def model_arguments(self) -> dict[str, Any]:
        """Arguments of the module that the data decides, plain Python; statistics of training trials only."""
        training = self._seen
        arguments = {
            "n_units": training.spikes.shape[2],
            "n_bins": training.spikes.shape[1],
            "bin_width_s": float(self.data.bin_width_s),
            "behaviour_names": list(self.data.behaviour_names),
            **_statistics(training),
        }
        if self.data.leave_one_day_out:
            arguments["folds"] = [
                _statistics(training.select(np.flatnonzero(training.session != one)))
                for one in range(len(self.data.session_names))
            ]
        return arguments

    @property
    def description(self) -> dict[str, Any]:
        """What a model trained here must remember of its input to decode a new session; JSON-ready."""
        return describe_input(self.data).as_dict()

    def _make_training(self, trials: SpikeTrials) -> SpikeBatch | LabelledSpikeBatch:
        # Where a day is left out, whoever leaves it out must know the days; `DayFolds` does not tell the model.
        return _labelled(trials) if self.data.leave_one_day_out else SpikeBatch(*_as_tensors(trials))

    def train_dataloader(self) -> DataLoader[Any]:
        """Training trials in a new order each epoch; Lightning tells the sampler which epoch it is."""
        # The sampler yields whole batches: indexing tensors once is far cheaper than collating single trials.
        return DataLoader(
            _Rows(self._training), sampler=self._batches, batch_size=None, collate_fn=_unchanged
        )

    def val_dataloader(self) -> DataLoader[LabelledSpikeBatch]:
        """Validation trials in their order, with labels."""
        rows = torch.arange(len(self.data.validation)).split(VALIDATION_BATCH)
        return DataLoader(
            _Rows(self._validation),
            sampler=[part.tolist() for part in rows],
            batch_size=None,
            collate_fn=_unchanged,
        )


class LabelledSpikeDataModule(SpikeDataModule):
    """As `SpikeDataModule`, for methods that are taught which session a training trial is from."""

    def _make_training(self, trials: SpikeTrials) -> LabelledSpikeBatch:
        return _labelled(trials)

    @property
    def model_arguments(self) -> dict[str, Any]:
        """Arguments of the module that the data decides; the sessions to tell apart are those of training."""
        n_sessions = int(self.data.training.session.max()) + 1
        return {**super().model_arguments, "n_sessions": n_sessions}


class SessionBatches(Sampler[list[int]]):
    """Positions of the training trials, batch by batch, in the order of `epoch_order`.

    Args:
        session: Session of each trial, (K,).
        batch_size: Trials in a batch; the last one may be smaller.
        balanced: See `epoch_order`.
        seed: Seed of the order.
    """

    def __init__(self, session: NDArray[np.int64], *, batch_size: int, balanced: bool, seed: int) -> None:
        self._session = session
        self._batch_size = batch_size
        self._balanced = balanced
        self._seed = seed
        self._epoch = 0
        self._length = len(range(0, len(self._order()), batch_size))

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next; Lightning does before every epoch, resumed or not."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        order = self._order().tolist()
        for start in range(0, len(order), self._batch_size):
            yield order[start : start + self._batch_size]

    def _order(self) -> NDArray[np.int64]:
        return epoch_order(self._session, seed=self._seed, epoch=self._epoch, balanced=self._balanced)


class _Rows(Dataset[Any]):
    """A named tuple of tensors, indexed by a whole batch of rows at once."""

    def __init__(self, tensors: SpikeBatch | LabelledSpikeBatch) -> None:
        self._tensors = tensors

    def __getitem__(self, rows: list[int]) -> Any:
        return type(self._tensors)(*(tensor[rows] for tensor in self._tensors))

    def __len__(self) -> int:
        return len(self._tensors[0])


def _statistics(trials: SpikeTrials) -> dict[str, list[float]]:
    """What a model needs to know of its training trials before it sees them."""
    behaviour = trials.behaviour.astype(np.float64)
    scale = behaviour.std(axis=(0, 1))
    moves = scale > np.finfo(np.float32).eps * np.abs(behaviour).max(axis=(0, 1))
    return {
        "mean_counts": trials.spikes.mean(axis=(0, 1), dtype=np.float64).tolist(),
        "behaviour_mean": behaviour.mean(axis=(0, 1)).tolist(),
        # A dimension that never moves must not be divided by zero.
        "behaviour_scale": np.where(moves, scale, 1.0).tolist(),
    }


def _as_tensors(trials: SpikeTrials) -> tuple[torch.Tensor, torch.Tensor]:
    """Spikes and behaviour as float32, copied: arrays from Ray's object store are read-only."""
    return torch.tensor(trials.spikes.astype(np.float32)), torch.tensor(trials.behaviour)


def _labelled(trials: SpikeTrials) -> LabelledSpikeBatch:
    return LabelledSpikeBatch(*_as_tensors(trials), torch.tensor(trials.session), torch.tensor(trials.target))


def _unchanged(batch: Any) -> Any:
    return batch
