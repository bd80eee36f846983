import dataclasses
import json
import math

import pytest

from neurosweep.errors import TrackingError
from neurosweep.naming import Failure, Status
from neurosweep.records import MetricPoint
from neurosweep.tracking import DataNote, Mirror, Outbox, connect


def test_completed_trial_arrives_whole(lab, record, rows, artifact):
    mirror = lab.mirror("whole")
    points = lab.train("whole", 0, epochs=5, best=3)
    assert mirror.sync_trial(record(0, Status.COMPLETED))

    run_id = lab.database.trial_runs("whole")[0]
    name, status, started, ended = lab.database.run(run_id)
    assert (name, status) == ("whole/0000", "FINISHED")
    assert (started, ended) == (1772366400123, 1772366700456)
    assert lab.database.parameters(run_id) == {
        "model.latent_dim": "64",
        "optim.lr": "0.30000000000000004",
        "model.layers": "[1, 2]",
        "data.flag": "True",
    }
    best = [
        ("best/behaviour_r2", 3, 1 - 1 / 10, 1_700_000_003_001, 0),
        ("best/epoch", 3, 3.0, 1_700_000_003_001, 0),
    ]
    assert lab.database.points(run_id) == sorted(rows(points) + best)
    tags = lab.database.tags(run_id)
    assert tags["mlflow.parentRunId"] == json.loads(lab.folder("whole").delivery.read_text())["run_id"]
    assert tags["neurosweep.status"] == "completed"
    assert tags["neurosweep.data_hash"] == "abc"
    assert (tags["neurosweep.seed"], tags["neurosweep.attempt"], tags["neurosweep.origin"]) == (
        "7",
        "1",
        "sampled",
    )
    folder = lab.folder("whole").trial(0)
    assert artifact(run_id, "config.json").read_bytes() == folder.config.read_bytes()
    assert artifact(run_id, "checkpoint/best-000003.ckpt").read_bytes() == folder.best_checkpoint.read_bytes()


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (Status.RUNNING, "RUNNING"),
        (Status.INTERRUPTED, "KILLED"),
        (Status.COMPLETED, "FINISHED"),
        (Status.PRUNED, "KILLED"),
        (Status.FAILED, "FAILED"),
    ],
)
def test_every_status_has_its_state_in_mlflow_and_its_tag(lab, record, status, state):
    mirror = lab.mirror("states")
    lab.train("states", 4)
    mirror.sync_trial(record(4, status))
    run_id = lab.database.trial_runs("states")[4]
    _, found, _, ended = lab.database.run(run_id)
    assert found == state
    assert (ended is None) == (status is Status.RUNNING)
    assert lab.database.tags(run_id)["neurosweep.status"] == status


def test_waiting_trial_has_no_run_yet(lab, record):
    mirror = lab.mirror("waiting")
    assert mirror.sync_trial(record(0, Status.WAITING))
    assert lab.database.trial_runs("waiting") == {}


def test_failed_trial_shows_why_and_keeps_its_curve_but_no_best_value_and_no_model(
    lab, record, rows, artifact
):
    mirror = lab.mirror("failed")
    points = lab.train("failed", 0, best=1)
    lab.folder("failed").trial(0).failure.write_text("Traceback: it went to nan")
    mirror.sync_trial(
        record(0, Status.FAILED, failure=Failure.RAISED, failure_message="ValueError: " + "long " * 2000)
    )
    run_id = lab.database.trial_runs("failed")[0]
    tags = lab.database.tags(run_id)
    assert tags["neurosweep.failure"] == "raised"
    assert len(tags["neurosweep.failure_message"]) == 2000
    assert artifact(run_id, "failure.txt").read_text() == "Traceback: it went to nan"
    assert lab.database.points(run_id) == rows(points)
    assert lab.database.models(run_id) == []


def test_interrupted_trial_goes_on_in_the_same_run_after_a_resume(lab, record, rows):
    lab.train("resumed", 0, epochs=3)
    lab.mirror("resumed").sync_trial(record(0, Status.INTERRUPTED))
    (interrupted,) = lab.database.trial_runs("resumed").values()
    assert lab.database.run(interrupted)[1] == "KILLED"

    fresh = lab.mirror("resumed")
    fresh.sync_trial(record(0, Status.RUNNING, attempts=2))
    assert lab.database.run(interrupted)[1] == "RUNNING"
    points = lab.train("resumed", 0, epochs=6)
    fresh.sync_trial(record(0, Status.COMPLETED, attempts=2))
    assert lab.database.trial_runs("resumed") == {0: interrupted}
    assert lab.database.run(interrupted)[1] == "FINISHED"
    assert lab.database.points(interrupted) == rows(points)
    assert lab.database.tags(interrupted)["neurosweep.attempt"] == "2"


