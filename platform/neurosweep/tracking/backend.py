"""What must hold of a tracking URI before MLflow is let near it: known, reachable, not somebody else's."""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from neurosweep.errors import TrackingError

PROBE_SECONDS = 5
"""How long a server may take to answer the first question, s."""

_SQLITE = "sqlite:///"
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "lustre", "beegfs", "gpfs", "fuse", "9p", "ceph", "glusterfs")
_OPTUNA_TABLE = "studies"

_PROCESS_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # MLflow prints a link for every run that ends; the sweep has a screen of its own.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # MLflow's own values let a call to a dead server block for 247 s. The courier retries by itself, and looks
    # first for what has arrived: a repeated `create_run` whose answer alone was lost would make a second run.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


def prepare_process() -> None:
    """Set MLflow's switches for this process, before MLflow is imported; what the user has set is kept."""
    for name, value in _PROCESS_SETTINGS.items():
        os.environ.setdefault(name, value)
    # They complain at every attempt to reach a store that is away or full; the courier says so once.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


def resolve_uri(uri: str) -> str:
    """Return the URI with an absolute path, so that it means the same from any folder.

    Raises:
        TrackingError: If MLflow cannot keep a sweep there.
    """
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme == "sqlite":
        return f"{_SQLITE}{_path_in(uri)}"
    if scheme in (*_DATABASES, "http", "https", "databricks") or uri == "databricks":
        return uri
    if scheme in ("", "file"):
        path = uri.removeprefix("file://").removeprefix("file:").rstrip("/") or "mlruns"
        raise TrackingError(
            f"`{uri}` is a folder, and MLflow no longer keeps runs in plain folders.",
            f"Use a database instead: `{_SQLITE}{Path(path).absolute()}/mlflow.db`.",
        )
    raise TrackingError(
        f"`{uri}` is not a tracking URI that MLflow knows.",
        f"Use `http://host:port` for a server or `{_SQLITE}/path/to/mlflow.db` for a file.",
    )


def sqlite_file(uri: str) -> Path | None:
    """Return the file of an SQLite URI, None for other URIs."""
    return Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) else None


def is_server(uri: str) -> bool:
    """Whether the URI is that of an MLflow server."""
    return urlsplit(uri).scheme in ("http", "https")


def is_database(uri: str) -> bool:
    """Whether MLflow's client itself opens the database."""
    return urlsplit(uri).scheme.partition("+")[0] in _DATABASES


def check_sqlite(path: Path) -> None:
    """Make the folder of the file, and refuse a file that is not MLflow's.

    MLflow would add its tables to any database before it noticed.

    Raises:
        TrackingError: If the file cannot be used.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=PROBE_SECONDS)) as connection:
            tables = {
                name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
    except (OSError, sqlite3.Error) as error:
        raise TrackingError(
            f"The tracking database {path} cannot be opened: {error}",
            "Check the path, its permissions and the free space, or give another `tracking.uri`.",
        ) from error
    if _OPTUNA_TABLE in tables:
        raise TrackingError(
            f"{path} is Optuna's database; MLflow cannot share it (both own a table `alembic_version`).",
            f"Give MLflow a file of its own: `tracking.uri: {_SQLITE}{path.with_name('mlflow.db')}`.",
        )


def write_ahead(path: Path) -> None:
    """Let readers and a writer work side by side: SQLite's WAL, a property of the file.

    It needs memory that all of its processes share, which a network file system does not give.
    """
    if _is_on_network(path):
        return
    with closing(sqlite3.connect(path, timeout=20)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def probe_server(uri: str) -> None:
    """Ask the server one small question, once.

    Raises:
        TrackingError: If it does not answer within seconds, or refuses.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    try:
        response = http_request(
            get_default_host_creds(uri),
            "/api/2.0/mlflow/experiments/search",
            "GET",
            max_retries=0,
            timeout=PROBE_SECONDS,
            raise_on_status=False,
            params={"max_results": 1},
        )
    except (MlflowException, OSError) as error:  # the errors of `requests` are OSErrors
        raise TrackingError(
            f"No MLflow server answers at {uri}: {_first_line(error)}",
            "Start it, check host, port and network, or leave `tracking.uri` out to use a local file.",
        ) from error
    if response is not None:  # only Databricks' client, which is not probed, answers nothing
        _check_answer(uri, status=response.status_code, text=response.text)


