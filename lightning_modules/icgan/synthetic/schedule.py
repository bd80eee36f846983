"""What SynthGOD's subjects are shown in every run."""

from typing import NamedTuple

import numpy as np

from lightning_modules.icgan.recordings.session import Shown
from lightning_modules.icgan.synthetic.attributes import Integers
from lightning_modules.icgan.synthetic.presets import SynthPreset


class Schedule(NamedTuple):
    """Rows of a session in the order of time; training, then test, then imagery.

    Args:
        stimulus: Index of the stimulus, training before test; of the class's test picture in imagery, (K,).
        shown: `Shown`, (K,).
        run: Counted from 1 in each kind of row, (K,).
    """

    stimulus: Integers
    shown: Integers
    run: Integers


def draw_schedule(preset: SynthPreset, generator: np.random.Generator) -> Schedule:
    """Draw the order of stimuli.

    Every training run holds pictures of as many classes, none twice; every test run holds each test picture once;
    in imagery all classes come up before one comes again.

    Source:
        icgan.md sections 1.1 and 8.2, "Structure".
    """
    n_classes, exemplars, n_test = preset.n_training_classes, preset.exemplars, preset.n_test_classes
    exemplar = generator.permuted(np.tile(np.arange(exemplars), (n_classes, 1)), axis=1)
    shown_once = _permutations(n_classes, exemplars, generator)
    training = shown_once * exemplars + exemplar[shown_once, np.arange(exemplars)[:, None]]
    test = preset.n_training + _permutations(n_test, preset.test_runs, generator)
    imagery = preset.n_training + _permutations(n_test, preset.imagery_repeats, generator)
    parts = (
        (Shown.TRAINING, training, preset.training_runs),
        (Shown.TEST, test, preset.test_runs),
        (Shown.IMAGERY, imagery, preset.imagery_runs),
    )
    return Schedule(
        np.concatenate([stimuli.ravel() for _, stimuli, _ in parts]),
        np.concatenate([np.full(stimuli.size, kind, dtype=np.int64) for kind, stimuli, _ in parts]),
        np.concatenate(
            [np.repeat(np.arange(1, runs + 1), stimuli.size // runs) for _, stimuli, runs in parts]
        ),
    )


def _permutations(n: int, times: int, generator: np.random.Generator) -> Integers:
    """(times, n)"""
    return generator.permuted(np.tile(np.arange(n), (times, 1)), axis=1)
