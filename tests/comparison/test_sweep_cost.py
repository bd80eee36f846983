"""Cost and savings against sums made by hand."""

from datetime import UTC, datetime, timedelta

from neurosweep.comparison import sweep_cost
from neurosweep.naming import Status
from neurosweep.records import TrialRecord

START = datetime(2025, 1, 1, tzinfo=UTC)


def trial(number, status, *, epochs, seconds):
    return TrialRecord(
        number=number,
        status=status,
        parameters={},
        values=(0.5,) if status is Status.COMPLETED else None,
        curve=dict.fromkeys(range(epochs), 0.5),
        started=START,
        ended=None if seconds is None else START + timedelta(seconds=seconds),
    )


def test_seconds_saved_are_each_pruned_trials_pace_times_the_epochs_up_to_the_median_completed_trial():
    records = [
        trial(0, Status.COMPLETED, epochs=20, seconds=40.0),
        trial(1, Status.COMPLETED, epochs=12, seconds=30.0),
        trial(2, Status.COMPLETED, epochs=20, seconds=60.0),
        trial(3, Status.PRUNED, epochs=4, seconds=8.0),  # 2 s an epoch, 16 epochs to go: 32 s
        trial(4, Status.PRUNED, epochs=10, seconds=5.0),  # 0.5 s an epoch, 10 epochs to go: 5 s
        trial(5, Status.PRUNED, epochs=22, seconds=44.0),  # ran longer than the median: 0 s
        trial(6, Status.PRUNED, epochs=0, seconds=3.0),  # no epoch, no pace: 0 s
        trial(7, Status.FAILED, epochs=1, seconds=1.0),
        trial(8, Status.RUNNING, epochs=3, seconds=None),
    ]
    cost = sweep_cost(records)
    assert cost.full_epochs == 20
    assert cost.saved_seconds == 37.0
    assert cost.trial_seconds == 191.0


def test_nothing_is_saved_where_nothing_was_pruned():
    assert sweep_cost([trial(0, Status.COMPLETED, epochs=5, seconds=10.0)]).saved_seconds == 0.0
    assert sweep_cost([]).saved_seconds == 0.0


def test_savings_are_unknown_where_no_trial_ran_to_its_end():
    cost = sweep_cost([trial(0, Status.PRUNED, epochs=5, seconds=10.0)])
    assert cost.saved_seconds is None
    assert cost.trial_seconds == 10.0


def test_an_epoch_without_a_report_still_counts_as_run():
    record = TrialRecord(
        number=0, status=Status.COMPLETED, parameters={}, values=(0.5,), curve={4: 0.4, 9: 0.5}
    )
    assert sweep_cost([record]).full_epochs == 10
