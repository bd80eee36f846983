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
    """Remembers the latest signal, and passes it on to whoever can wind down."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._wind_down: Callable[[int], None] | None = None

    def install(self) -> None:
        """Take SIGINT and SIGTERM; once more after `ray.init`, which puts a handler of its own on SIGTERM that aborts.

        Outside the main thread, where Python cannot, this does nothing.
        """
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self.handle)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Pass the signal on, or stop at once where there is nothing to wind down."""
        self.received = number
        if self._wind_down is None:
            raise Interruption(number)
        self._wind_down(number)

    @contextmanager
    def winding_down(self, take_signal: Callable[[int], None]) -> Iterator[None]:
        """While the block runs, answer a signal by calling `take_signal` with it instead of raising."""
        self._wind_down = take_signal
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
