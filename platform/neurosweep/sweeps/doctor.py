"""`neurosweep doctor`: is this machine fit for sweeps, and is MLflow in line with them?"""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from neurosweep.errors import NeurosweepError, SweepExistsError
from neurosweep.experiments import Experiment, available_experiments
from neurosweep.layout import SweepFolder, sweeps_in
from neurosweep.sweeps.capacity import local_capacity
from neurosweep.sweeps.cluster import ray_cluster
from neurosweep.sweeps.inspection import read_sweep
from neurosweep.sweeps.lease import describe_driver, driver_lease
from neurosweep.sweeps.preparation import connect_store, storage_root
from neurosweep.tracking import Mirror, reconcile

_PACKAGES = ("torch", "pytorch-lightning", "ray", "optuna", "mlflow", "numpy")
_LEAST_FREE_BYTES = 2 * 2**30
_COMPROMISED_LIGHTNING = {"2.6.2", "2.6.3"}


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Args:
        healthy: Whether it is as it should be.
        text: What was found, and the cure if it is not.
    """

    healthy: bool
    text: str


def examine(storage: str, *, address: str | None = None) -> Iterator[Finding]:
    """Look at packages, imports, machine, cluster and storage, then reconcile every sweep with MLflow.

    Args:
        storage: Folder of the sweeps.
        address: A Ray cluster to look at as well.
    """
    yield from _packages()
    yield _platform_module()
    yield from _families()
    machine = local_capacity()
    yield Finding(True, f"this machine: {machine.cpus:g} CPUs, {machine.gpus:g} GPUs")
    if address is not None:
        yield _cluster(address)
    root = storage_root(storage)
    yield _disk(root)
    if not root.is_dir():
        yield Finding(True, f"storage {root}: no sweeps yet")
        return
    for folder in sweeps_in(root):
        yield _reconcile(folder)


def _packages() -> Iterator[Finding]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            yield Finding(False, f"{name} is not installed: run `make install`")
    yield Finding(True, "packages: " + ", ".join(f"{name} {number}" for name, number in found.items()))
    if found.get("pytorch-lightning") in _COMPROMISED_LIGHTNING:
        yield Finding(False, "this release of pytorch-lightning was compromised: install 2.6.4 or later")
    try:
        version("lightning")
    except PackageNotFoundError:
        return
    yield Finding(False, "`lightning` is installed beside `pytorch_lightning`: `pip uninstall lightning`")


def _platform_module() -> Finding:
    import platform

    inside = "neurosweep" in str(Path(platform.__file__).parent)
    shadowed = not hasattr(platform, "python_version") or inside
    return Finding(
        not shadowed,
        "the standard library's `platform` is shadowed: remove platform/__init__.py"
        if shadowed
        else f"Python {platform.python_version()} at {sys.executable}",
    )


def _families() -> Iterator[Finding]:
    for name, experiment in available_experiments().items():
        if not isinstance(experiment, Experiment):
            yield Finding(False, f"the registered experiment `{name}` cannot be loaded: {experiment}")


def _cluster(address: str) -> Finding:
    try:
        with ray_cluster(address) as capacity:
            return Finding(
                True,
                f"{capacity.where}: {len(capacity.nodes)} nodes, {capacity.cpus:g} CPUs, {capacity.gpus:g} GPUs",
            )
    except NeurosweepError as error:
        return Finding(False, str(error))


def _disk(root: Path) -> Finding:
    there = root
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    writable = os.access(there, os.W_OK)
    return Finding(
        writable and free > _LEAST_FREE_BYTES,
        f"storage {root}: {free / 2**30:.1f} GiB free" + ("" if writable else ", but it cannot be written"),
    )


def _reconcile(folder: SweepFolder) -> Finding:
    """Deliver what a dead driver left behind; leave a sweep alone that a living one runs."""
    name = folder.name
    try:
        with driver_lease(folder):
            sweep = read_sweep(folder, owned=False)  # not before: a driver may have gone on until now
            mirror = Mirror(
                connect_store(sweep.config, sweep.experiment),
                folder,
                keep_checkpoints=sweep.config.tracking.keep_checkpoints,
            )
            mirror.open_sweep(tags={}, parameters={}, artifacts={})
            done = reconcile(mirror, sweep.records)
            mirror.close_sweep(
                "finished" if sweep.end.is_success else "interrupted",
                end=sweep.end.value,
                files={},
                metrics={},
            )
    except SweepExistsError:
        return Finding(True, f"sweep {name}: running ({describe_driver(folder)})")
    except NeurosweepError as error:
        return Finding(False, f"sweep {name}: {error}")
    if done.failed:
        return Finding(False, f"sweep {name}: trials {done.failed} could not be sent to MLflow; see the log")
    return Finding(True, f"sweep {name}: {sweep.state}; MLflow agrees ({done.ended} stale runs ended)")
