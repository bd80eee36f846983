import dataclasses
import json
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from neurosweep.layout import SweepFolder, write_json
from neurosweep.naming import Failure, Status
from neurosweep.records import MetricPoint, TrialRecord
from neurosweep.tracking import Mirror, Outbox, TrackingStore, connect

START = datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC)
END = datetime(2026, 3, 1, 12, 5, 0, 456000, tzinfo=UTC)


class Database:
    """What an MLflow database holds, read with plain SQL."""

    def __init__(self, path: Path):
        self.path = path

    def rows(self, query: str, *arguments):
        with closing(sqlite3.connect(self.path, timeout=30)) as connection:
            return connection.execute(query, arguments).fetchall()

    def trial_runs(self, sweep: str) -> dict[int, str]:
        """Run ids by trial number; fails if a trial has two runs."""
        rows = self.rows(
            "SELECT n.value, n.run_uuid FROM tags n JOIN tags s ON n.run_uuid = s.run_uuid "
            "WHERE n.key = 'neurosweep.trial' AND s.key = 'neurosweep.sweep' AND s.value = ?",
            sweep,
        )
        assert len({number for number, _ in rows}) == len(rows), "a trial has two runs"
        return {int(number): run_id for number, run_id in rows}

    def points(self, run_id: str) -> list[tuple]:
        """Every row of a run's metrics, sorted: key, step, value, timestamp, is_nan."""
        return sorted(
            self.rows("SELECT key, step, value, timestamp, is_nan FROM metrics WHERE run_uuid = ?", run_id)
        )

    def tags(self, run_id: str) -> dict[str, str]:
        return dict(self.rows("SELECT key, value FROM tags WHERE run_uuid = ?", run_id))

    def parameters(self, run_id: str) -> dict[str, str]:
        return dict(self.rows("SELECT key, value FROM params WHERE run_uuid = ?", run_id))

    def run(self, run_id: str) -> tuple:
        """Name, status, start and end."""
        (row,) = self.rows("SELECT name, status, start_time, end_time FROM runs WHERE run_uuid = ?", run_id)
        return row

    def models(self, run_id: str) -> list[tuple]:
        """Name and status of a run's logged models; 2 is READY."""
        return self.rows("SELECT model_id, name, status FROM logged_models WHERE source_run_id = ?", run_id)

    def outputs(self, run_id: str) -> int:
        ((count,),) = self.rows(
            "SELECT COUNT(*) FROM inputs WHERE source_type = 'RUN_OUTPUT' AND source_id = ?", run_id
        )
        return count

    def model_points(self, run_id: str) -> list[tuple]:
        return sorted(
            self.rows(
                "SELECT metric_name, metric_step, metric_value, metric_timestamp_ms "
                "FROM logged_model_metrics WHERE run_id = ?",
                run_id,
            )
        )


class Lab:
    """One MLflow store and a storage folder, with sweeps made on demand."""

    def __init__(self, store: TrackingStore, database: Path, storage: Path):
        self.store = store
        self.database = Database(database)
        self.storage = storage

    def folder(self, name: str) -> SweepFolder:
        return SweepFolder(self.storage / name)

    def mirror(self, name: str, *, store=None, **options) -> Mirror:
        """An opened mirror, as a fresh driver has it."""
        mirror = Mirror(store or self.store, self.folder(name), **options)
        mirror.open_sweep(tags={"neurosweep.data_hash": "abc"}, parameters={"search.trials": 3}, artifacts={})
        return mirror

    def train(
        self, sweep: str, number: int, *, epochs: int = 4, best: int | None = None
    ) -> list[MetricPoint]:
        """Leave behind what a trial leaves behind; returns its points."""
        folder = self.folder(sweep).trial(number)
        points = curve(epochs)
        Outbox(folder).append(points)
        write_json(
            folder.config, {"experiment": {"module": "neurosweep.errors:NeurosweepError"}, "number": number}
        )
        if best is not None:
            folder.best_checkpoint_of(best).write_bytes(bytes(range(256)) * 8)
        return points


