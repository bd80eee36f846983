"""Signals and noise of voxels: truth from regressions, closed forms, and the table of the specification."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import zscore

from lightning_modules.icgan.synthetic.noise import (
    draw_snr,
    limiting_noise,
    private_noise,
    run_offsets,
)
from lightning_modules.icgan.synthetic.presets import PRESETS, Area, Noise
from lightning_modules.icgan.synthetic.voxels import AreaSignals, area_masks, draw_area, draw_sizes
from lightning_modules.icgan.synthetic.world import SynthWorld

TABLE = {
    "V1": (1000, 0.90, 0.10, 0, 0, 0, 1, 0.25, 0.15),
    "V2": (1000, 0.70, 0.25, 0.05, 0, 0, 1.5, 0.22, 0.15),
    "V3": (760, 0.55, 0.35, 0.10, 0, 0, 2, 0.20, 0.15),
    "V4": (740, 0.30, 0.50, 0.20, 0, 0, 3, 0.20, 0.3),
    "LOC": (420, 0.10, 0.35, 0.55, 0, 0, 3, 0.18, 0.5),
    "FFA": (350, 0.05, 0.15, 0.45, 0.35, 0, 3, 0.15, 0.5),
    "PPA": (230, 0.05, 0.15, 0.45, 0, 0.35, 3, 0.15, 0.5),
}
"""icgan.md section 8.2: voxels, a, b, c, face, scene, radius, s; then the factor of imagery."""
AREAS = {area.name: area for area in PRESETS["full"].areas}


def drawn(area: Area, world: SynthWorld, **changed: float) -> AreaSignals:
    preset = replace(world.preset, **changed)
    return draw_area(area, world.banks, preset, 30, np.random.default_rng(0))


def parts(area: Area, world: SynthWorld, found: AreaSignals) -> np.ndarray:
    """What the area's tuning picks from each bank, z-scored over training stimuli by scipy, (5, n, voxels)."""
    banks, tuning, n = world.banks, found.tuning, world.preset.n_training
    picked = (
        banks.low @ tuning.low(area.radius).T,
        banks.mid @ tuning.mid.T,
        banks.semantic @ tuning.semantic.T,
    )
    indicators = [
        np.outer(zscore((world.attributes.shape[:n] == shape).astype(float)), weight)
        for shape, weight in ((8, tuning.face), (9, tuning.scene))
    ]
    return np.stack([*(zscore(one[:n]) for one in picked), *indicators])


def test_full_preset_holds_the_table_and_tiny_a_fifth_of_its_voxels() -> None:
    for name, row in TABLE.items():
        one = AREAS[name]
        found = (
            one.n_voxels,
            one.low,
            one.mid,
            one.semantic,
            one.face,
            one.scene,
            one.radius,
            one.snr,
            one.imagery,
        )
        assert found == row
    assert sum(area.n_voxels for area in PRESETS["full"].areas) == 4500
    assert sum(area.n_voxels for area in PRESETS["tiny"].areas) == 900
    for preset in PRESETS.values():
        assert (preset.unmodelled, preset.noise.limiting, preset.noise.shared) == (0.6, 12, 0.85)
    assert PRESETS["full"].subject_gains == (0.18, 0.16, 0.24, 0.18, 0.14)


@pytest.mark.parametrize("name", TABLE)
def test_shares_of_variance_are_those_of_the_table(name: str, world: SynthWorld) -> None:
    area = AREAS[name]
    found = drawn(area, world)
    modelled = found.modelled[: world.preset.n_training]
    np.testing.assert_allclose(modelled.std(axis=0), 1, atol=1e-6)
    predictors = parts(area, world, found)
    for voxel in range(30):
        weights, *_ = np.linalg.lstsq(predictors[:, :, voxel].T, modelled[:, voxel])
        assert np.corrcoef(predictors[:, :, voxel].T @ weights, modelled[:, voxel])[0, 1] > 1 - 1e-9
        # Indicators have the weight g in `parts`, so that all squared weights are in the table's proportions.
        np.testing.assert_allclose(weights**2 / (weights**2).sum(), TABLE[name][1:6], atol=1e-6)


