"""neurosweep: distributed hyperparameter search for models of neural recordings.

Importing this package imports neither torch nor ray: its public names are loaded when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from neurosweep.config import PopulationConfig, ResourceConfig, SearchConfig, SweepConfig, TrackingConfig
from neurosweep.errors import NeurosweepError
from neurosweep.experiments import Constraint, Experiment, Objective

if TYPE_CHECKING:
    from neurosweep.sweeps.launch import launch, resume
    from neurosweep.sweeps.replay import replay
    from neurosweep.sweeps.result import SweepResult
    from neurosweep.trials.reload import load_model, validate_model

__all__ = [
    "Constraint",
    "Experiment",
    "NeurosweepError",
    "Objective",
    "PopulationConfig",
    "ResourceConfig",
    "SearchConfig",
    "SweepConfig",
    "SweepResult",
    "TrackingConfig",
    "launch",
    "load_model",
    "replay",
    "resume",
    "validate_model",
]

_LAZY = {
    "SweepResult": "neurosweep.sweeps.result",
    "launch": "neurosweep.sweeps.launch",
    "load_model": "neurosweep.trials.reload",
    "replay": "neurosweep.sweeps.replay",
    "resume": "neurosweep.sweeps.launch",
    "validate_model": "neurosweep.trials.reload",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'neurosweep' has no attribute '{name}'")
