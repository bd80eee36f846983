"""What a driver says when storage is full."""

from collections.abc import Iterator
from contextlib import contextmanager

from neurosweep.errors import StorageError
from neurosweep.layout import SweepFolder
from neurosweep.sweeps.next_steps import resume_command
from neurosweep.trials.failures import is_full_disk


def full_disk(folder: SweepFolder, problem: str) -> StorageError:
    """Make the error that names the cure."""
    return StorageError(
        problem,
        f"Free some space, then `{resume_command(folder)}`: nothing is lost.",
    )


@contextmanager
def explaining_full_disk(folder: SweepFolder) -> Iterator[None]:
    """Raise a full disk, wherever in the block it was met, as an error that names the cure.

    Raises:
        StorageError: If the disk is full.
    """
    try:
        yield
    except OSError as error:
        if not is_full_disk(error):
            raise
        raise full_disk(folder, f"The disk of {folder.root} is full: {error}") from error
