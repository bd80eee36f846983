"""Pixel decoders keep to the contract of every experiment."""

from pathlib import Path

import pytest

from neurosweep.config import SweepConfig
from neurosweep.config_files import resolve_config
from neurosweep.testing import ExperimentConformance


class TestPixels(ExperimentConformance):
    """On a subject with a linear code."""

    experiment = "pixels"
    epochs = 2

    @pytest.fixture
    def config(self, session_file: Path) -> SweepConfig:
        """With the path of a file that the tests write."""
        overrides = {
            "name": "conformance",
            "data": {"path": str(session_file), "test_categories": 2},
            "trainer": {"max_epochs": self.epochs},
        }
        return resolve_config(self.experiment, overrides)
