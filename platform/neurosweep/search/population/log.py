"""`population.jsonl`: every decision and every segment's end, written before it is acted on.

A resume reads it again. A decision is a pure function of what is above it in the file, so a driver that is killed
before it has written one takes the same one again.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from neurosweep.search.population.decisions import Step


@dataclass(frozen=True)
class SegmentEnd:
    """How a member's generation ended.

    Args:
        generation: Counted from 0.
        member: Its number.
        score: First objective after the last epoch; None if the member failed.
        values: Objectives of the member's kept checkpoint; None if it failed.
        failure: A `Failure`, if it failed.
        message: One line on the failure.
    """

    generation: int
    member: int
    score: float | None = None
    values: tuple[float, ...] | None = None
    failure: str | None = None
    message: str = ""


@dataclass(frozen=True)
class Generation:
    """A generation as the log tells it.

    Args:
        number: Counted from 0.
        steps: How its members began, by number.
        ends: How those ended that have.
    """

    number: int
    steps: Mapping[int, Step]
    ends: Mapping[int, SegmentEnd] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether all members have ended it."""
        return len(self.ends) == len(self.steps)


@dataclass(frozen=True)
class PopulationHead:
    """First line of the log: what cannot change in a resume.

    Args:
        method: `pbt`, `pb2` or `bt_pbt`.
        generation_epochs: Epochs of a generation.
        max_epochs: Epochs of a member in all.
        data_seed: Seed of the data module, the same for all members.
        seeds: Seed of each member, by number.
        mutable: Dotted names of the hyperparameters that change.
    """

    method: str
    generation_epochs: int
    max_epochs: int
    data_seed: int
    seeds: tuple[int, ...]
    mutable: tuple[str, ...]


class PopulationLog:
    """The file of a population, open for appending.

    Args:
        path: `population.jsonl`; half a line at its end, left by a kill, is cut off.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if path.exists():
            content = path.read_bytes()
            os.truncate(path, content.rfind(b"\n") + 1)

    def append(self, *entries: PopulationHead | Sequence[Step] | SegmentEnd, generation: int = 0) -> None:
        """Write entries, and return once they are on the disk.

        Args:
            entries: The head, the steps that begin a generation, or a segment's end.
            generation: The generation that steps begin.
        """
        lines = "".join(f"{json.dumps(_as_line(entry, generation))}\n" for entry in entries)
        with self._path.open("ab") as file:
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())


def read_population(path: Path) -> tuple[PopulationHead | None, list[Generation]]:
    """Read a log: its head, None if nothing has been written, and the generations that have begun.

    Half a line at the end, which a driver may be writing, is left out.
    """
    if not path.exists():
        return None, []
    head: PopulationHead | None = None
    generations: list[Generation] = []
    ends: dict[int, SegmentEnd] = {}
    for line in path.read_bytes().splitlines(keepends=True):
        if not line.endswith(b"\n"):
            break
        content = json.loads(line)
        match content.pop("kind"):
            case "population":
                head = PopulationHead(**{key: _frozen(value) for key, value in content.items()})
            case "generation":
                steps = {one["member"]: Step(**one) for one in content["steps"]}
                ends = {}
                generations.append(Generation(content["generation"], steps, ends))
            case "end":
                end = SegmentEnd(**{key: _frozen(value) for key, value in content.items()})
                ends.setdefault(end.member, end)
    return head, generations


def _as_line(entry: Any, generation: int) -> dict[str, Any]:
    if isinstance(entry, PopulationHead):
        return {"kind": "population", **asdict(entry)}
    if isinstance(entry, SegmentEnd):
        return {"kind": "end", **asdict(entry)}
    return {"kind": "generation", "generation": generation, "steps": [asdict(one) for one in entry]}


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
