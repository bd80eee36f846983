"""An NWB file, written with pynwb, is binned at the model's width from the go cue on."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from pynwb.behavior import BehavioralTimeSeries, Position
from pynwb.file import Subject

from lightning_modules.parts.spikes.recordings import load_sessions

CUES = np.arange(8) * 3.0 + 1
ELECTRODES = [0, 2, 2, 5]
WIDTH, BINS = 0.05, 12


def write(path: Path, day: int) -> list[np.ndarray]:
    """Eight rewarded trials of 0.6 s from their go cues on; return the spike times of four units."""
    generator = np.random.default_rng(day)
    spike_times = [np.sort(generator.uniform(0, 25, 600)) for _ in ELECTRODES]
    start = datetime(2016, 10, day, 9, tzinfo=UTC)
    subject = Subject(subject_id="C", species="Macaca mulatta", sex="M", age="P5Y")
    file = NWBFile(
        session_description="reaching", identifier=str(day), session_start_time=start, subject=subject
    )
    device = file.create_device("array")
    group = file.create_electrode_group("electrode_group_M1", description="M1", location="M1", device=device)
    for _ in range(6):
        file.add_electrode(location="Primary Motor Cortex", group=group, x=0.0, y=0.0, z=0.0)
    for times, row in zip(spike_times, ELECTRODES, strict=True):
        file.add_unit(spike_times=times, electrodes=[row])
    module = file.create_processing_module("behavior", "cursor")
    times = np.arange(0, 26, 0.01)
    circle = np.stack([np.cos(times), np.sin(times)], axis=1)
    position = Position(name="Position")
    position.create_spatial_series(
        name="cursor_pos", reference_frame="centre", data=circle, timestamps=times, unit="cm"
    )
    velocity = BehavioralTimeSeries(name="Velocity")
    velocity.add_timeseries(
        TimeSeries(name="cursor_vel", data=circle[:, ::-1] * [-1, 1], timestamps=times, unit="cm/s")
    )
    module.add(position)
    module.add(velocity)
    for column in ("go_cue_time", "result", "target_id"):
        file.add_trial_column(column, column)
    for number, cue in enumerate(CUES):
        file.add_trial(
            start_time=cue - 0.5,
            stop_time=cue + BINS * WIDTH,
            go_cue_time=cue,
            result="R",
            target_id=float(number % 4),
        )
    with NWBHDF5IO(path=path, mode="w") as io:
        io.write(file)
    return spike_times


def test_nwb_files_are_binned_at_the_models_width(tmp_path: Path, build_decoder: Callable[..., Any]) -> None:
    (tmp_path / "training").mkdir()
    for day in (1, 2):
        write(tmp_path / "training" / f"{day}.nwb", day)
    settings = {"bin_width_s": WIDTH, "behaviour": "position", "validation_fraction": 0.25}
    decoder = build_decoder(load_sessions(path=str(tmp_path / "training"), **settings))
    spike_times = write(tmp_path / "new.nwb", 9)
    decoded = decoder.decode(tmp_path / "new.nwb")
    counts = np.zeros((8, BINS, 32), dtype=int)
    for trial, cue in enumerate(CUES):
        edges = cue + WIDTH * np.arange(BINS + 1)
        for times, electrode in zip(spike_times, ELECTRODES, strict=True):
            counts[trial, :, electrode] += np.histogram(times, edges)[0]
    np.testing.assert_allclose(decoded.predicted, decoder.forward(counts), rtol=1e-5, atol=1e-6)
    centres = CUES[:, None] + WIDTH * (np.arange(BINS) + 0.5)
    assert decoded.behaviour[..., 0] == pytest.approx(np.cos(centres), abs=1e-4)
    assert set(decoded.scores) == {"R2", "R2 of position_x", "R2 of position_y"}
