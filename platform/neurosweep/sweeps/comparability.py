"""Whether values mean the same: those of two sweeps, and those of a sweep before and after a resume."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from neurosweep.config import SweepConfig
from neurosweep.errors import DataError
from neurosweep.experiments import Experiment, import_callable
from neurosweep.layout import SweepFolder, read_json
from neurosweep.sweeps.preparation import PreparedSweep
from neurosweep.trials.arguments import split_data_settings

_DATA_HASH, _EXPERIMENT = "data_hash", "experiment"
_MEANING = ("name", "module", "data_module", "load", "objectives", "constraints", "prune_on")
"""Parts of an experiment without which the values of two sweeps mean different things."""


def provenance_of(prepared: PreparedSweep) -> dict[str, Any]:
    """Return what is kept of a sweep so that later ones, and people, know where its values came from."""
    return {
        **asdict(prepared.code),
        _DATA_HASH: prepared.data_hash,
        _EXPERIMENT: _meaning(prepared.experiment),
    }


def refuse_changed_data(prepared: PreparedSweep) -> None:
    """Refuse to continue a sweep on other data than it was begun with.

    Raises:
        DataError: If the data has changed: its trials would stand on one leaderboard, but not be comparable.
    """
    folder = prepared.folder
    known = read_json(folder.provenance).get(_DATA_HASH)
    if known not in (None, prepared.data_hash):
        raise DataError(
            f"The data has changed since the sweep `{folder.name}` began: its hash was {known}, and is now "
            f"{prepared.data_hash}.",
            f"Bring back what `data` named ({dict(prepared.config.data)}), or launch a new sweep, with "
            f"`--warm-start {folder.name}` if it should begin with the best configurations of this one.",
        )


def is_comparable(prepared: PreparedSweep, config: SweepConfig, folder: SweepFolder) -> bool:
    """Whether a value of an earlier sweep means what a value of this one means."""
    known = read_json(folder.provenance)
    return (
        known.get(_DATA_HASH) == prepared.data_hash
        and known.get(_EXPERIMENT) == _meaning(prepared.experiment)
        and _settings(config, prepared.experiment) == _settings(prepared.config, prepared.experiment)
    )


def _meaning(experiment: Experiment) -> dict[str, Any]:
    content = asdict(experiment)
    return json.loads(json.dumps({name: content[name] for name in _MEANING}))


def _settings(config: SweepConfig, experiment: Experiment) -> Mapping[str, Any]:
    """Return the fixed values that a trial's score depends on; what only `load` reads is in the data's hash."""
    _, of_module = split_data_settings(
        config.data,
        load=import_callable(experiment.load),
        data_module=import_callable(experiment.data_module),
    )
    return {"model": dict(config.model), "trainer": dict(config.trainer), "data": of_module}
