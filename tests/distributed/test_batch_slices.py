"""Slices of global batches against what a slow loop says."""

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, RandomSampler, TensorDataset

from neurosweep.trials.setup import WorkerRank
from neurosweep.trials.slices import (
    UnsliceableLoaderError,
    find_slices,
    slice_batch,
    slice_loader,
)


class Sharing:
    """Stands in for the broadcast: rank 0, asked first, leaves its batches for the others."""

    def __init__(self):
        self.batches = None

    def __call__(self, drawn):
        if drawn is not None:
            self.batches = drawn
        return self.batches


def slices_of(make_loader, world_size):
    """What each worker's loader yields, by rank, and the loaders."""
    sharing = Sharing()
    loaders = [
        slice_loader(make_loader(), WorkerRank(rank, world_size), sharing) for rank in range(world_size)
    ]
    return [list(loader) for loader in loaders], loaders


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 32, 33])
@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_slices_deal_a_batch_out_in_turn(size, world_size):
    batch = [10 * number for number in range(size)]
    dealt = [[] for _ in range(world_size)]
    for turn, position in enumerate(batch):
        dealt[turn % world_size].append(position)
    for rank, hand in enumerate(dealt):
        found = slice_batch(batch, WorkerRank(rank, world_size))
        assert found.positions == (hand or [batch[0]])
        assert found.weight == pytest.approx(len(hand) * world_size / size)


@pytest.mark.parametrize("size", [1, 2, 5, 9, 16])
@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_weighted_mean_of_the_slices_gradients_is_the_gradient_of_the_batch(size, world_size):
    draw = np.random.default_rng(size)
    inputs, truth, weights = draw.normal(size=(size, 3)), draw.normal(size=size), draw.normal(size=3)

    def gradient(rows):  # of the mean squared error, by hand
        errors = inputs[rows] @ weights - truth[rows]
        return 2 * (inputs[rows] * errors[:, None]).mean(axis=0)

    parts = [slice_batch(range(size), WorkerRank(rank, world_size)) for rank in range(world_size)]
    mean = sum(part.weight * gradient(part.positions) for part in parts) / world_size
    assert mean == pytest.approx(gradient(list(range(size))))


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("workers", [0, 1])
def test_workers_together_train_on_the_batches_that_one_would_draw(drop_last, workers):
    def make():
        order = RandomSampler(range(23), generator=torch.Generator().manual_seed(4))
        return DataLoader(
            TensorDataset(torch.arange(23)),
            batch_size=6,
            sampler=order,
            drop_last=drop_last,
            num_workers=workers,
        )

    whole = [batch[0].tolist() for batch in make()]
    found, loaders = slices_of(make, 2)
    assert [len(loader) for loader in loaders] == [len(whole)] * 2
    for number, batch in enumerate(whole):
        first, second = (part[number][0].tolist() for part in found)
        assert first == batch[0::2]
        assert second == batch[1::2]
        weights = [find_slices(loader).weight(number) for loader in loaders]
        assert weights == [pytest.approx(2 * len(part) / len(batch)) for part in (first, second)]


def test_the_loader_of_the_data_module_is_left_as_it_was():
    loader = DataLoader(TensorDataset(torch.arange(8)), batch_size=4)
    slice_loader(loader, WorkerRank(0, 2), Sharing())
    assert [len(batch[0]) for batch in loader] == [4, 4]


def test_rank_0_draws_for_all_even_where_ranks_would_draw_differently():
    seeds = iter([1, 2])

    def make():
        order = RandomSampler(range(12), generator=torch.Generator().manual_seed(next(seeds)))
        return DataLoader(
            TensorDataset(torch.arange(12)), batch_sampler=BatchSampler(order, 4, drop_last=False)
        )

    found, _ = slices_of(make, 2)
    seen = [position for part in found for batch in part for position in batch[0].tolist()]
    assert sorted(seen) == list(range(12))


class Rows(Dataset):
    """Indexed by a whole batch at once, as SABLE's data set is."""

    def __getitem__(self, rows):
        return torch.tensor(rows)

    def __len__(self):
        return 10


class Epochs:
    """A sampler of whole batches that wants to know the epoch."""

    epoch = 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return 2

    def __iter__(self):
        return iter([[self.epoch, 1, 2], [3, 4]])


def test_a_sampler_of_whole_batches_is_sliced_and_hears_of_epochs():
    def make():
        return DataLoader(Rows(), sampler=Epochs(), batch_size=None)

    sharing = Sharing()
    loaders = [slice_loader(make(), WorkerRank(rank, 2), sharing) for rank in range(2)]
    for loader in loaders:
        find_slices(loader).set_epoch(7)
    assert [batch.tolist() for batch in loaders[0]] == [[7, 2], [3]]
    assert [batch.tolist() for batch in loaders[1]] == [[1], [4]]


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(8))


@pytest.mark.parametrize(
    ("loader", "told"),
    [
        ([torch.zeros(4)], "returns a list"),
        (DataLoader(Stream(), batch_size=4), "IterableDataset, `Stream`"),
        (DataLoader(TensorDataset(torch.arange(8)), batch_size=None), "yields 0 for a step"),
    ],
)
def test_what_cannot_be_divided_is_refused_with_its_name_and_a_cure(loader, told):
    with pytest.raises(UnsliceableLoaderError) as caught:
        list(slice_loader(loader, WorkerRank(0, 2), Sharing()))
    assert told in caught.value.problem
    assert "leave `--workers-per-trial` at 1" in caught.value.remedy


def test_a_loader_that_was_replaced_is_noticed():
    with pytest.raises(UnsliceableLoaderError):
        find_slices(DataLoader(TensorDataset(torch.arange(8)), batch_size=4))
