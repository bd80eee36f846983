"""Everything that is decided and read before a sweep starts."""

import dataclasses
import inspect
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurosweep.config import SweepConfig
from neurosweep.errors import as_data_error
from neurosweep.experiments import Experiment, find_experiment, import_callable
from neurosweep.layout import SweepFolder
from neurosweep.provenance import CodeDescription, describe_code, fingerprint
from neurosweep.sweeps.checks import check_config
from neurosweep.sweeps.search_checks import with_objectives
from neurosweep.tracking import TrackingStore, connect
from neurosweep.trials.arguments import split_data_settings


@dataclass(frozen=True)
class PreparedSweep:
    """A checked sweep with its data.

    Args:
        config: The sweep's configuration, with what the data has fixed.
        experiment: The experiment that it names.
        folder: Where the sweep's files lie.
        data: What the experiment's `load` returned.
        data_hash: Fingerprint of `data`.
        code: Commit, versions, host and command.
    """

    config: SweepConfig
    experiment: Experiment
    folder: SweepFolder
    data: Any
    data_hash: str
    code: CodeDescription

    @property
    def notes(self) -> tuple[str, ...]:
        """What the data's reader wants people to know."""
        return tuple(getattr(self.data, "notes", ()))

    @property
    def data_bytes(self) -> int:
        """Size of the arrays that the trials share."""
        return _size(self.data)


def storage_root(storage: str) -> Path:
    """Return the folder of the sweeps, absolute."""
    return Path(storage).expanduser().resolve()


def sweep_folder(config: SweepConfig) -> SweepFolder:
    """Return the sweep's folder, which may not exist yet."""
    return SweepFolder(storage_root(config.storage) / config.name)


def tracking_uri(config: SweepConfig) -> str:
    """Return where MLflow is: as configured, or SQLite in the storage folder."""
    if config.tracking.uri is not None:
        return config.tracking.uri
    return f"sqlite:///{storage_root(config.storage) / 'mlflow.db'}"


def connect_store(config: SweepConfig, experiment: Experiment) -> TrackingStore:
    """Connect to the sweep's MLflow experiment, which is made if need be.

    Raises:
        TrackingError: If it cannot be reached or used.
    """
    return connect(
        tracking_uri(config),
        experiment=config.tracking.experiment or experiment.name,
        artifact_location=str(storage_root(config.storage) / "mlartifacts"),
    )


def experiment_of(config: SweepConfig) -> Experiment:
    """Find the experiment of a sweep, as this sweep judges it.

    Members of a population are compared by one number: where an experiment prunes on the first of its objectives, that
    one. The others are logged all the same.

    Raises:
        ConfigError: If there is none of this name, or none with these objectives.
    """
    found = with_objectives(find_experiment(config.experiment), config.search.objectives)
    if config.population.method is None or found.judged != found.objectives[0]:
        return found
    return dataclasses.replace(found, objectives=found.objectives[:1], prune_on=None)


def prepare(config: SweepConfig) -> PreparedSweep:
    """Check the configuration and read the data, which may fix further parameters.

    Raises:
        ConfigError: If the configuration does not fit the experiment.
        DataError: If the recordings cannot be read or do not fit.
    """
    experiment = experiment_of(config)
    check_config(config, experiment)
    data = read_data(config, experiment)
    return PreparedSweep(
        config=_settled(config, data),
        experiment=experiment,
        folder=sweep_folder(config),
        data=data,
        data_hash=fingerprint(data),
        code=describe_code(),
    )


def _settled(config: SweepConfig, data: Any) -> SweepConfig:
    """Fix what the recordings leave no choice of, and hold what is fixed against them."""
    fixed: dict[str, dict[str, Any]] = {}
    for dotted, value in getattr(data, "settled", {}).items():
        section, _, name = dotted.partition(".")
        fixed.setdefault(section, {})[name] = value
    settled = dataclasses.replace(
        config, **{section: {**values, **getattr(config, section)} for section, values in fixed.items()}
    )
    if hasattr(data, "check"):
        with explaining_data(config):
            data.check(settled.pins)
    return settled


def read_data(config: SweepConfig, experiment: Experiment) -> Any:
    """Read the recordings, once for all trials.

    Raises:
        DataError: If the experiment's reader refuses them, whatever it raises.
    """
    load, settings = import_callable(experiment.load), load_settings(config, experiment)
    with explaining_data(config):
        return load(**settings)


def load_settings(config: SweepConfig, experiment: Experiment) -> dict[str, Any]:
    """Return the settings of `data` that the experiment's `load` takes."""
    load = import_callable(experiment.load)
    data_module = import_callable(experiment.data_module)
    return split_data_settings(config.data, load=load, data_module=data_module)[0]


def explaining_data(config: SweepConfig) -> AbstractContextManager[None]:
    """Make a `DataError` of whatever a reader of a lab's own files raises."""
    return as_data_error("The data cannot be read", f"Check the settings of `data`: {dict(config.data)}.")


def space_source(experiment: Experiment) -> str:
    """Return the source of the file that defines the space; it is kept with the sweep."""
    return Path(inspect.getfile(import_callable(experiment.space))).read_text(encoding="utf-8")


def _size(data: Any) -> int:
    if isinstance(data, np.ndarray):
        return data.nbytes
    if dataclasses.is_dataclass(data):
        return sum(_size(getattr(data, one.name)) for one in dataclasses.fields(data))
    if isinstance(data, Mapping):
        return sum(_size(one) for one in data.values())
    if isinstance(data, tuple | list):
        return sum(_size(one) for one in data)
    return 0
