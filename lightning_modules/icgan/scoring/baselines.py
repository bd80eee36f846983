"""The seven rows that every report shows beside the decoder's own: what it must beat, and what it cannot beat."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.scoring.latents import Generate, Latents
from lightning_modules.icgan.scoring.nearest import nearest
from lightning_modules.icgan.scoring.protocols import Images
from lightning_modules.parts.errors import DataError

Baseline = Literal[
    "shuffled",
    "training_mean",
    "generator_prior",
    "nearest_training_image",
    "oracle_h",
    "oracle_inversion",
    "single_trials",
]


@dataclass(frozen=True, eq=False)
class Decoded:
    """What baselines are made of. Latents of all fields have the same of z and d, or lack them.

    Args:
        training: Features of the N training pictures, with the noise and dense vectors found by inversion.
        predicted: Decoded from the averaged patterns of the m test stimuli, post-processed as in the decoder's row.
        trials: Decoded from single trials of the test stimuli, post-processed likewise, (K, ...).
        trial_stimulus: Which test stimulus each trial is of, (K,); each of the m at least once.
        truth: Features of the test stimuli, with the noise and dense vectors found by inverting them.
    """

    training: Latents
    predicted: Latents
    trials: Latents
    trial_stimulus: NDArray[np.int64]
    truth: Latents

    def __post_init__(self) -> None:
        for name in ("training", "predicted", "trials", "truth"):
            getattr(self, name).check(name)
        problems = []
        widths = {name: _widths(getattr(self, name)) for name in ("training", "predicted", "trials", "truth")}
        if len(set(widths.values())) != 1:
            problems.append(f"h, z and d have other dimensions in each: {widths}.")
        n_stimuli = len(self.predicted.h)
        if len(self.truth.h) != n_stimuli:
            problems.append(f"{n_stimuli} stimuli are predicted, but {len(self.truth.h)} are true.")
        if self.trial_stimulus.shape != (len(self.trials.h),):
            problems.append(f"{len(self.trials.h)} trials have {self.trial_stimulus.shape} labels.")
        elif not np.array_equal(np.unique(self.trial_stimulus), np.arange(n_stimuli)):
            problems.append(f"trials are not of each of the {n_stimuli} stimuli, counted from 0.")
        if problems:
            raise DataError(
                f"No baselines can be made: {' '.join(problems)}",
                "Give all of the same test stimuli, in one order.",
            )


def baseline_latents(decoded: Decoded, seed: int) -> dict[Baseline, Latents]:
    """Make the seven baselines, one row for each test stimulus, in the stimuli's order.

    `shuffled` gives each stimulus the prediction of one drawn without replacement, perhaps its own: so its pairwise
    identification is .5 on average, which it would not be if the own were excluded. `generator_prior` is the feature
    of a random training picture with Gaussian noise. `oracle_h` has no noise and no dense vector of its own.
    `single_trials` takes one random trial of each stimulus.

    Args:
        decoded: What they are made of.
        seed: Of everything that is drawn.

    Source:
        Specification 5.4.
    """
    training, predicted = decoded.training, decoded.predicted
    n_stimuli = len(predicted.h)
    # One stream for each: so that none changes when another one draws more.
    shuffling, prior, trials = (np.random.default_rng(one) for one in np.random.SeedSequence(seed).spawn(3))
    drawn = prior.integers(len(training.h), size=n_stimuli)
    noise = (
        None if predicted.z is None else prior.standard_normal(predicted.z.shape).astype(predicted.z.dtype)
    )
    return {
        "shuffled": predicted.rows(shuffling.permutation(n_stimuli)),
        "training_mean": training.each(lambda part: _repeat_mean(part, n_stimuli)),
        "generator_prior": Latents(training.h[drawn], noise),
        "nearest_training_image": training.rows(nearest(predicted.h, training.h).row[:, 0]),
        "oracle_h": Latents(decoded.truth.h),
        "oracle_inversion": decoded.truth,
        "single_trials": decoded.trials.rows(_draw_trials(decoded.trial_stimulus, trials)),
    }


def baseline_images(
    decoded: Decoded, training_images: Images, generate: Generate, seed: int
) -> dict[Baseline, Images]:
    """Make the pictures of the baselines, one for each test stimulus.

    `training_mean` is the mean of the training pictures, and `nearest_training_image` the training picture itself;
    the others are generated.

    Args:
        decoded: What they are made of.
        training_images: RGB in [0, 1], (N, height, width, 3), in the order of `decoded.training`.
        generate: The generator.
        seed: As in `baseline_latents`, whose features these are then the pictures of.

    Raises:
        DataError: If there are not as many training pictures as features of them.
    """
    if len(training_images) != len(decoded.training.h):
        raise DataError(
            f"{len(training_images)} training pictures have {len(decoded.training.h)} rows of features.",
            "Give both in the same order.",
        )
    mean = training_images.mean(axis=0, keepdims=True, dtype=np.float64).astype(training_images.dtype)
    n_stimuli = len(decoded.predicted.h)
    retrieved = nearest(decoded.predicted.h, decoded.training.h).row[:, 0]
    taken: dict[Baseline, Images] = {
        "training_mean": np.repeat(mean, n_stimuli, axis=0),
        "nearest_training_image": training_images[retrieved],
    }
    latents = baseline_latents(decoded, seed)
    return {name: taken[name] if name in taken else generate(one) for name, one in latents.items()}


def _widths(latents: Latents) -> tuple[int | None, ...]:
    return tuple(None if part is None else part.shape[1] for part in latents)


def _repeat_mean(rows: NDArray[Any], n: int) -> NDArray[Any]:
    mean = rows.mean(axis=0, keepdims=True, dtype=np.float64).astype(rows.dtype)
    return np.repeat(mean, n, axis=0)


def _draw_trials(stimulus: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw one trial of each stimulus, in the stimuli's order."""
    order = rng.permutation(len(stimulus))
    _, first = np.unique(stimulus[order], return_index=True)
    return order[first]
