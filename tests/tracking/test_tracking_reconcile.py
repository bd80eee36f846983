import pytest

from neurosweep.errors import TrackingError
from neurosweep.naming import Status
from neurosweep.tracking import reconcile


def test_reconciled_sweep_equals_the_study_whatever_the_dead_driver_left(lab, record, rows):
    dead = lab.mirror("sweep")
    for number in range(4):
        lab.train("sweep", number, epochs=2)
        dead.sync_trial(record(number, Status.RUNNING))
    points = {number: lab.train("sweep", number, epochs=5) for number in range(4)}

    statuses = [Status.COMPLETED, Status.INTERRUPTED, Status.RUNNING]
    result = reconcile(
        lab.mirror("sweep"), [record(number, status) for number, status in enumerate(statuses)]
    )
    assert (result.delivered, result.failed, result.ended) == (3, (), 1)
    runs = lab.database.trial_runs("sweep")
    states = [lab.database.run(runs[number])[1] for number in range(4)]
    assert states == ["FINISHED", "KILLED", "RUNNING", "KILLED"]
    assert lab.database.tags(runs[3])["neurosweep.status"] == "interrupted"
    for number in range(3):
        assert lab.database.points(runs[number]) == rows(points[number])


def test_other_sweeps_running_trials_are_left_alone(lab, record):
    lab.mirror("other").sync_trial(record(0, Status.RUNNING))
    assert reconcile(lab.mirror("mine"), []).ended == 0
    assert lab.database.run(lab.database.trial_runs("other")[0])[1] == "RUNNING"


def test_one_trial_that_fails_is_named_and_the_others_arrive(lab, record):
    mirror = lab.mirror("mixed")
    bad = record(0, Status.COMPLETED, started="yesterday")
    result = reconcile(mirror, [bad, record(1, Status.COMPLETED)])
    assert (result.delivered, result.failed) == (1, (0,))
    assert lab.database.run(lab.database.trial_runs("mixed")[1])[1] == "FINISHED"


def test_absent_store_is_a_tracking_error(lab, record, switchable):
    store = switchable(lab.store)
    mirror = lab.mirror("gone", store=store)
    store.client.away = True
    with pytest.raises(TrackingError, match="no route to the store"):
        reconcile(mirror, [record(0, Status.RUNNING)])
