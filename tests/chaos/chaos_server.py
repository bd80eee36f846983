"""A real `mlflow server` that can be killed, and a proxy in front of one that can misbehave."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    """An `mlflow server` over a database that stays when it is killed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.database = folder / "mlflow.db"
        self.artifacts = folder / "artifacts"
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)),
                *("--workers", "1", "--backend-store-uri", f"sqlite:///{self.database}"),
                *("--artifacts-destination", str(self.artifacts)),
            ],
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
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
                assert self._process.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        """SIGKILL it with all of its processes."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


class Proxy(ThreadingHTTPServer):
    """Passes requests on to a server, as long as `mode` is `pass`.

    `429` and `500` answer so without asking the server, `hang` does not answer, and `lost` lets the server do what
    was asked but answers 500. `only` restricts the mode to addresses that end so.
    """

    daemon_threads = True

    def __init__(self, server: Server) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = server.port
        self.uri = f"http://127.0.0.1:{self.server_address[1]}"
        self.mode = "pass"
        self.only: tuple[str, ...] = ("",)
        self.refused = 0
        self.closing = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy  # type: ignore[assignment]

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        mode = self.server.mode if self.path.partition("?")[0].endswith(self.server.only) else "pass"
        if mode != "pass":
            self.server.refused += 1
        if mode in ("429", "500"):
            self._answer(int(mode), b"no", {"Retry-After": "1"} if mode == "429" else {})
            return
        if mode == "hang":
            while self.server.mode == "hang" and not self.server.closing.wait(0.2):
                pass
            self.close_connection = True
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=60)
        try:
            headers = {key: value for key, value in self.headers.items() if key.lower() != "connection"}
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            content = response.read()
        except OSError:
            self.close_connection = True
            return
        finally:
            connection.close()
        if mode == "lost":
            self._answer(500, b"lost", {})
            return
        self._answer(response.status, content, {"Content-Type": response.headers.get("Content-Type", "")})

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _handle
