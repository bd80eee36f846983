"""The parent run of a sweep in MLflow: who it is, what it searches, on which data."""

import logging
import time
from pathlib import Path

from neurosweep.errors import TrackingError
from neurosweep.layout import write_atomically
from neurosweep.naming import Tag
from neurosweep.provenance import fingerprint
from neurosweep.sweeps.preparation import PreparedSweep, space_source
from neurosweep.tracking import DataNote, Mirror

logger = logging.getLogger(__name__)

_PAUSES_SECONDS = (1.0, 2.0, 4.0)
"""Pauses before a server that is overloaded is asked again."""


def open_parent(mirror: Mirror, prepared: PreparedSweep) -> str:
    """Find or create the sweep's parent run, and give it its configuration and data sets.

    Returns:
        The run's id.

    Raises:
        TrackingError: If MLflow fails, also when it is asked again.
    """
    for pause in _PAUSES_SECONDS:
        try:
            return _open(mirror, prepared)
        except TrackingError as error:
            logger.warning("%s Again in %.0f s.", error.problem, pause)
            time.sleep(pause)
    return _open(mirror, prepared)


def _open(mirror: Mirror, prepared: PreparedSweep) -> str:
    return mirror.open_sweep(
        tags=sweep_tags(prepared),
        parameters=_parameters(prepared),
        artifacts=_write_inputs(prepared),
        data=_data_notes(prepared),
    )


def sweep_tags(prepared: PreparedSweep) -> dict[str, str]:
    """Return the tags that the parent run and its children share."""
    config = prepared.config
    return {
        Tag.EXPERIMENT: prepared.experiment.name,
        Tag.DATA_HASH: prepared.data_hash,
        Tag.CONFIG_HASH: fingerprint(
            {
                "pins": config.pins,
                "search": config.search,
                "seed": config.seed,
                "space": prepared.experiment.space,
            }
        ),
        **prepared.code.as_tags(),
    }


def _parameters(prepared: PreparedSweep) -> dict[str, object]:
    """Return what was fixed for the whole sweep, flat and dotted."""
    config = prepared.config
    return {
        "seed": config.seed,
        "search.trials": config.search.trials,
        "search.sampler": config.search.sampler,
        "search.pruner": config.search.pruner,
        **config.pins,
    }


def _write_inputs(prepared: PreparedSweep) -> dict[str, Path]:
    """Keep the space's source and the lock file beside the sweep, and name what belongs in the parent run."""
    folder = prepared.folder
    space = folder.root / "space.py"
    write_atomically(space, space_source(prepared.experiment))
    return {
        "inputs/sweep.yaml": folder.config,
        "inputs/provenance.json": folder.provenance,
        "inputs/space.py": space,
    }


def _data_notes(prepared: PreparedSweep) -> list[DataNote]:
    """Describe what was read, a data set per split."""
    splits = getattr(prepared.data, "splits", None) or {"data": prepared.data}
    source = str(prepared.config.data.get("path") or "generated")
    return [
        DataNote(
            name=f"{prepared.experiment.name}-{split}",
            digest=fingerprint(content),
            source=source,
            context=split,
        )
        for split, content in splits.items()
    ]