def test_delivery_in_many_small_steps_equals_delivery_at_once(lab, record, rows, points_of_a_curve):
    mirror = lab.mirror("steps")
    points = points_of_a_curve(10)
    outbox = Outbox(lab.folder("steps").trial(0))
    for epoch in range(10):
        outbox.append(points[2 * epoch : 2 * epoch + 2])
        mirror.sync_trial(record(0, Status.RUNNING))
        assert mirror.unsent_points(0) == 0
    assert lab.database.points(lab.database.trial_runs("steps")[0]) == rows(points)


def test_thousands_of_points_arrive_each_once(lab, record, rows, points_of_a_curve):
    mirror = lab.mirror("long")
    points = points_of_a_curve(1250)
    Outbox(lab.folder("long").trial(0)).append(points)
    assert mirror.unsent_points(0) == 2500
    mirror.sync_trial(record(0, Status.RUNNING))
    assert lab.database.points(lab.database.trial_runs("long")[0]) == rows(points)


def test_trial_whose_progress_file_is_lost_is_found_again_and_nothing_doubles(lab, record, rows):
    mirror = lab.mirror("lost")
    points = lab.train("lost", 0, best=2)
    mirror.sync_trial(record(0, Status.COMPLETED))
    run_id = lab.database.trial_runs("lost")[0]
    before = lab.database.points(run_id)
    lab.folder("lost").trial(0).delivery.unlink()
    assert mirror.sync_trial(record(0, Status.COMPLETED))
    assert lab.database.trial_runs("lost") == {0: run_id}
    assert lab.database.points(run_id) == before
    assert len(before) == len(points) + 2
    assert len(lab.database.models(run_id)) == lab.database.outputs(run_id) == 1


def test_infinite_and_missing_values_arrive_as_mlflow_stores_them(lab, record):
    mirror = lab.mirror("wild")
    values = [math.inf, -math.inf, math.nan]
    Outbox(lab.folder("wild").trial(0)).append(
        MetricPoint("val/loss", value, step, 5) for step, value in enumerate(values)
    )
    mirror.sync_trial(record(0, Status.RUNNING))
    largest = 1.7976931348623157e308
    assert lab.database.points(lab.database.trial_runs("wild")[0]) == [
        ("val/loss", 0, largest, 5, 0),
        ("val/loss", 1, -largest, 5, 0),
        ("val/loss", 2, 0.0, 5, 1),
    ]


def test_metric_names_that_mlflow_refuses_arrive_changed_but_apart(lab, record):
    mirror = lab.mirror("names")
    Outbox(lab.folder("names").trial(0)).append(
        [
            MetricPoint("val/r2@1", 0.1, 0, 5),
            MetricPoint("val/r2#1", 0.2, 0, 5),
            MetricPoint("val/r2", 0.3, 0, 5),
        ]
    )
    assert mirror.sync_trial(record(0, Status.RUNNING))
    found = {value: key for key, _, value, _, _ in lab.database.points(lab.database.trial_runs("names")[0])}
    assert found[0.3] == "val/r2"
    assert found[0.1] != found[0.2]
    assert {found[0.1][:9], found[0.2][:9]} == {"val/r2_1-"}


def test_more_than_a_hundred_parameters_and_very_long_ones_arrive(lab, record):
    mirror = lab.mirror("parameters")
    many = {f"model.p{number}": number for number in range(230)} | {"model.text": "x" * 9000}
    mirror.sync_trial(record(0, Status.RUNNING, parameters=many))
    found = lab.database.parameters(lab.database.trial_runs("parameters")[0])
    assert len(found) == 231
    assert len(found["model.text"]) == 6000


def test_sweeps_of_one_name_from_two_storages_keep_apart(lab, record, make_lab, tmp_path):
    other = make_lab(lab.store, lab.database.path, tmp_path / "other-storage")
    for one, latent_dim in ((lab, 16), (other, 32)):
        one.train("twin", 0)
        one.mirror("twin").sync_trial(
            record(0, Status.COMPLETED, parameters={"model.latent_dim": latent_dim})
        )
    runs = lab.database.rows("SELECT run_uuid, value FROM params WHERE key = 'model.latent_dim'")
    assert sorted(value for _, value in runs) == ["16", "32"]
    assert len({run for run, _ in runs}) == 2


