"""The actor between the workers of all distributed trials and the trainables that lead them."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayActorError
from ray.util.placement_group import PlacementGroup, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

logger = logging.getLogger(__name__)

_PING_SECONDS = 1.0


@dataclass
class _Line:
    """What one run has to say, and which placement group it holds."""

    results: asyncio.Queue[dict[str, str]] = field(default_factory=asyncio.Queue)
    answers: asyncio.Queue[bool] = field(default_factory=asyncio.Queue)
    placement_group: PlacementGroup | None = None


class Switchboard:
    """Carries reports of runs to their trainables and answers back, and frees what a dead trainable held.

    The placement group of a Ray Train run outlives a trainable that is killed, and the next trial would wait for
    it for ever. Ray's own remedy asks the State API, which needs the dashboard, and gives up where the machine
    runs a second Ray. The switchboard belongs to the driver, so it outlives the trainables.
    """

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self._watches: set[asyncio.Task[None]] = set()

    async def open(self, run: str, trainable: Any) -> None:
        """Begin a run, and watch its trainable."""
        self._lines[run] = _Line()
        watch = asyncio.create_task(self._watch(run, trainable))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)

    async def close(self, run: str) -> None:
        """Forget a run that holds nothing any more."""
        self._lines.pop(run, None)

    async def occupy(self, run: str, placement_group: PlacementGroup) -> None:
        """Note what a run holds."""
        self._lines[run].placement_group = placement_group

    async def occupied(self, run: str) -> PlacementGroup | None:
        """Return what a run holds, or None while its workers are starting."""
        return self._lines[run].placement_group

    async def post(self, run: str, result: dict[str, str]) -> None:
        """Take a worker's last word."""
        await self._lines[run].results.put(result)

    async def ask(self, run: str, result: dict[str, str]) -> bool:
        """Take a report, and return whether the workers shall go on."""
        line = self._lines[run]
        await line.results.put(result)
        return await line.answers.get()

    async def take(self, run: str, seconds: float) -> dict[str, str] | None:
        """Return the next report, or None if there is none within this time."""
        results = self._lines[run].results
        if not results.empty():  # `wait_for` may not look, if it has no time
            return results.get_nowait()
        try:
            return await asyncio.wait_for(results.get(), seconds)
        except TimeoutError:
            return None

    async def answer(self, run: str, go_on: bool) -> None:
        """Answer the report that rank 0 waits with."""
        await self._lines[run].answers.put(go_on)

    async def _watch(self, run: str, trainable: Any) -> None:
        """A call to a busy actor waits for its turn, and fails as soon as the actor dies."""
        while run in self._lines:
            try:
                await trainable.ping.remote()
            except ActorUnavailableError:
                logger.warning("the trainable of run %s does not answer now", run, exc_info=True)
            except RayActorError:
                line = self._lines.pop(run, None)
                if line is not None and line.placement_group is not None:
                    logger.warning("the trainable of run %s died; its placement group is removed", run)
                    remove_placement_group(line.placement_group)
            await asyncio.sleep(_PING_SECONDS)


def start_switchboard() -> Any:
    """Start the switchboard of a sweep next to its driver; return the actor's handle."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0)(Switchboard).options(scheduling_strategy=here).remote()
