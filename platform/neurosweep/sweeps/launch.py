"""Launching and resuming: from a configuration to a finished sweep."""

import logging
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from neurosweep.config import SweepConfig
from neurosweep.config_files import dump_config, load_config, resolve_config, with_overrides
from neurosweep.errors import ConfigError, SweepExistsError, SweepNotFoundError
from neurosweep.layout import SweepFolder, sweeps_in, write_atomically, write_json
from neurosweep.search.earlier import EarlierTrials
from neurosweep.sweeps.cluster import ray_cluster
from neurosweep.sweeps.cluster_check import check_nodes
from neurosweep.sweeps.comparability import provenance_of, refuse_changed_data
from neurosweep.sweeps.full_disk import explaining_full_disk
from neurosweep.sweeps.lease import driver_lease, is_owned
from neurosweep.sweeps.next_steps import resume_command
from neurosweep.sweeps.population_checks import refuse_changed_size
from neurosweep.sweeps.preparation import (
    PreparedSweep,
    connect_store,
    prepare,
    storage_root,
    sweep_folder,
    tracking_uri,
)
from neurosweep.sweeps.progress import Observer
from neurosweep.sweeps.result import SweepResult
from neurosweep.sweeps.signals import SignalWatch, watch_signals
from neurosweep.sweeps.warm_start import read_earlier, refuse_unknown
from neurosweep.tracking.backend import is_server

logger = logging.getLogger(__name__)


def launch(
    config: SweepConfig | str,
    *,
    overrides: Mapping[str, Any] | None = None,
    observer: Observer | None = None,
) -> SweepResult:
    """Run a new sweep to its end.

    Args:
        config: A configuration, the name of an experiment, or a YAML file.
        overrides: Nested sections that override it, such as `{"search": {"trials": 50}}`.
        observer: Is shown the progress about twice a second.

    Returns:
        The leaderboard, the best checkpoint and the MLflow ids.

    Raises:
        NeurosweepError: If something is wrong before the start; nothing has been written then.
    """
    if isinstance(config, SweepConfig):
        config = with_overrides(config, overrides or {})
    else:
        config = resolve_config(config, overrides or {})
    folder = sweep_folder(config)
    refuse_existing(folder)
    _refuse_lonely_database(config)
    refuse_unknown(config)
    with (
        explaining_full_disk(folder),
        watch_signals() as watch,
        _removed_unless_started(folder),
        driver_lease(folder),
    ):
        prepared = prepare(config)
        earlier = read_earlier(prepared)  # what cannot be read is refused here rather than once Ray is up
        return _run(prepared, watch, observer, earlier=earlier)


def resume(
    name: str,
    *,
    storage: str = SweepConfig.storage,
    overrides: Mapping[str, Any] | None = None,
    observer: Observer | None = None,
) -> SweepResult:
    """Continue a sweep: unfinished trials from their last checkpoints, then new ones up to the total.

    A finished sweep is reconciled with MLflow and reported anew; more trials can be asked for.

    Args:
        name: The sweep's name.
        storage: Folder of the sweeps.
        overrides: Sections to change: `search.trials`, `search.time_budget`, `resources`.
        observer: Is shown the progress about twice a second.

    Raises:
        SweepNotFoundError: If there is no such sweep.
        SweepExistsError: If another driver runs it.
        ConfigError: If members or epochs of a population are to change.
        DataError: If the data is not what the sweep was begun with.
    """
    folder = find_sweep(name, storage)
    config = with_overrides(load_config(folder), overrides or {})
    refuse_changed_size(config, folder)
    with explaining_full_disk(folder), watch_signals() as watch, driver_lease(folder):
        prepared = prepare(config)
        refuse_changed_data(prepared)
        return _run(prepared, watch, observer, earlier=None)


def find_sweep(name: str, storage: str) -> SweepFolder:
    """Return the folder of a sweep that exists.

    Raises:
        SweepNotFoundError: If there is none; the message lists those that there are.
    """
    root = storage_root(storage)
    folder = SweepFolder(root / name)
    if not folder.config.is_file():
        names = [one.name for one in sweeps_in(root)]
        raise SweepNotFoundError(
            f"There is no sweep `{name}` in {root}; there are: {', '.join(names) or 'none'}.",
            "Check the name, or give the folder with `--storage`.",
        )
    return folder


def refuse_existing(folder: SweepFolder) -> None:
    """Refuse a name that is taken.

    Raises:
        SweepExistsError: If a sweep of this name exists; the message holds the command that resumes it.
    """
    if folder.config.exists():
        state = "is running" if is_owned(folder) else "exists already"
        raise SweepExistsError(
            f"A sweep `{folder.name}` {state} in {folder.root.parent}.",
            f"Continue it with `{resume_command(folder)}`, or choose another `--name`.",
        )


def _refuse_lonely_database(config: SweepConfig) -> None:
    """A database file that one machine holds cannot serve a cluster."""
    uri = tracking_uri(config)
    if config.resources.address != "local" and config.tracking.uri is None:
        logger.warning("MLflow's database is %s on this machine; give --tracking-uri to share it", uri)
    if config.study_storage and config.study_storage == uri:
        raise ConfigError(
            f"`study_storage` and the tracking URI are both {uri}.",
            "Give the study a database of its own: both keep a table `alembic_version`.",
        )


@contextmanager
def _removed_unless_started(folder: SweepFolder) -> Iterator[None]:
    """Leave nothing of a sweep that was refused before its start."""
    made = [path for path in (folder.root, *folder.root.parents) if not path.exists()]
    folder.root.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        if folder.root in made and not folder.config.exists():
            shutil.rmtree(folder.root, ignore_errors=True)
            for path in made[1:]:  # inwards out; one that holds anything else by now stays
                with suppress(OSError):
                    path.rmdir()


def _run(
    prepared: PreparedSweep, watch: SignalWatch, observer: Observer | None, *, earlier: EarlierTrials | None
) -> SweepResult:
    """Bring MLflow and Ray up side by side, then drive the sweep: a new one with what is known from earlier ones."""
    config = prepared.config
    with ThreadPoolExecutor(max_workers=1) as pool:
        connecting = pool.submit(connect_store, config, prepared.experiment)
        if is_server(tracking_uri(config)):
            connecting.result()  # one that does not answer is refused before Ray is started
        with ray_cluster(config.resources.address, data_bytes=prepared.data_bytes) as capacity:
            watch.install()
            store = connecting.result()
            capacity.slots(config.resources)  # refuses what cannot fit
            if len(capacity.nodes) > 1:
                check_nodes(prepared.folder, prepared.experiment)
            if earlier is not None:
                write_json(prepared.folder.provenance, provenance_of(prepared))
            write_atomically(prepared.folder.config, dump_config(config))
            from neurosweep.sweeps.drive import drive_sweep

            return drive_sweep(prepared, earlier=earlier, store=store, watch=watch, observer=observer)