def test_unmodelled_share_is_what_is_left_of_the_signal(world: SynthWorld) -> None:
    found = drawn(AREAS["V4"], world)
    rest = found.signal - np.sqrt(0.4) * found.modelled
    np.testing.assert_allclose(rest[: world.preset.n_training].std(axis=0), np.sqrt(0.6), rtol=1e-6)
    np.testing.assert_allclose(drawn(AREAS["V4"], world, unmodelled=0).signal, found.modelled, rtol=1e-6)


def test_preferences_for_faces_and_scenes_are_about_one(world: SynthWorld) -> None:
    tuning = draw_area(AREAS["FFA"], world.banks, world.preset, 400, np.random.default_rng(0)).tuning
    for weights in (tuning.face, tuning.scene):
        assert weights.mean() == pytest.approx(1, abs=0.05)
        assert weights.std() == pytest.approx(0.3, abs=0.04)
        assert weights.min() > 0


def test_ffa_prefers_faces_and_ppa_houses(world: SynthWorld) -> None:
    """Signal of faces minus that of the other stimuli, in standard deviations: √(.4 · .35 / (.1 · .9)) at least."""
    shape = world.attributes.shape[: world.preset.n_training]
    for name, preferred in (("FFA", 8), ("PPA", 9)):
        signal = drawn(AREAS[name], world).signal[: world.preset.n_training]
        by_shape = np.array([signal[shape == one].mean() for one in range(10)])
        assert by_shape.argmax() == preferred
        assert by_shape[preferred] > 0.8


@pytest.mark.parametrize("radius", [1.0, 3.0])
def test_receptive_fields_are_gaussian_windows_on_six_of_fifteen_channels(
    radius: float, world: SynthWorld
) -> None:
    tuning = drawn(AREAS["V1"], world).tuning
    weights = tuning.low(radius).reshape(30, 15, 8, 8)
    assert ((weights != 0).any(axis=(2, 3)).sum(axis=1) == 6).all()
    for voxel in range(30):
        row, column = tuning.cell[voxel]
        channel = np.abs(weights[voxel]).sum(axis=(1, 2)).argmax()
        for other_row, other_column in ((0, 0), (3, 6), (7, 7)):
            squared = (row - other_row) ** 2 + (column - other_column) ** 2
            ratio = weights[voxel, channel, other_row, other_column] / weights[voxel, channel, row, column]
            assert ratio == pytest.approx(np.exp(-squared / (2 * radius**2)))


def test_a_linear_readout_of_the_banks_cannot_follow_the_random_networks(world: SynthWorld) -> None:
    """Least squares from the semantic columns to the random network leaves part of its variance on test stimuli."""
    banks, n = world.banks, world.preset.n_training
    inputs, targets = banks.semantic, banks.unmodelled_semantic
    weights = np.linalg.lstsq(inputs[:n], targets[:n] - targets[:n].mean(axis=0))[0]
    predicted = inputs[n:] @ weights + targets[:n].mean(axis=0)
    residual = ((targets[n:] - predicted) ** 2).mean() / targets[n:].var()
    assert targets.shape[1] == 600
    assert residual > 0.2


def test_voxel_counts_vary_by_fifteen_percent_and_ffa_shares_fifteen_percent_with_loc() -> None:
    preset = PRESETS["full"]
    generator = np.random.default_rng(0)
    sizes = np.array([draw_sizes(preset, generator) for _ in range(200)])
    factors = sizes / [area.n_voxels for area in preset.areas]
    assert 0.845 < factors.min() < 0.86
    assert 1.14 < factors.max() < 1.155
    area = np.repeat(np.arange(7), sizes[0])
    masks = area_masks(preset, area, generator)
    both = (masks["LOC"] & masks["FFA"]).sum()
    assert both == round(0.15 * masks["FFA"].sum())
    assert masks["LOC"].sum() == sizes[0][4] + both
    assert masks["VC"].all()
    assert not (masks["LVC"] & masks["HVC"]).any()
    assert (masks["LVC"] | masks["V4"] | masks["HVC"]).all()


