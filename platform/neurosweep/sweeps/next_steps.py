"""What messages tell people to do next: commands for the shell, and the call that loads a model."""

from pathlib import Path

from neurosweep.config import SweepConfig
from neurosweep.layout import SweepFolder
from neurosweep.sweeps.preparation import storage_root, tracking_uri


def resume_command(folder: SweepFolder) -> str:
    """Return the shell command that continues the sweep."""
    return f"neurosweep resume {folder.name}{_storage_flag(folder.root.parent)}"


def ui_command(config: SweepConfig) -> str:
    """Return the shell command that opens MLflow, or the address of the server that runs already."""
    return ui_of(config.tracking.uri, config.storage)


def ui_of(uri: str | None, storage: str) -> str:
    """Return the same for a tracking URI, None being SQLite in the storage."""
    if uri is None:
        return f"neurosweep ui{_storage_flag(storage_root(storage))}"
    return uri if uri.startswith(("http://", "https://")) else f"neurosweep ui --tracking-uri {uri}"


def reload_call(config: SweepConfig, model_id: str | None, checkpoint: Path | None) -> str:
    """Return the Python call that loads a model without Ray: the logged one, or the file where there is none yet."""
    if model_id is None:
        return f'neurosweep.load_model("{checkpoint}")'
    return f'neurosweep.load_model("models:/{model_id}", tracking_uri="{tracking_uri(config)}")'


def _storage_flag(root: Path) -> str:
    """Name the storage only where it is not the default, seen from here."""
    return "" if root == storage_root(SweepConfig.storage) else f" --storage {root}"
