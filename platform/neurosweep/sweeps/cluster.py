"""Joining or starting Ray, and what its machines have."""

import logging
import os
import secrets
import sys
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

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # A reused worker whose trial takes longer than this to unwind hangs the sweep for ever; the default is 2 s.
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",
    # The study is the memory; Tune's own snapshots would only cost time.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # it prints a banner even when it is told to be silent
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


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
        if resources.gpus_per_trial > self.gpus:
            raise ResourceError(
                f"A trial asks for {resources.gpus_per_trial:g} GPUs, but {self.where} has {self.gpus:g}.",
                "Lower `--gpus-per-trial` (a fraction such as 0.25 is possible), or give the `--address` of a "
                "cluster that has them.",
            )
        if resources.cpus_per_trial > self.cpus:
            raise ResourceError(
                f"A trial asks for {resources.cpus_per_trial:g} CPUs, but {self.where} has {self.cpus:g}.",
                "Lower `--cpus-per-trial`, or give the `--address` of a larger cluster.",
            )
        fitting = int(self.cpus // resources.cpus_per_trial)
        if resources.gpus_per_trial:
            fitting = min(fitting, _gpu_slots(self.gpus, resources.gpus_per_trial))
        return min(fitting, resources.concurrency or fitting)


def _gpu_slots(gpus: float, per_trial: float) -> int:
    if per_trial < 1:
        return int(gpus) * int(1 / per_trial + 1e-9)  # a trial's fraction lies on one GPU
    return int(gpus // per_trial)


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
