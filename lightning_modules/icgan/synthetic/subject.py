"""One subject of SynthGOD: a session like those of the real experiment, and the truth behind it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.recordings.session import ImageSession, Shown
from lightning_modules.icgan.synthetic.attributes import Array, Integers
from lightning_modules.icgan.synthetic.noise import draw_snr, limiting_noise, private_noise, run_offsets
from lightning_modules.icgan.synthetic.presets import SynthPreset
from lightning_modules.icgan.synthetic.schedule import Schedule, draw_schedule
from lightning_modules.icgan.synthetic.sheet import place_voxels
from lightning_modules.icgan.synthetic.streams import Stream, stream
from lightning_modules.icgan.synthetic.voxels import Tuning, area_masks, draw_area, draw_sizes
from lightning_modules.icgan.synthetic.world import SynthWorld

GENERATED = "Generated data: no person was measured."
"""Note of every generated session."""


@dataclass(frozen=True, eq=False)
class SynthTruth:
    """What a subject's voxels were generated from.

    Args:
        signal: Response to each stimulus without noise, float32 (S, V).
        modelled: Its part that is linear in the banks, before √(1 - u), float32 (S, V).
        area_of_voxel: Index of the area in the preset that each voxel was drawn for, (V,).
        snr: Variance of the signal over that of the private noise in one trial, (V,).
        tuning: Weights of each area's voxels, in the order of the preset.
    """

    signal: NDArray[np.float32]
    modelled: NDArray[np.float32]
    area_of_voxel: Integers
    snr: Array
    tuning: tuple[Tuning, ...]


class SynthSubject(NamedTuple):
    """A subject's session and its truth."""

    session: ImageSession
    truth: SynthTruth


def generate_subject(world: SynthWorld, number: int) -> SynthSubject:
    """Generate one subject.

    Args:
        world: What all subjects share.
        number: Of the subject, from 1 to the number of `preset.subject_gains`.

    Returns:
        Rows of training, test and imagery; their voxels are raw, with an offset in every run.

    Raises:
        ValueError: If there is no such subject.

    Source:
        icgan.md section 8.2, "Voxels" and "Structure".
    """
    preset = world.preset
    if not 1 <= number <= len(preset.subject_gains):
        raise ValueError(
            f"Preset `{preset.name}` has subjects 1 to {len(preset.subject_gains)}, but no subject {number}."
        )
    drawing = stream(world.seed, Stream.VOXELS, number)
    truth = _draw_truth(world, preset.subject_gains[number - 1], drawing)
    schedule = draw_schedule(preset, stream(world.seed, Stream.SCHEDULE, number))
    pairs = world.order.pairs
    session = ImageSession(
        voxels=draw_trials(preset, truth, schedule, stream(world.seed, Stream.NOISE, number)),
        stimulus=schedule.stimulus,
        stimulus_names=world.order.names,
        category=pairs[:, 0].copy(),
        shown=schedule.shown,
        run=schedule.run,
        roi=area_masks(preset, truth.area_of_voxel, drawing),
        subject=f"Subject{number}",
        images=world.images,
        voxel_xyz=place_voxels(truth.area_of_voxel),
        source=f"SynthGOD (preset {preset.name}, seed {world.seed}, subject {number})",
        notes=(GENERATED,),
    )
    return SynthSubject(session, truth)


def draw_trials(
    preset: SynthPreset, truth: SynthTruth, schedule: Schedule, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Draw the voxels of every row, (K, V): signal, both kinds of noise, and the offset of the run."""
    noise, n_rows = preset.noise, len(schedule.stimulus)
    imagery = np.array([area.imagery for area in preset.areas], dtype=np.float32)[truth.area_of_voxel]
    trials = truth.signal[schedule.stimulus]
    trials[schedule.shown == Shown.IMAGERY] *= imagery
    training_signal = truth.signal[: preset.n_training]
    trials += limiting_noise(training_signal, truth.area_of_voxel, n_rows, noise, generator)
    trials += private_noise(truth.snr, n_rows, noise, generator)
    # Runs are counted anew in each kind of row.
    distinct_run = schedule.shown * (schedule.run.max() + 1) + schedule.run
    trials += run_offsets(distinct_run, trials.shape[1], noise, generator)
    return trials


def _draw_truth(world: SynthWorld, gain: float, generator: np.random.Generator) -> SynthTruth:
    preset = world.preset
    sizes = draw_sizes(preset, generator)
    drawn = [
        draw_area(area, world.banks, preset, n_voxels, generator)
        for area, n_voxels in zip(preset.areas, sizes, strict=True)
    ]
    base = np.repeat([area.snr for area in preset.areas], sizes)
    return SynthTruth(
        np.concatenate([one.signal for one in drawn], axis=1, dtype=np.float32, casting="same_kind"),
        np.concatenate([one.modelled for one in drawn], axis=1, dtype=np.float32, casting="same_kind"),
        area_of_voxel=np.repeat(np.arange(len(sizes)), sizes),
        snr=draw_snr(base, gain, preset.noise, generator),
        tuning=tuple(one.tuning for one in drawn),
    )
