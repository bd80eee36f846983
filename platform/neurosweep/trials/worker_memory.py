"""Memory that a worker does not give back between trials."""

import ctypes
import gc

import psutil


class WorkerMemory:
    """Compares a reused worker with itself: how much more it holds than before its second trial.

    The first trial is no measure, because it brings the libraries in.
    """

    def __init__(self) -> None:
        self._trials_begun = 0
        self._baseline_mb = 0.0

    def excess_before_trial(self, limit_mb: float) -> float | None:
        """Measure before a trial; return how much the worker has grown, MB, if that is more than the limit."""
        self._trials_begun += 1
        if self._trials_begun == 1:
            return None
        if self._trials_begun == 2:
            self._baseline_mb = _held_mb()
            return None
        if self._growth_mb() > limit_mb:
            free_memory()  # an exception of the trial before may have held on to it
            if (growth := self._growth_mb()) > limit_mb:
                return growth
        return None

    def _growth_mb(self) -> float:
        return _held_mb() - self._baseline_mb


def free_memory() -> None:
    """Give back what a trial has left: reference cycles, cached GPU blocks, free pages of the allocator."""
    gc.collect()
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's, which keeps freed pages otherwise
    if trim is not None:
        trim(0)


def spare_the_imports() -> None:
    """Take what the libraries have brought out of every later garbage collection: 0.2 s for each trial."""
    if not gc.get_freeze_count():
        from neurosweep.trials import build, reporting  # noqa: F401

        gc.collect()
        gc.freeze()


def _held_mb() -> float:
    import torch

    gpu = torch.cuda.memory_allocated() if torch.cuda.is_initialized() else 0
    return (psutil.Process().memory_info().rss + gpu) / 1e6
