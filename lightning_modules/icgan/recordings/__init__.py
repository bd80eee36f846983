"""Subjects who looked at pictures: read, written, z-scored, averaged over repeats."""

from lightning_modules.icgan.recordings.god_rows import BadVoxels
from lightning_modules.icgan.recordings.god_writer import write_god
from lightning_modules.icgan.recordings.normalise import (
    AveragedPatterns,
    RunKey,
    TestNormalisation,
    average_repeats,
    normalise,
    training_rows,
)
from lightning_modules.icgan.recordings.reader import read_image_sessions
from lightning_modules.icgan.recordings.session import ImageSession, Shown
from lightning_modules.icgan.recordings.session_npz import write_session_npz

__all__ = [
    "AveragedPatterns",
    "BadVoxels",
    "ImageSession",
    "RunKey",
    "Shown",
    "TestNormalisation",
    "average_repeats",
    "normalise",
    "read_image_sessions",
    "training_rows",
    "write_god",
    "write_session_npz",
]
