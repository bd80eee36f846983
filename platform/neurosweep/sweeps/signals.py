"""Ctrl-C and SIGTERM: end cleanly, leave nothing lost, and say which one it was."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption(BaseException):
    """A signal came while there was nothing to wind down.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class SignalWatch:
    """Remembers the first signal, and passes it on to whoever can wind down."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._wind_down: Callable[[], None] | None = None

    def install(self) -> None:
        """Take SIGINT and SIGTERM; once more after `ray.init`, which puts a handler of its own on SIGTERM that aborts.

        Outside the main thread, where Python cannot, this does nothing.
        """
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self.handle)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take a signal: the first one asks to wind down, the next one stops at once."""
        again = self.received is not None
        self.received = number
        if again or self._wind_down is None:
            raise Interruption(number)
        self._wind_down()

    @contextmanager
    def winding_down(self, ask: Callable[[], None]) -> Iterator[None]:
        """While the block runs, answer a signal by calling `ask` instead of raising."""
        self._wind_down = ask
        try:
            yield
        finally:
            self._wind_down = None


@contextmanager
def watch_signals() -> Iterator[SignalWatch]:
    """Take SIGINT and SIGTERM while the block runs; outside the main thread, where Python cannot, do nothing."""
    watch = SignalWatch()
    if threading.current_thread() is not threading.main_thread():
        yield watch
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    watch.install()
    try:
        yield watch
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
