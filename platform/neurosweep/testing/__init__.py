"""Conformance tests for experiments, for our own models and for a lab's."""

from neurosweep.testing.conformance import ExperimentConformance

__all__ = ["ExperimentConformance"]
