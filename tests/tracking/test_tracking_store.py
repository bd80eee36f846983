import http.server
import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from neurosweep.errors import TrackingError
from neurosweep.naming import Status
from neurosweep.tracking import connect
from neurosweep.tracking.values import legal_key, parameter_text


def journal_mode(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA journal_mode").fetchone()[0]


@pytest.fixture
def answering_server():
    """A server that gives one answer to every question."""
    servers = []

    def start(status: int, body: str) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_fresh_database_can_be_opened_by_one_process_after_the_other(tmp_path):
    database = tmp_path / "deep" / "er" / "mlflow.db"
    program = (
        "import sys, os\n"
        "from neurosweep.tracking import connect\n"
        "store = connect('sqlite:///' + sys.argv[1], experiment='sable', artifact_location=None)\n"
        "print(store.experiment_id)\n"
    )
    workplace = tmp_path / "workplace"
    workplace.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program, str(database)],
        capture_output=True,
        text=True,
        check=True,
        cwd=workplace,
    )
    store = connect(f"sqlite:///{database}", experiment="sable", artifact_location=None)
    assert done.stdout.split() == [store.experiment_id]
    assert done.stderr == ""
    assert journal_mode(database) == "wal"
    assert list(workplace.iterdir()) == []


def test_nothing_is_left_in_the_working_directory_and_no_global_uri_is_set(
    lab, tmp_path, monkeypatch, record
):
    import mlflow

    workplace = tmp_path / "workplace"
    workplace.mkdir()
    monkeypatch.chdir(workplace)
    mirror = lab.mirror("quiet")
    lab.train("quiet", 0, best=1)
    assert mirror.sync_trial(record(0, Status.COMPLETED))
    assert list(workplace.iterdir()) == []
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert mlflow.get_tracking_uri() != lab.store.uri


def test_relative_database_means_the_same_file_after_a_change_of_folder(tmp_path, copy_database, monkeypatch):
    copy_database(tmp_path / "here" / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    store = connect("sqlite:///here/mlflow.db", experiment="sable", artifact_location="files")
    monkeypatch.chdir("/")
    assert store.uri == f"sqlite:///{tmp_path}/here/mlflow.db"
    experiment = store.client.get_experiment(store.experiment_id)
    assert experiment.artifact_location == f"file://{tmp_path}/files"


def test_experiment_is_reused(lab):
    again = connect(lab.store.uri, experiment="sable", artifact_location="/elsewhere")
    assert again.experiment_id == lab.store.experiment_id


def test_deleted_experiment_is_refused_with_the_command_that_restores_it(lab):
    lab.store.client.delete_experiment(lab.store.experiment_id)
    with pytest.raises(TrackingError, match=f"experiments restore --experiment-id {lab.store.experiment_id}"):
        connect(lab.store.uri, experiment="sable", artifact_location=None)


@pytest.mark.parametrize("uri", ["file:///data/mlruns", "./mlruns", "/data/mlruns", "file:mlruns"])
def test_folders_are_refused_and_sqlite_is_named(uri):
    with pytest.raises(TrackingError, match=r"sqlite:///.*mlruns/mlflow\.db"):
        connect(uri, experiment="sable", artifact_location=None)


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///:memory:"])
def test_database_in_memory_is_refused(uri):
    with pytest.raises(TrackingError, match="in memory"):
        connect(uri, experiment="sable", artifact_location=None)


def test_unknown_kind_of_uri_is_refused():
    with pytest.raises(TrackingError, match="not a tracking URI"):
        connect("s3://bucket/runs", experiment="sable", artifact_location=None)


def test_optunas_database_is_refused_and_left_untouched(tmp_path):
    path = tmp_path / "study.db"
    optuna.storages.RDBStorage(f"sqlite:///{path}").engine.dispose()
    with closing(sqlite3.connect(path)) as connection:
        before = connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
    with pytest.raises(TrackingError, match="Optuna's database"):
        connect(f"sqlite:///{path}", experiment="sable", artifact_location=None)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall() == before


def test_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be read as the head of one" * 20)
    with pytest.raises(TrackingError, match="cannot be opened"):
        connect(f"sqlite:///{path}", experiment="sable", artifact_location=None)


def test_database_of_a_newer_mlflow_is_refused_with_the_cure(tmp_path, copy_database):
    path = copy_database(tmp_path / "mlflow.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        connection.commit()
    with pytest.raises(TrackingError, match="mlflow db upgrade"):
        connect(f"sqlite:///{path}", experiment="sable", artifact_location=None)


def test_unreachable_server_is_refused_within_ten_seconds():
    started = time.monotonic()
    with pytest.raises(TrackingError, match=r"No MLflow server answers at http://127\.0\.0\.1:9") as caught:
        connect("http://127.0.0.1:9", experiment="sable", artifact_location=None)
    assert time.monotonic() - started < 10
    assert "Start it" in caught.value.remedy


@pytest.mark.parametrize(
    ("status", "body", "cure"),
    [
        (401, "You are not authenticated.", "MLFLOW_TRACKING_USERNAME"),
        (403, "Permission denied", "permission to edit"),
        (404, "Not Found", "no MLflow server"),
        (200, "<html>Welcome to nginx</html>", "no MLflow server"),
        (502, "Bad Gateway", "server's log"),
    ],
)
def test_refusals_of_a_server_name_the_cure(answering_server, status, body, cure):
    with pytest.raises(TrackingError, match=cure):
        connect(answering_server(status, body), experiment="sable", artifact_location=None)


def test_database_server_without_a_place_for_artifacts_is_refused():
    with pytest.raises(TrackingError, match="MLflow server in front"):
        connect("postgresql://host/db", experiment="sable", artifact_location=None)


def test_missing_driver_of_a_database_is_named():
    with pytest.raises(TrackingError, match="pip install pymssql"):
        connect("mssql+pymssql://host/db", experiment="sable", artifact_location="/artifacts")


def test_mlflow_accepts_every_key_and_distinct_names_stay_distinct():
    from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH, _validate_metric_name

    names = [
        *("val/behaviour_r2", "loss@1", "loss#1", "größe", "/abs", "../up", "a//b", "", ".", "a/./b"),
        *("x" * 300, "x" * 299, "new\nline", "a:b", "with space"),
    ]
    keys = [legal_key(name) for name in names]
    for key in keys:
        _validate_metric_name(key)
        assert len(key) <= MAX_ENTITY_KEY_LENGTH
    assert len(set(keys)) == len(names)
    assert keys[0] == "val/behaviour_r2"


def test_parameters_are_short_stable_texts():
    assert parameter_text(0.1 + 0.2) == "0.30000000000000004"
    assert parameter_text({"b": (1, 2), "a": None}) == '{"a": null, "b": [1, 2]}'
    assert len(parameter_text("x" * 7000)) == 6000
    assert parameter_text("x" * 7000).endswith("[cut]")


def test_importing_neurosweep_does_not_import_mlflow():
    program = "import sys, neurosweep, neurosweep.tracking; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
