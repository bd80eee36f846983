"""Which nodes a cluster has: they come and go while a sweep runs."""

import logging
import math
import time
from typing import Any

from neurosweep.config import ResourceConfig
from neurosweep.sweeps.capacity import capacity_of

logger = logging.getLogger(__name__)

_NODES_SECONDS = 1.0
"""How old what is known of the nodes may be."""


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
        slots = max(1, capacity_of(self._nodes, where="").fitting(self._resources))
        if slots != self._slots:
            logger.info("%d trials fit at the same time", slots)
        self._slots = slots
