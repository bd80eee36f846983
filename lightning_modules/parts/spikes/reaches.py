"""Generated centre-out reaches and the latent activity that belongs to them, the same rule on every day."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from lightning_modules.parts.spikes.session import Indices

N_TARGETS = 8
N_LATENTS = 10
LEAD_S = 0.08
"""By how much the activity leads the movement, s."""
ROTATIONS_HZ = (1.6, 2.4)
NOISE = 0.05
"""Standard deviation that the walk of each latent gains in 0.1 s, apart from movement."""

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Reaches:
    """Minimum-jerk reaches that bow sideways. Time 0 is the go cue; one entry for each of K trials.

    Args:
        target: 0 to 7, int64 (K,).
        angle: Direction of the reach, radians.
        amplitude: Distance of its end, cm.
        reaction_s: From go cue to movement, s.
        duration_s: Of the movement, s.
        bow: Largest lateral deviation, to the left of the direction, cm.
    """

    target: Indices
    angle: Array
    amplitude: Array
    reaction_s: Array
    duration_s: Array
    bow: Array

    def position(self, times: Array) -> Array:
        """Hand position in cm, (K, T, 2)."""
        progress, _ = self._progress(times)
        along = self.amplitude[:, None] * progress
        aside = self.bow[:, None] * np.sin(np.pi * progress)
        return self._in_workspace(along, aside)

    def velocity(self, times: Array) -> Array:
        """Hand velocity in cm/s, (K, T, 2)."""
        progress, speed = self._progress(times)
        along = self.amplitude[:, None] * speed
        aside = self.bow[:, None] * np.pi * np.cos(np.pi * progress) * speed
        return self._in_workspace(along, aside)

    def _progress(self, times: Array) -> tuple[Array, Array]:
        """Part of the way that is done, and its rate in 1/s; (K, T) each."""
        tau = np.clip((times - self.reaction_s[:, None]) / self.duration_s[:, None], 0, 1)
        progress = 10 * tau**3 - 15 * tau**4 + 6 * tau**5
        return progress, (30 * tau**2 - 60 * tau**3 + 30 * tau**4) / self.duration_s[:, None]

    def _in_workspace(self, along: Array, aside: Array) -> Array:
        cos, sin = np.cos(self.angle)[:, None], np.sin(self.angle)[:, None]
        return np.stack([along * cos - aside * sin, along * sin + aside * cos], axis=-1)


def draw_reaches(generator: np.random.Generator, n_trials: int, frequencies: Array | None = None) -> Reaches:
    """Draw the reaches of a day.

    Args:
        generator: Source of randomness.
        n_trials: K.
        frequencies: Probability of each target; None for equally many trials of each, in random order.
    """
    if frequencies is None:
        target = generator.permutation(np.arange(n_trials) % N_TARGETS)
    else:
        target = generator.choice(N_TARGETS, size=n_trials, p=frequencies)
    noise = generator.normal(size=(5, n_trials))
    return Reaches(
        target=target.astype(np.int64),
        angle=target * np.pi / 4 + 0.06 * noise[0],
        amplitude=8 * (1 + 0.05 * noise[1]),
        reaction_s=0.20 + 0.03 * noise[2],
        duration_s=np.maximum(0.25, 0.36 + 0.04 * noise[3]),
        bow=0.35 * noise[4],
    )


def latents_of(
    reaches: Reaches, times: Array, *, bin_width_s: float, generator: np.random.Generator
) -> Array:
    """Ten latents of each trial, (K, T, 10): two preparatory rotations, velocity and speed to come, an onset
    signal that is the same for all targets, position; and a random walk that has nothing to do with
    behaviour.
    """
    since = np.maximum(0, times - (reaches.reaction_s[:, None] - 0.10))
    envelope = np.exp(-since / 0.35) * expit((times - 0.05) / 0.03)
    rotations = [
        envelope * np.exp(1j * (2 * np.pi * hertz * since + k * reaches.angle[:, None] + 0.7 * (k - 1)))
        for k, hertz in enumerate(ROTATIONS_HZ, start=1)
    ]
    to_come = reaches.velocity(times + LEAD_S) / 30
    onset = np.exp(-0.5 * ((times - reaches.reaction_s[:, None] + 0.05) / 0.08) ** 2)
    latents = np.concatenate(
        [
            np.stack([part for rotation in rotations for part in (rotation.real, rotation.imag)], axis=-1),
            to_come,
            np.linalg.norm(to_come, axis=-1, keepdims=True),
            onset[..., None],
            reaches.position(times) / 8,
        ],
        axis=-1,
    )
    steps = generator.normal(size=latents.shape)
    return latents + NOISE * np.sqrt(bin_width_s / 0.1) * np.cumsum(steps, axis=1)
