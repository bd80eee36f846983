"""The search of codes keeps to the contract of every experiment."""

from collections.abc import Mapping
from typing import Any, ClassVar

from neurosweep.testing import ExperimentConformance


class TestFaultTolerant(ExperimentConformance):
    """On a single gate."""

    experiment = "fault_tolerant"
    settings: ClassVar[Mapping[str, Any]] = {"data": {"task": "nand", "n_trials": 40}}
    epochs = 2
