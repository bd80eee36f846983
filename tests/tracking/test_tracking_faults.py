"""A delivery that is cut off anywhere and repeated leaves exactly what an undisturbed one leaves."""

import pytest

from neurosweep.naming import Status
from neurosweep.tracking import trial_mirror

SWEEP = "faults"
UNDISTURBED = 1000
"""Number of the trial that nothing happens to."""


def image(lab, number: int) -> dict:
    """All that a trial has left in MLflow, without its number and ids."""
    run_id = lab.database.trial_runs(SWEEP)[number]
    tags = lab.database.tags(run_id)
    return {
        "run": lab.database.run(run_id)[1:],
        "points": lab.database.points(run_id),
        "parameters": lab.database.parameters(run_id),
        "status": (tags["neurosweep.status"], tags["neurosweep.attempt"]),
        "models": [status for _, _, status in lab.database.models(run_id)],
        "outputs": lab.database.outputs(run_id),
        "model_points": lab.database.model_points(run_id),
        "artifacts": sorted(
            one.path for path in ("", "checkpoint") for one in lab.store.client.list_artifacts(run_id, path)
        ),
    }


@pytest.fixture
def undisturbed(lab, record):
    lab.train(SWEEP, UNDISTURBED, best=2)
    mirror = lab.mirror(SWEEP)
    mirror.sync_trial(record(UNDISTURBED, Status.RUNNING))
    mirror.sync_trial(record(UNDISTURBED, Status.COMPLETED))
    return image(lab, UNDISTURBED)


def test_undisturbed_delivery_is_complete(undisturbed):
    assert undisturbed["models"] == [2]
    assert undisturbed["outputs"] == 1
    assert undisturbed["model_points"] == [("val/behaviour_r2", 2, 1 - 1 / 9, 1_700_000_002_001)]
    assert len(undisturbed["points"]) == 10


@pytest.mark.parametrize("moment", ["before", "after"])
def test_request_cut_off_at_any_point_is_made_good_by_a_repetition(lab, record, faulty, undisturbed, moment):
    store = faulty(lab.store, call=-1, moment=moment)
    doomed, healthy = lab.mirror(SWEEP, store=store), lab.mirror(SWEEP)
    cut_off = []
    while True:
        number = len(cut_off)
        lab.train(SWEEP, number, best=2)
        store.client.calls.clear()
        store.client.fail_at = number
        try:
            doomed.sync_trial(record(number, Status.COMPLETED))
        except ConnectionError:
            cut_off.append(store.client.calls[number])
        else:
            break
        assert healthy.sync_trial(record(number, Status.COMPLETED))
        assert image(lab, number) == undisturbed, cut_off[-1]
    assert set(cut_off) == {
        *("search_runs", "create_run", "log_batch", "log_artifact", "search_logged_models", "get_run"),
        *(
            "create_logged_model",
            "log_model_artifacts",
            "finalize_logged_model",
            "log_outputs",
            "set_terminated",
        ),
    }


def test_driver_killed_before_any_note_of_progress_repeats_without_a_trace(
    lab, record, undisturbed, monkeypatch
):
    save = trial_mirror.Delivery.save
    mirror = lab.mirror(SWEEP)
    number = 0
    while True:
        saved = []
        lab.train(SWEEP, number, best=2)

        def save_or_die(delivery, folder, saved=saved, last=number):
            if len(saved) == last:
                raise KeyboardInterrupt
            saved.append(delivery)
            return save(delivery, folder)

        monkeypatch.setattr(trial_mirror.Delivery, "save", save_or_die)
        try:
            mirror.sync_trial(record(number, Status.COMPLETED))
        except KeyboardInterrupt:
            monkeypatch.setattr(trial_mirror.Delivery, "save", save)
        else:
            break
        assert lab.mirror(SWEEP).sync_trial(record(number, Status.COMPLETED))
        assert image(lab, number) == undisturbed, number
        number += 1
    assert number >= 6
