"""Telling apart why a trial ended badly."""

import errno

from neurosweep.errors import NeurosweepError
from neurosweep.naming import Failure

_TORN_ZIP = ("PytorchStreamWriter failed writing", "unexpected pos")
"""What torch's own zip writer, which loses errno, says when it cannot write on."""


class DivergedError(NeurosweepError):
    """The objective is NaN or infinite."""


class MissingObjectiveError(NeurosweepError):
    """The module does not log a metric that its experiment names."""


def is_full_disk(error: BaseException) -> bool:
    """Whether the error, or one that it came from, says that storage is full."""
    return any(
        isinstance(one, OSError) and one.errno in (errno.ENOSPC, errno.EDQUOT) for one in _chain(error)
    ) or any(
        isinstance(one, RuntimeError) and any(text in str(one) for text in _TORN_ZIP) for one in _chain(error)
    )


def is_lost_worker(error: BaseException) -> bool:
    """Whether the error says that another worker of the trial, or the trial's own process, is gone."""
    return any(_is_broken_connection(one) for one in _chain(error))


def classify(error: BaseException) -> Failure:
    """Say which kind of failure an exception of a trial is."""
    for one in _chain(error):
        if isinstance(one, DivergedError | FloatingPointError):
            return Failure.DIVERGED
        if isinstance(one, MemoryError) or _is_torch_out_of_memory(one):
            return Failure.OUT_OF_MEMORY
    return Failure.RAISED


def _is_broken_connection(error: BaseException) -> bool:
    """Gloo raises a bare RuntimeError, NCCL and the rendezvous store have classes of their own."""
    kinds = {one.__name__ for one in type(error).__mro__}
    if kinds & {"DistNetworkError", "DistStoreError", "RayActorError", "OwnerDiedError"}:
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("gloo" in text or "NCCL" in text)


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
