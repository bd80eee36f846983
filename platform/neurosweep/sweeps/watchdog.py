"""Noticing that the whole cluster has died under a living driver.

Calls into Ray then block for minutes, and in the end Ray would exit the process from C++, with runs left RUNNING.
So what talks to Ray runs in a thread, and the main thread watches the cluster from outside, by its sockets.
"""

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from neurosweep.errors import ClusterLostError

HEAD, OWN_NODE = "head (GCS)", "node of this driver"
PROBE_SECONDS = 2.0
GCS_PATIENCE_SECONDS = 25.0
"""A head with a persistent store may come back; Ray's own patience is 60 s."""
RAYLET_PATIENCE_SECONDS = 2.0
"""A raylet that refuses connections is gone for good. Ray takes 15 s to tell the driver, and may then end it."""
_CONNECT_SECONDS = 3.0


@dataclass(frozen=True)
class ClusterSockets:
    """Where the cluster's head and the driver's own raylet listen.

    Args:
        gcs: `host:port`.
        raylet: Path of a Unix socket, or None if there is none on this machine.
    """

    gcs: str
    raylet: str | None

    def missing(self) -> str | None:
        """Say which of the two refuses connections, if one does."""
        if self.raylet is not None and _refused(self.raylet):
            return OWN_NODE
        host, _, port = self.gcs.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
        except OSError:
            return HEAD
        return None


def _refused(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_CONNECT_SECONDS)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except OSError:  # a raylet that is too busy to answer is alive
            return False
    return False


def cluster_sockets() -> ClusterSockets:
    """Return the sockets of the cluster that this process has joined."""
    import ray
    from ray._private import worker

    node = getattr(worker, "_global_node", None)
    return ClusterSockets(
        gcs=ray.get_runtime_context().gcs_address, raylet=None if node is None else node.raylet_socket_name
    )


class Watchdog:
    """Remembers since when a part of the cluster has been missing.

    Args:
        missing: Says which part refuses connections now, if one does.
    """

    def __init__(self, missing: Callable[[], str | None]) -> None:
        self._missing = missing
        self._probed = time.monotonic()
        self._since: float | None = None

    def lost(self) -> str | None:
        """Return the part that has been missing for too long, if one has; probe when it is time to."""
        now = time.monotonic()
        pause = PROBE_SECONDS if self._since is None else 1.0
        if now - self._probed < pause:
            return None
        self._probed = now
        part = self._missing()
        if part is None:
            self._since = None
            return None
        if self._since is None:
            self._since = now
        patience = GCS_PATIENCE_SECONDS if part == HEAD else RAYLET_PATIENCE_SECONDS
        return part if now - self._since >= patience else None


def run_watched(work: Callable[[], None], *, missing: Callable[[], str | None], remedy: str) -> None:
    """Run `work` in a thread until it ends or the cluster is lost.

    Args:
        work: Talks to Ray. It may hang in Ray for ever when the cluster is lost, and is left there.
        missing: Says which part of the cluster refuses connections now, if one does.
        remedy: What to do about a lost cluster.

    Raises:
        ClusterLostError: If the cluster is lost.
    """
    raised: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            work()
        except BaseException as error:  # it belongs to the main thread
            raised.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="neurosweep-tune", daemon=True).start()
    watchdog = Watchdog(missing)
    while not done.wait(0.2):
        part = watchdog.lost()
        if part is not None:
            raise _lost(part, remedy)
    if raised:
        part = _missing_after(raised[0], missing)
        if part is not None:
            raise _lost(part, remedy) from raised[0]
        raise raised[0]


def _missing_after(error: BaseException, missing: Callable[[], str | None]) -> str | None:
    """Say which part is gone; Ray may notice first, and then says that an object or an actor is."""
    patience = RAYLET_PATIENCE_SECONDS if type(error).__module__.startswith("ray.") else 0.0
    deadline = time.monotonic() + patience
    while (part := missing()) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    return part


def _lost(part: str, remedy: str) -> ClusterLostError:
    return ClusterLostError(f"The Ray cluster is gone: its {part} does not answer any more.", remedy)
