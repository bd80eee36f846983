"""What the IC-GAN decoder decodes: instance features, noise and dense vectors of a subject's training pictures."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.decoder.generated_targets import (
    GeneratorTargets,
    NoiseFrom,
    find_generator_targets,
    generator_of,
)
from lightning_modules.icgan.decoder.network_scores import networks_of
from lightning_modules.icgan.decoder.painting import GeneratorWeights, Judge
from lightning_modules.icgan.decoder.picture_sets import PictureSet, generated_pictures
from lightning_modules.icgan.decoder.pictures import PictureData, training_pictures
from lightning_modules.icgan.decoder.recorded_pictures import recorded_pictures
from lightning_modules.icgan.decoder.sessions import Normalisation, SealedSession
from lightning_modules.icgan.decoder.settings import ALL_VOXELS
from lightning_modules.icgan.generator.inversion_settings import DenseMode
from lightning_modules.icgan.generator.presets import SMALL_BY_SIDE
from lightning_modules.icgan.recordings.normalise import RunKey
from lightning_modules.parts.errors import DataError

INSTANCE, NOISE, DENSE = "instance", "noise", "dense"
KINDS = (INSTANCE, NOISE, DENSE)
PICTURE, JUDGE = "picture", "judge"
"""Tables that are not decoded: the pictures themselves, and their features in a network that no target comes from."""

SEARCHED_AREAS = {"model.instance_area": "HVC", "model.spatial_area": "LVC"}
"""Areas that the search space offers beside all voxels, by the parameter that names them."""

SMALL_PICTURES, MANY, FEW = 64, 1200, 24
"""Held-out rows that pictures are made of in validation: of single trials little is decoded, so that fewer than many
would leave the objective to chance; pictures of more than 64 pixels take seconds each without a GPU."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TargetData(PictureData):
    """Training rows with everything that the IC-GAN decoder decodes; tables `instance`, `noise`, `dense`.

    Args:
        generator: Makes pictures of the three.
        generator_path: Folder that it can be loaded from.
        judge: Network that is no target's own, for scores that are not circular.
        n_painted: Held-out rows that validation makes pictures of, at most.
    """

    generator: GeneratorWeights
    generator_path: str
    judge: Judge
    n_painted: int

    @property
    def settled(self) -> dict[str, str]:
        """Parameters that the recording leaves no choice of: all voxels, where an area to search has none."""
        return dict.fromkeys(lacking_areas(self.roi), ALL_VOXELS)


def lacking_areas(roi: Mapping[str, NDArray[np.bool_]]) -> dict[str, str]:
    """Return the areas that a search offers and a recording lacks, by the parameter that would name them."""
    return {name: area for name, area in SEARCHED_AREAS.items() if not np.any(roi.get(area, False))}


class TargetSource(NamedTuple):
    """What all subjects who saw the same pictures share, with what is to be decoded of them.

    Args:
        pictures: The pictures.
        targets: Generator, noise and dense vectors.
    """

    pictures: PictureSet
    targets: GeneratorTargets


