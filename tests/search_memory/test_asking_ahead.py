"""A slow sampler is asked in the background: nothing waits for it, and no trial is lost or doubled by it."""

import threading
import time

import optuna
import pytest

from neurosweep.config import SearchConfig
from neurosweep.naming import Status
from neurosweep.search import memory as memories
from neurosweep.search.samplers import proposals_ahead

SLOW_S, AT_ONCE_S = 0.6, 0.3


@pytest.fixture
def slow_sampler(monkeypatch) -> list[int]:
    """Make every proposal take `SLOW_S`; return the threads that asked."""
    threads: list[int] = []

    class Slow(optuna.samplers.RandomSampler):
        def sample_relative(self, study, trial, search_space):
            threads.append(threading.get_ident())
            time.sleep(SLOW_S)
            return {}

    monkeypatch.setattr(memories, "build_sampler", lambda search, *, seed, number: Slow(seed=number))
    return threads


@pytest.fixture
def ahead(make_sweep):
    """A sweep of four trials with one proposal ready, and a function that opens it as a driver of two slots does."""
    sweep = make_sweep(search={"trials": 4, "ask_ahead": 1})
    opened = []

    def open_it():
        memory = sweep.open()
        memory.ask_ahead(slots=2)
        opened.append(memory)
        return memory

    yield open_it
    for memory in opened:
        memory.release_live()


def took(act) -> float:
    started = time.monotonic()
    act()
    return time.monotonic() - started


def wait_for(ask):
    deadline = time.monotonic() + 20
    while (found := ask()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_the_loop_goes_on_while_the_sampler_thinks(ahead, slow_sampler):
    memory = ahead()
    first = memory.next()
    assert first.number == 0, "with no trial under way there is nothing to do but wait"
    assert took(memory.next) < AT_ONCE_S
    assert took(lambda: memory.report(0, epoch=0, value=1.0)) < AT_ONCE_S
    assert took(lambda: memory.complete(0, (1.0,))) < AT_ONCE_S
    time.sleep(SLOW_S + 0.4)  # by now the next one is ready, and another one is begun when it is taken
    taken = []
    assert took(lambda: taken.append(memory.next())) < AT_ONCE_S
    assert taken[0].number == 1
    assert threading.get_ident() not in slow_sampler


def test_every_trial_is_handed_out_once_and_the_total_is_kept(ahead, slow_sampler):
    memory = ahead()
    handed = []
    for _ in range(4):
        assignment = wait_for(memory.next)
        handed.append(assignment.number)
        if assignment.number % 2:  # two at a time
            memory.complete(assignment.number, (1.0,))
            memory.complete(assignment.number - 1, (1.0,))
    assert handed == [0, 1, 2, 3]
    assert memory.next() is None
    assert [record.status for record in memory.records()] == [Status.COMPLETED] * 4


def test_a_proposal_that_nobody_took_is_the_first_trial_of_the_next_driver(ahead, slow_sampler):
    memory = ahead()
    memory.next()
    memory.complete(0, (1.0,))
    time.sleep(SLOW_S + 0.4)
    (_, waiting) = memory.records()
    assert (waiting.status, waiting.attempts) == (Status.WAITING, 0)
    memory.release_live()

    again = ahead()
    assignment = again.next()
    assert assignment.number == 1
    assert assignment.parameters.items() <= waiting.parameters.items()
    assert len(assignment.parameters) >= 4
    assert again.record(1).attempts == 1


def test_what_the_sampler_raises_reaches_the_driver(ahead, monkeypatch):
    def broken(search, *, seed, number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(memories, "build_sampler", broken)
    with pytest.raises(OSError, match="No space left"):
        ahead().next()


@pytest.mark.parametrize(
    ("search", "slots", "ready"),
    [
        (SearchConfig(), 8, 0),
        (SearchConfig(sampler="gp"), 8, 1),
        (SearchConfig(sampler="gp"), 1, 0),
        (SearchConfig(sampler="gp", ask_ahead=0), 8, 0),
        (SearchConfig(sampler="tpe", ask_ahead=3), 1, 3),
    ],
)
def test_only_a_slow_sampler_is_asked_ahead_unless_it_is_asked_for(search, slots, ready):
    assert proposals_ahead(search, slots=slots) == ready
