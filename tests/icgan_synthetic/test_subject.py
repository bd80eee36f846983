"""Generated subjects: truth from the experiment's counts, from repeats, and from a second process."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from lightning_modules.icgan.recordings.session import Shown
from lightning_modules.icgan.recordings.stimulus_ids import decode_ids, encode_ids, parse_name
from lightning_modules.icgan.synthetic.presets import SynthPreset
from lightning_modules.icgan.synthetic.schedule import draw_schedule
from lightning_modules.icgan.synthetic.subject import SynthSubject, draw_trials, generate_subject
from lightning_modules.icgan.synthetic.world import SynthWorld, build_world, train_evaluation_net

SMALL_VOXELS = """
import hashlib
from dataclasses import replace
from lightning_modules.icgan.features.small_net import NetSettings
from lightning_modules.icgan.synthetic.presets import PRESETS
from lightning_modules.icgan.synthetic.subject import generate_subject
from lightning_modules.icgan.synthetic.world import build_world
net = NetSettings((8, 12, 16), 32, 300, epochs=2)
preset = replace(PRESETS["tiny"], net=net, n_training_classes=30, n_test_classes=10, unmodelled_units=100)
voxels = generate_subject(build_world(preset, seed=SEED), 1).session.voxels
digest = hashlib.sha256(voxels.tobytes()).hexdigest()
"""
"""Everything of a subject but at a small size, network trained from the start."""


def test_rows_are_those_of_the_experiment(subject: SynthSubject) -> None:
    session = subject.session
    counts = {
        kind: np.unique(session.run[session.rows(kind)], return_counts=True)[1].tolist() for kind in Shown
    }
    assert counts == {Shown.TRAINING: [50] * 24, Shown.TEST: [50] * 35, Shown.IMAGERY: [25] * 20}
    shown = {kind: np.bincount(session.stimulus[session.rows(kind)], minlength=1250) for kind in Shown}
    assert shown[Shown.TRAINING].tolist() == [1] * 1200 + [0] * 50
    assert shown[Shown.TEST].tolist() == [0] * 1200 + [35] * 50
    assert shown[Shown.IMAGERY].tolist() == [0] * 1200 + [10] * 50
    assert session.voxels.dtype == np.float32
    assert np.isfinite(session.voxels).all()


def test_no_category_comes_twice_in_a_run_and_each_training_category_is_in_eight_runs(
    subject: SynthSubject,
) -> None:
    session = subject.session
    categories = session.category[session.stimulus]
    for kind, n_runs in ((Shown.TRAINING, 24), (Shown.TEST, 35), (Shown.IMAGERY, 20)):
        for run in range(1, n_runs + 1):
            of_run = categories[(session.shown == kind) & (session.run == run)]
            assert len(set(of_run.tolist())) == len(of_run)
    training = categories[session.rows(Shown.TRAINING)]
    assert (np.unique(training, return_counts=True)[1] == 8).all()


def test_training_and_test_categories_are_150_and_50_and_disjoint(subject: SynthSubject) -> None:
    category = subject.session.category
    training, test = set(category[:1200].tolist()), set(category[1200:].tolist())
    assert (len(training), len(test)) == (150, 50)
    assert not training & test


def test_stimulus_names_survive_as_float_ids_but_not_as_float32(subject: SynthSubject) -> None:
    pairs = np.array([parse_name(name) for name in subject.session.stimulus_names])
    np.testing.assert_array_equal(pairs[:, 0], subject.session.category)
    np.testing.assert_array_equal(decode_ids(encode_ids(pairs), "test"), pairs)
    assert len(np.unique(encode_ids(pairs))) == 1250
    assert len(np.unique(encode_ids(pairs).astype(np.float32))) < 1250


def test_same_seed_gives_the_same_voxels_in_another_process_and_another_seed_others() -> None:
    script = SMALL_VOXELS.replace("SEED", "0") + "print(digest)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    here: dict[int, dict[str, str]] = {0: {}, 1: {}}
    for seed, names in here.items():
        exec(SMALL_VOXELS.replace("SEED", str(seed)), names)
    assert found.stdout.split()[-1] == here[0]["digest"]
    assert here[1]["digest"] != here[0]["digest"]


def test_subjects_share_pictures_but_neither_voxels_nor_order_and_can_be_drawn_alone(
    world: SynthWorld, subject: SynthSubject
) -> None:
    third = generate_subject(world, 3).session
    first_again = generate_subject(world, 1).session
    np.testing.assert_array_equal(first_again.voxels, subject.session.voxels)
    np.testing.assert_array_equal(third.images, subject.session.images)
    assert third.subject == "Subject3"
    assert third.n_voxels != subject.session.n_voxels
    assert (third.stimulus != subject.session.stimulus).mean() > 0.9


def test_subject_that_does_not_exist_is_refused(world: SynthWorld) -> None:
    for number in (0, 6):
        with pytest.raises(ValueError, match=f"subjects 1 to 5, but no subject {number}"):
            generate_subject(world, number)


def test_imagery_weakens_the_signal_by_the_areas_factor(preset: SynthPreset, subject: SynthSubject) -> None:
    silent = replace(preset, noise=replace(preset.noise, limiting=0.0, run_offset_sd=0.0))
    loud = replace(subject.truth, snr=np.full_like(subject.truth.snr, 1e12))
    schedule = draw_schedule(silent, np.random.default_rng(0))
    trials = draw_trials(silent, loud, schedule, np.random.default_rng(1))
    imagined = schedule.shown == Shown.IMAGERY
    seen = trials[~imagined]
    np.testing.assert_allclose(seen, loud.signal[schedule.stimulus[~imagined]], atol=1e-4)
    signal = loud.signal[schedule.stimulus[imagined]]
    for area, factor in enumerate((0.15, 0.15, 0.15, 0.3, 0.5, 0.5, 0.5)):
        voxels = loud.area_of_voxel == area
        slope = (trials[imagined][:, voxels] * signal[:, voxels]).sum() / (signal[:, voxels] ** 2).sum()
        assert slope == pytest.approx(factor, abs=1e-4)


def test_repeats_of_test_pictures_vary_as_the_noise_says(subject: SynthSubject) -> None:
    """κ times the variance of the voxel's own signal, 1 / snr, and .25 between runs."""
    session, truth = subject.session, subject.truth
    rows = session.rows(Shown.TEST)
    voxels, stimulus = session.voxels[rows].astype(np.float64), session.stimulus[rows]
    means = np.stack([voxels[stimulus == one].mean(axis=0) for one in range(1200, 1250)])
    within = ((voxels - means[stimulus - 1200]) ** 2).sum(axis=0) / (1750 - 50)
    expected = 12 * (truth.signal[:1200] ** 2).mean(axis=0) + 1 / truth.snr + 0.25
    assert np.median(within / expected) == pytest.approx(1, abs=0.02)
    assert np.corrcoef(np.log(within), np.log(expected))[0, 1] > 0.97


