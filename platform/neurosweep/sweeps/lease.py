"""The lease that makes one driver at a time the owner of a sweep."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from filelock import FileLock, Timeout

from neurosweep.errors import SweepExistsError
from neurosweep.layout import SweepFolder, read_json, write_json

_GLANCE_SECONDS = 0.5
"""`is_owned` holds the lock for a moment, which must not look like a driver."""


@contextmanager
def driver_lease(folder: SweepFolder) -> Iterator[None]:
    """Own the sweep while the block runs.

    The lock belongs to the process: the kernel frees it however the process ends, SIGKILL included.

    Raises:
        SweepExistsError: If another driver owns the sweep.
    """
    lock = FileLock(str(folder.lock))
    try:
        lock.acquire(timeout=_GLANCE_SECONDS, poll_interval=0.02)
    except Timeout as error:
        raise SweepExistsError(
            f"The sweep `{folder.name}` is being run by {describe_driver(folder)}.",
            f"Watch it with `neurosweep status {folder.name}`, or stop that driver first.",
        ) from error
    try:
        write_json(
            folder.driver,
            {
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "started": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        )
        yield
    finally:
        lock.release()


def is_owned(folder: SweepFolder) -> bool:
    """Whether a living driver owns the sweep."""
    if not folder.lock.exists():
        return False
    lock = FileLock(str(folder.lock))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def describe_driver(folder: SweepFolder) -> str:
    """Say who holds, or last held, the lease."""
    driver = read_json(folder.driver)
    if not driver:
        return "another driver"
    return f"process {driver['pid']} on {driver['host']}, since {driver['started']}"
