"""Stimulus ids of the Generic Object Decoding files: synset number + image number / 1e6, as one float64.

`n03626115_19498` is 3626115.019498. Neighbouring ids differ by 1e-6, far below what float32 resolves at that size
(0.125 to 1), so that ids become a pair of integers (synset, image) at once and are compared as such.
"""

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.recordings.pointers import refuse_pointer
from lightning_modules.parts.errors import DataError

Pairs: TypeAlias = NDArray[np.int64]
"""Synset and image number of each of n stimuli, (n, 2)."""

IMAGES_PER_SYNSET = 1_000_000
RESIDUAL = 1e-7
"""How far an id may lie from the next whole image number. The rounding itself cannot be further off than 5e-7."""
TRAINING_ORDER = "imageID_training.csv"
TEST_ORDER = "imageID_test.csv"
FLOAT32_HINT = (
    "They look truncated to float32, which cannot hold the image number: read the original file as float64."
)

_NAME = re.compile(r"n(\d{8})_(\d{1,6})")


class StimulusOrder(NamedTuple):
    """Which images were shown, in the order that every array of images or features follows.

    Args:
        training: Training images, (n, 2).
        test: Test images, (m, 2).
    """

    training: Pairs
    test: Pairs

    @property
    def pairs(self) -> Pairs:
        """All images, training before test, (n + m, 2)."""
        return np.concatenate([self.training, self.test])

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each image, in the order of `pairs`."""
        return names_of(self.pairs)


def decode_ids(values: NDArray[Any], source: str) -> Pairs:
    """Take float ids apart.

    Args:
        values: Ids, float64 (n,).
        source: File, for messages.

    Returns:
        Synset and image number, (n, 2). An id without an image, as imagery rows have, gets image 0.

    Raises:
        DataError: If the ids are not float64, not finite, negative, or no multiples of 1e-6.

    Source:
        icgan.md section 1.5; the rule of `KamitaniLab/GenericObjectDecoding`.
    """
    if values.dtype != np.float64:
        raise DataError(f"{source}: stimulus ids are {values.dtype}, not float64.", FLOAT32_HINT)
    wrong = ~np.isfinite(values) | (values < 0)
    if wrong.any():
        raise DataError(
            f"{source}: {int(wrong.sum())} of {len(values)} stimulus ids are negative or missing, the first in "
            f"row {np.flatnonzero(wrong)[0]}.",
            "Every row needs the id of what was shown, such as 3626115.019498.",
        )
    steps = np.rint(values * IMAGES_PER_SYNSET)
    off = np.abs(values - steps / IMAGES_PER_SYNSET) > RESIDUAL
    if off.any():
        raise DataError(
            f"{source}: {int(off.sum())} stimulus ids lie between two images, the first is "
            f"{values[off][0]:.9f}.",
            "An id is synset number + image number / 1e6 in float64.",
        )
    return np.stack(np.divmod(steps.astype(np.int64), IMAGES_PER_SYNSET), axis=1)


def encode_ids(pairs: Pairs) -> NDArray[np.float64]:
    """Float ids (n,) of pairs (n, 2); the inverse of `decode_ids`."""
    return pairs[:, 0] + pairs[:, 1] / IMAGES_PER_SYNSET


def parse_name(name: str) -> tuple[int, int]:
    """Synset and image number of a name such as `n03626115_19498`.

    Raises:
        DataError: If it is no such name.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise DataError(
            f"{name!r} is no stimulus name.",
            "Names are n, the synset in eight digits, _ and the image number: n03626115_19498.",
        )
    return int(match[1]), int(match[2])


def names_of(pairs: Pairs) -> tuple[str, ...]:
    """Names such as `n03626115_19498` of pairs (n, 2)."""
    return tuple(f"n{synset:08d}_{image}" for synset, image in pairs.tolist())


def looks_truncated(pairs: Pairs) -> bool:
    """Whether ids went through float32: all of them are numbers that float32 holds exactly, mostly integers."""
    values = encode_ids(pairs)
    return bool(len(values)) and bool(np.all(values == values.astype(np.float32)))


def positions(pairs: Pairs, among: Pairs) -> NDArray[np.int64]:
    """Place of each pair (n, 2) in a list of pairs (m, 2): (n,), -1 where it does not occur."""
    place = {key: index for index, key in enumerate(map(tuple, among.tolist()))}
    return np.array([place.get(key, -1) for key in map(tuple, pairs.tolist())], dtype=np.int64)


def read_order(path: Path) -> Pairs:
    """Read `imageID_training.csv` or `imageID_test.csv`: an id and a file name a line, no header.

    Raises:
        DataError: If it cannot be read, a line has another form, id and name disagree, or an image occurs twice.
    """
    refuse_pointer(path)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = [line for line in csv.reader(file) if line]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}", "Download it again.") from error
    pairs = np.array([_pair(line, path) for line in lines], dtype=np.int64).reshape(-1, 2)
    twice = len(pairs) - len(set(map(tuple, pairs.tolist())))
    if twice or not len(pairs):
        raise DataError(
            f"{path} holds {len(pairs)} images, {twice} of them more than once.",
            "Use the file as it ships in the data folder of KamitaniLab/GenericObjectDecoding.",
        )
    return pairs


def write_order(pairs: Pairs, path: Path) -> None:
    """Write an order file that `read_order` and the published scripts read."""
    path.write_text(order_text(pairs), encoding="utf-8")


def order_text(pairs: Pairs) -> str:
    """The lines of an order file."""
    lines = zip(id_texts(pairs), names_of(pairs), strict=True)
    return "".join(f'{number},"{name}.JPEG"\n' for number, name in lines)


def id_texts(pairs: Pairs | Iterable[tuple[int, int]]) -> list[str]:
    """Ids as the files print them, such as 3626115.019498."""
    return [f"{synset}.{image:06d}" for synset, image in pairs]


def _pair(line: list[str], path: Path) -> tuple[int, int]:
    problem = f"{path}: line {','.join(line)!r} is not an id and a file name that agree."
    remedy = 'Write lines like 1518878.010042,"n01518878_10042.JPEG", without a header.'
    try:
        number, file_name = line
        by_name = parse_name(Path(file_name.strip()).stem)
        (by_id,) = decode_ids(np.array([float(number)]), str(path)).tolist()
    except (ValueError, DataError) as error:
        raise DataError(problem, remedy) from error
    if tuple(by_id) != by_name:
        raise DataError(problem, remedy)
    return by_name