@pytest.fixture(scope="module")
def signal() -> np.ndarray:
    """Signals of 40 training pictures in 300 voxels, of variance 1."""
    values = np.random.default_rng(0).normal(size=(40, 300))
    return zscore(values).astype(np.float32)


def test_limiting_noise_has_variance_kappa_and_lies_in_the_span_of_signals(signal: np.ndarray) -> None:
    drawn = limiting_noise(signal, np.zeros(300, np.int64), 4000, Noise(), np.random.default_rng(1))
    assert drawn.var(axis=0).mean() == pytest.approx(12, rel=0.05)
    basis = np.linalg.svd(signal, full_matrices=False)[2]
    outside = drawn - (drawn @ basis.T) @ basis
    assert np.abs(outside).max() < 1e-4
    expected = 12 * signal.T @ signal / 40
    found = drawn.T @ drawn / 4000
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.95


def test_limiting_noise_is_shared_between_areas_by_rho(signal: np.ndarray) -> None:
    """Two areas with the same signals: what their noise correlates by is what they share."""
    twice = np.concatenate([signal, signal], axis=1)
    area = np.repeat([0, 1], 300)
    drawn = limiting_noise(twice, area, 6000, Noise(), np.random.default_rng(1))
    first, second = drawn[:, :300], drawn[:, 300:]
    shared = (first * second).mean() / np.sqrt((first**2).mean() * (second**2).mean())
    assert shared == pytest.approx(0.85, abs=0.02)
    alone = Noise(shared=0.0)
    independent = limiting_noise(twice, area, 6000, alone, np.random.default_rng(1))
    assert np.abs((independent[:, :300] * independent[:, 300:]).mean()) < 0.05 * 12


def test_private_noise_has_the_sd_of_its_snr_and_thirty_percent_through_common_factors() -> None:
    snr = np.array([0.01, 0.05, 0.25, 1.0])
    drawn = private_noise(snr, 40_000, Noise(n_factors=1), np.random.default_rng(0))
    np.testing.assert_allclose(drawn.std(axis=0), 1 / np.sqrt(snr), rtol=0.02)
    # With one factor, loadings are ±√.3, and every pair of voxels correlates by ±.3.
    correlations = np.abs(np.corrcoef(drawn.T)[np.triu_indices(4, 1)])
    np.testing.assert_allclose(correlations, 0.3, atol=0.02)
    many = private_noise(np.ones(200), 5000, Noise(), np.random.default_rng(0))
    strongest = np.linalg.eigvalsh(np.cov(many.T))[::-1]
    assert strongest[:20].sum() == pytest.approx(200 * 0.3 + 20 * 0.7, rel=0.1)
    np.testing.assert_allclose(strongest[20:].mean(), 0.7, rtol=0.05)


def test_snr_is_lognormal_around_gain_times_the_areas_base() -> None:
    snr = draw_snr(np.full(20_000, 0.25), 0.2, Noise(), np.random.default_rng(0))
    assert np.log(snr).mean() == pytest.approx(np.log(0.05), abs=0.02)
    assert np.log(snr).std() == pytest.approx(0.7, rel=0.02)


def test_offsets_are_constant_in_a_run_and_have_half_a_unit_of_spread_between_runs() -> None:
    run = np.repeat(np.arange(50), 10)
    offsets = run_offsets(run, 400, Noise(), np.random.default_rng(0))
    by_run = offsets.reshape(50, 10, 400)
    assert (by_run == by_run[:, :1]).all()
    assert by_run[:, 0].std() == pytest.approx(0.5, rel=0.02)


def test_presets_that_cannot_be_spread_over_runs_are_refused_with_all_problems() -> None:
    with pytest.raises(ValueError, match=r"149 classes cannot be spread over 3 runs.*multiple of 16"):
        replace(PRESETS["tiny"], n_training_classes=149, image_size=40)
