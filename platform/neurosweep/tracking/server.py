"""Serving the MLflow UI over a sweep's database."""

import os
import subprocess
import sys
from pathlib import Path

from neurosweep.errors import TrackingError

_GRACE_SECONDS = 15.0
"""How long the server may take to end."""


def serve_ui(uri: str, *, host: str, port: int) -> int:
    """Run an MLflow server in the foreground.

    Args:
        uri: MLflow's database.
        host: Address to listen on.
        port: Port to listen on.

    Returns:
        The server's exit code.

    Raises:
        TrackingError: If there is no such database, or `uri` is a server already.
    """
    if uri.startswith(("http://", "https://")):
        raise TrackingError(f"{uri} is a server already.", "Open it in a browser.")
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise TrackingError(
            f"There is no MLflow database at {uri}.",
            "Give the folder of the sweeps with `--storage`, or launch a sweep first.",
        )
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--workers", "1"]
    command += ["--host", host, "--port", str(port)]
    environment = {
        **os.environ,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight more processes that tracking does not need
    }
    server = subprocess.Popen(command, env=environment)
    try:
        return server.wait()
    finally:
        _end(server)


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server with its workers, and wait until it is gone."""
    if server.poll() is not None:
        return
    server.terminate()
    try:
        server.wait(timeout=_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
