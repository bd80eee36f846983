"""Where a result came from: the code and machine that made it, and a fingerprint of the data that went in."""

import dataclasses
import datetime
import hashlib
import platform
import shlex
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from neurosweep.naming import Tag

_DISTRIBUTIONS = ("neurosweep", "torch", "pytorch-lightning", "ray", "optuna", "mlflow", "numpy")
_GIT_SECONDS = 10


@dataclasses.dataclass(frozen=True)
class CodeDescription:
    """The code of a sweep and where it ran.

    Args:
        commit: Commit of neurosweep's checkout, with `-dirty` if files differ; None if it was installed.
        versions: Version by distribution, and of Python.
        host: Name of the driver's machine.
        command: Command line of the driver.
    """

    commit: str | None
    versions: Mapping[str, str]
    host: str
    command: str

    def as_tags(self) -> dict[str, str]:
        """Return the tags of the sweep's run."""
        tags = {Tag.VERSIONS: " ".join(f"{name}={number}" for name, number in self.versions.items())}
        if self.commit is not None:
            tags[Tag.COMMIT] = self.commit
        return tags


def describe_code() -> CodeDescription:
    """Describe the code of this process, without importing it."""
    versions = {"python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return CodeDescription(
        commit=_commit(Path(__file__).resolve().parent),
        versions=versions,
        host=socket.gethostname(),
        command=shlex.join(sys.argv),
    )


def fingerprint(content: Any) -> str:
    """Hash nested data by its values: equal content gives an equal hash, in any process and on any machine.

    Lists and tuples count as the same, so do dataclasses and mappings with the same fields; the order of a
    mapping does not matter. A number's type does: 1, 1.0 and True differ.

    Args:
        content: Dataclasses, mappings, sequences, sets, numpy arrays, enums, paths, dates and plain values.

    Returns:
        16 hexadecimal digits of SHA-256.

    Raises:
        TypeError: If it holds anything else, which has no stable value.
    """
    digest = hashlib.sha256()
    _feed(digest.update, content)
    return digest.hexdigest()[:16]


def _commit(folder: Path) -> str | None:
    """Return the commit of the checkout that tracks this folder."""
    # An installed package may lie inside the checkout of something else, for example in its `.venv`.
    if not _git(folder, "ls-files", "--", "."):
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    changes = _git(folder, "status", "--porcelain")
    return commit if changes == "" else f"{commit}-dirty"


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _feed(update: Callable[[bytes], object], content: Any) -> None:
    """Feed a self-delimiting encoding: a letter for the kind, a length, the bytes."""
    if dataclasses.is_dataclass(content) and not isinstance(content, type):
        content = {field.name: getattr(content, field.name) for field in dataclasses.fields(content)}
    if isinstance(content, Enum):
        content = content.value
    if isinstance(content, np.generic):
        content = content.item() if content.dtype.kind in "biufSU" else np.asarray(content)
    if isinstance(content, np.ndarray):
        _feed_array(update, content)
    elif isinstance(content, Mapping):
        items = sorted((fingerprint(key), value) for key, value in content.items()) if content else []
        update(b"m" + _length(len(items)))
        for key, value in items:
            update(key.encode())
            _feed(update, value)
    elif isinstance(content, set | frozenset):
        update(b"e" + _length(len(content)))
        for one in sorted(fingerprint(one) for one in content):
            update(one.encode())
    elif isinstance(content, Sequence) and not isinstance(content, str | bytes):
        update(b"l" + _length(len(content)))
        for one in content:
            _feed(update, one)
    else:
        kind, value = _plain(content)
        update(kind + _length(len(value)) + value)


def _feed_array(update: Callable[[bytes], object], array: np.ndarray) -> None:
    update(b"a" + _length(array.ndim) + b"".join(_length(size) for size in array.shape))
    if array.dtype.kind in "OSU":  # the width of a text array is no part of its value
        for one in array.reshape(-1).tolist():
            _feed(update, one)
        return
    if array.dtype.kind == "V":
        raise TypeError(
            f"An array of type {array.dtype} has no stable fingerprint: give its columns one by one."
        )
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    update(little.dtype.str.encode())
    update(np.ascontiguousarray(little).tobytes())


def _plain(content: Any) -> tuple[bytes, bytes]:
    if content is None:
        return b"n", b""
    if isinstance(content, bool):
        return b"b", b"1" if content else b"0"
    if isinstance(content, int):
        return b"i", str(content).encode()
    if isinstance(content, float):
        return b"f", struct.pack("<d", content)
    if isinstance(content, str):
        return b"s", content.encode()
    if isinstance(content, bytes):
        return b"y", content
    if isinstance(content, PurePath):
        return b"p", content.as_posix().encode()
    if isinstance(content, datetime.date | datetime.time):
        return b"d", content.isoformat().encode()
    raise TypeError(
        f"A {type(content).__name__} has no stable fingerprint. Give dataclasses, mappings, sequences, numpy "
        "arrays and plain values."
    )


def _length(size: int) -> bytes:
    return struct.pack("<q", size)
