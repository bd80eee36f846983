"""Sealed days: opened on the search's axis, and scored with what is known of them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score
from torch import nn

from lightning_modules.parts.decoding.evaluation import SealedDays
from lightning_modules.parts.decoding.references import predict_same_day
from lightning_modules.parts.decoding.wiener import fit_wiener
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import cut_trials, generate_sessions
from lightning_modules.parts.spikes.recordings import load_sessions, open_sealed_sessions

SMALL = {"trials_per_session": 40, "n_units": 12, "n_bins": 10, "generated_bin_width_s": 0.07}
SETTINGS = {**SMALL, "n_sessions": 6, "test_sessions": 2, "preset": "strong"}


@pytest.fixture(scope="module")
def data():
    return load_sessions(**SETTINGS)


@pytest.fixture(scope="module")
def days():
    """Every generated day, the sealed ones too."""
    sessions = generate_sessions(
        preset="strong",
        n_sessions=6,
        trials_per_session=40,
        n_units=12,
        n_bins=10,
        bin_width_s=0.07,
        seed=0,
        behaviour="position",
    )
    return [cut_trials(one, n_bins=10, session_index=index) for index, one in enumerate(sessions)]


class KnowsAll(nn.Module):
    """Looks spikes up: behaviour as recorded plus an error, and a latent made of what it is asked to tell."""

    def __init__(self, days, error, latents):
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))
        self.error = error
        self.known = {
            spikes.tobytes(): (behaviour, latent)
            for day, latent_of_day in zip(days, latents, strict=True)
            for spikes, behaviour, latent in zip(
                day.spikes.astype(np.float32), day.behaviour, latent_of_day, strict=True
            )
        }

    def forward(self, spikes):
        found = [self.known[trial.numpy().tobytes()] for trial in spikes]
        behaviour = torch.tensor(np.stack([behaviour for behaviour, _ in found])) + self.error
        latent = torch.tensor(np.stack([latent for _, latent in found]), dtype=torch.float32)
        return SimpleNamespace(behaviour=behaviour, latent=latent, log_rates=None)


def test_sealed_trials_are_those_of_the_last_days_as_recorded(data, days):
    opened = open_sealed_sessions(data, SETTINGS)
    np.testing.assert_array_equal(opened.trials.spikes, np.concatenate([day.spikes for day in days[-2:]]))
    np.testing.assert_array_equal(
        opened.trials.behaviour, np.concatenate([day.behaviour for day in days[-2:]])
    )
    assert opened.session_names == data.sealed_sessions
    assert opened.trials.session.tolist() == [0] * 40 + [1] * 40


def test_no_sealed_trial_is_among_those_that_the_search_sees(data):
    seen = {trial.tobytes() for part in data.splits.values() for trial in part.spikes}
    assert not seen & {trial.tobytes() for trial in open_sealed_sessions(data, SETTINGS).trials.spikes}


def test_digests_tell_recordings_apart_and_not_the_settings_of_a_search(data):
    digests = open_sealed_sessions(data, SETTINGS).digests
    assert len(set(digests)) == 2
    other_window = {**SETTINGS, "window_s": 0.35}
    assert open_sealed_sessions(load_sessions(**other_window), other_window).digests == digests
    other_days = {**SETTINGS, "generator_seed": 1}
    assert not set(open_sealed_sessions(load_sessions(**other_days), other_days).digests) & set(digests)


def test_a_search_that_sealed_nothing_has_nothing_to_open():
    settings = {**SMALL, "n_sessions": 3}
    with pytest.raises(DataError, match=r"No session is sealed.*\n.*--data.test_sessions"):
        open_sealed_sessions(load_sessions(**settings), settings)


def test_scores_are_sklearns_of_each_day_and_their_mean_and_worst(data, days):
    error = torch.tensor([1.5, -0.5])
    model = KnowsAll(days, error, [np.zeros((40, 2))] * 6)
    found = SealedDays(data, SETTINGS).score([model])
    expected = []
    for day in days[-2:]:
        truth = day.behaviour.reshape(-1, 2).astype(np.float64)
        expected.append(r2_score(truth, truth + error.numpy(), multioutput="variance_weighted"))
    (scores,) = found.scores
    assert scores["test/behaviour_r2"] == pytest.approx(np.mean(expected), abs=1e-6)
    assert scores["test/behaviour_r2_worst_session"] == pytest.approx(min(expected), abs=1e-6)
    assert [row["r2"] for row in found.days if row.get("model") == 0] == pytest.approx(expected, abs=1e-6)
    assert [row["gap_days"] for row in found.days if row.get("model") == 0] == [2, 3]
    assert "test/bits_per_spike" not in scores


def test_probes_read_what_latents_tell_and_nothing_else(data, days):
    generator = np.random.default_rng(0)

    def noisy(labels):
        return labels[:, None] + 0.05 * generator.standard_normal((len(labels), 2))

    sealed = SealedDays(data, SETTINGS)
    of_session = [noisy(np.full(40, index)) for index in range(6)]
    of_target = [noisy(day.target) for day in days]
    session, target = sealed.score([KnowsAll(days, 0.0, of_session), KnowsAll(days, 0.0, of_target)]).scores
    assert session["test/session_probe_svm"] == 1 == session["test/session_probe_logistic"]
    assert session["test/session_probe_within_target"] == 1
    assert session["test/target_probe"] < 0.4
    assert target["test/target_probe"] == 1
    assert target["test/session_probe_svm"] < 0.6
    chance = sealed.score([]).references["chance"]
    assert chance["test/session_probe_svm"] == pytest.approx(1 / 3)
    assert chance["test/target_probe"] == pytest.approx(1 / 8)


def test_references_learn_from_training_days_alone_and_the_oracle_from_the_test_day(data, days):
    rows = SealedDays(data, SETTINGS).score([]).days
    last = fit_wiener(days[2]).predict(days[5].spikes).reshape(-1, 2)
    oracle = predict_same_day(days[5], fit_wiener).reshape(-1, 2)
    truth = days[5].behaviour.reshape(-1, 2)
    for name, predicted in (("last_day", last), ("same_day", oracle)):
        (found,) = [row["r2"] for row in rows if row["reference"] == name and row["gap_days"] == 3]
        assert found == pytest.approx(r2_score(truth, predicted, multioutput="variance_weighted"), abs=1e-6)
