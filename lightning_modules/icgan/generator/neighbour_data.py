"""Batches for the adversarial training: real pictures with the features of an instance that they are neighbours of."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from lightning_modules.icgan.generator.image_loss import Extractor
from lightning_modules.icgan.generator.neighbours import find_neighbours
from lightning_modules.parts.errors import DataError

VALIDATION_BATCH = 64
"""Instances in a validation batch."""


class PairBatch(NamedTuple):
    """One batch of training.

    Args:
        images: Real pictures in [-1, 1], each of a neighbour of an instance, (B, 3, H, W).
        h: Features of these instances, (B, h_dim).
        made_h: Features of instances to make pictures of, drawn apart from the others, (B, h_dim).
    """

    images: Tensor
    h: Tensor
    made_h: Tensor


class InstanceBatch(NamedTuple):
    """One batch of validation.

    Args:
        h: Features of instances, (B, h_dim).
        neighbours: Their k nearest among all validation instances, (B, k).
    """

    h: Tensor
    neighbours: Tensor


class NeighbourDataModule(pl.LightningDataModule):
    """Neighbour-conditioned batches of pictures.

    The draws of an epoch depend on seed and epoch alone, so that a resumed trial sees what it would have seen.

    Args:
        images: Training pictures, RGB in [0, 1], float32 (N, H, W, 3).
        h: Their features of unit length, float32 (N, h_dim).
        validation_h: Features of unit length of the instances to validate on, float32 (M, h_dim).
        extractor: Whose features these are; validation needs it for the pictures that are made.
        k: Neighbours of each instance.
        batch_size: Pictures in a training batch.
        steps_per_epoch: Batches that make an epoch.
        flip: Whether a real picture may be mirrored left to right.
        seed: Of the draws.

    Raises:
        DataError: If pictures and features do not fit together, or instances have no k neighbours.
        ValueError: If `batch_size` or `steps_per_epoch` are out of range.

    Source:
        Casanova et al. 2021, arXiv:2109.05070; icgan.md section 8.4.
    """

    def __init__(
        self,
        images: NDArray[np.float32],
        h: NDArray[np.float32],
        validation_h: NDArray[np.float32],
        extractor: Extractor,
        *,
        k: int = 10,
        batch_size: int = 64,
        steps_per_epoch: int = 100,
        flip: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 2 or steps_per_epoch < 1:
            raise ValueError(
                f"`batch_size` is {batch_size} and `steps_per_epoch` {steps_per_epoch}, but they must be at least 2 "
                "and 1: a single picture cannot be normalised."
            )
        _check(images, h, validation_h)
        self.extractor = extractor
        self.neighbours = find_neighbours(h, k)
        self._training = _Pairs(images, h, self.neighbours.nearest)
        nearest = find_neighbours(validation_h, k).nearest
        self._validation = InstanceBatch(torch.tensor(validation_h), torch.from_numpy(nearest))
        self._draws = PairDraws(
            len(images),
            k=k,
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            flip=flip,
            seed=seed,
        )

    @property
    def first_weights(self) -> Mapping[str, Tensor] | None:
        """State of the generator to start from; None for random weights."""
        return None

    @property
    def model_arguments(self) -> dict[str, Any]:
        """Arguments of the module that the data decides, plain Python."""
        return {"h_dim": self._validation.h.shape[1]}

    def train_dataloader(self) -> DataLoader[PairBatch]:
        """New draws in each epoch; Lightning tells the sampler which epoch it is."""
        return DataLoader(self._training, sampler=self._draws, batch_size=None, collate_fn=_unchanged)

    def val_dataloader(self) -> DataLoader[InstanceBatch]:
        """Validation instances in their order."""
        parts = [one.split(VALIDATION_BATCH) for one in self._validation]
        batches = [InstanceBatch(*entries) for entries in zip(*parts, strict=True)]
        return DataLoader(_Whole(batches), batch_size=None, collate_fn=_unchanged)


class Draw(NamedTuple):
    """What one training batch is made of, (B,) each.

    Args:
        instance: Instances whose features go with real pictures.
        neighbour: Which of its k neighbours each shows.
        made: Instances to make pictures of.
        mirrored: Whether the real picture is mirrored.
    """

    instance: NDArray[np.int64]
    neighbour: NDArray[np.int64]
    made: NDArray[np.int64]
    mirrored: NDArray[np.bool_]


class PairDraws(Sampler[Draw]):
    """Instances and neighbours, drawn evenly and with replacement.

    Args:
        n_instances: N.
        k: Neighbours of each.
        batch_size: Draws in a batch.
        steps_per_epoch: Batches in an epoch.
        flip: Whether pictures may be mirrored.
        seed: Of the draws.
    """

    def __init__(
        self, n_instances: int, *, k: int, batch_size: int, steps_per_epoch: int, flip: bool, seed: int
    ) -> None:
        self._n_instances = n_instances
        self._k = k
        self._batch_size = batch_size
        self._steps_per_epoch = steps_per_epoch
        self._flip = flip
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose draws come next; Lightning does before every epoch, resumed or not."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._steps_per_epoch

    def __iter__(self) -> Iterator[Draw]:
        rng = np.random.default_rng((self._seed, self._epoch))
        for _ in range(self._steps_per_epoch):
            yield Draw(
                instance=rng.integers(self._n_instances, size=self._batch_size),
                neighbour=rng.integers(self._k, size=self._batch_size),
                made=rng.integers(self._n_instances, size=self._batch_size),
                mirrored=(rng.random(self._batch_size) < 0.5) & self._flip,
            )


class _Pairs(Dataset[PairBatch]):
    """Pictures and features, put together as drawn."""

    def __init__(
        self, images: NDArray[np.float32], h: NDArray[np.float32], nearest: NDArray[np.int64]
    ) -> None:
        self._images = torch.tensor(images).movedim(-1, 1)
        self._h = torch.tensor(h)
        self._nearest = nearest

    def __getitem__(self, draw: Draw) -> PairBatch:
        shown = self._images[torch.from_numpy(self._nearest[draw.instance, draw.neighbour])]
        mirrored = torch.from_numpy(draw.mirrored)[:, None, None, None]
        images = torch.where(mirrored, shown.flip(-1), shown)
        return PairBatch(
            2 * images - 1, self._h[torch.from_numpy(draw.instance)], self._h[torch.from_numpy(draw.made)]
        )

    def __len__(self) -> int:
        return len(self._images)


class _Whole(Dataset[InstanceBatch]):
    """Batches that are ready."""

    def __init__(self, batches: list[InstanceBatch]) -> None:
        self._batches = batches

    def __getitem__(self, batch: int) -> InstanceBatch:
        return self._batches[batch]

    def __len__(self) -> int:
        return len(self._batches)


def _unchanged(batch: Any) -> Any:
    return batch


def _check(images: NDArray[np.float32], h: NDArray[np.float32], validation_h: NDArray[np.float32]) -> None:
    problems = []
    if images.ndim != 4 or images.shape[3] != 3 or len(images) != len(h):
        problems.append(
            f"pictures {images.shape} and features {h.shape} are not (N, H, W, 3) and (N, dimensions)."
        )
    elif images.min() < 0 or images.max() > 1:
        problems.append(f"pictures go from {images.min():.3g} to {images.max():.3g}, not from 0 to 1.")
    if h.shape[1:] != validation_h.shape[1:]:
        problems.append(
            f"training features are {h.shape[1:]} each, those of validation {validation_h.shape[1:]}."
        )
    if problems:
        raise DataError(
            f"An adversarial training cannot use these: {' '.join(problems)}",
            "Take pictures and features of the same instances, from the same source.",
        )
