"""Joining or starting Ray."""

import logging
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neurosweep.errors import ResourceError
from neurosweep.sweeps.capacity import Capacity, capacity_of, usable_cpus

logger = logging.getLogger(__name__)

_OBJECT_STORE_FLOOR = 200 * 2**20
"""Bytes; Ray's default, a third of the memory, is far more than recordings need."""

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

    where = "this machine" if address == "local" else f"the cluster at `{address}`"
    if ray.is_initialized():
        yield capacity_of(ray.nodes(), where)
        return
    _initialise(address, data_bytes)
    try:
        yield capacity_of(ray.nodes(), where)
    finally:
        ray.shutdown()


def _initialise(address: str, data_bytes: int) -> None:
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        options |= {
            "num_cpus": usable_cpus(),
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
