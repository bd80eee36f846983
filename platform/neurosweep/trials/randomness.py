"""Randomness of an epoch: a function of the trial's seed and the epoch, so that a resumed trial repeats it."""

import random

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader, RandomSampler

from neurosweep.search.seeds import derive_seed
from neurosweep.trials.setup import ALONE, WorkerRank


class EpochRandomness:
    """Seeds every generator at the start of an epoch.

    Args:
        seed: The trial's seed.
        worker: Which of the trial's workers this is; rank 0 draws what the worker of a trial with one would.
    """

    def __init__(self, seed: int, worker: WorkerRank = ALONE) -> None:
        self._seed = seed
        self._of_rank = () if worker.leads else (worker.rank,)
        self._shuffled: set[RandomSampler] = set()

    def seed_all(self, epoch: int) -> None:
        """Seed Python, NumPy and torch for an epoch."""
        seed = derive_seed("epoch", self._seed, epoch, *self._of_rank)
        if torch.accelerator.is_available():
            pl.seed_everything(seed, workers=True, verbose=False)
            return
        # Without an accelerator torch still formats a stack trace for each kind of it: 100 times the cost.
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)

    def seed_shuffling(self, trainer: pl.Trainer) -> None:
        """Give shuffling loaders a generator of their own, unless the data module has.

        How often torch's own generator is drawn from before a loader shuffles differs between a fresh process
        and one that is under way.
        """
        for loader in tree_leaves(trainer.train_dataloader):
            sampler = loader.sampler if isinstance(loader, DataLoader) else None
            if not isinstance(sampler, RandomSampler):
                continue
            if sampler.generator is None or sampler in self._shuffled:
                self._shuffled.add(sampler)
                sampler.generator = torch.Generator()
                sampler.generator.manual_seed(derive_seed("shuffle", self._seed, trainer.current_epoch))
