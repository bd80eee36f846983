"""Tuning of SynthGOD's voxels and their noise-free signals."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.features.low_level import GRID, N_CHANNELS
from lightning_modules.icgan.features.z_scores import z_scored
from lightning_modules.icgan.synthetic.attributes import Array, Integers
from lightning_modules.icgan.synthetic.banks import Banks
from lightning_modules.icgan.synthetic.presets import Area, SynthPreset


@dataclass(frozen=True, eq=False)
class Tuning:
    """Weights of V voxels of one area on the banks.

    Args:
        cell: Row and column of the receptive field's centre on the 8 x 8 grid, (V, 2).
        channels: Weight of each low-level channel, zero for most, (V, 15).
        mid: (V, 384).
        semantic: (V, 83).
        face: Weight g of faces, (V,).
        scene: Weight g of scenes, (V,).
    """

    cell: Integers
    channels: Array
    mid: Array
    semantic: Array
    face: Array
    scene: Array

    def low(self, radius: float) -> Array:
        """Weights on the low-level bank, (V, 15 x 64): channels times a Gaussian window around the centre."""
        rows, columns = np.divmod(np.arange(GRID**2), GRID)
        squared = (rows - self.cell[:, :1]) ** 2 + (columns - self.cell[:, 1:]) ** 2
        window = np.exp(-squared / (2 * radius**2))
        return (self.channels[:, :, None] * window[:, None, :]).reshape(len(self.cell), -1)


@dataclass(frozen=True, eq=False)
class AreaSignals:
    """What voxels of one area would respond without noise, for S stimuli.

    Args:
        modelled: The part that is linear in the banks, of variance 1 over training stimuli, (S, V).
        signal: With the part made by random networks, (S, V).
        tuning: Weights behind `modelled`.
    """

    modelled: Array
    signal: Array
    tuning: Tuning


def draw_tuning(banks: Banks, preset: SynthPreset, n_voxels: int, generator: np.random.Generator) -> Tuning:
    """Draw the tuning of the voxels of an area."""
    ranks = generator.random((n_voxels, N_CHANNELS)).argsort(axis=1)
    face, scene = np.abs(generator.normal(1, preset.preference_sd, (2, n_voxels)))
    return Tuning(
        cell=generator.integers(0, GRID, (n_voxels, 2)),
        channels=generator.normal(size=(n_voxels, N_CHANNELS)) * (ranks < preset.active_channels),
        mid=generator.normal(size=(n_voxels, banks.mid.shape[1])),
        semantic=generator.normal(size=(n_voxels, banks.semantic.shape[1])),
        face=face,
        scene=scene,
    )


def draw_area(
    area: Area, banks: Banks, preset: SynthPreset, n_voxels: int, generator: np.random.Generator
) -> AreaSignals:
    """Draw the voxels of one area and their signals.

    With z for z-scoring by training stimuli and shares a, b, c, f, s of the area,
    signal = √(1 - u) z(√a z(low) + √b z(mid) + √c z(semantic) + √f g 1_face + √s g 1_scene)
    + √u z(√a z(N_low) + √b z(N_mid) + √(1 - a - b) z(N_semantic)).

    Source:
        icgan.md section 8.2, "Voxels".
    """
    tuning = draw_tuning(banks, preset, n_voxels, generator)
    modelled = _modelled(area, banks, tuning)
    unmodelled = _unmodelled(area, banks, n_voxels, generator)
    signal = np.sqrt(1 - preset.unmodelled) * modelled + np.sqrt(preset.unmodelled) * unmodelled
    return AreaSignals(modelled, signal, tuning)


def _modelled(area: Area, banks: Banks, tuning: Tuning) -> Array:
    n = banks.n_training
    mixture = (
        np.sqrt(area.low) * z_scored(banks.low @ tuning.low(area.radius).T, n)
        + np.sqrt(area.mid) * z_scored(banks.mid @ tuning.mid.T, n)
        + np.sqrt(area.semantic) * z_scored(banks.semantic @ tuning.semantic.T, n)
        + np.sqrt(area.face) * np.outer(banks.face, tuning.face)
        + np.sqrt(area.scene) * np.outer(banks.scene, tuning.scene)
    )
    return z_scored(mixture, n)


def _unmodelled(area: Area, banks: Banks, n_voxels: int, generator: np.random.Generator) -> Array:
    def driven(network: Array) -> Array:
        weights = generator.normal(size=(network.shape[1], n_voxels))
        return z_scored(network @ weights, banks.n_training)

    rest = max(0.0, 1 - area.low - area.mid)  # 1 - .9 - .1 is slightly below 0 in floating point
    mixture = (
        np.sqrt(area.low) * driven(banks.unmodelled_low)
        + np.sqrt(area.mid) * driven(banks.unmodelled_mid)
        + np.sqrt(rest) * driven(banks.unmodelled_semantic)
    )
    return z_scored(mixture, banks.n_training)


def draw_sizes(preset: SynthPreset, generator: np.random.Generator) -> tuple[int, ...]:
    """Draw how many voxels each area of a subject has."""
    factors = generator.uniform(*preset.size_factor, len(preset.areas))
    return tuple(round(area.n_voxels * factor) for area, factor in zip(preset.areas, factors, strict=True))


def area_masks(
    preset: SynthPreset, area_of_voxel: Integers, generator: np.random.Generator
) -> dict[str, NDArray[np.bool_]]:
    """Mark the voxels of every area, and of low, high and all visual cortex, (V,) each.

    Args:
        preset: Areas, and how many of FFA's voxels count as LOC as well.
        area_of_voxel: Index of the area that each voxel was drawn for, (V,).
        generator: Draws the voxels of both.
    """
    masks = {area.name: area_of_voxel == index for index, area in enumerate(preset.areas)}
    of_faces = np.flatnonzero(masks["FFA"])
    n_both = round(preset.face_in_object * len(of_faces))
    masks["LOC"][generator.choice(of_faces, n_both, replace=False)] = True
    masks["LVC"] = masks["V1"] | masks["V2"] | masks["V3"]
    masks["HVC"] = masks["LOC"] | masks["FFA"] | masks["PPA"]
    masks["VC"] = masks["LVC"] | masks["V4"] | masks["HVC"]
    return masks
