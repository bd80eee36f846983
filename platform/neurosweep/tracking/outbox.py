"""The outbox: every metric point of a trial in a local file, before anything is sent."""

import json
import logging
import os
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from neurosweep.errors import StorageError
from neurosweep.layout import SweepFolder, TrialFolder
from neurosweep.naming import EPOCH_SECONDS
from neurosweep.records import MetricPoint

logger = logging.getLogger(__name__)

BATCH = 1000
"""Points in one request: MLflow's limit."""


def now_ms() -> int:
    """Return the present as a timestamp of MLflow, ms since 1970."""
    return time.time_ns() // 1_000_000


class Outbox:
    """Metric points of one trial, each key and step once.

    The first point of a key and step stays, also over restarts: a trial that resumes may report an epoch
    again with another timestamp, and MLflow would keep both. One process appends; readers may read meanwhile.

    Args:
        folder: The trial's folder; made with the first point.
    """

    def __init__(self, folder: TrialFolder) -> None:
        self._path = folder.metrics
        _cut_torn_line(self._path)
        points, self._end = read_points(self._path, 0, limit=None)
        self._seen = {(point.key, point.step) for point in points}

    def append(self, points: Iterable[MetricPoint]) -> list[MetricPoint]:
        """Append the points that are new, in one write.

        Returns:
            The new ones.

        Raises:
            StorageError: If they cannot be written; the file is then as before.
        """
        new: dict[tuple[str, int], MetricPoint] = {}
        for point in points:
            identity = (point.key, point.step)
            if identity not in self._seen:
                new.setdefault(identity, point)
        if new:
            self._write("".join(f"{json.dumps(asdict(point))}\n" for point in new.values()).encode())
            self._seen.update(new)
        return list(new.values())

    def unsent(self, offset: int) -> tuple[list[MetricPoint], int]:
        """Return at most `BATCH` points from a position in the file on, and the position after them."""
        return read_points(self._path, offset, limit=BATCH)

    def _write(self, lines: bytes) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(lines)
        except OSError as error:
            _truncate(self._path, self._end)
            raise StorageError(
                f"The metrics of a trial cannot be written to {self._path}: {error}",
                "Free space or mend the permissions, then continue with `neurosweep resume`.",
            ) from error
        self._end += len(lines)


def read_points(path: Path, offset: int, *, limit: int | None) -> tuple[list[MetricPoint], int]:
    """Read complete lines from a position on.

    Args:
        path: An outbox file; an absent one is empty.
        offset: Position in bytes, as returned before. One that is no start of a line, as when a power cut has
            shortened the file, means the beginning: sending twice changes nothing.
        limit: Number of points to stop at, or None for all.

    Returns:
        The points, and the position after them.
    """
    points: list[MetricPoint] = []
    if not path.exists():
        return points, 0
    with path.open("rb") as file:
        if not _starts_line(file.fileno(), offset):
            offset = 0
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n") or len(points) == limit:
                break
            offset += len(line)
            point = _parse(line)
            if point is None:
                logger.warning("a damaged line of %s is left out: %.80r", path, line)
            else:
                points.append(point)
    return points, offset


def training_seconds(folder: SweepFolder) -> float:
    """Add up what the trials' epochs took, s; an epoch that was trained twice counts once."""
    return sum(
        point.value
        for path in folder.trials_root.glob("*/metrics.jsonl")
        for point in read_points(path, 0, limit=None)[0]
        if point.key == EPOCH_SECONDS
    )


def count_points(path: Path, offset: int) -> int:
    """Count the points from a position on."""
    return len(read_points(path, offset, limit=None)[0])


def _parse(line: bytes) -> MetricPoint | None:
    try:
        return MetricPoint(**json.loads(line))
    except (ValueError, TypeError):
        return None


def _starts_line(descriptor: int, offset: int) -> bool:
    return offset == 0 or os.pread(descriptor, 1, offset - 1) == b"\n"


def _cut_torn_line(path: Path) -> None:
    """Remove what a killed process wrote of its last line."""
    if path.exists():
        content = path.read_bytes()
        _truncate(path, content.rfind(b"\n") + 1)


def _truncate(path: Path, size: int) -> None:
    if path.exists() and path.stat().st_size > size:
        os.truncate(path, size)
