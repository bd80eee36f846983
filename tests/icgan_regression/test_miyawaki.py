"""Pixels that subject S1 of Miyawaki et al. 2008 saw, decoded from V1; source in `shared/data/README.md`.

The voxels are taken as the file has them. Z-scoring each run would be wrong here: a run shows two to seven of the
20 stimuli, so the mean of a run is half of what is to be decoded, and identification falls below chance.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from lightning_modules.icgan.regression.alpha_choice import choose_alpha
from lightning_modules.icgan.regression.held_out import GroupedFolds, predict_held_out
from lightning_modules.icgan.regression.ridge import fit_ridge, linear_kernel
from lightning_modules.icgan.scoring.identification import Identification, correlate, identify

FILE = Path(__file__).resolve().parents[2] / "../shared/data/miyawaki/miyawaki_s1.npz"

ALPHA = 30.0
LETTERS = {"u": (2, 7, 12), "r": (3, 9, 13), "n": (4, 10, 14), "o": (5, 11, 15), "e": (6, 8, 16)}
"""Each letter in a thin, a thick and a tall shape; the other five stimuli are figures that appear once."""


@dataclass(frozen=True)
class Shapes:
    voxels: np.ndarray
    pixels: np.ndarray
    stimulus: np.ndarray
    letter: np.ndarray

    def fold(self, held_out: str) -> np.ndarray:
        """Fold of each trial: its stimulus, or its letter."""
        return self.stimulus if held_out == "stimulus" else self.letter[self.stimulus]


@pytest.fixture(scope="module")
def shapes() -> Shapes:
    if not FILE.exists():
        pytest.skip(f"the recording of Miyawaki et al. is not at {FILE}")
    with np.load(FILE) as file:
        images = file["images"].astype(np.float64).reshape(20, -1)
        letter = np.arange(20)
        for members in LETTERS.values():
            letter[list(members)] = members[0]
        return Shapes(file["voxels"].astype(np.float64), images, file["stimulus"], letter)


def identify_held_out(
    predicted: np.ndarray, pixels: np.ndarray, stimulus: np.ndarray, fold: np.ndarray, *, centred: bool
) -> Identification:
    """Identify trials; the mean that is subtracted is that of the trials each was predicted from."""
    similarity = np.empty((len(predicted), len(pixels)))
    for name in np.unique(fold):
        held = fold == name
        centre = pixels[stimulus[~held]].mean(axis=0) if centred else None
        similarity[held] = correlate(predicted[held], pixels, centre)
    return identify(similarity, stimulus)


def averaged_over_trials(predicted: np.ndarray, stimulus: np.ndarray) -> np.ndarray:
    return np.stack([predicted[stimulus == one].mean(axis=0) for one in range(20)])


@pytest.mark.parametrize(
    ("held_out", "at_least", "uncentred_at_least"), [("stimulus", 0.93, 0.93), ("letter", 0.90, 0.88)]
)
def test_plain_ridge_identifies_stimuli_that_it_was_not_trained_on(
    shapes: Shapes, held_out: str, at_least: float, uncentred_at_least: float
) -> None:
    """Without centring, letters of averaged trials come to .89 to .90 at penalties from 1 to 300: too near to tell."""
    fold = shapes.fold(held_out)
    folds = GroupedFolds.of(linear_kernel(shapes.voxels), fold)
    predicted = predict_held_out(folds, shapes.pixels[shapes.stimulus], ALPHA)
    trials = identify_held_out(predicted, shapes.pixels, shapes.stimulus, fold, centred=True)
    assert trials.accuracy >= at_least
    assert trials.p_value() < 0.001
    mean_trials = averaged_over_trials(predicted, shapes.stimulus)
    assert identify(correlate(mean_trials, shapes.pixels), np.arange(20)).accuracy >= uncentred_at_least


@pytest.mark.parametrize("held_out", ["stimulus", "letter"])
def test_a_penalty_chosen_without_the_held_out_stimulus_does_as_well(shapes: Shapes, held_out: str) -> None:
    """Nested: for each held-out fold the penalty is chosen by cross-validation of the other folds."""
    fold = shapes.fold(held_out)
    targets = shapes.pixels[shapes.stimulus]
    predicted = np.empty_like(targets)
    for name in np.unique(fold):
        held = fold == name
        inner = GroupedFolds.of(linear_kernel(shapes.voxels[~held]), fold[~held])
        choice = choose_alpha(inner, targets[~held], np.geomspace(1, 1e4, 9))
        predicted[held] = fit_ridge(shapes.voxels[~held], targets[~held], choice.alpha).predict(
            shapes.voxels[held]
        )
    accuracy = identify_held_out(predicted, shapes.pixels, shapes.stimulus, fold, centred=True).accuracy
    assert accuracy >= {"stimulus": 0.93, "letter": 0.90}[held_out]


@pytest.mark.parametrize("held_out", ["stimulus", "letter"])
def test_pictures_given_to_the_wrong_stimuli_are_identified_at_chance(shapes: Shapes, held_out: str) -> None:
    """Trained on permuted pictures too. Uncentred, the null lies below 0.5: the mean of the rest avoids the truth."""
    fold = shapes.fold(held_out)
    folds = GroupedFolds.of(linear_kernel(shapes.voxels), fold)
    rng = np.random.default_rng(0)
    raw, centred = [], []
    for _ in range(40):
        pixels = shapes.pixels[rng.permutation(20)]
        predicted = predict_held_out(folds, pixels[shapes.stimulus], ALPHA)
        for accuracies, centring in ((raw, False), (centred, True)):
            found = identify_held_out(predicted, pixels, shapes.stimulus, fold, centred=centring)
            accuracies.append(found.accuracy)
    assert 0.41 <= np.mean(raw) <= 0.5
    assert 0.45 <= np.mean(centred) <= 0.55
    assert max(raw + centred) < 0.75


def test_trials_split_at_random_leak_the_stimulus(shapes: Shapes) -> None:
    """Why folds hold whole stimuli: with other trials of a stimulus in training, it is almost always identified."""
    fold = np.random.default_rng(0).permutation(len(shapes.stimulus)) % 10
    folds = GroupedFolds.of(linear_kernel(shapes.voxels), fold)
    predicted = predict_held_out(folds, shapes.pixels[shapes.stimulus], ALPHA)
    leaking = identify_held_out(predicted, shapes.pixels, shapes.stimulus, fold, centred=False).accuracy
    own = predict_held_out(
        GroupedFolds.of(linear_kernel(shapes.voxels), shapes.stimulus), shapes.pixels[shapes.stimulus], ALPHA
    )
    honest = identify_held_out(own, shapes.pixels, shapes.stimulus, shapes.stimulus, centred=False).accuracy
    assert leaking > 0.98 > honest + 0.03
