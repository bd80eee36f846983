from itertools import combinations

import numpy as np
import pytest
from scipy.stats import sem, t, ttest_1samp

from lightning_modules.icgan.brain.areas import AREAS
from lightning_modules.icgan.brain.over_subjects import (
    OverSubjects,
    compare_areas,
    contrast_over_subjects,
    holm,
)
from lightning_modules.parts.errors import DataError

VALUES = np.random.default_rng(0).standard_normal((5, 7)) + np.array([-2, -1, -1, 0, 2, 1, 1])


def test_pairs_are_welchs_by_hand():
    pairs = compare_areas(OverSubjects(VALUES))
    assert [(one.first, one.second) for one in pairs] == list(combinations(AREAS, 2))
    for pair, (a, b) in zip(pairs, combinations(VALUES.T, 2), strict=True):
        share = a.var(ddof=1) / 5, b.var(ddof=1) / 5
        statistic = (a.mean() - b.mean()) / np.sqrt(sum(share))
        df = sum(share) ** 2 / (share[0] ** 2 / 4 + share[1] ** 2 / 4)
        assert pair.t == pytest.approx(statistic)
        assert pair.p == pytest.approx(2 * t.sf(abs(statistic), df))
        assert pair.flagged == (pair.p < 0.008)
        assert pair.difference == pytest.approx(a.mean() - b.mean())


def test_all_21_pairs_are_corrected_together():
    pairs = compare_areas(OverSubjects(VALUES))
    assert len(pairs) == 21
    for pair in pairs:
        steps = [one.p * sum(other.p >= one.p for other in pairs) for one in pairs if one.p <= pair.p]
        assert pair.p_holm == pytest.approx(min(1, max(steps)))
    assert min(one.p_holm for one in pairs) < 0.05 < max(one.p_holm for one in pairs)


def test_holm_is_the_hand_computation():
    # Sorted: .005 x 4 = .02, .01 x 3 = .03, .03 x 2 = .06, .04 x 1 = .04, but never below the one before.
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(np.array([0.6, 0.5])), [1, 1])


def test_areas_that_never_vary_and_agree_do_not_differ():
    pairs = compare_areas(OverSubjects(np.zeros((3, 7))))
    assert {one.p for one in pairs} == {one.p_holm for one in pairs} == {1.0}


def test_means_have_standard_errors_over_subjects():
    over = OverSubjects(VALUES)
    np.testing.assert_allclose(over.mean, VALUES.mean(axis=0))
    np.testing.assert_allclose(over.sem, sem(VALUES, axis=0))


def test_the_contrast_is_higher_less_early_areas_and_tested_over_subjects():
    found = contrast_over_subjects(OverSubjects(VALUES))
    by_hand = VALUES[:, 4:].mean(axis=1) - VALUES[:, :3].mean(axis=1)
    np.testing.assert_allclose(found.values, by_hand)
    expected = ttest_1samp(by_hand, 0)
    assert (found.t, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.mean > 0


def test_the_contrast_without_each_subject_is_that_of_the_others():
    found = contrast_over_subjects(OverSubjects(VALUES))
    for one in range(5):
        rest = contrast_over_subjects(OverSubjects(np.delete(VALUES, one, axis=0)))
        assert found.without_each[one] == pytest.approx(rest.mean)
        assert found.p_without_each[one] == pytest.approx(rest.p)


def test_signs_of_five_subjects_cannot_be_rarer_than_1_in_32():
    values = np.zeros((5, 7))
    values[:, 4:] = [[1.0], [2], [3], [4], [5]]
    assert contrast_over_subjects(OverSubjects(values)).p_signs == 1 / 32
    # -1, 2, 3, 4, 5 sums to 13; as high: all positive (15) and itself.
    values[0, 4:] = -1
    assert contrast_over_subjects(OverSubjects(values)).p_signs == 2 / 32


def test_one_subject_has_no_statistics():
    with pytest.raises(DataError, match=r"shape \(1, 7\) .* at least 2 subjects and 7 areas"):
        OverSubjects(VALUES[:1])
