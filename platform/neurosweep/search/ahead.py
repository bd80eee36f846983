"""Asking a slow sampler for the next trial while others run."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import optuna


class AskAhead:
    """Keeps proposals ready, made in a thread of its own.

    A Gaussian process takes seconds for a proposal, for which the loop that serves all trials would stand still.
    A proposal that is made earlier knows less.

    Args:
        propose: Makes a trial in the study, or returns None where the sweep has all its trials.
        ready: How many proposals to keep, at least one.
    """

    def __init__(self, propose: Callable[[], optuna.Trial | None], *, ready: int) -> None:
        self._propose = propose
        self._ready = ready
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="neurosweep-ask")
        self._coming: deque[Future[optuna.Trial | None]] = deque()

    def take(self, *, wait: bool) -> optuna.Trial | None:
        """Return the oldest proposal, or None if there is none, or none yet.

        Args:
            wait: Whether to wait for one that is being made.
        """
        self._order()
        if not wait and not self._coming[0].done():
            return None
        trial = self._coming.popleft().result()
        if trial is not None:
            self._order()
        return trial

    def _order(self) -> None:
        while len(self._coming) < self._ready:
            self._coming.append(self._thread.submit(self._propose))

    def stop(self) -> None:
        """Make no more proposals; those that were not taken are unfinished trials of the study."""
        self._thread.shutdown(wait=True, cancel_futures=True)