def test_another_store_receives_everything_again(lab, record, rows, make_lab, copy_database, tmp_path):
    points = lab.train("moved", 0, best=1)
    lab.mirror("moved").sync_trial(record(0, Status.COMPLETED))
    path = copy_database(tmp_path / "second" / "mlflow.db")
    second = make_lab(
        connect(f"sqlite:///{path}", experiment="elsewhere", artifact_location=None), path, lab.storage
    )
    second.mirror("moved").sync_trial(record(0, Status.COMPLETED))
    run_id = second.database.trial_runs("moved")[0]
    assert len(second.database.points(run_id)) == len(points) + 2
    assert len(second.database.models(run_id)) == 1


def test_run_deleted_by_hand_is_left_alone(lab, record):
    mirror = lab.mirror("deleted")
    lab.train("deleted", 0, epochs=2)
    mirror.sync_trial(record(0, Status.RUNNING))
    run_id = lab.database.trial_runs("deleted")[0]
    lab.store.client.delete_run(run_id)
    lab.train("deleted", 0, epochs=4)
    assert mirror.sync_trial(record(0, Status.COMPLETED))
    assert len(lab.database.points(run_id)) == 4
    assert lab.database.trial_runs("deleted") == {0: run_id}


def test_trial_of_an_unopened_sweep_is_refused(lab, record):
    with pytest.raises(TrackingError, match="not open"):
        Mirror(lab.store, lab.folder("closed")).sync_trial(record(0, Status.RUNNING))


def test_sweep_is_one_run_with_its_data_however_often_it_is_opened(lab, artifact, tmp_path):
    lock = tmp_path / "requirements.lock"
    lock.write_text("torch==2.13.0\n")
    data = [DataNote("chewie-1", "0123456789abcdef", "/data/chewie-1.npz", "train")]
    ids = set()
    for trials in (3, 8):
        mirror = Mirror(lab.store, lab.folder("opened"))
        ids.add(
            mirror.open_sweep(
                tags={"neurosweep.commit": "f00d"},
                parameters={"search.trials": trials, "name": "opened"},
                artifacts={"sweep.yaml": f"trials: {trials}\n", "code/requirements.lock": lock},
                data=data,
            )
        )
    (run_id,) = ids
    assert lab.database.run(run_id)[:2] == ("opened", "RUNNING")
    assert lab.database.parameters(run_id) == {"search.trials": "3", "name": "opened"}
    assert artifact(run_id, "sweep.yaml").read_text() == "trials: 8\n"
    assert artifact(run_id, "code/requirements.lock").read_text() == "torch==2.13.0\n"
    (shown,) = lab.store.client.get_run(run_id).inputs.dataset_inputs
    assert (shown.dataset.name, shown.dataset.digest) == ("chewie-1", "0123456789abcdef")
    assert [(tag.key, tag.value) for tag in shown.tags] == [("mlflow.data.context", "train")]
    tags = lab.database.tags(run_id)
    assert (tags["neurosweep.kind"], tags["neurosweep.sweep"]) == ("sweep", "opened")


def test_crash_before_the_sweeps_run_is_noted_down_leaves_one_run(lab):
    folder = lab.folder("forgotten")
    first = Mirror(lab.store, folder).open_sweep(tags={}, parameters={}, artifacts={})
    identity = json.loads(folder.delivery.read_text())["identity"]
    folder.delivery.write_text(json.dumps({"identity": identity}))
    assert Mirror(lab.store, folder).open_sweep(tags={}, parameters={}, artifacts={}) == first


def test_sweep_deleted_by_hand_comes_back_when_it_is_resumed(lab):
    first = lab.mirror("back")
    run_id = json.loads(lab.folder("back").delivery.read_text())["run_id"]
    lab.store.client.delete_run(run_id)
    assert first.open_sweep(tags={}, parameters={}, artifacts={}) == run_id
    assert lab.store.client.get_run(run_id).info.lifecycle_stage == "active"


@pytest.mark.parametrize(
    ("status", "state"), [("finished", "FINISHED"), ("failed", "FAILED"), ("interrupted", "KILLED")]
)
def test_closed_sweep_has_its_end_state_files_and_values_once(lab, artifact, tmp_path, status, state):
    report = tmp_path / "page.html"
    report.write_text("<html>")
    figures = tmp_path / "figures"
    figures.mkdir()
    (figures / "history.html").write_text("<html>history")
    files = {"report.html": report, "figures": figures, "leaderboard.csv": tmp_path / "absent.csv"}
    for value in (0.5, 0.5, 0.7):
        mirror = lab.mirror(f"closed-{status}")
        mirror.close_sweep(status, end=status, files=files, metrics={"best/behaviour_r2": value})
    run_id = json.loads(lab.folder(f"closed-{status}").delivery.read_text())["run_id"]
    assert lab.database.run(run_id)[1] == state
    assert lab.database.tags(run_id)["neurosweep.status"] == status
    assert artifact(run_id, "report.html").read_text() == "<html>"
    assert artifact(run_id, "figures/history.html").read_text() == "<html>history"
    assert not artifact(run_id, "leaderboard.csv").exists()
    assert sorted(value for _, _, value, _, _ in lab.database.points(run_id)) == [0.5, 0.7]


