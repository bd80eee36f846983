"""Against a real `mlflow server`."""

import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from neurosweep.errors import TrackingError
from neurosweep.naming import Status
from neurosweep.records import MetricPoint
from neurosweep.tracking import Courier, Outbox, connect, courier, fetch_model


class Server:
    """An `mlflow server` over a database that stays when it is killed."""

    def __init__(self, folder, database):
        self.folder, self.database = folder, database
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self) -> None:
        environment = {
            **os.environ,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)),
                *("--workers", "1", "--backend-store-uri", f"sqlite:///{self.database}"),
                *("--artifacts-destination", str(self.folder / "artifacts")),
            ],
            env=environment,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=2)
            except OSError:
                assert self.process.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        """SIGKILL to the server and its workers."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory, copy_database):
    folder = tmp_path_factory.mktemp("server")
    one = Server(folder, copy_database(folder / "mlflow.db"))
    one.start()
    yield one
    one.kill()


@pytest.fixture
def remote(server, make_lab, tmp_path):
    store = connect(server.uri, experiment="remote", artifact_location=None)
    return make_lab(store, server.database, tmp_path / "runs")


def test_trial_arrives_whole_over_http_and_comes_back(remote, record, rows):
    points = remote.train("whole", 0, best=2)
    wild = [MetricPoint("train/wild", value, step, 9) for step, value in enumerate((math.nan, math.inf))]
    Outbox(remote.folder("whole").trial(0)).append(wild)
    mirror = remote.mirror("whole")
    assert mirror.sync_trial(record(0, Status.COMPLETED))
    assert remote.mirror("whole").sync_trial(record(0, Status.COMPLETED))

    run_id = remote.database.trial_runs("whole")[0]
    found = remote.database.points(run_id)
    assert [row for row in found if row[0].startswith(("train/loss", "val/"))] == rows(points)
    assert [row for row in found if row[0] == "train/wild"] == [
        ("train/wild", 0, 0.0, 9, 1),
        ("train/wild", 1, 1.7976931348623157e308, 9, 0),
    ]
    assert remote.database.run(run_id)[1] == "FINISHED"
    assert remote.database.model_points(run_id) == [("val/behaviour_r2", 2, 1 - 1 / 9, 1_700_000_002_001)]
    folder = fetch_model(run_id, tracking_uri=remote.store.uri)
    checkpoint = remote.folder("whole").trial(0).best_checkpoint
    assert (folder / "model.ckpt").read_bytes() == checkpoint.read_bytes()


def test_host_name_that_the_server_does_not_allow_is_refused_with_the_flag(server, monkeypatch):
    resolve = socket.getaddrinfo

    def with_internal_name(host, *arguments, **keywords):
        return resolve("127.0.0.1" if host == "mlflow.internal" else host, *arguments, **keywords)

    monkeypatch.setattr(socket, "getaddrinfo", with_internal_name)
    with pytest.raises(TrackingError, match=f"--allowed-hosts mlflow.internal:{server.port}"):
        connect(f"http://mlflow.internal:{server.port}", experiment="remote", artifact_location=None)


def test_server_killed_while_points_arrive_and_started_again_holds_exactly_the_truth(
    server, remote, record, rows, points_of_a_curve, monkeypatch
):
    monkeypatch.setattr(courier, "INTERVAL_S", 0.05)
    monkeypatch.setattr(courier, "LONGEST_PAUSE_S", 0.5)
    trials, epochs = 3, 40
    points = points_of_a_curve(epochs)
    messenger = Courier(remote.mirror("killed"))
    slowest, done = 0.0, threading.Event()

    def kill_and_start() -> None:
        time.sleep(0.7)
        server.kill()
        time.sleep(1.0)
        server.start()
        done.set()

    fate = threading.Thread(target=kill_and_start)
    fate.start()
    outboxes = [Outbox(remote.folder("killed").trial(number)) for number in range(trials)]
    for epoch in range(epochs):
        for number, outbox in enumerate(outboxes):
            started = time.monotonic()
            outbox.append(points[2 * epoch : 2 * epoch + 2])
            messenger.notify(record(number, Status.RUNNING))
            slowest = max(slowest, time.monotonic() - started)
        time.sleep(0.05)
    for number in range(trials):
        remote.train("killed", number, epochs=epochs, best=epochs - 1)
        messenger.notify(record(number, Status.COMPLETED))
    assert messenger.backlog(), "the server was not away while the points arrived"
    fate.join()
    assert done.is_set()
    assert not messenger.drain(120)
    messenger.stop()

    runs = remote.database.trial_runs("killed")
    assert sorted(runs) == list(range(trials))
    for run_id in runs.values():
        found = [row for row in remote.database.points(run_id) if not row[0].startswith("best/")]
        assert found == rows(points)
        assert remote.database.run(run_id)[1] == "FINISHED"
        assert [status for _, _, status in remote.database.models(run_id)] == [2]
        assert remote.database.outputs(run_id) == 1
    assert slowest < 1.0
