"""Evaluations side by side, against scipy and numbers worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from neurosweep.comparison import EvaluatedSweep, comparison_frame
from neurosweep.comparison.evaluated import day_frame, score_frame
from neurosweep.errors import NeurosweepError

METRIC = "test/r2"


def evaluated(name, values, *, seeds=None, sealed=None):
    return EvaluatedSweep(
        sweep=name,
        experiment="lab",
        trials=16,
        trial=3,
        validated=0.9,
        parameters={},
        metric=METRIC,
        direction="maximize",
        seeds=tuple(range(len(values)) if seeds is None else seeds),
        scores=tuple({METRIC: value, "test/probe": 0.5} for value in values),
        references={"chance": {"test/probe": 0.25}},
        days=(
            {"model": 0, "day": "2020-01-02", "gap_days": 1, "r2": 0.5},
            {"model": 1, "day": "2020-01-02", "gap_days": 1, "r2": 0.7},
            {"reference": "pooled", "day": "2020-01-02", "gap_days": 1, "r2": 0.1},
            {"model": 0, "day": "2020-01-09", "gap_days": 8, "r2": 0.2},
            {"model": 1, "day": "2020-01-09", "gap_days": 8, "r2": 0.4},
            {"reference": "pooled", "day": "2020-01-09", "gap_days": 8, "r2": -0.3},
        ),
        sealed={"2020-01-02": "abc"} if sealed is None else sealed,
        openings=(),
        notes=(),
    )


def test_means_over_seeds_have_scipys_interval_and_chance_beside_them():
    values = [0.5, 0.7, 0.6, 0.9]
    row, probe = score_frame(evaluated("a", values)).to_dict("records")
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (row["mean"], row["low"], row["high"]) == pytest.approx((0.675, expected.low, expected.high))
    assert math.isnan(row["chance"])
    assert probe["chance"] == 0.25


def test_a_single_seed_has_no_interval():
    row = score_frame(evaluated("a", [0.5])).to_dict("records")[0]
    assert row["mean"] == 0.5
    assert math.isnan(row["low"])


def test_days_hold_the_mean_over_models_and_each_reference():
    rows = day_frame(evaluated("a", [0.5, 0.7])).to_dict("records")
    assert [(row["day"], row["gap_days"]) for row in rows] == [("2020-01-02", 1), ("2020-01-09", 8)]
    assert [row["model"] for row in rows] == pytest.approx([0.6, 0.3])
    assert [row["pooled"] for row in rows] == [0.1, -0.3]


def test_differences_are_paired_by_seed_and_not_by_place():
    first = evaluated("a", [0.5, 0.7, 0.6, 0.9], seeds=[11, 12, 13, 14])
    second = evaluated("b", [0.8, 0.55, math.nan, 0.65], seeds=[14, 11, 12, 13])
    rows = comparison_frame([first, second], METRIC).to_dict("records")
    test = stats.ttest_rel([0.8, 0.55, 0.65], [0.9, 0.5, 0.6])
    low, high = test.confidence_interval(0.95)
    assert math.isnan(rows[0]["difference"])
    assert rows[1]["paired_seeds"] == 3
    assert rows[1]["seeds_above"] == 2
    assert rows[1]["difference"] == pytest.approx(0.0, abs=1e-12)
    assert (rows[1]["difference_low"], rows[1]["difference_high"]) == pytest.approx((low, high))
    assert np.isnan(rows[1]["low"])  # a seed failed: the mean over the others is not the mean over seeds


def test_a_sweep_whose_models_adapted_says_so_beside_its_score():
    adapted = replace(
        evaluated("b", [1.0, 2.0]), notes=("Adapted to each sealed session.", "2 trials left out.")
    )
    rows = comparison_frame([evaluated("a", [1.0, 2.0]), adapted], METRIC).to_dict("records")
    assert [row["notes"] for row in rows] == ["", "Adapted to each sealed session. 2 trials left out."]


def test_sweeps_without_a_seed_in_common_have_no_difference():
    frame = comparison_frame([evaluated("a", [1.0, 2.0]), evaluated("b", [1.0, 2.0], seeds=[5, 6])], METRIC)
    assert "difference" not in frame


def test_other_recordings_are_refused_by_name():
    one = evaluated("a", [1.0, 2.0])
    with pytest.raises(NeurosweepError, match=r"different recordings: `a`: 2020-01-02; `b`: 2020-02-02"):
        comparison_frame([one, evaluated("b", [1.0, 2.0], sealed={"2020-02-02": "abd"})], METRIC)
    same = replace(evaluated("b", [1.0, 2.0]), sealed={"renamed": "abc"})
    assert len(comparison_frame([one, same], METRIC)) == 2


def test_an_unknown_metric_is_refused_with_those_that_there_are():
    with pytest.raises(NeurosweepError, match="has no score `test/mse`; it has: test/r2, test/probe"):
        comparison_frame([evaluated("a", [1.0])], "test/mse")
