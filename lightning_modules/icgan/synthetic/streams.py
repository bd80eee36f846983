"""Independent random numbers for every part of SynthGOD, so that changing one part leaves the others as they were."""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What random numbers are for."""

    CLASSES = 0
    STIMULI = 1
    PIXEL_NOISE = 2
    NET = 3
    EVALUATION_NET = 4
    ORACLE = 5
    UNMODELLED = 6
    VOXELS = 7
    SCHEDULE = 8
    NOISE = 9


def stream(seed: int, purpose: Stream, subject: int = 0) -> np.random.Generator:
    """Return the generator of one purpose and, from 1 on, one subject."""
    return np.random.default_rng([seed, purpose, subject])
