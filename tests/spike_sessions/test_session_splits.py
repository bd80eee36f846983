"""Days and trials by purpose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import split_sessions, split_trials


@pytest.mark.parametrize(
    ("n_sessions", "training", "validation", "sealed"),
    [(2, (0, 1), (), ()), (3, (0, 1, 2), (), ()), (4, (0, 1), (2,), (3,)), (8, tuple(range(6)), (6,), (7,))],
)
def test_last_day_is_sealed_and_the_one_before_validates_from_four_days_on(
    n_sessions, training, validation, sealed
):
    split = split_sessions(n_sessions)
    assert (split.training, split.validation, split.sealed) == (training, validation, sealed)


def test_explicit_numbers_override_the_rule():
    split = split_sessions(7, validation_sessions=2, test_sessions=3)
    assert (split.training, split.validation, split.sealed) == ((0, 1), (2, 3), (4, 5, 6))
    split = split_sessions(5, validation_sessions=0)
    assert (split.training, split.validation, split.sealed) == ((0, 1, 2, 3), (), (4,))


def test_too_few_training_days_are_refused_with_the_reason_and_both_cures():
    with pytest.raises(
        DataError, match=r"1 of 1 sessions .* but 2 are needed: the reversed gradient"
    ) as caught:
        split_sessions(1)
    assert "--model.variant no_reversal --data.min_training_sessions 1" in caught.value.remedy
    assert split_sessions(1, min_training_sessions=1).training == (0,)
    with pytest.raises(DataError, match=r"0 of 5 sessions are left to train on \(4 validate, 2 sealed\)"):
        split_sessions(5, validation_sessions=4, test_sessions=2, min_training_sessions=1)


@pytest.mark.parametrize(
    "arguments", [{"validation_sessions": -1}, {"test_sessions": -1}, {"min_training_sessions": 0}]
)
def test_negative_numbers_of_days_are_refused(arguments):
    with pytest.raises(DataError, match="cannot be split with"):
        split_sessions(6, **arguments)


@given(
    target=st.lists(st.integers(0, 7), min_size=5, max_size=120).map(np.array),
    fraction=st.floats(0.15, 0.85),
    seed=st.integers(0, 2**31),
)
def test_every_trial_is_on_one_side_and_every_target_gives_its_share(target, fraction, seed):
    training, held_out = split_trials(target, fraction=fraction, seed=seed)
    assert sorted([*training, *held_out]) == list(range(len(target)))
    assert len(held_out) == round(fraction * len(target))
    for one in np.unique(target):
        share = fraction * (target == one).sum()
        assert np.floor(share + 1e-9) <= (target[held_out] == one).sum() <= np.floor(share + 1e-9) + 1


def test_seed_decides_which_trials_are_held_out():
    target = np.arange(80) % 8
    first, again, other = (split_trials(target, fraction=0.2, seed=seed)[1] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("fraction", [0.0, 1.0, 0.01])
def test_fraction_that_leaves_one_side_empty_is_refused(fraction):
    with pytest.raises(DataError, match=r"of 10 trials leaves (0|10) for validation"):
        split_trials(np.zeros(10, int), fraction=fraction, seed=0)
