"""Joining or starting Ray, and what its machines have."""

import logging
import math
import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurosweep.config import ResourceConfig
from neurosweep.errors import ResourceError

logger = logging.getLogger(__name__)

_OBJECT_STORE_FLOOR = 200 * 2**20
"""Bytes; Ray's default, a third of the memory, is far more than recordings need."""

_NODES_SECONDS = 1.0
"""How old what is known of the nodes may be."""

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # A driver whose cluster has died winds down by itself (`watchdog.py`): Ray would exit without a word after 60 s,
    # and start or join another cluster on the next call from any thread.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "300",
    "RAY_ENABLE_AUTO_CONNECT": "0",
    # `StudySearcher` says how many trials run at the same time. Tune's own limit would be fixed at the start, and
    # without one it starts workers one after another.
    "TUNE_MAX_PENDING_TRIALS_PG": "1000000",
    # A reused worker whose trial takes longer than this to unwind hangs the sweep for ever; the default is 2 s.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",
    # The study is the memory; Tune's own snapshots would only cost time.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # it prints a banner even when it is told to be silent
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}

_LONE_NODE = {"health_check_initial_delay_ms": 600_000, "health_check_period_ms": 600_000}
"""Of a cluster of this machine alone. Its head has no other node to tell that this one is lost, and where the driver
is told, Ray ends its process from C++ (plasma: "Terminate the process"), without a word and with runs left RUNNING.
`watchdog.py` notices the loss within seconds, and the driver winds down."""


