"""Feature banks that SynthGOD's voxels respond to, and the random networks of them that no linear decoder follows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import svd

from lightning_modules.icgan.features.low_level import low_level_bank
from lightning_modules.icgan.features.small_net import SmallNet, mid_level
from lightning_modules.icgan.features.z_scores import z_scored
from lightning_modules.icgan.synthetic.attributes import Array, PictureAttributes, Shape
from lightning_modules.icgan.synthetic.presets import SynthPreset

_LOWEST_VARIANCE = 1e-9
"""Principal components with less of the first one's variance are rounding."""


@dataclass(frozen=True, eq=False)
class Banks:
    """What voxels respond to, for S stimuli, every column z-scored by the training stimuli.

    Args:
        low: Gabor energy and RGB on a grid, (S, 960).
        mid: Last pooled map of the network on a 2 x 2 grid, (S, 384).
        semantic: Principal components of h, then indicators of shape, texture and hue, (S, 83).
        face: Indicator of faces, (S,).
        scene: Indicator of houses, (S,).
        unmodelled_low: Random network of `low`, (S, 600).
        unmodelled_mid: Random network of `mid`, (S, 600).
        unmodelled_semantic: Random network of `semantic`, (S, 600).
        n_training: Training stimuli, which come first.
    """

    low: Array
    mid: Array
    semantic: Array
    face: Array
    scene: Array
    unmodelled_low: Array
    unmodelled_mid: Array
    unmodelled_semantic: Array
    n_training: int


def build_banks(
    preset: SynthPreset,
    *,
    attributes: PictureAttributes,
    images: NDArray[np.float32],
    features: NDArray[np.float32],
    net: SmallNet,
    generator: np.random.Generator,
) -> Banks:
    """Compute the banks of S stimuli, training before test.

    Args:
        preset: Sizes.
        attributes: Of the stimuli.
        images: RGB in [0, 1], (S, H, W, 3).
        features: Instance features h, (S, D).
        net: Network of the mid-level bank.
        generator: Draws the random networks.

    Source:
        icgan.md section 8.2, "Feature banks" and N in the signal's equation. The indicators of faces and scenes are
        z-scored as the rest is; the shares of variance of an area would not add up to 1 otherwise.
    """
    n_training = preset.n_training
    low = z_scored(low_level_bank(images), n_training)
    mid = z_scored(mid_level(net, images), n_training)
    components = principal_components(features, n_training, preset.n_components)
    semantic = z_scored(np.concatenate([components, attributes.one_hots], axis=1), n_training)
    of_shape = z_scored(attributes.shape[:, None] == [Shape.FACE, Shape.HOUSE], n_training)
    return Banks(
        low,
        mid,
        semantic,
        face=of_shape[:, 0],
        scene=of_shape[:, 1],
        unmodelled_low=random_network(low, preset, generator),
        unmodelled_mid=random_network(mid, preset, generator),
        unmodelled_semantic=random_network(semantic, preset, generator),
        n_training=n_training,
    )


def principal_components(features: NDArray[np.float32], n_training: int, n_components: int) -> Array:
    """Scores of rows (S, D) on the first principal components of the training rows; fewer if those have less."""
    centred = features.astype(np.float64) - features[:n_training].mean(axis=0, dtype=np.float64)
    _, sizes, axes = svd(centred[:n_training], full_matrices=False)
    n_kept = min(n_components, int((sizes**2 > _LOWEST_VARIANCE * sizes[0] ** 2).sum()))
    return centred @ axes[:n_kept].T


def random_network(bank: Array, preset: SynthPreset, generator: np.random.Generator) -> Array:
    """Two layers of tanh units with random weights on a z-scored bank (S, D): (S, units)."""
    values = bank
    for _ in range(2):
        n_in = values.shape[1]
        weights = generator.normal(0, preset.unmodelled_gain / np.sqrt(n_in), (n_in, preset.unmodelled_units))
        values = np.tanh(values @ weights)
    return values
