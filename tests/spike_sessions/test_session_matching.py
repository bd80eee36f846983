"""Matching of sessions: against statistics worked out with numpy, and against scaling that it must undo."""

import numpy as np
import pytest
import torch

from lightning_modules.parts.decoding.new_session import decode_session
from lightning_modules.parts.spikes import SpikeTrials, generate_sessions
from lightning_modules.parts.spikes.data_module import SpikeDataModule
from lightning_modules.parts.spikes.matching import average_day
from lightning_modules.parts.spikes.npz import write_npz
from lightning_modules.parts.spikes.recordings import load_sessions
from lightning_modules.sable.module import Sable

SMALL = {"trials_per_session": 24, "n_units": 6, "n_bins": 8, "generated_bin_width_s": 0.09, "n_sessions": 3}


@pytest.fixture
def days():
    generator = np.random.default_rng(0)
    rates = generator.uniform(2, 6, (2, 1, 1, 4))
    return [generator.poisson(one, (30, 10, 4)).astype(np.uint8) for one in rates]


def test_the_average_day_is_the_mean_of_the_days_statistics(days):
    found = average_day(days)
    roots = np.sqrt(np.stack(days).astype(float))  # (day, K, T, N)
    np.testing.assert_allclose(found.mean, roots.mean(axis=(1, 2)).mean(axis=0))
    np.testing.assert_allclose(found.scale**2, roots.var(axis=(1, 2)).mean(axis=0))


def test_a_matched_session_has_the_average_days_mean_and_spread_of_roots(days):
    busy = average_day([20 + day for day in days])  # far from 0, where nothing is cut off
    roots = np.sqrt(busy.match(days[1]).astype(float))
    np.testing.assert_allclose(roots.mean(axis=(0, 1)), busy.mean, rtol=1e-6)
    np.testing.assert_allclose(roots.std(axis=(0, 1)), busy.scale, rtol=1e-5)


def test_a_gain_of_each_unit_is_undone(days):
    matching = average_day(days)
    gains = np.array([1, 4, 9, 25])
    np.testing.assert_allclose(matching.match(days[0] * gains), matching.match(days[0]), rtol=1e-5, atol=1e-6)


def test_a_silent_unit_is_set_to_its_mean(days):
    silent = days[0].copy()
    silent[..., 2] = 0
    matched = average_day(days).match(silent)
    np.testing.assert_allclose(matched[..., 2], average_day(days).mean[2] ** 2, rtol=1e-6)


def test_each_session_is_matched_by_itself_whatever_the_order_of_trials(days):
    matching = average_day(days)
    order = np.random.default_rng(1).permutation(60)
    session = np.repeat([0, 1], 30)[order]
    trials = SpikeTrials(np.concatenate(days)[order], np.zeros((60, 10, 1), np.float32), session, session)
    matched = matching.match_sessions(trials)
    expected = np.concatenate([matching.match(day) for day in days])[order]
    np.testing.assert_allclose(matched.spikes, expected, rtol=1e-6)


def test_models_see_matched_trials_and_statistics_while_the_data_keeps_the_counts():
    plain = load_sessions(**SMALL, preset="strong")
    matched = load_sessions(**SMALL, preset="strong", match_sessions=True)
    np.testing.assert_array_equal(matched.training.spikes, plain.training.spikes)
    module = SpikeDataModule(matched)
    seen = module._training.spikes.numpy()
    by_day = [plain.training.spikes[plain.training.session == one] for one in range(3)]
    expected = np.concatenate([average_day(by_day).match(day) for day in by_day])
    np.testing.assert_allclose(seen, expected, rtol=1e-6)
    np.testing.assert_allclose(module.model_arguments["mean_counts"], expected.mean(axis=(0, 1)), rtol=1e-5)
    assert "Adapted" in " ".join(matched.notes)


def test_a_new_session_is_matched_before_it_is_decoded(tmp_path):
    data = load_sessions(**SMALL, match_sessions=True)
    module = SpikeDataModule(data)
    torch.manual_seed(0)
    model = Sable(**module.model_arguments).eval()
    (*_, new) = generate_sessions(
        preset="strong", n_sessions=4, trials_per_session=24, n_units=6, n_bins=8, bin_width_s=0.09, seed=5,
        behaviour="position",
    )  # fmt: skip
    write_npz(new, tmp_path / "new.npz")
    found = decode_session(model, module.description, tmp_path / "new.npz")
    counts = new.spikes.reshape(24, 8, 6)
    assert data.matching is not None
    expected = model(torch.tensor(data.matching.match(counts))).behaviour.detach().numpy()
    np.testing.assert_allclose(found.predicted, expected, rtol=1e-5, atol=1e-5)
    raw = model(torch.tensor(counts.astype(np.float32))).behaviour.detach().numpy()
    assert not np.allclose(raw, expected, atol=1e-3)