def _check_answer(uri: str, *, status: int, text: str) -> None:
    host = urlsplit(uri).netloc.rpartition("@")[2]
    if status == 200 and text.lstrip().startswith("{"):
        return
    if status == 401:
        raise TrackingError(
            f"The MLflow server at {uri} asks for credentials (401).",
            "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
        )
    if status == 403 and "host header" in text.lower():
        raise TrackingError(
            f"The MLflow server at {uri} does not accept the host name `{host}` (403).",
            f"Start it with `--allowed-hosts {host}` (or MLFLOW_SERVER_ALLOWED_HOSTS).",
        )
    if status == 403:
        raise TrackingError(
            f"The MLflow server at {uri} refuses this user (403): {text[:200]}",
            "Ask its administrator for permission to edit the experiment.",
        )
    if status >= 500:
        raise TrackingError(
            f"The MLflow server at {uri} is in trouble ({status}): {text[:200]}",
            "Look into the server's log.",
        )
    raise TrackingError(
        f"What answers at {uri} is no MLflow server ({status}): {text[:200]}",
        "Check host, port and path of `tracking.uri`.",
    )


def explain(error: Exception, uri: str) -> TrackingError:
    """Turn an error of MLflow into one that names the cure."""
    text = str(error)
    if isinstance(error, ModuleNotFoundError):
        return TrackingError(
            f"The driver of the database {uri} is not installed.", f"Install it: `pip install {error.name}`."
        )
    if "Can't locate revision" in text:
        return TrackingError(
            f"The database {uri} belongs to another program, or to a newer MLflow: {_first_line(error)}",
            "Give MLflow a database of its own, or upgrade the `mlflow` package.",
        )
    if "out-of-date database schema" in text:
        return TrackingError(
            f"The database {uri} was made by an older MLflow.",
            f"Make a copy of it, then run `mlflow db upgrade {uri}`.",
        )
    if "disk is full" in text or "No space left" in text:
        return TrackingError(
            f"The disk of the database {uri} is full.",
            "Free some space, then continue with `neurosweep resume`.",
        )
    return TrackingError(
        f"MLflow at {uri} failed: {_first_line(error)}", "Check the server or the database, then try again."
    )


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Raise what MLflow, its database or the network raise in the block as `TrackingError`."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError, ModuleNotFoundError) as error:
        raise explain(error, uri) from error


@contextmanager
def quiet_migration() -> Iterator[None]:
    """Keep the seventy lines of a new database's migration off the screen."""
    alembic = logging.getLogger("alembic")
    level = alembic.level
    alembic.setLevel(logging.WARNING)
    try:
        yield
    finally:
        alembic.setLevel(level)


def _path_in(uri: str) -> Path:
    text = uri.partition(":///")[2]
    if not text or text.startswith(":memory:"):
        raise TrackingError(
            f"`{uri}` is a database in memory, which ends with this process.",
            f"Name a file: `{_SQLITE}{Path('mlflow.db').absolute()}`.",
        )
    return Path(text).absolute()


def _is_on_network(path: Path) -> bool:
    """Whether the mount that holds the file is a network file system."""
    resolved = path.resolve()
    mounts = [one for one in psutil.disk_partitions(all=True) if resolved.is_relative_to(one.mountpoint)]
    if not mounts:
        return False
    nearest = max(mounts, key=lambda one: len(one.mountpoint))
    return nearest.fstype.lower().startswith(_NETWORK_FILE_SYSTEMS)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