def test_averages_of_repeats_approach_the_signal(subject: SynthSubject) -> None:
    """Correlation of a voxel's 50 averages with its signal: 1 / √(1 + noise / 35) about."""
    session, truth = subject.session, subject.truth
    rows = session.rows(Shown.TEST)
    stimulus = session.stimulus[rows]
    means = np.stack([session.voxels[rows][stimulus == one].mean(axis=0) for one in range(1200, 1250)])
    signal = truth.signal[1200:]
    found = [np.corrcoef(means[:, v], signal[:, v])[0, 1] for v in range(session.n_voxels)]
    expected = 1 / np.sqrt(1 + (12 + 1 / truth.snr) / 35)
    assert np.median(found) == pytest.approx(np.median(expected), abs=0.05)


def test_voxels_lie_on_folded_sheets_three_millimetres_apart(subject: SynthSubject) -> None:
    places, area = subject.session.voxel_xyz, subject.truth.area_of_voxel
    assert places is not None
    assert len(np.unique(places, axis=0)) == len(places)
    np.testing.assert_array_equal(places % 3, 0)
    for one in range(7):
        of_area = places[area == one]
        nearest = cKDTree(of_area).query(of_area, k=2)[0][:, 1]
        np.testing.assert_allclose(nearest, 3)
        others = places[area != one]
        assert cKDTree(others).query(of_area)[0].min() > 3


def test_features_are_alive_and_of_length_one(world: SynthWorld) -> None:
    assert (world.features[:1200].std(axis=0) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(world.features[:1200], axis=1), 1, atol=1e-5)


def test_oracle_embedding_depends_on_the_class_alone(preset: SynthPreset) -> None:
    world = build_world(replace(preset, embedding="oracle"), seed=0)
    by_class = world.features[:1200].reshape(150, 8, -1)
    np.testing.assert_array_equal(by_class, np.repeat(by_class[:, :1], 8, axis=1))
    assert len(np.unique(by_class[:, 0], axis=0)) == 150
    centred = world.features - world.features.mean(axis=0)
    assert np.linalg.matrix_rank(centred, tol=1e-3) <= 19
    assert np.linalg.norm(world.features, axis=1) == pytest.approx(1, abs=1e-5)


def test_evaluation_net_is_another_one(preset: SynthPreset, world: SynthWorld) -> None:
    other = replace(preset, evaluation_net=replace(preset.net, widths=(8, 12, 20), n_features=24))
    net = train_evaluation_net(replace(world, preset=other))
    assert net.last.weight.shape == (24, 20, 3, 3)
    same_widths = train_evaluation_net(replace(world, preset=replace(preset, evaluation_net=preset.net)))
    assert not np.allclose(same_widths.last.weight.numpy(), world.net.last.weight.numpy(), atol=1e-3)
