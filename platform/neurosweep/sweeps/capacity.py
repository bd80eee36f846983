"""How many trials fit on the machines that there are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import joblib

from neurosweep.config import ResourceConfig
from neurosweep.errors import ResourceError


@dataclass(frozen=True)
class Node:
    """What a machine has in total.

    Args:
        cpus: CPU cores.
        gpus: GPUs.
    """

    cpus: float
    gpus: float = 0.0

    def workers(self, resources: ResourceConfig) -> int:
        """Return how many workers of trials fit at the same time; each has to lie on one machine."""
        fitting = int(self.cpus / resources.cpus_per_trial + 1e-9)
        if resources.gpus_per_trial:  # at most 1: a worker's fraction lies on one GPU
            fitting = min(fitting, int(self.gpus) * int(1 / resources.gpus_per_trial + 1e-9))
        return fitting


@dataclass(frozen=True)
class Capacity:
    """What a cluster has.

    Args:
        nodes: Its machines.
        where: `this machine` or the cluster's address.
    """

    nodes: tuple[Node, ...]
    where: str

    @property
    def cpus(self) -> float:
        """CPU cores of all machines."""
        return sum(node.cpus for node in self.nodes)

    @property
    def gpus(self) -> float:
        """GPUs of all machines."""
        return sum(node.gpus for node in self.nodes)

    def slots(self, resources: ResourceConfig) -> int:
        """Return how many trials fit at the same time.

        Raises:
            ResourceError: If not even one fits.
        """
        fitting = self.fitting(resources)
        if not fitting:
            raise self._too_small(resources)
        return fitting

    def fitting(self, resources: ResourceConfig) -> int:
        """Return how many trials fit at the same time, which may be none; workers of one may lie on several nodes."""
        workers = sum(node.workers(resources) for node in self.nodes)
        fitting = workers // resources.workers_per_trial
        return min(fitting, resources.concurrency or fitting)

    def _too_small(self, resources: ResourceConfig) -> ResourceError:
        workers = resources.workers_per_trial
        spread = f" for each of its {workers} workers" if workers > 1 else ""
        fewer = ", or `--workers-per-trial`" if workers > 1 else ""
        gpus = resources.gpus_per_trial
        if gpus and int(self.gpus) * int(1 / gpus + 1e-9) < workers:
            return ResourceError(
                f"A trial asks for {gpus:g} GPUs{spread}, but {self.where} has {self.gpus:g}.",
                f"Lower `--gpus-per-trial` (a fraction such as 0.25 is possible){fewer}, or give the `--address` "
                "of a cluster that has them.",
            )
        if resources.cpus_per_trial * workers > self.cpus:
            return ResourceError(
                f"A trial asks for {resources.cpus_per_trial:g} CPUs{spread}, but {self.where} has {self.cpus:g}.",
                f"Lower `--cpus-per-trial`{fewer}, or give the `--address` of a larger cluster.",
            )
        machines = ", ".join(f"{node.cpus:g} CPUs and {node.gpus:g} GPUs" for node in self.nodes)
        return ResourceError(
            f"A trial asks for {resources.cpus_per_trial:g} CPUs and {gpus:g} GPUs{spread}, which have to lie on one "
            f"machine, but {self.where} has machines of {machines}.",
            f"Lower `--cpus-per-trial` or `--gpus-per-trial`{fewer}.",
        )


def local_capacity() -> Capacity:
    """Return what this machine has, without starting anything."""
    import torch

    node = Node(cpus=float(usable_cpus()), gpus=float(torch.cuda.device_count()))
    return Capacity((node,), where="this machine")


def usable_cpus() -> int:
    """Return how many CPU cores this process may use: affinity and the quota of a container count."""
    return joblib.cpu_count()


def capacity_of(nodes: Iterable[Mapping[str, Any]], where: str) -> Capacity:
    """Return what the living ones of Ray's nodes have.

    Args:
        nodes: What `ray.nodes()` returns.
        where: `this machine` or the cluster's address.
    """
    found = [node["Resources"] for node in nodes if node["Alive"]]
    return Capacity(tuple(Node(one.get("CPU", 0.0), one.get("GPU", 0.0)) for one in found), where)
