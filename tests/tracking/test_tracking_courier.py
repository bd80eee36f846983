import logging
import threading
import time

import pytest

from neurosweep.naming import Status
from neurosweep.tracking import Backlog, Courier, courier


@pytest.fixture
def hire(monkeypatch):
    """Start couriers whose waiting is short, and end them."""
    monkeypatch.setattr(courier, "INTERVAL_S", 0.1)
    monkeypatch.setattr(courier, "SHORTEST_PAUSE_S", 0.05)
    hired = []

    def start(mirror) -> Courier:
        hired.append(Courier(mirror))
        return hired[-1]

    yield start
    for one in hired:
        one.stop()


def test_notified_trials_arrive_without_anybody_waiting(lab, record, rows, hire, wait_until):
    points = {number: lab.train("news", number, epochs=3 + number) for number in range(3)}
    messenger = hire(lab.mirror("news"))
    for number in points:
        messenger.notify(record(number, Status.RUNNING))
    wait_until(lambda: not messenger.backlog())
    for number, run_id in lab.database.trial_runs("news").items():
        assert lab.database.points(run_id) == rows(points[number])


def test_latest_record_of_a_trial_wins(lab, record, hire):
    lab.train("latest", 0, best=1)
    messenger = hire(lab.mirror("latest"))
    for status in (Status.RUNNING, Status.RUNNING, Status.COMPLETED):
        messenger.notify(record(0, status))
    assert messenger.drain(30) == Backlog(trials=0, points=0)
    assert lab.database.run(lab.database.trial_runs("latest")[0])[1] == "FINISHED"


def test_running_trials_news_gather_and_a_final_record_does_not_wait(
    lab, record, hire, monkeypatch, wait_until
):
    monkeypatch.setattr(courier, "INTERVAL_S", 3600.0)
    lab.train("gather", 0)
    messenger = hire(lab.mirror("gather"))
    messenger.notify(record(0, Status.RUNNING))
    time.sleep(0.3)
    assert lab.database.trial_runs("gather") == {}
    messenger.notify(record(0, Status.COMPLETED))
    wait_until(lambda: not messenger.backlog())
    assert lab.database.run(lab.database.trial_runs("gather")[0])[1] == "FINISHED"


def test_absent_store_costs_the_caller_nothing_and_loses_nothing(
    lab, record, rows, hire, switchable, caplog, wait_until
):
    store = switchable(lab.store)
    mirror = lab.mirror("absent", store=store)
    messenger = hire(mirror)
    store.client.away = True
    slowest = 0.0
    points = {}
    with caplog.at_level(logging.WARNING, logger="neurosweep"):
        for number in range(4):
            points[number] = lab.train("absent", number, epochs=6)
            started = time.monotonic()
            messenger.notify(record(number, Status.RUNNING))
            messenger.notify(record(number, Status.COMPLETED))
            slowest = max(slowest, time.monotonic() - started)
        wait_until(lambda: "is away" in caplog.text)
        left = messenger.drain(0.5)
        assert left == Backlog(trials=4, points=48)
        assert lab.database.trial_runs("absent") == {}
        store.client.away = False
        assert not messenger.drain(60)
    assert slowest < 0.2
    for number, run_id in lab.database.trial_runs("absent").items():
        assert lab.database.points(run_id) == rows(points[number])
    messages = [one.getMessage() for one in caplog.records]
    assert sum("is away" in message for message in messages) == 1
    assert sum("is back" in message for message in messages) == 1


def test_store_that_comes_back_is_noticed_without_a_new_record(lab, record, hire, switchable, wait_until):
    store = switchable(lab.store)
    mirror = lab.mirror("patient", store=store)
    lab.train("patient", 0)
    store.client.away = True
    messenger = hire(mirror)
    messenger.notify(record(0, Status.COMPLETED))
    time.sleep(0.3)
    store.client.away = False
    wait_until(lambda: not messenger.backlog())
    assert lab.database.run(lab.database.trial_runs("patient")[0])[1] == "FINISHED"


def test_trial_that_cannot_be_sent_does_not_hold_up_the_others(lab, record, hire, caplog, wait_until):
    class Unprintable:
        def __str__(self):
            raise ValueError("this parameter has no text")

    messenger = hire(lab.mirror("others"))
    with caplog.at_level(logging.WARNING, logger="neurosweep"):
        messenger.notify(record(0, Status.COMPLETED, parameters={"model.odd": Unprintable()}))
        for number in (1, 2):
            lab.train("others", number)
            messenger.notify(record(number, Status.COMPLETED))
        wait_until(lambda: messenger.backlog().trials == 1)
        wait_until(lambda: "attempt 3" in caplog.text)
    runs = lab.database.trial_runs("others")
    assert [lab.database.run(runs[number])[1] for number in (1, 2)] == ["FINISHED", "FINISHED"]
    with_traceback = [one for one in caplog.records if one.exc_info]
    assert len(with_traceback) == 1
    assert "is away" not in caplog.text

    messenger.notify(record(0, Status.COMPLETED))
    assert not messenger.drain(60)
    assert lab.database.run(lab.database.trial_runs("others")[0])[1] == "FINISHED"


def test_request_that_hangs_does_not_hold_up_notify_drain_or_stop(lab, record, hire, monkeypatch, wait_until):
    mirror = lab.mirror("hanging")
    entered, release = threading.Event(), threading.Event()

    def hang(record):
        entered.set()
        release.wait(60)
        return True

    monkeypatch.setattr(mirror, "sync_trial", hang)
    messenger = hire(mirror)
    messenger.notify(record(0, Status.COMPLETED))
    assert entered.wait(20)
    started = time.monotonic()
    messenger.notify(record(1, Status.RUNNING))
    assert messenger.drain(0.2).trials == 2
    assert time.monotonic() - started < 5
    release.set()


def test_news_that_come_while_a_trial_is_being_sent_are_sent_too(lab, record, hire, monkeypatch):
    lab.train("overtaken", 0, epochs=2)
    mirror = lab.mirror("overtaken")
    sync, entered, release = mirror.sync_trial, threading.Event(), threading.Event()

    def sync_slowly(record):
        arrived = sync(record)
        entered.set()
        release.wait(60)
        return arrived

    monkeypatch.setattr(mirror, "sync_trial", sync_slowly)
    messenger = hire(mirror)
    messenger.notify(record(0, Status.RUNNING))
    assert entered.wait(60)
    messenger.notify(record(0, Status.COMPLETED))
    release.set()
    assert not messenger.drain(60)
    assert lab.database.run(lab.database.trial_runs("overtaken")[0])[1] == "FINISHED"


def test_stopped_courier_takes_news_and_sends_nothing(lab, record, hire):
    messenger = hire(lab.mirror("stopped"))
    messenger.stop()
    messenger.notify(record(0, Status.COMPLETED))
    assert messenger.drain(5).trials == 1
    assert lab.database.trial_runs("stopped") == {}
