"""What was lost when a trial's worker went away: its node, its memory, or the worker alone.

A node is taken from a trial by a spot market, an administrator or a broken cable, which says nothing about the
trial: such a loss is not counted. A worker that dies on a living node may have died of the trial, so these losses
are counted.
"""

from enum import StrEnum

import ray.exceptions


class Loss(StrEnum):
    """What was lost with a trial's worker."""

    NODE = "node"
    """The machine, or the connection to it: the trial is handed out again, however often that happens."""
    MEMORY = "memory"
    """Ray's memory monitor killed the worker, perhaps for a neighbour's sake: counted and retried."""
    WORKER = "worker"
    """The process died by itself on a living node: counted and retried."""


_NODE_DIED = "its node has died"
"""From the message of `ActorDiedError`, whose cause does not survive as data (ray/exceptions.py)."""


def judge_loss(error: BaseException | None, *, node_alive: bool | None) -> Loss:
    """Say what was lost.

    Args:
        error: Ray's error for the trial.
        node_alive: Whether the node that the trial ran on is alive; None if nobody knows.
    """
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return Loss.MEMORY
    # A raylet reports the death of a worker at once. "Unavailable" means that nobody could report: until Ray
    # declares the node dead, 15 s later by default, this is how its loss shows.
    if node_alive is False or isinstance(error, ray.exceptions.ActorUnavailableError):
        return Loss.NODE
    if isinstance(error, ray.exceptions.RayActorError) and (error.preempted or _NODE_DIED in str(error)):
        return Loss.NODE
    return Loss.WORKER
