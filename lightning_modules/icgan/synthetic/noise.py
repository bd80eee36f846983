"""What trials of SynthGOD add to the signal: noise that looks like other pictures, private noise, offsets of runs."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lightning_modules.icgan.synthetic.attributes import Array, Integers
from lightning_modules.icgan.synthetic.presets import Noise

Rows = NDArray[np.float32]
"""Trials of V voxels, (K, V)."""


def limiting_noise(
    training_signal: Rows,
    area_of_voxel: Integers,
    n_rows: int,
    noise: Noise,
    generator: np.random.Generator,
) -> Rows:
    """Draw information-limiting noise: every trial, signals of a few random training pictures are mixed in.

    It lies in the directions in which signals differ, so that no number of voxels averages it away. A share ρ of its
    variance has the same pictures in all areas, the rest other pictures in each.

    Args:
        training_signal: Signals of the n training pictures, (n, V).
        area_of_voxel: Index of each voxel's area, (V,).
        n_rows: K, trials.
        noise: κ, ρ, and how many pictures are mixed.
        generator: Draws pictures and weights.

    Source:
        icgan.md section 8.2, "limiting noise": √(κρ) Σ ω_k signal(j_k) + √(κ(1 - ρ)) of the same in each area, with
        ω ~ N(0, 1) / 2 for four pictures, whose squares thus sum to 1.
    """
    n_training = len(training_signal)
    shared = np.sqrt(noise.limiting * noise.shared)
    drawn = shared * (_mixtures(n_rows, n_training, noise, generator) @ training_signal)
    own = np.sqrt(noise.limiting * (1 - noise.shared))
    for columns in _voxels_by_area(area_of_voxel):
        mixtures = _mixtures(n_rows, n_training, noise, generator)
        drawn[:, columns] += own * (mixtures @ training_signal[:, columns])
    return drawn.astype(np.float32, copy=False)


def draw_snr(base: Array, gain: float, noise: Noise, generator: np.random.Generator) -> Array:
    """Draw the ratio of signal to private noise variance of voxels with the base of their area, (V,)."""
    return gain * base * np.exp(generator.normal(0, noise.log_snr_sd, len(base)))


def private_noise(snr: Array, n_rows: int, noise: Noise, generator: np.random.Generator) -> Rows:
    """Draw noise of standard deviation 1 / √snr, partly through factors that voxels share, (K, V).

    Source:
        icgan.md section 8.2, "private noise": 70 % white, 30 % through 20 random factors.
    """
    loadings = generator.standard_normal((noise.n_factors, len(snr)), dtype=np.float32)
    loadings *= np.sqrt(noise.correlated) / np.linalg.norm(loadings, axis=0)
    drawn = generator.standard_normal((n_rows, len(snr)), dtype=np.float32)
    drawn *= np.float32(np.sqrt(1 - noise.correlated))
    drawn += generator.standard_normal((n_rows, noise.n_factors), dtype=np.float32) @ loadings
    return drawn / np.sqrt(snr, dtype=np.float32)


def run_offsets(run: Integers, n_voxels: int, noise: Noise, generator: np.random.Generator) -> Rows:
    """Draw an offset for every run and voxel, spread over the rows of the run, (K, V) for runs (K,)."""
    runs, of_row = np.unique(run, return_inverse=True)
    offsets = generator.standard_normal((len(runs), n_voxels), dtype=np.float32)
    return np.float32(noise.run_offset_sd) * offsets[of_row]


def _mixtures(n_rows: int, n_training: int, noise: Noise, generator: np.random.Generator) -> sparse.csr_array:
    """Weights ω of the pictures that each trial mixes, float32 (K, n)."""
    shape = n_rows, noise.n_mixed
    weights = generator.standard_normal(shape, dtype=np.float32) / np.float32(np.sqrt(noise.n_mixed))
    pictures = generator.integers(0, n_training, shape)
    starts = np.arange(n_rows + 1) * noise.n_mixed
    return sparse.csr_array((weights.ravel(), pictures.ravel(), starts), shape=(n_rows, n_training))


def _voxels_by_area(area_of_voxel: Integers) -> Iterator[Integers]:
    return (np.flatnonzero(area_of_voxel == area) for area in np.unique(area_of_voxel))
