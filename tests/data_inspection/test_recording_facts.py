"""Facts of recordings against counts by hand, and what is found missing."""

import numpy as np
import pytest

from lightning_modules.parts.spikes.inspection import describe_recordings, describe_session
from lightning_modules.parts.spikes.inspection_figures import target_means, trial_mean_rates
from lightning_modules.parts.spikes.session import NO_EVENT


def problems_of(sessions):
    return [finding.problem for finding in describe_recordings(sessions).findings]


def test_a_session_is_counted_and_measured(make_day, quiet_unit):
    session = quiet_unit(make_day())
    facts = describe_session(session)
    assert (facts.animal, facts.date, facts.n_bins, facts.bin_width_s) == (
        "generated",
        "2025-01-01",
        576,
        0.05,
    )
    for unit in range(6):
        spikes = sum(int(count) for count in session.spikes[:, unit])
        assert facts.mean_rates_hz[unit] == pytest.approx(spikes / (576 * 0.05))
    assert facts.silent_units == 1
    assert facts.targets == tuple((target, 6) for target in range(8))
    assert facts.trial_s == pytest.approx([0.6] * 48)
    assert [trace.name for trace in facts.behaviour] == ["velocity_x", "velocity_y"]
    assert facts.behaviour[1].highest == max(float(value) for value in session.behaviour[:, 1])
    assert facts.go_cues == facts.onsets == 48


def test_behaviour_is_measured_within_trials_only(make_day):
    session = make_day()
    behaviour = session.behaviour.copy()
    behaviour[:12] = 1e6
    behaviour[12:14] = np.nan
    later = {name: getattr(session, name)[2:] for name in ("trial_start", "trial_end", "target", "go_cue")}
    facts = describe_session(make_day(behaviour=behaviour, movement_onset=None, **later))
    assert facts.behaviour[0].highest == session.behaviour[24:, 0].max()


def test_complete_recordings_have_no_findings(make_day):
    assert problems_of([make_day(day) for day in range(4)]) == []


def test_the_default_split_is_told_with_the_window(make_day):
    facts = describe_recordings([make_day(day) for day in range(5)])
    assert facts.split is not None
    assert (facts.split.training, facts.split.validation, facts.split.sealed) == ((0, 1, 2), (3,), (4,))
    assert facts.window_bins == 12


@pytest.mark.parametrize(
    ("n", "said"), [(1, "1 session only."), (2, "2 sessions only."), (3, "3 sessions only.")]
)
def test_few_days_are_found(make_day, n, said):
    facts = describe_recordings([make_day(day) for day in range(n)])
    assert [finding.problem for finding in facts.findings] == [said]
    assert ("--data.min_training_sessions 1" in facts.findings[0].consequence) == (n == 1)
    assert (facts.split is None) == (n == 1)


def test_only_padding_is_left_for_unmatched_units_of_unknown_electrodes(make_day):
    days = [make_day(day, units_matched_across_sessions=False) for day in range(4)]
    facts = describe_recordings(days)
    columns = {mode.mode: (mode.n_columns, mode.automatic) for mode in facts.modes}
    assert columns == {"matched": (None, False), "padded": (6, True), "channel": (None, False)}
    assert problems_of(days) == ["The units are neither matched across sessions nor known by electrode."]


def test_units_of_known_electrodes_work_in_every_mode(make_day):
    days = [
        make_day(day, units_matched_across_sessions=False, electrodes=np.array([0, 0, 3, 40, 41, 41]))
        for day in range(4)
    ]
    modes = {mode.mode: (mode.n_columns, mode.automatic) for mode in describe_recordings(days).modes}
    # Electrode 41 is in the second bank of 32.
    assert modes == {"matched": (6, False), "padded": (6, False), "channel": (64, True)}


def test_missing_and_rare_targets_are_named(make_day, targets):
    days = [make_day(day) for day in range(3)] + [make_day(3, target=targets(t1=10, t2=4, t3=1))]
    found = problems_of(days)
    source = days[3].source
    assert found == [
        f"{source}: no trial of targets 4, 5, 6, 7.",
        f"{source}: fewer than 5 trials of targets 2, 3.",
    ]


def test_a_single_target_is_found(make_day):
    assert problems_of([make_day(day, target=np.zeros(48, int)) for day in range(4)]) == [
        "All trials have one target."
    ]


def test_missing_events_are_named_with_their_days(make_day):
    days = [make_day(0), make_day(1, go_cue=None), make_day(2), make_day(3)]
    onsets = days[2].movement_onset.copy()
    onsets[:5] = NO_EVENT
    days[2] = make_day(2, movement_onset=onsets)
    cue, onset = problems_of(days)
    assert cue == f"No go cue in {days[1].source}."
    assert onset == f"{days[2].source}: no movement onset in 5 of 48 trials."


def test_behaviour_that_never_changes_is_found(make_day):
    behaviour = make_day().behaviour.copy()
    behaviour[:, 1] = 3
    found = problems_of([make_day(0, behaviour=behaviour), *(make_day(day) for day in range(1, 4))])
    assert found == ["generated 2025-01-01 (preset default, seed 0): velocity_y never changes."]


def test_all_disagreements_are_found_at_once(make_day):
    days = [make_day(day) for day in range(4)]
    days[1] = make_day(1, animal="Bob", spikes=days[0].spikes)
    days[2] = make_day(2, bin_width_s=0.1)
    days[3] = make_day(3, behaviour_names=("force_x", "force_y"))
    found = " ".join(problems_of(days))
    for what in ("differ in animal", "differ in bin width", "differ in behaviour", "hold the same spikes"):
        assert what in found


def test_drawn_rates_and_trajectories_are_those_of_a_slow_loop(make_day):
    session = make_day()
    rates, (names, means) = trial_mean_rates(session), target_means(session)
    assert rates.shape == (6, 12)
    assert names == ("position_x", "position_y")
    for unit, time in ((0, 0), (5, 11), (3, 7)):
        counts = [int(session.spikes[start + time, unit]) for start in session.trial_start]
        assert rates[unit, time] == pytest.approx(sum(counts) / 48 / 0.05)
    paths = [
        session.position[start + 11]
        for start, one in zip(session.trial_start, session.target, strict=True)
        if one == 5
    ]
    np.testing.assert_allclose(means[5][11], np.mean(paths, axis=0), rtol=1e-5)
