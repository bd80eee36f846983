"""Opening a sweep's study: a journal file in its folder, or a database that all sweeps share."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from neurosweep.config import SweepConfig
from neurosweep.errors import ConfigError, StorageError
from neurosweep.experiments import Objective
from neurosweep.layout import SweepFolder


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
        _drop_torn_line(folder.journal)
        return JournalStorage(JournalFileBackend(str(folder.journal)))
    _refuse_mlflow(url)
    return RDBStorage(url)


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
