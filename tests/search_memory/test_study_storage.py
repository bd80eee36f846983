"""Where studies live: a journal for each sweep, or a database that sweeps share but MLflow must not."""

import sqlite3
import time

import pytest
from mlflow import MlflowClient

from neurosweep.errors import ConfigError, StorageError


def tables(path) -> set[str]:
    with sqlite3.connect(path) as connection:
        return {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}


def test_two_sweeps_in_one_database_do_not_mix(make_sweep, tmp_path):
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    one = make_sweep(name="one", study_storage=url, search={"trials": 2})
    other = make_sweep(name="other", study_storage=url, search={"trials": 3}, seed=1)
    first, second = one.open(), other.open()
    handed = [first.next(), second.next(), first.next(), second.next(), second.next()]
    assert [assignment.number for assignment in handed] == [0, 0, 1, 1, 2]
    assert first.next() is None
    assert second.next() is None
    first.complete(0, (1.0,))
    assert [record.values for record in one.open().records()] == [(1.0,), None]
    assert [record.values for record in other.open().records()] == [None, None, None]
    assert not one.folder.journal.exists()


@pytest.mark.parametrize("stored", ["journal", "database"])
def test_a_database_remembers_what_a_journal_remembers(make_sweep, tmp_path, stored):
    url = f"sqlite:///{tmp_path / 'studies.db'}" if stored == "database" else None
    sweep = make_sweep(study_storage=url, experiment={"published": "memory_spaces:PUBLISHED"})
    killed = sweep.open()
    before = [killed.next(), killed.next()]
    killed.report(0, epoch=0, value=2.0)
    killed.complete(0, (1.5,))
    memory = sweep.open()
    assert memory.next() == before[1]
    record = memory.record(0)
    assert (record.values, record.curve, record.seed) == ((1.5,), {0: 2.0}, before[0].seed)


@pytest.fixture(scope="module")
def mlflow_database(tmp_path_factory):
    """A database that MLflow has just made, and the names of its tables."""
    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{database}").search_experiments()
    return database, tables(database)


def test_mlflows_database_is_refused_with_a_cure(make_sweep, mlflow_database):
    database, before = mlflow_database
    assert "alembic_version" in before
    with pytest.raises(ConfigError) as refused:
        make_sweep(study_storage=f"sqlite:///{database}").open()
    assert str(database) in refused.value.problem
    assert "database of its own" in refused.value.remedy
    assert [one.name for one in MlflowClient(f"sqlite:///{database}").search_experiments()] == ["Default"]


def test_mlflows_database_is_left_as_it_was(make_sweep, mlflow_database):
    database, before = mlflow_database
    with pytest.raises(ConfigError):
        make_sweep(study_storage=f"sqlite:///{database}").open()
    assert tables(database) == before


@pytest.mark.parametrize(
    "url", ["sqlite:////no/such/folder/studies.db", "postgres-of-mine", "nosuchdialect://host/studies"]
)
def test_a_database_that_cannot_be_opened_is_a_matter_of_configuration(make_sweep, url):
    with pytest.raises(ConfigError, match="cannot be used") as refused:
        make_sweep(study_storage=url).open()
    assert url in refused.value.problem


@pytest.mark.parametrize("torn", [b"this is no journal\n", b"\x00\xff\x00\n", b'{"op_code": 99}\n'])
def test_a_journal_that_cannot_be_read_is_named_with_a_cure(make_sweep, torn):
    sweep = make_sweep()
    memory = sweep.open()
    memory.next()
    with sweep.folder.journal.open("ab") as journal:
        journal.write(torn)
        journal.write(b"{}\n")
    with pytest.raises(StorageError) as refused:
        sweep.open()
    assert str(sweep.folder.journal) in refused.value.problem
    assert "backup" in refused.value.remedy


def test_a_journal_that_ends_in_half_a_line_after_a_crash_is_read_up_to_it(make_sweep):
    sweep = make_sweep()
    killed = sweep.open()
    before = killed.next()
    with sweep.folder.journal.open("ab") as journal:
        journal.write(b'{"op_code": 4, "worker_id": "half')
    assert sweep.open().next() == before


def test_lock_of_a_killed_driver_does_not_keep_the_next_one_waiting(make_sweep):
    """Optuna itself would wait for half a minute."""
    sweep = make_sweep()
    sweep.open().next()
    sweep.folder.journal.with_name("study.journal.lock").symlink_to(sweep.folder.journal)
    started = time.monotonic()
    assert sweep.open().next().number == 0
    assert time.monotonic() - started < 15