@dataclass(frozen=True)
class Capacity:
    """What a cluster has in total.

    Args:
        cpus: CPU cores.
        gpus: GPUs.
        nodes: Machines.
        where: `this machine` or the cluster's address.
    """

    cpus: float
    gpus: float
    nodes: int
    where: str

    def slots(self, resources: ResourceConfig) -> int:
        """Return how many trials fit at the same time.

        Raises:
            ResourceError: If not even one fits.
        """
        workers = resources.workers_per_trial
        spread = f" for each of its {workers} workers" if workers > 1 else ""
        fewer = ", or `--workers-per-trial`" if workers > 1 else ""
        gpu_workers = _gpu_workers(self.gpus, resources.gpus_per_trial)
        if resources.gpus_per_trial and gpu_workers < workers:
            raise ResourceError(
                f"A trial asks for {resources.gpus_per_trial:g} GPUs{spread}, but {self.where} has {self.gpus:g}.",
                f"Lower `--gpus-per-trial` (a fraction such as 0.25 is possible){fewer}, or give the `--address` "
                "of a cluster that has them.",
            )
        if resources.cpus_per_trial * workers > self.cpus:
            raise ResourceError(
                f"A trial asks for {resources.cpus_per_trial:g} CPUs{spread}, but {self.where} has {self.cpus:g}.",
                f"Lower `--cpus-per-trial`{fewer}, or give the `--address` of a larger cluster.",
            )
        return self.fitting(resources)

    def fitting(self, resources: ResourceConfig) -> int:
        """Return how many trials fit at the same time, which may be none."""
        workers = resources.workers_per_trial
        fitting = int(self.cpus // (resources.cpus_per_trial * workers))
        if resources.gpus_per_trial:
            fitting = min(fitting, _gpu_workers(self.gpus, resources.gpus_per_trial) // workers)
        return min(fitting, resources.concurrency or fitting)


def _gpu_workers(gpus: float, each: float) -> int:
    if not each:
        return 0
    if each < 1:
        return int(gpus) * int(1 / each + 1e-9)  # a worker's fraction lies on one GPU
    return int(gpus // each)


def local_capacity() -> Capacity:
    """Return what this machine has, without starting anything."""
    import torch

    return Capacity(
        cpus=float(len(os.sched_getaffinity(0))),
        gpus=float(torch.cuda.device_count()),
        nodes=1,
        where="this machine",
    )


def set_environment() -> None:
    """Set what Ray and Tune read from the environment; it must precede their import.

    Ray 2.60 turns token authentication on by itself and writes the token where everybody on the machine can read
    it. The token that is made here stays in the environment of this process and of those that Ray starts. For a
    cluster, RAY_AUTH_MODE and its token are the user's to set.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if "RAY_AUTH_MODE" not in os.environ and "ray" not in sys.modules:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


@contextmanager
def ray_cluster(address: str, *, data_bytes: int = 0) -> Iterator[Capacity]:
    """Start Ray on this machine, or join a cluster, for the length of the block.

    A Ray that this process has initialised already is used as it is and left alone.

    Args:
        address: `local`, `auto` or `host:port`.
        data_bytes: Size of the data that the trials will share.

    Raises:
        ResourceError: If the cluster cannot be joined.
    """
    set_environment()
    import ray

    if ray.is_initialized():
        yield capacity_of_ray(address)
        return
    _initialise(address, data_bytes)
    try:
        yield capacity_of_ray(address)
    finally:
        ray.shutdown()


def _initialise(address: str, data_bytes: int) -> None:
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        options |= {
            "num_cpus": len(os.sched_getaffinity(0)),
            "object_store_memory": max(_OBJECT_STORE_FLOOR, 3 * data_bytes),
            "include_dashboard": False,
            "_system_config": _LONE_NODE,
        }
    else:
        options["runtime_env"] = {"py_modules": _our_packages()}
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ResourceError(
            f"The Ray cluster at `{address}` cannot be joined: {error}",
            "Check the address with `ray status`, and RAY_AUTH_MODE and its token, or leave `--address` out to "
            "run on this machine.",
        ) from error


def _our_packages() -> list[str]:
    """Ship the code that the driver runs: a cluster's own copy may be another version."""
    import importlib.util

    found = []
    for name in ("neurosweep", "lightning_modules", "search_spaces"):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            found.append(str(Path(spec.origin).parent))
    return found


def capacity_of_ray(address: str) -> Capacity:
    """Return what the joined cluster has."""
    import ray

    total = ray.cluster_resources()
    return Capacity(
        cpus=total.get("CPU", 0.0),
        gpus=total.get("GPU", 0.0),
        nodes=sum(1 for node in ray.nodes() if node["Alive"]),
        where="this machine" if address == "local" else f"the cluster at `{address}`",
    )


class NodeWatch:
    """Which nodes there are, and how many trials fit on them: nodes come and go while a sweep runs.

    Args:
        resources: What a trial needs.
    """

    def __init__(self, resources: ResourceConfig) -> None:
        self._resources = resources
        self._read_at = -math.inf
        self._nodes: list[dict[str, Any]] = []
        self._slots = 1

    def slots(self) -> int:
        """Return how many trials fit at the same time; at least one, which then waits for a node to come back."""
        self._refresh()
        return self._slots

    def is_alive(self, node: str) -> bool:
        """Whether Ray takes the node for alive."""
        self._refresh()
        return any(one["NodeID"] == node and one["Alive"] for one in self._nodes)

    def may_outlive(self, node: str) -> bool:
        """Whether the driver would go on without this node: not without its own."""
        import ray

        return node != ray.get_runtime_context().get_node_id()

    def node_of(self, error: BaseException | None) -> str | None:
        """Return the id of the node on which the actor ran that an error of Ray is about."""
        from ray._private import state  # `ray.util.state` needs the dashboard

        actor = getattr(error, "actor_id", None)
        if actor is None:
            return None
        try:
            node = state.actors(actor)["Address"]["NodeID"]
        except Exception:  # an internal interface; without its answer a loss is judged by the error alone
            logger.warning("Ray does not say where actor %s ran", actor, exc_info=True)
            return None
        self._refresh()
        known = any(one["NodeID"] == node for one in self._nodes)
        return node if known else None  # an actor that never started has none

    def _refresh(self) -> None:
        if time.monotonic() - self._read_at < _NODES_SECONDS:
            return
        import ray

        self._nodes = ray.nodes()
        self._read_at = time.monotonic()
        total = Counter[str]()
        for node in self._nodes:
            if node["Alive"]:
                total.update(node["Resources"])
        capacity = Capacity(cpus=total["CPU"], gpus=total["GPU"], nodes=len(self._nodes), where="")
        slots = max(1, capacity.fitting(self._resources))
        if slots != self._slots:
            logger.info("%d trials fit at the same time", slots)
        self._slots = slots
