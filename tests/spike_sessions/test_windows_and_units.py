"""Cutting trials to one length, and bringing units onto one axis."""

import numpy as np
import pytest

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import align_units, cut_trials, window_bins
from lightning_modules.parts.spikes.units import place_units


@pytest.fixture
def with_lengths(make_session):
    def make(lengths, **changes):
        end = np.cumsum(lengths)
        generator = np.random.default_rng(0)
        return make_session(
            spikes=generator.poisson(1, (end[-1], 5)).astype(np.uint8),
            behaviour=generator.normal(size=(end[-1], 2)).astype(np.float32),
            trial_start=end - lengths,
            trial_end=end,
            target=np.arange(len(lengths)),
            **changes,
        )

    return make


def longest_by_trying(lengths):
    return max(
        n for n in range(1, max(lengths) + 1) if sum(one >= n for one in lengths) >= 0.95 * len(lengths)
    )


@pytest.mark.parametrize("seed", range(20))
def test_default_window_is_the_longest_that_95_percent_of_trials_fill(with_lengths, seed):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 30, generator.integers(1, 60))
    half = len(lengths) // 2
    sessions = [with_lengths(part) for part in (lengths[:half], lengths[half:]) if len(part)]
    assert window_bins(sessions, None) == longest_by_trying(lengths.tolist())


def test_window_is_counted_in_bins_from_the_trials_first_bin(with_lengths):
    session = with_lengths(np.array([5, 3, 6]))
    trials = cut_trials(session, n_bins=window_bins([session], 0.4), session_index=2)
    assert trials.target.tolist() == [0, 2]
    assert trials.session.tolist() == [2, 2]
    np.testing.assert_array_equal(trials.spikes[0], session.spikes[0:4])
    np.testing.assert_array_equal(trials.spikes[1], session.spikes[8:12])
    np.testing.assert_array_equal(trials.behaviour[1], session.behaviour[8:12])


@pytest.mark.parametrize("window_s", [0.04, 0.7, -1.0])
def test_window_that_no_trial_fills_is_refused(with_lengths, window_s):
    with pytest.raises(DataError, match=r"trials have up to 6.\n.*`--data.window_s` between 0.1 and 0.6"):
        window_bins([with_lengths(np.array([5, 3, 6]))], window_s)


def test_session_without_a_trial_of_the_window_is_refused_by_name(with_lengths):
    with pytest.raises(
        DataError, match=r"short.npz: no trial fills the window of 0.6 s; the longest is 0.5 s"
    ):
        cut_trials(with_lengths(np.array([5, 3]), source="short.npz"), n_bins=6, session_index=0)


def test_matched_units_are_put_in_the_order_of_the_first_session(make_session):
    first = make_session(unit_ids=np.array([4, 7, 9, 1, 2]))
    second = make_session(unit_ids=np.array([2, 1, 4, 9, 7]), seed=1)
    aligned = align_units([first, second], "auto")
    assert aligned.names == ("unit_4", "unit_7", "unit_9", "unit_1", "unit_2")
    np.testing.assert_array_equal(aligned.sessions[0].spikes, first.spikes)
    np.testing.assert_array_equal(aligned.sessions[1].spikes, second.spikes[:, [2, 4, 3, 1, 0]])
    assert aligned.notes == ()


def test_matching_keeps_only_units_that_recur_on_their_electrode(make_session):
    first = make_session(
        unit_ids=np.array([1, 2, 1, 1, 1]),
        electrodes=np.array([0, 0, 3, 4, 9]),
        units_matched_across_sessions=False,
    )
    second = make_session(
        unit_ids=np.array([1, 1, 2, 1, 1]),
        electrodes=np.array([9, 0, 3, 4, 8]),
        units_matched_across_sessions=False,
        seed=1,
    )
    aligned = align_units([first, second], "matched")
    assert aligned.names == ("unit_0_1", "unit_4_1", "unit_9_1")
    np.testing.assert_array_equal(aligned.sessions[0].spikes, first.spikes[:, [0, 3, 4]])
    np.testing.assert_array_equal(aligned.sessions[1].spikes, second.spikes[:, [1, 3, 0]])
    assert any("sorting may have renumbered them" in note for note in aligned.notes)
    assert any("3 units occur in every session" in note for note in aligned.notes)


def test_matching_unmatched_units_without_electrodes_is_refused(make_session):
    session = make_session(units_matched_across_sessions=False, source="day.npz")
    with pytest.raises(DataError, match=r"day.npz.*not matched across sessions(.|\n)*--data.units padded"):
        align_units([session, session], "matched")


def test_sessions_without_a_common_unit_are_refused(make_session):
    with pytest.raises(DataError, match="No unit occurs in all of"):
        align_units([make_session(), make_session(unit_ids=np.arange(5) + 5)], "matched")


