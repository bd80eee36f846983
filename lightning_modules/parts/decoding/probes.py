"""What frozen latents still tell: which session a trial is from, and which target it went to."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from lightning_modules.parts.errors import DataError

Classifier = Literal["svm", "logistic"]
Latents: TypeAlias = NDArray[Any]
"""One vector a trial, (K, Z); of a sequence of latents, take the mean over time or flatten it."""
Labels: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class ProbeScore:
    """How often a probe is right.

    Args:
        accuracy: Part of the n trials that were classified rightly, none of them by a probe that had seen it.
        chance: One over the number of classes; the mean over trials where this number differs.
        majority: Accuracy of always naming the class that is most frequent among the n trials.
        n: Scored trials.
    """

    accuracy: float
    chance: float
    majority: float
    n: int


def probe_session(
    latents: Latents, session: Labels, *, classifier: Classifier = "svm", n_folds: int = 5, seed: int = 0
) -> ProbeScore:
    """Classify the session of each trial, cross-validated over trials.

    Args:
        latents: Posterior means of the training sessions, (K, Z).
        session: (K,). Sessions with fewer than `n_folds` trials are left out.
        classifier: A support vector machine with a Gaussian kernel, or logistic regression; each with the
            defaults of scikit-learn, on latents that are standardised with the statistics of the training folds.
        n_folds: Folds, stratified by session.
        seed: Of the choice of folds.

    Raises:
        DataError: If fewer than two sessions have enough trials.
    """
    return probe_session_within_target(
        latents, session, np.zeros_like(session), classifier=classifier, n_folds=n_folds, seed=seed
    )


def probe_session_within_target(
    latents: Latents,
    session: Labels,
    target: Labels,
    *,
    classifier: Classifier = "svm",
    n_folds: int = 5,
    seed: int = 0,
) -> ProbeScore:
    """Classify the session among trials of one target, one probe a target, pooled over targets.

    Sessions whose targets differ in frequency are told apart by any latent that knows the target. This is not.

    Args:
        latents: (K, Z).
        session: (K,). Within each target, sessions with fewer than `n_folds` trials are left out, and so is a
            target of which fewer than two sessions remain.
        target: (K,).
        classifier: See `probe_session`.
        n_folds: See `probe_session`.
        seed: See `probe_session`.

    Raises:
        DataError: If no target remains.
    """
    right, n_classes, majority = [], [], []
    for one in np.unique(target):
        trials = _of_frequent_classes(np.flatnonzero(target == one), session, n_folds)
        names, counts = np.unique(session[trials], return_counts=True)
        if len(names) < 2:
            continue
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        predicted = cross_val_predict(_probe(classifier), latents[trials], session[trials], cv=folds)
        right.append(predicted == session[trials])
        n_classes.append(np.full(len(trials), len(names)))
        majority.append(counts.max())
    if not right:
        raise DataError(
            f"No two sessions have {n_folds} trials or more of one target.",
            "Give more training sessions, or lower `n_folds`.",
        )
    pooled = np.concatenate(right)
    return ProbeScore(
        accuracy=float(pooled.mean()),
        chance=float((1 / np.concatenate(n_classes)).mean()),
        majority=float(sum(majority) / len(pooled)),
        n=len(pooled),
    )


def probe_target(
    training_latents: Latents,
    training_target: Labels,
    test_latents: Latents,
    test_target: Labels,
    *,
    classifier: Classifier = "svm",
) -> ProbeScore:
    """Classify the target on unseen days with a probe of the training days.

    Args:
        training_latents: (K, Z); their statistics standardise the test latents too.
        training_target: (K,).
        test_latents: Of days that neither model nor probe saw, (J, Z).
        test_target: (J,). Targets that were not trained on count as missed.
        classifier: See `probe_session`.

    Returns:
        Chance is one over the training targets; the majority is that of the test trials.

    Raises:
        DataError: If the training trials went to one target.
    """
    n_targets = len(np.unique(training_target))
    if n_targets < 2:
        raise DataError("All training trials went to one target.", "Give sessions with several targets.")
    predicted = _probe(classifier).fit(training_latents, training_target).predict(test_latents)
    _, counts = np.unique(test_target, return_counts=True)
    return ProbeScore(
        accuracy=float((predicted == test_target).mean()),
        chance=1 / n_targets,
        majority=float(counts.max() / len(test_target)),
        n=len(test_target),
    )


def _of_frequent_classes(trials: Labels, label: Labels, fewest: int) -> Labels:
    names, counts = np.unique(label[trials], return_counts=True)
    return trials[np.isin(label[trials], names[counts >= fewest])]


def _probe(classifier: Classifier) -> Pipeline:
    if classifier not in get_args(Classifier):
        raise ValueError(
            f"`classifier` is {classifier!r}, but must be one of {', '.join(get_args(Classifier))}."
        )
    return make_pipeline(
        StandardScaler(), SVC() if classifier == "svm" else LogisticRegression(max_iter=2000)
    )
