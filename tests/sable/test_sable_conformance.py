"""SABLE keeps to the contract of every experiment."""

from importlib.resources import files
from typing import Any, ClassVar

import yaml

from neurosweep.testing import ExperimentConformance

SMOKE: dict[str, Any] = yaml.safe_load(
    files("search_spaces.sable").joinpath("smoke.yaml").read_text(encoding="utf-8")
)
TINY = {section: SMOKE[section] for section in ("data", "model")}


class TestSable(ExperimentConformance):
    """The laptop family, at the size of smoke.yaml."""

    experiment = "sable"
    epochs = 2
    settings: ClassVar = TINY


class TestSablePaperSize(ExperimentConformance):
    """The family for GPUs with its depth and its space, at the widths of smoke.yaml."""

    experiment = "sable-paper-size"
    epochs = 2
    settings: ClassVar = TINY


class TestSableDann(ExperimentConformance):
    """The control with a session classifier, whose training batches are labelled."""

    experiment = "sable-dann"
    epochs = 2
    settings: ClassVar = {**TINY, "model": {**TINY["model"], "variant": "session_classifier"}}
