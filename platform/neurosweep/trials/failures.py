"""Telling apart why a trial ended badly."""

import errno

from neurosweep.errors import NeurosweepError
from neurosweep.naming import Failure


class DivergedError(NeurosweepError):
    """The objective is NaN or infinite."""


class MissingObjectiveError(NeurosweepError):
    """The module does not log the objective of its experiment."""


def is_full_disk(error: BaseException) -> bool:
    """Whether the error, or one that it came from, says that storage is full."""
    return any(
        isinstance(one, OSError) and one.errno in (errno.ENOSPC, errno.EDQUOT) for one in _chain(error)
    ) or any(
        # torch writes checkpoints through its own zip writer, which loses errno.
        isinstance(one, RuntimeError) and "PytorchStreamWriter failed writing" in str(one)
        for one in _chain(error)
    )


def classify(error: BaseException) -> Failure:
    """Say which kind of failure an exception of a trial is."""
    for one in _chain(error):
        if isinstance(one, DivergedError | FloatingPointError):
            return Failure.DIVERGED
        if isinstance(one, MemoryError) or _is_torch_out_of_memory(one):
            return Failure.OUT_OF_MEMORY
    return Failure.RAISED


def _is_torch_out_of_memory(error: BaseException) -> bool:
    """CUDA's error has a class of its own; the CPU allocator raises a bare RuntimeError."""
    if type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text or "DefaultCPUAllocator" in text
    )


def _chain(error: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain
