"""Files of git-annex and git LFS whose content was not fetched."""

from pathlib import Path

from lightning_modules.parts.errors import DataError

POINTER_BYTES = 1024
"""A pointer is one or a few lines; what holds content is longer."""

_MARKS = (b"annex/objects/", b"version https://git-lfs.github.com/")


def is_there(path: Path) -> bool:
    """Whether there is a file, or a link to content that was not fetched."""
    return path.exists() or path.is_symlink()


def is_pointer(path: Path) -> bool:
    """Whether the path stands for content that was not fetched: a broken link, or the text of a pointer."""
    if path.is_symlink() and not path.exists():
        return True
    if not path.is_file() or path.stat().st_size >= POINTER_BYTES:
        return False
    content = path.read_bytes()
    return any(mark in content for mark in _MARKS)


def refuse_pointer(path: Path) -> None:
    """Pass over files that hold their content.

    Raises:
        DataError: If the content was not fetched.
    """
    if is_pointer(path):
        raise DataError(
            f"{path} is a pointer file, content not fetched.",
            "Fetch it with `datalad get`, `git annex get` or `git lfs pull`, or download the file itself.",
        )
