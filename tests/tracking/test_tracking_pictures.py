"""Pictures of a kept checkpoint reach the trial's run once, also when they are drawn after the trial's end."""

import pytest

from neurosweep.naming import Status
from neurosweep.tracking.reconcile import reconcile

PICTURES = {"latents.png": b"\x89PNG 1", "training.png": b"\x89PNG 22"}


def draw(folder) -> None:
    folder.figures.mkdir()
    for name, content in PICTURES.items():
        (folder.figures / name).write_bytes(content)


@pytest.fixture
def arrived(lab, artifact):
    """The pictures that a trial's run holds, by name."""

    def read(sweep: str, number: int) -> dict[str, bytes]:
        folder = artifact(lab.database.trial_runs(sweep)[number], "figures")
        return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}

    return read


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.PRUNED])
def test_pictures_drawn_after_the_end_follow_the_trial_that_has_arrived(lab, record, arrived, status):
    mirror = lab.mirror("late")
    lab.train("late", 0, best=2)
    assert mirror.sync_trial(record(0, status))
    assert mirror.has(record(0, status))
    assert arrived("late", 0) == {}
    draw(lab.folder("late").trial(0))
    assert not mirror.has(record(0, status))
    assert mirror.sync_trial(record(0, status))
    assert mirror.has(record(0, status))
    assert arrived("late", 0) == PICTURES


def test_pictures_that_have_arrived_cost_no_further_request(lab, record, faulty):
    mirror = lab.mirror("once")
    lab.train("once", 0, best=1)
    draw(lab.folder("once").trial(0))
    mirror.sync_trial(record(0, Status.COMPLETED))
    watched = faulty(lab.store, call=-1, moment="before")
    fresh = lab.mirror("once", store=watched)
    before = len(watched.client.calls)
    assert fresh.sync_trial(record(0, Status.COMPLETED))
    assert len(watched.client.calls) == before


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_delivery_that_is_cut_off_is_repeated_without_doubles(lab, record, faulty, arrived, moment):
    mirror = lab.mirror("cut")
    lab.train("cut", 0, best=1)
    mirror.sync_trial(record(0, Status.COMPLETED))
    draw(lab.folder("cut").trial(0))
    broken = faulty(lab.store, call=-1, moment=moment)
    fresh = lab.mirror("cut", store=broken)
    broken.client.fail_at = len(broken.client.calls)
    with pytest.raises(ConnectionError):
        fresh.sync_trial(record(0, Status.COMPLETED))
    assert fresh.sync_trial(record(0, Status.COMPLETED))
    assert arrived("cut", 0) == PICTURES


@pytest.mark.parametrize("status", [Status.RUNNING, Status.INTERRUPTED, Status.FAILED])
def test_a_trial_without_a_result_shows_no_pictures(lab, record, arrived, status):
    mirror = lab.mirror("unfinished")
    lab.train("unfinished", 0, best=1)
    draw(lab.folder("unfinished").trial(0))
    mirror.sync_trial(record(0, status))
    assert arrived("unfinished", 0) == {}


def test_reconciling_delivers_the_pictures_that_a_dead_driver_left(lab, record, arrived):
    mirror = lab.mirror("left")
    lab.train("left", 0, best=1)
    mirror.sync_trial(record(0, Status.PRUNED))
    draw(lab.folder("left").trial(0))
    reconcile(lab.mirror("left"), [record(0, Status.PRUNED)])
    assert arrived("left", 0) == PICTURES


def test_half_drawn_pictures_are_removed_by_the_next_driver(lab):
    lab.train("half", 0, best=1)
    folder = lab.folder("half").trial(0)
    scratch = folder.root / ".figures.4711.tmp"
    scratch.mkdir()
    (scratch / "latents.png").write_bytes(b"half")
    draw(folder)
    lab.folder("half").drop_half_written()
    assert not scratch.exists()
    assert {path.name for path in folder.figures.iterdir()} == set(PICTURES)