def load_targets(
    *,
    path: str | None = None,
    subject: int | str | None = None,
    normalisation: Normalisation = "auto",
    run_key: RunKey = "kind_and_run",
    test_categories: int = 0,
    n_folds: int | None = None,
    split_seed: int = 0,
    features: str | None = None,
    swav: str | None = None,
    generator: str | None = None,
    noise_from: NoiseFrom = "auto",
    dense_mode: DenseMode = "free",
    inversion_steps: int = 150,
    judge: str | None = None,
    networks: str | None = None,
    picture_size: int = 32,
    generator_steps: int = 300,
    validation_pictures: int | None = None,
    preset: Literal["tiny", "full"] = "tiny",
    generator_seed: int = 0,
    cache: str = "~/.cache/neurosweep",
) -> TargetData:
    """Read or generate a subject, and find what is to be decoded of the training pictures.

    What takes minutes, such as learning a small generator, is done once and kept.

    Args:
        path: Generic Object Decoding file, image session (`.npz`), or folder of either. Default: a generated subject.
        subject: Which one, by number or name, where there are several; of generated ones 1 to 5, by default the first.
        normalisation: See `load_pixels`.
        run_key: What makes two rows of one run; see `normalise`.
        test_categories: Whole categories to seal where the recording has no test pictures of its own.
        n_folds: Folds of whole categories. Default: 6, or each category by itself where there are at most 24.
        split_seed: Of sealed categories and folds.
        features: Folder with the authors' `instance_features.npz`, and perhaps `noise_vectors.npy` and
            `dense_vectors.npy`. Default: features of `swav`, or of a small network that learns the categories.
        swav: SwAV's ResNet-50 weights, from which features are computed where no arrays are given, and by which
            pictures are compared in inversion.
        generator: Folder of a public IC-GAN checkpoint, or kept checkpoint (`.ckpt`) of a trial of `icgan-generator`.
            Default: a small one is learnt of the training pictures.
        noise_from: `arrays` of `features`; `warm_start`, what was learnt with the small generator; `inversion`. `auto`
            is the first of them that there is.
        dense_mode: Of inversion: `from_z` takes the dense vector that the noise gives, `free` any.
        inversion_steps: Of Adam on the noise; two thirds as many on the dense vector.
        judge: Weights of a network that no target comes from, for scores: ResNet-50 (not SwAV's, such as a
            classifier's), AlexNet, Inception-v3, EfficientNet-B1 or CLIP. Default: a second small network that learns
            the categories.
        networks: Folder of weights of such networks, in which an evaluation scores pictures as publications do.
        picture_size: Side of the pictures of a small generator, pixels, 32 or 64; generated pictures have their own.
        generator_steps: Batches that a small generator learns from.
        validation_pictures: Held-out rows to make pictures of. Default: 1200; 24 where pictures have over 64 pixels.
        preset: Of generated data: `tiny` has 900 voxels and pictures of 32 pixels; `full` 4500 and 64.
        generator_seed: Of generated data, and of what is learnt of pictures.
        cache: Folder for what is found once.

    Raises:
        DataError: If something cannot be read, or does not fit together.
    """
    given = locals()
    # An evaluation can be given no others: what is wrong with them is said before anything is searched.
    networks_of(given)
    source = open_source(given)
    return targets_of(source, source.pictures.open(source.pictures.searched), given)


def with_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments of `load_targets`, where only some are given."""
    return {
        name: settings.get(name, one.default)
        for name, one in inspect.signature(load_targets).parameters.items()
    }


def open_source(given: Mapping[str, Any]) -> TargetSource:
    """Find what all subjects share.

    Args:
        given: Arguments of `load_targets`, all of them.

    Raises:
        DataError: See `load_targets`.
    """
    trained = generator_of(given)
    if given["path"] is None:
        pictures = generated_pictures(given)
        side = pictures.images.shape[1]
        if trained is not None and trained.preset.resolution != side:
            raise DataError(
                f"The generator {given['generator']} makes pictures of {trained.preset.resolution} pixels, but those "
                f"of the preset {given['preset']} have {side}.",
                "Give a generator that was trained on these pictures.",
            )
    else:
        side = given["picture_size"] if trained is None else trained.preset.resolution
        if trained is None and side not in SMALL_BY_SIDE:
            raise DataError(
                f"`--data.picture_size` is {side}.", f"Give one of {', '.join(map(str, SMALL_BY_SIDE))}."
            )
        pictures = recorded_pictures(given, side)
    return TargetSource(pictures, find_generator_targets(pictures, given, trained))


def targets_of(source: TargetSource, sealed: SealedSession, given: Mapping[str, Any]) -> TargetData:
    """Put together what a search on one subject may see.

    Args:
        source: What its subjects share.
        sealed: The subject.
        given: Arguments of `load_targets`, all of them.

    Raises:
        DataError: If fewer than two categories are left to train on.
    """
    pictures, found = source
    rows = training_pictures(
        sealed.session, sealed=sealed.stimuli, n_folds=given["n_folds"], fold_seed=given["split_seed"]
    )
    shown = rows.shown_stimuli
    # Noise is known of the stimuli that are not sealed, in their order.
    row = pictures.training.searchsorted(shown)
    images = pictures.images[shown]
    tables = {
        INSTANCE: pictures.features[shown],
        NOISE: found.noise[row],
        DENSE: found.dense[row],
        PICTURE: images.reshape(len(shown), -1),
        JUDGE: pictures.judge.embed(images),
    }
    known = {one.name: getattr(rows, one.name) for one in fields(PictureData)}
    lacking = lacking_areas(rows.roi)
    if lacking:
        areas, names = (" and ".join(one) for one in (lacking.values(), (f"`{name}`" for name in lacking)))
        known["notes"] = (
            *rows.notes,
            f"the recording has no voxels of {areas}: all are used instead, unless {names} is pinned.",
        )
    n_painted = given["validation_pictures"] or (MANY if images.shape[1] <= SMALL_PICTURES else FEW)
    return TargetData(
        **known | {"tables": tables, "picture_shape": images.shape[1:]},
        generator=found.generator,
        generator_path=str(found.source),
        judge=pictures.judge,
        n_painted=n_painted,
    )
