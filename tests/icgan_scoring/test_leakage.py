import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import sem

from lightning_modules.icgan.scoring.leakage import (
    cluster_folds,
    effective_rank,
    output_dimensions,
    score_subsets,
    split_test_set,
)
from lightning_modules.parts.errors import DataError


def test_subsets_hold_the_given_and_the_farthest_stimuli():
    rng = np.random.default_rng(0)
    truth, training = rng.standard_normal((50, 8)), rng.standard_normal((90, 8))
    seen = np.arange(50) < 20
    subsets = split_test_set(truth, training, seen)
    assert {name: int(member.sum()) for name, member in subsets.members.items()} == {
        "all": 50,
        "in_pretraining": 20,
        "not_in_pretraining": 30,
        "farthest_third": 17,
    }
    closest = cdist(truth, training, "cosine").min(axis=1)
    farthest = np.argsort(-closest)[:17]
    assert set(np.flatnonzero(subsets.members["farthest_third"])) == set(farthest)
    np.testing.assert_allclose(subsets.nearest.cosine[:, 0], 1 - closest)


def test_pictures_of_our_own_are_not_split_by_pretraining():
    rows = np.random.default_rng(1).standard_normal((9, 4))
    assert list(split_test_set(rows, rows, None).members) == ["all", "farthest_third"]


def test_subset_scores_are_means_with_standard_errors():
    scores = np.array([0.1, 0.5, 0.9, 0.7])
    found = score_subsets(
        scores,
        {"some": np.array([1, 1, 0, 1], bool), "one": np.eye(4, dtype=bool)[2], "none": np.zeros(4, bool)},
    )
    assert found["some"].n == 3
    assert found["some"].mean == pytest.approx(1.3 / 3)
    assert found["some"].sem == pytest.approx(sem([0.1, 0.5, 0.7]))
    assert found["one"][:2] == (1, 0.9)
    assert np.isnan([found["one"].sem, found["none"].mean]).all()


def test_a_list_of_names_is_not_taken_for_a_mask():
    rows = np.random.default_rng(2).standard_normal((9, 4))
    with pytest.raises(DataError, match=r"is int64 \(3,\) for 9 stimuli"):
        split_test_set(rows, rows, np.array([1, 2, 3]))


@pytest.mark.parametrize("k", [1, 3, 6])
def test_k_equal_directions_have_effective_rank_k(k: int):
    directions = np.linalg.qr(np.random.default_rng(3).standard_normal((10, 10)))[0][:k]
    rows = np.concatenate([directions, -directions]) + 5
    assert effective_rank(rows) == pytest.approx(k)


def test_unequal_directions_have_the_rank_of_their_entropy():
    rows = np.diag([3.0, 1.0])
    # Singular values 3 and 1, each twice as long through the mirrored rows.
    expected = np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert effective_rank(np.concatenate([rows, -rows])) == pytest.approx(expected)


def test_one_output_for_all_has_no_dimension():
    assert effective_rank(np.full((8, 3), 0.1)) == 0


def test_predictions_on_a_line_have_collapsed():
    rng = np.random.default_rng(4)
    truth = rng.standard_normal((50, 20))
    found = output_dimensions(np.outer(truth[:, 0], rng.standard_normal(20)), truth)
    assert found.predicted == pytest.approx(1)
    assert found.truth > 15
    assert found.ratio == found.predicted / found.truth


def test_clusters_of_directions_are_found_whole():
    rng = np.random.default_rng(5)
    centres = 5 * np.eye(6)[:4]
    member = np.repeat(np.arange(4), 10)
    length = rng.uniform(0.5, 2, size=(40, 1))
    fold = cluster_folds(length * (centres[member] + 0.3 * rng.standard_normal((40, 6))), 4, seed=0)
    assert len({(a, b) for a, b in zip(member, fold, strict=True)}) == 4