def curve(epochs: int) -> list[MetricPoint]:
    """Loss and R2 over epochs; values with no exact short decimal form."""
    points = []
    for epoch in range(epochs):
        stamp = 1_700_000_000_000 + 1000 * epoch
        points.append(MetricPoint("train/loss", 1 / (epoch + 3), epoch, stamp))
        points.append(MetricPoint("val/behaviour_r2", 1 - 1 / (epoch + 7), epoch, stamp + 1))
    return points


def as_rows(points: list[MetricPoint]) -> list[tuple]:
    return sorted((one.key, one.step, one.value, one.timestamp, 0) for one in points)


def make_record(number: int, status: Status, **changes) -> TrialRecord:
    ended = END if status.is_final else None
    failed = status is Status.FAILED
    record = TrialRecord(
        number=number,
        status=status,
        parameters={"model.latent_dim": 64, "optim.lr": 0.1 + 0.2, "model.layers": (1, 2), "data.flag": True},
        seed=7,
        attempts=1,
        started=START,
        ended=ended,
        failure=Failure.DIVERGED if failed else None,
        failure_message="val/behaviour_r2 = nan after epoch 3." if failed else None,
    )
    return dataclasses.replace(record, **changes)


class FaultyClient:
    """A client that raises once: before or after its n-th call has been carried out."""

    def __init__(self, client, *, call: int, moment: str):
        self._client, self.fail_at, self._moment = client, call, moment
        self.calls: list[str] = []

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def call(*arguments, **keywords):
            self.calls.append(name)
            if len(self.calls) - 1 != self.fail_at:
                return method(*arguments, **keywords)
            if self._moment == "after":
                method(*arguments, **keywords)
            raise ConnectionError(f"cut off {self._moment} {name}")

        return call


class SwitchableClient:
    """A client whose store can be away."""

    def __init__(self, client):
        self._client = client
        self.away = False

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def call(*arguments, **keywords):
            if self.away:
                raise ConnectionError("no route to the store")
            return method(*arguments, **keywords)

        return call


@pytest.fixture(autouse=True)
def nothing_is_left_in_the_working_directory(tmp_path_factory, monkeypatch):
    """Fail the test that makes MLflow fall back on its global store, a database in the working directory."""
    workplace = tmp_path_factory.mktemp("workplace")
    monkeypatch.chdir(workplace)
    yield
    assert list(workplace.iterdir()) == []


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory) -> Path:
    """A database whose migration, which takes seconds, has been done."""
    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    connect(f"sqlite:///{path}", experiment="unused", artifact_location=None)
    return path


@pytest.fixture(scope="session")
def copy_database(migrated_database):
    def copy(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(migrated_database)) as source, closing(sqlite3.connect(path)) as target:
            source.backup(target)
        return path

    return copy


@pytest.fixture
def lab(tmp_path, copy_database) -> Lab:
    database = copy_database(tmp_path / "store" / "mlflow.db")
    store = connect(f"sqlite:///{database}", experiment="sable", artifact_location=None)
    return Lab(store, database, tmp_path / "runs")


@pytest.fixture
def record():
    return make_record


@pytest.fixture
def rows():
    return as_rows


@pytest.fixture
def points_of_a_curve():
    return curve


@pytest.fixture
def faulty():
    def make(store, *, call, moment):
        return dataclasses.replace(store, client=FaultyClient(store.client, call=call, moment=moment))

    return make


@pytest.fixture
def switchable():
    def make(store):
        return dataclasses.replace(store, client=SwitchableClient(store.client))

    return make


@pytest.fixture
def wait_until():
    def wait(condition, *, seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.02)

    return wait


@pytest.fixture
def artifact(lab):
    """Read an artifact of a run from the disk, found through the database."""

    def read(run_id: str, path: str) -> Path:
        ((uri,),) = lab.database.rows("SELECT artifact_uri FROM runs WHERE run_uuid = ?", run_id)
        return Path(uri.removeprefix("file://")) / path

    return read


@pytest.fixture
def delivery_of(lab):
    def read(sweep: str, number: int) -> dict:
        return json.loads(lab.folder(sweep).trial(number).delivery.read_text())

    return read


@pytest.fixture
def make_lab():
    return Lab
