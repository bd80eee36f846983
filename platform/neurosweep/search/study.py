"""Opening a sweep's study: a journal file in its folder, or a database that all sweeps share."""

import json
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.storages.journal._file import LOCK_FILE_SUFFIX, get_lock_file
from optuna.storages.journal._storage import JournalOperation

from neurosweep.config import SweepConfig
from neurosweep.errors import ConfigError, StorageError
from neurosweep.experiments import Objective
from neurosweep.layout import SweepFolder

DEAD_LOCK_SECONDS = 3.0
"""A write takes milliseconds; a lock that stays the same for so long is nobody's."""


class SweepJournal(JournalFileBackend):
    """Optuna's journal file, which waits for the disk where a power cut would cost more than an epoch.

    Optuna waits at every line. An epoch's value is written at once too, and so survives any kill of a process,
    but it waits for the disk with the next line of another kind: a trial that lost it to a power cut goes on from
    its checkpoint and reports it again. A full disk leaves no half line behind.
    """

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines; see `JournalFileBackend`."""
        try:
            if any(log["op_code"] != JournalOperation.SET_TRIAL_INTERMEDIATE_VALUE for log in logs):
                super().append_logs(logs)
            else:
                self._append_without_waiting(logs)
        except OSError:
            _drop_torn_line(Path(self._file_path))
            raise

    def _append_without_waiting(self, logs: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with get_lock_file(self._lock), open(self._file_path, "ab") as file:
            file.write(lines.encode())


def open_study(config: SweepConfig, folder: SweepFolder, objectives: tuple[Objective, ...]) -> optuna.Study:
    """Open the study of a sweep, or create it.

    The study is named after its sweep: Optuna's default name would mix the sweeps of one storage.

    Raises:
        ConfigError: If the database URL is MLflow's or cannot be used.
        StorageError: If the journal cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _quiet(), _readable(folder, config.study_storage):
        return optuna.create_study(
            study_name=config.name,
            storage=_open_storage(config.study_storage, folder),
            directions=[objective.direction for objective in objectives],
            load_if_exists=True,
        )


def _open_storage(url: str | None, folder: SweepFolder) -> BaseStorage:
    if url is None:
        _break_dead_lock(folder.journal)
        _drop_torn_line(folder.journal)
        return JournalStorage(SweepJournal(str(folder.journal)))
    _refuse_mlflow(url)
    return RDBStorage(url)


def _break_dead_lock(journal: Path) -> None:
    """Remove the lock of a process that was killed while it wrote; Optuna would wait for it half a minute."""
    lock = journal.with_name(journal.name + LOCK_FILE_SUFFIX)
    deadline = time.monotonic() + DEAD_LOCK_SECONDS
    first = _made_at(lock)
    while first is not None and _made_at(lock) == first:
        if time.monotonic() > deadline:
            lock.unlink(missing_ok=True)
            return
        time.sleep(0.01)


def _made_at(link: Path) -> int | None:
    """Every holder makes the link anew."""
    try:
        return link.lstat().st_ctime_ns
    except FileNotFoundError:
        return None


def _drop_torn_line(journal: Path) -> None:
    """Drop half a line, left by a full disk or a power cut: Optuna would append its next one to it."""
    if not journal.exists() or journal.read_bytes()[-1:] in (b"", b"\n"):
        return
    lock = JournalFileSymlinkLock(str(journal))
    lock.acquire()  # a line that another driver is writing is whole once it lets go
    try:
        with journal.open("r+b") as file:
            file.truncate(file.read().rfind(b"\n") + 1)
    finally:
        lock.release()


def _refuse_mlflow(url: str) -> None:
    """Optuna makes its tables before it notices whose database it is."""
    engine = sqlalchemy.create_engine(url)
    try:
        tables = set(sqlalchemy.inspect(engine).get_table_names())
    finally:
        engine.dispose()
    if {"experiments", "runs"} <= tables:
        raise ValueError("it is MLflow's, and both keep a table `alembic_version`")


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


@contextmanager
def _readable(folder: SweepFolder, url: str | None) -> Iterator[None]:
    try:
        yield
    except (OSError, StorageError):
        raise
    except Exception as error:  # the storage backends have no common base class
        if url is None:
            raise StorageError(
                f"The study {folder.journal} cannot be read: {error}",
                "Restore the file from a backup, or start a sweep under a new name.",
            ) from error
        raise ConfigError(
            f"The study storage {url} cannot be used: {error}",
            "Give the URL of a database of its own: MLflow's cannot hold studies as well.",
        ) from error
