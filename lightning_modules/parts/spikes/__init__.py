"""Recording days of binned spikes: read, generated, cut into trials, split."""

from lightning_modules.parts.spikes.npz import read_npz, write_npz
from lightning_modules.parts.spikes.nwb import read_nwb
from lightning_modules.parts.spikes.order import epoch_order
from lightning_modules.parts.spikes.pyaldata import read_pyaldata
from lightning_modules.parts.spikes.reader import read_sessions
from lightning_modules.parts.spikes.rebin import rebin_session
from lightning_modules.parts.spikes.session import (
    BehaviourName,
    SpikeSession,
    check_session,
    select_behaviour,
)
from lightning_modules.parts.spikes.splits import SessionSplit, split_sessions, split_trials
from lightning_modules.parts.spikes.synthetic import PRESETS, Preset, generate_recording, generate_sessions
from lightning_modules.parts.spikes.units import UnitMode, align_units
from lightning_modules.parts.spikes.windows import SpikeTrials, concatenate_trials, cut_trials, window_bins

__all__ = [
    "PRESETS",
    "BehaviourName",
    "Preset",
    "SessionSplit",
    "SpikeSession",
    "SpikeTrials",
    "UnitMode",
    "align_units",
    "check_session",
    "concatenate_trials",
    "cut_trials",
    "epoch_order",
    "generate_recording",
    "generate_sessions",
    "read_npz",
    "read_nwb",
    "read_pyaldata",
    "read_sessions",
    "rebin_session",
    "select_behaviour",
    "split_sessions",
    "split_trials",
    "window_bins",
    "write_npz",
]
