"""Events of OpenNeuro ds001246: what was shown or imagined in each block of a run."""

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lightning_modules.icgan.recordings.pointers import refuse_pointer
from lightning_modules.icgan.recordings.stimulus_ids import decode_ids
from lightning_modules.parts.errors import DataError

ID_COLUMNS = {"stimulus": "stimulus_id", "imagery": "category_id"}
"""Kinds of event that make a row, and the column that says of what. An imagined category is a synset."""


class Block(NamedTuple):
    """One block of a run.

    Args:
        onset: s from the start of the run.
        duration: s.
        stimulus: Synset and image number; image 0 for imagery.
    """

    onset: float
    duration: float
    stimulus: tuple[int, int]


def read_blocks(path: Path) -> tuple[Block, ...]:
    """Read the stimulus or imagery blocks of an `_events.tsv`, repeats included.

    Raises:
        DataError: If the file cannot be read, lacks a column, or holds a value that is none.
    """
    lines = _lines(path)
    header = list(lines[0]) if lines else []
    columns = [column for column in ID_COLUMNS.values() if column in header]
    lacking = [name for name in ("onset", "duration", "event_type") if name not in header]
    if lacking or not columns:
        lacking += [] if columns else [f"{' or '.join(ID_COLUMNS.values())}"]
        raise DataError(
            f"{path} lacks {', '.join(lacking)}. Its columns: {', '.join(header) or 'none'}.",
            "Give the events of ds001246.",
        )
    return tuple(_block(line, path) for line in lines if line["event_type"] in ID_COLUMNS)


def drop_repeats(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """Take out blocks that show the same as the block before: the subject's one-back task.

    Source:
        icgan.md section 1.1: 1320 and 1925 blocks become 1200 and 1750.
    """
    return tuple(
        block
        for index, block in enumerate(blocks)
        if not index or block.stimulus != blocks[index - 1].stimulus
    )


def _lines(path: Path) -> list[dict[str, str]]:
    refuse_pointer(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}", "Fetch it again.") from error


def _block(line: dict[str, str], path: Path) -> Block:
    column = ID_COLUMNS[line["event_type"]]
    try:
        onset, duration = float(line["onset"]), float(line["duration"])
        (stimulus,) = decode_ids(np.array([float(line[column])]), path.name).tolist()
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: the {line['event_type']} at {line['onset']} s has no number as its onset, duration or "
            f"{column} ({error}).",
            "Fetch the file again.",
        ) from error
    return Block(onset, duration, (stimulus[0], stimulus[1]))
