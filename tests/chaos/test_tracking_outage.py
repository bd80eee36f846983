"""A tracking server that refuses, fails, loses its answers or says nothing: trials go on, and nothing is lost."""

import os
import signal
import time

import pytest

CREATING = ("/runs/create", "/mlflow/logged-models", "/runs/outputs")
"""Requests that make something new each time that they are sent."""


def wait(ready, *, seconds: float = 120.0) -> float:
    """Wait until `ready`; return how long it took, s."""
    started = time.monotonic()
    while not ready():
        assert time.monotonic() - started < seconds, "waited in vain"
        time.sleep(0.02)
    return time.monotonic() - started


class Watched:
    """A driver behind a proxy, and the epochs that it has trained."""

    def __init__(self, arena, proxy) -> None:
        self.arena, self.proxy = arena, proxy
        self.pid = 0

    def start(self, arguments) -> None:
        self.pid = self.arena.forge.start(self.arena.folder, *arguments)

    def epochs(self) -> int:
        return self.arena.diary.read_bytes().count(b"\n")

    def train(self, epochs: int, *, seconds: float = 120.0) -> float:
        """Wait for more epochs; return how long they took, s."""
        goal = self.epochs() + epochs
        return wait(lambda: self.epochs() >= goal, seconds=seconds)

    def suffer(self, mode: str, *, only: tuple[str, ...] = ("",), requests: int) -> None:
        """Let so many requests meet the proxy's mode while trials go on."""
        self.proxy.only, self.proxy.refused = only, 0
        self.proxy.mode = mode
        wait(lambda: self.proxy.refused >= requests)
        self.train(2)
        self.proxy.mode = "pass"


@pytest.fixture
def watched(make_arena, server, proxy) -> Watched:
    return Watched(make_arena(server=server, uri=proxy.uri), proxy)


def test_server_that_refuses_fails_loses_answers_and_says_nothing(watched):
    arena, proxy = watched.arena, watched.proxy
    proxy.only, proxy.mode = ("/runs/log-batch",), "429"
    watched.start(arena.launch("--model.epoch_seconds", "0.2", trials=40))
    wait(lambda: proxy.refused >= 1)  # while the sweep's own run is being made
    proxy.mode = "pass"
    watched.train(2)
    for mode in ("429", "500"):
        watched.suffer(mode, requests=3)
    watched.suffer("lost", only=CREATING, requests=3)
    proxy.only, proxy.mode, proxy.refused = ("",), "hang", 0
    wait(lambda: proxy.refused >= 1)
    assert watched.train(12) < 20, (
        "trials wait for the tracking server"
    )  # a request waits 30 s for its answer
    os.kill(watched.pid, signal.SIGTERM)
    told = time.monotonic()
    assert arena.forge.wait() == 128 + signal.SIGTERM, arena.output
    assert time.monotonic() - told < 25, "killed by now"
    proxy.mode = "pass"
    assert arena.drive(arena.resume()) == 0, arena.output
    arena.check(trials=40, retrained=1)
    assert "keeps artifacts in" not in arena.output, "the server takes them itself"


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_server_that_is_away_from_the_first_trial_to_the_last(watched):
    arena, proxy = watched.arena, watched.proxy
    watched.start(arena.launch("--model.epoch_seconds", "3", trials=60))
    watched.train(1)
    proxy.mode = "hang"
    watched.train(200, seconds=900)  # ten minutes
    assert arena.forge.wait() == 0, arena.output
    assert "points for MLflow" in arena.output
    proxy.mode = "pass"
    assert arena.drive(arena.resume()) == 0, arena.output
    arena.check(trials=60, retrained=0)