def test_store_that_fails_is_reported_as_a_tracking_error(lab, switchable):
    store = switchable(lab.store)
    mirror = lab.mirror("broken", store=store)
    store.client.away = True
    with pytest.raises(TrackingError, match="no route to the store"):
        mirror.close_sweep("finished", end="target", files={}, metrics={})
    with pytest.raises(TrackingError, match="no route to the store"):
        mirror.open_sweep(tags={}, parameters={}, artifacts={})


def test_checkpoints_stay_home_when_they_are_not_wanted(lab, record):
    mirror = lab.mirror("light", keep_checkpoints=False)
    lab.train("light", 0, best=2)
    assert mirror.sync_trial(record(0, Status.COMPLETED))
    run_id = lab.database.trial_runs("light")[0]
    assert lab.database.models(run_id) == []
    assert ("best/epoch", 2, 2.0) in [row[:3] for row in lab.database.points(run_id)]
    assert [one.path for one in lab.store.client.list_artifacts(run_id)] == ["config.json"]


def test_delivered_trial_costs_no_request(lab, record, faulty):
    mirror = lab.mirror("done")
    lab.train("done", 0, best=1)
    mirror.sync_trial(record(0, Status.COMPLETED))
    watched = faulty(lab.store, call=-1, moment="before")
    fresh = lab.mirror("done", store=watched)
    before = len(watched.client.calls)
    assert fresh.sync_trial(record(0, Status.COMPLETED))
    assert len(watched.client.calls) == before


def test_record_with_another_parameter_value_is_not_silently_accepted(lab, record):
    mirror = lab.mirror("changed")
    mirror.sync_trial(record(0, Status.RUNNING))
    lab.folder("changed").trial(0).delivery.unlink()
    changed = dataclasses.replace(record(0, Status.RUNNING), parameters={"model.latent_dim": 65})
    with pytest.raises(Exception, match="Changing param"):
        mirror.sync_trial(changed)


def test_parameters_that_a_resume_adds_to_a_half_proposed_trial_arrive_too(lab, record):
    half = record(0, Status.INTERRUPTED, parameters={"model.latent_dim": 64})
    whole = record(0, Status.RUNNING, parameters={"model.latent_dim": 64, "optim.lr": 0.5})
    lab.mirror("half").sync_trial(half)
    lab.mirror("half").sync_trial(whole)
    run = lab.database.trial_runs("half")[0]
    assert lab.database.parameters(run) == {"model.latent_dim": "64", "optim.lr": "0.5"}


def test_run_of_a_population_member_tells_the_parameters_that_it_began_with(lab, record):
    first = {"model.learning_rate": 0.5}
    changed = record(0, Status.COMPLETED, parameters={"model.learning_rate": 0.1}, first_parameters=first)
    lab.train("herd", 0, best=2)
    lab.mirror("herd").sync_trial(changed)
    assert lab.database.parameters(lab.database.trial_runs("herd")[0]) == {"model.learning_rate": "0.5"}


def test_run_that_a_slow_server_made_too_late_is_deleted_at_the_end(lab, record):
    lab.train("late", 0, best=2)
    mirror = lab.mirror("late")
    mirror.sync_trial(record(0, Status.COMPLETED))
    run = lab.store.client.get_run(lab.database.trial_runs("late")[0])
    lab.store.client.create_run(lab.store.experiment_id, tags=run.data.tags)
    mirror.close_sweep("finished", end="finished", files={}, metrics={})
    assert [one.info.run_id for one in lab.store.find_runs({"neurosweep.trial": "0"})] == [run.info.run_id]
    assert lab.database.points(run.info.run_id) != []


def test_the_notes_beside_a_trial_tell_whether_all_of_it_has_arrived(lab, record):
    mirror = lab.mirror("notes")
    lab.train("notes", 0, epochs=2)
    completed, failed = record(0, Status.COMPLETED), record(0, Status.FAILED)
    assert not mirror.has(completed)
    waiting = mirror.unsent_points(0)
    assert waiting > 0
    mirror.sync_trial(completed)
    assert mirror.has(completed)
    assert not mirror.has(failed)
    assert mirror.unsent_points(0) == 0
    Outbox(lab.folder("notes").trial(0)).append([MetricPoint("val/late", 1.0, 9, 1)])
    assert not mirror.has(completed)
    assert mirror.unsent_points(0) == 1
