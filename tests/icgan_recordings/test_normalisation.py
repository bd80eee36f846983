"""Z-scores by run, averages over repeats, the order of training rows."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from sklearn.preprocessing import StandardScaler, scale

from lightning_modules.icgan.recordings.normalise import (
    average_repeats,
    normalise,
    run_key_note,
    training_rows,
)
from lightning_modules.icgan.recordings.session import Shown
from lightning_modules.parts.errors import DataError


@pytest.fixture(scope="module")
def drifting(session):
    """Every run has its own mean and scale, voxel 3 never changes and voxel 6 only outside run 2."""
    generator = np.random.default_rng(4)
    voxels = (
        session.voxels * (1 + session.run[:, None])
        + generator.normal(100, 30, (24 + 35 + 20, 14))[session.run]
    )
    voxels[:, 3] = 0.1
    voxels[session.run == 2, 6] = 12.3
    return replace(session, voxels=voxels.astype(np.float32))


def test_rows_are_z_scored_within_kind_and_run_as_scipy_does(drifting):
    found = normalise(drifting).voxels
    assert found.dtype == np.float32
    for kind in Shown:
        for run in np.unique(drifting.run[drifting.shown == kind]):
            rows = (drifting.shown == kind) & (drifting.run == run)
            varies = np.ptp(drifting.voxels[rows], axis=0) > 0
            expected = scipy.stats.zscore(drifting.voxels[rows][:, varies].astype(float), axis=0)
            np.testing.assert_allclose(found[rows][:, varies], expected, atol=1e-5)
            assert not found[rows][:, ~varies].any()
            assert (~varies).sum() == (2 if run == 2 else 1)


def test_authors_run_key_z_scores_rows_of_all_kinds_together_as_sklearn_does(drifting):
    found = normalise(drifting, run_key="run").voxels
    for run in np.unique(drifting.run):
        rows = drifting.run == run
        np.testing.assert_allclose(found[rows], scale(drifting.voxels[rows].astype(float)), atol=1e-5)
    assert np.abs(found - normalise(drifting).voxels).max() > 0.5


def test_note_tells_whether_the_run_keys_differ(drifting):
    note = run_key_note(drifting)
    assert "run numbers repeat between training, test and imagery" in note
    assert "kind_and_run gives 79 runs" in note  # 24 + 35 + 20
    assert "(as in the authors' code) 35" in note
    assert note in normalise(drifting).notes
    apart = replace(drifting, run=drifting.run + 100 * drifting.shown)
    assert "run numbers do not repeat" in run_key_note(apart)
    assert "both run keys give 79 runs" in run_key_note(apart)
    np.testing.assert_array_equal(normalise(apart).voxels, normalise(apart, run_key="run").voxels)


def test_each_test_run_loses_its_mean_only_by_its_own_statistics(drifting):
    """The paper's way is transductive: test run means are 0. Kamitani's keeps what the test images have in common."""
    rows = (drifting.shown == Shown.TEST) & (drifting.run == 5)
    assert np.abs(normalise(drifting).voxels[rows].mean(axis=0)).max() < 1e-5
    by_training = normalise(drifting, test_normalisation="training_stats").voxels[rows].mean(axis=0)
    assert np.abs(by_training).max() > 0.1


def test_training_statistics_are_those_of_training_rows_with_ddof_1(drifting):
    found = normalise(drifting, test_normalisation="training_stats")
    training = drifting.voxels[drifting.shown == Shown.TRAINING].astype(float)
    varies = np.ptp(training, axis=0) > 0
    scaler = StandardScaler().fit(training)
    expected = scaler.transform(drifting.voxels.astype(float)) * np.sqrt(1199 / 1200)
    np.testing.assert_allclose(found.voxels[:, varies], expected[:, varies], atol=1e-4)
    assert not found.voxels[:, ~varies].any()
    assert "(ddof 1) of 1200 training rows" in found.notes[-1]
    changed = np.where((drifting.shown == Shown.TEST)[:, None], 0, drifting.voxels).astype(np.float32)
    again = normalise(replace(drifting, voxels=changed), test_normalisation="training_stats")
    kept = drifting.shown != Shown.TEST
    np.testing.assert_array_equal(again.voxels[kept], found.voxels[kept])


def test_row_that_is_alone_in_its_run_is_told_of(drifting):
    run = drifting.run.copy()
    run[7] = -1
    found = normalise(replace(drifting, run=run))
    assert not found.voxels[7].any()
    assert "rows that are the only one of their run became 0: 1." in found.notes


def test_choices_that_are_none_are_refused_all_at_once(session):
    with pytest.raises(
        ValueError, match=r"`run_key` is 'Run'.*kind_and_run, run.*`test_normalisation` is 'none'"
    ):
        normalise(session, run_key="Run", test_normalisation="none")


def test_training_statistics_need_training_rows(small):
    keep = small.shown == Shown.TEST
    parts = {name: getattr(small, name)[keep] for name in ("voxels", "stimulus", "shown", "run")}
    with pytest.raises(DataError, match="holds 0 training rows"):
        normalise(replace(small, **parts), test_normalisation="training_stats")


def test_average_over_all_repeats_is_that_of_a_loop(session):
    found = average_repeats(session)
    np.testing.assert_array_equal(found.stimulus, np.arange(1200, 1250))
    for pattern, stimulus in zip(found.voxels, found.stimulus, strict=True):
        total, count = np.zeros(14), 0
        for row in range(3450):
            if session.shown[row] == Shown.TEST and session.stimulus[row] == stimulus:
                total += session.voxels[row]
                count += 1
        assert count == 35
        np.testing.assert_allclose(pattern, total / 35, atol=1e-6)


def test_fewer_repeats_are_drawn_by_seed_and_nested(session):
    """Each row holds a different power of two, so that a mean tells which rows were averaged."""
    rows = session.rows(Shown.TEST)
    order = np.argsort(session.stimulus[rows], kind="stable")
    repeat = np.empty(len(rows), dtype=int)
    repeat[order] = np.tile(np.arange(35), 50)
    voxels = np.zeros((3450, 2), dtype=np.float32)
    # 35 repeats as two columns: float32 holds 24 bits exactly.
    voxels[rows, repeat // 18] = 2.0 ** (repeat % 18)
    marked = replace(session, voxels=voxels, roi={}, voxel_xyz=None)

    def averaged(n, seed):
        sums = np.rint(average_repeats(marked, n_repeats=n, seed=seed).voxels.astype(float) * n).astype(int)
        return [{i for i in range(35) if sums[s, i // 18] >> (i % 18) & 1} for s in range(50)]

    sizes = {n: averaged(n, 0) for n in (1, 2, 5, 10, 20, 35)}
    for n, sets in sizes.items():
        assert {len(one) for one in sets} == {n}
    for fewer, more in zip(list(sizes.values())[:-1], list(sizes.values())[1:], strict=True):
        assert all(a < b for a, b in zip(fewer, more, strict=True))
    assert averaged(5, 0) == sizes[5]
    assert averaged(5, 1) != sizes[5]
    assert len({frozenset(one) for one in sizes[5]}) > 25, "every image has its own draw"


@pytest.mark.parametrize(
    ("n_repeats", "error", "said"),
    [(36, DataError, "holds 35 repeats"), (0, ValueError, "must be 1 or more")],
)
def test_repeats_that_are_not_there_are_refused(session, n_repeats, error, said):
    with pytest.raises(error, match=said):
        average_repeats(session, n_repeats=n_repeats)


def test_training_rows_follow_the_order_of_the_images(session):
    rows = training_rows(session)
    np.testing.assert_array_equal(session.stimulus[rows], np.arange(1200))
    twice = replace(session, stimulus=np.where(np.arange(3450) < 1200, np.arange(3450) % 2, session.stimulus))
    np.testing.assert_array_equal(training_rows(twice), np.r_[0:1200:2, 1:1200:2])
