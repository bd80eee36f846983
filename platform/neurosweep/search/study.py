"""Opening a sweep's study: a journal file in its folder, or a database that all sweeps share."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

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
        return JournalStorage(JournalFileBackend(str(folder.journal)))
    return RDBStorage(url)


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
