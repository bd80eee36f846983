from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

from lightning_modules.parts.decoding.probes import (
    ProbeScore,
    probe_session,
    probe_session_within_target,
    probe_target,
)
from lightning_modules.parts.errors import DataError


def slow_accuracy(latents: np.ndarray, label: np.ndarray, model: Any) -> float:
    right = 0
    for kept, held_out in StratifiedKFold(5, shuffle=True, random_state=3).split(latents, label):
        mean, deviation = latents[kept].mean(axis=0), latents[kept].std(axis=0)
        model.fit((latents[kept] - mean) / deviation, label[kept])
        right += (model.predict((latents[held_out] - mean) / deviation) == label[held_out]).sum()
    return right / len(label)


@pytest.mark.parametrize(
    ("classifier", "model"), [("svm", SVC()), ("logistic", LogisticRegression(max_iter=2000))]
)
def test_session_accuracy_is_that_of_sklearn_on_latents_standardised_by_the_training_folds(
    rng: np.random.Generator, classifier: Any, model: Any
) -> None:
    session = np.repeat([0, 1, 2], [40, 30, 50])
    latents = rng.standard_normal((120, 3)) * [1, 50, 0.02] + session[:, None] * [0.8, 30, 0]
    score = probe_session(latents, session, classifier=classifier, seed=3)
    assert score.accuracy == pytest.approx(slow_accuracy(latents, session, model), abs=1e-12)
    assert (score.chance, score.majority) == pytest.approx((1 / 3, 50 / 120))
    assert score.n == 120


def test_the_session_of_noise_is_at_chance_and_of_shifted_latents_is_certain(
    rng: np.random.Generator,
) -> None:
    session = np.repeat([0, 1, 2, 3], 150)
    noise = rng.standard_normal((600, 4))
    assert probe_session(noise, session).accuracy == pytest.approx(0.25, abs=0.06)
    assert probe_session(noise + 20 * session[:, None], session).accuracy == 1


def test_within_targets_a_latent_that_knows_only_the_target_tells_no_session(
    rng: np.random.Generator,
) -> None:
    """Sessions with other target frequencies: the plain probe finds them, the one given the target does not."""
    target = np.concatenate([np.repeat([0, 1], [160, 40]), np.repeat([0, 1], [40, 160])])
    session = np.repeat([0, 1], 200)
    latents = 10.0 * target[:, None] + rng.standard_normal((400, 2))
    assert probe_session(latents, session).accuracy > 0.75
    within = probe_session_within_target(latents, session, target)
    assert within.accuracy <= within.majority == 0.8
    assert (within.chance, within.n) == (0.5, 400)


def test_scores_within_targets_are_pooled_over_trials_and_leave_out_rare_sessions(
    rng: np.random.Generator,
) -> None:
    target = np.repeat([0, 1, 2], [30, 24, 9])
    session = np.concatenate(
        [np.repeat([0, 1, 2], 10), np.repeat([0, 1, 2], [12, 9, 3]), np.repeat([0, 1], [7, 2])]
    )
    latents = rng.standard_normal((63, 2)) + session[:, None]
    score = probe_session_within_target(latents, session, target, seed=3)
    first = slow_accuracy(latents[:30], session[:30], SVC())
    second = slow_accuracy(latents[30:51], session[30:51], SVC())
    assert score.n == 51
    assert score.accuracy == pytest.approx((30 * first + 21 * second) / 51, abs=1e-12)
    assert score.chance == pytest.approx((30 / 3 + 21 / 2) / 51)
    assert score.majority == pytest.approx((10 + 12) / 51)


def test_targets_are_classified_on_unseen_days_with_the_statistics_of_the_training_days(
    rng: np.random.Generator,
) -> None:
    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        target = np.arange(n) % 4
        angle = target * np.pi / 2
        direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return 2 * direction + rng.standard_normal((n, 2)), target

    latents, target = draw(120)
    test_latents, test_target = draw(60)
    shifted = test_latents + 1.5  # which standardising the test day by itself would undo
    mean, deviation = latents.mean(axis=0), latents.std(axis=0)
    model = SVC().fit((latents - mean) / deviation, target)
    expected = (model.predict((shifted - mean) / deviation) == test_target).mean()
    score = probe_target(latents, target, shifted, test_target)
    assert score == ProbeScore(pytest.approx(expected), 0.25, 0.25, 60)  # type: ignore[arg-type]
    assert 0.3 < expected < probe_target(latents, target, test_latents, test_target).accuracy


def test_a_new_target_counts_as_missed(rng: np.random.Generator) -> None:
    target = np.repeat([0, 1], 10)
    latents = 9.0 * target[:, None] + rng.standard_normal((20, 2))
    unseen = np.where(np.arange(20) % 2, 7, target)
    score = probe_target(latents, target, latents, unseen)
    assert (score.accuracy, score.majority, score.chance) == (0.5, 0.5, 0.5)


def test_one_session_one_target_and_unknown_classifiers_are_refused(rng: np.random.Generator) -> None:
    latents, one = rng.standard_normal((20, 2)), np.zeros(20, int)
    with pytest.raises(DataError, match="No two sessions"):
        probe_session(latents, one)
    with pytest.raises(DataError, match="one target"):
        probe_target(latents, one, latents, one)
    with pytest.raises(ValueError, match=r"'tree'.*svm, logistic"):
        probe_session(latents, np.arange(20) % 2, classifier="tree")  # type: ignore[arg-type]
