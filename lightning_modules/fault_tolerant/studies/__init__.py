"""Studies of the family `fault_tolerant`: figures of the paper and of the specification, each by one command."""

from collections.abc import Mapping
from types import MappingProxyType

from lightning_modules.fault_tolerant.studies.depth import DepthSettings, study_depth
from lightning_modules.fault_tolerant.studies.levels import LevelSettings, study_levels
from lightning_modules.fault_tolerant.studies.neurons import NeuronSettings, study_neurons
from lightning_modules.fault_tolerant.studies.phase_diagram import PhaseSettings, study_phase_diagram
from lightning_modules.parts.studies import Study

STUDIES: Mapping[str, Study] = MappingProxyType(
    {
        "levels": Study(
            "logical error against p by level of the median code, crossings and threshold, beside the published ones",
            LevelSettings,
            study_levels,
        ),
        "phase_diagram": Study(
            "up to which p and sd the grid code protects, with simulated points and a box of your own neurons",
            PhaseSettings,
            study_phase_diagram,
        ),
        "neurons": Study(
            "physical neurons of the 2-bit multiplier against its error: grid, median, averaging, bare",
            NeuronSettings,
            study_neurons,
        ),
        "depth": Study(
            "a value of sixteen through many layers: grid code against averaging of as many neurons",
            DepthSettings,
            study_depth,
        ),
    }
)