def test_padding_adds_silent_columns_and_warns(make_session):
    small = make_session(units_matched_across_sessions=False)
    large = make_session(
        spikes=np.ones((40, 8), np.uint8), unit_ids=np.arange(8), units_matched_across_sessions=False
    )
    aligned = align_units([small, large], "auto")
    np.testing.assert_array_equal(aligned.sessions[0].spikes[:, :5], small.spikes)
    assert not aligned.sessions[0].spikes[:, 5:].any()
    assert len(aligned.names) == 8
    assert "Input weights learned on one day mean nothing on another" in aligned.notes[0]


def test_channels_sum_the_units_of_each_electrode_on_whole_banks(make_session):
    sessions = [
        make_session(
            electrodes=np.array(electrodes),
            unit_ids=np.arange(5),
            units_matched_across_sessions=False,
            spikes=np.full((40, 5), 200, np.uint8),
        )
        for electrodes in ([0, 0, 3, 31, 2], [5, 5, 5, 32, 1])
    ]
    aligned = align_units(sessions, "auto")
    assert len(aligned.names) == 64
    # Sums of uint8 columns exceed 255.
    assert aligned.sessions[1].spikes[0, 5] == 600
    assert aligned.sessions[0].spikes[0, [0, 2, 3, 31]].tolist() == [400, 200, 200, 200]
    assert int(aligned.sessions[0].spikes.sum()) == 200 * 5 * 40


def test_matched_threshold_crossings_are_channels_of_their_own(make_session):
    days = [make_session(unit_ids=np.array([3, 0, 40, 1, 2]), units_matched_across_sessions=True)]
    days.append(make_session(unit_ids=np.arange(5), units_matched_across_sessions=True, date="2016-10-08"))
    aligned = align_units(days, "channel")
    assert len(aligned.names) == 64
    np.testing.assert_array_equal(aligned.sessions[0].spikes[:, [3, 0, 40, 1, 2]], days[0].spikes)
    np.testing.assert_array_equal(aligned.sessions[1].spikes[:, :5], days[1].spikes)


@pytest.mark.parametrize(
    "first", [{"units_matched_across_sessions": False}, {"electrodes": np.arange(5)}, {"unit_ids": 10**6}]
)
def test_channels_without_electrodes_are_refused(make_session, first):
    if "unit_ids" in first:
        first = {"unit_ids": np.arange(5) + first["unit_ids"]}
    days = [make_session(**{"units_matched_across_sessions": True, **first})]
    days.append(make_session(units_matched_across_sessions=True, date="2016-10-08"))
    with pytest.raises(DataError, match="does not say which electrode each unit was recorded on"):
        align_units(days, "channel")


def test_unknown_unit_mode_is_refused(make_session):
    with pytest.raises(DataError, match=r"`units` is 'sorted'.\n.*auto, matched, padded, channel"):
        align_units([make_session()], "sorted")  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["matched", "channel", "padded"])
def test_a_session_placed_on_its_own_axis_is_as_it_was_aligned(make_session, mode):
    sessions = [make_session(seed=seed, electrodes=np.array([0, 0, 3, 4, 9])) for seed in (0, 1)]
    aligned = align_units(sessions, mode)
    placed = place_units(sessions[1], aligned.names)
    np.testing.assert_array_equal(placed.session.spikes, aligned.sessions[1].spikes)
    assert placed.left_out == ()


def test_units_are_placed_by_name_whatever_their_order_and_absent_ones_are_silent(make_session):
    names = align_units([make_session()], "matched").names
    new = make_session(seed=1, unit_ids=np.array([4, 7, 0, 2, 1]))
    placed = place_units(new, names)
    np.testing.assert_array_equal(placed.session.spikes[:, [4, 0, 2, 1]], new.spikes[:, [0, 2, 3, 4]])
    assert not placed.session.spikes[:, 3].any()
    assert placed.absent == ("unit_3",)
    assert placed.left_out == ("unit_7",)


def test_units_of_an_electrode_that_the_axis_lacks_are_left_out(make_session):
    axis = [f"electrode_{number}" for number in range(32)]
    placed = place_units(make_session(electrodes=np.array([0, 0, 31, 40, 40])), axis)
    counts = make_session().spikes.astype(int)
    np.testing.assert_array_equal(placed.session.spikes[:, 0], counts[:, 0] + counts[:, 1])
    np.testing.assert_array_equal(placed.session.spikes[:, 31], counts[:, 2])
    assert placed.session.spikes.sum() == counts[:, :3].sum()
    assert placed.left_out == ("electrode_40",)


def test_a_session_that_shares_no_column_or_names_units_otherwise_is_refused(make_session):
    with pytest.raises(DataError, match=r"records none of the model's 2 columns \(unit_8"):
        place_units(make_session(), ["unit_8", "unit_9"])
    with pytest.raises(DataError, match=r"lacks `electrodes`.*unit_3_1"):
        place_units(make_session(), ["unit_3_1"])
    with pytest.raises(DataError, match=r"has `electrodes`"):
        place_units(make_session(electrodes=np.arange(5)), ["unit_3"])
