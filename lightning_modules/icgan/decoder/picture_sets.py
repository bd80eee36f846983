"""Pictures of a data set with their features and the networks that look at them, whoever saw them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.transform import resize_local_mean

from lightning_modules.icgan.decoder.painting import BATCH, Judge, NetWeights, as_batch
from lightning_modules.icgan.decoder.sessions import SealedSession, seal, subject_number
from lightning_modules.icgan.features.small_net import embed
from lightning_modules.icgan.features.z_scores import fit_z_scores
from lightning_modules.icgan.generator.image_loss import Extractor
from lightning_modules.icgan.generator.small_extractor import SmallNetExtractor
from lightning_modules.icgan.recordings.session import ImageSession
from lightning_modules.icgan.scoring.protocols import Images
from lightning_modules.icgan.synthetic.attributes import FACTORS, Shape
from lightning_modules.icgan.synthetic.presets import PRESETS
from lightning_modules.icgan.synthetic.subject import generate_subject
from lightning_modules.icgan.synthetic.world import SynthWorld, build_world, train_evaluation_net
from lightning_modules.parts.errors import DataError


@dataclass(frozen=True, eq=False)
class PictureSet:
    """What all subjects who saw the same pictures share.

    Shapes:
        S stimuli, T of them for training; H features.

    Args:
        names: Of the stimuli, (S,).
        images: RGB in [0, 1], square, (S, side, side, 3).
        features: Instance features h, of length one, (S, H).
        training: The T stimuli that are not sealed, ascending, int64.
        extractor: Network whose features these are, or, where they came as arrays, one that compares pixels alone.
        judge: Network that is no target's own.
        seed: Of what is learnt of the pictures.
        searched: Name of the subject who is searched.
        subjects: Gives the names of all who saw them.
        read: Gives the session of one subject, sealed and normalised.
        classes: Names of what `classify` tells apart; empty where nothing does.
        classify: Gives a probability of each class, (m, C), of pictures (m, side, side, 3).
    """

    names: tuple[str, ...]
    images: NDArray[np.float32]
    features: NDArray[np.float32]
    training: NDArray[np.int64]
    extractor: Extractor
    judge: Judge
    seed: int
    searched: str
    subjects: Callable[[], tuple[str, ...]]
    read: Callable[[str], SealedSession]
    classes: tuple[str, ...] = ()
    classify: Callable[[Images], NDArray[np.float32]] | None = None

    def open(self, subject: str) -> SealedSession:
        """Return the session of one subject.

        Raises:
            DataError: If the subject saw other pictures.
        """
        sealed = self.read(subject)
        if sealed.session.stimulus_names != self.names:
            raise DataError(
                f"{sealed.session.source} and {self.searched} do not show the same pictures in the same order.",
                "Search each data set by itself.",
            )
        return sealed


def generated_pictures(given: Mapping[str, Any]) -> PictureSet:
    """Render a generated data set.

    Args:
        given: Arguments of `load_targets`.

    Raises:
        DataError: If arguments are given that are for recordings.
    """
    for name in ("features", "swav", "judge"):
        if given[name] is not None:
            raise DataError(
                f"`--data.{name}` is {given[name]}, but a generated data set has networks of its own.",
                f"Leave it out, or give recordings with `--data.path`: `--data.{name}` is of theirs.",
            )
    folder = Path(given["cache"]).expanduser()
    world = build_world(PRESETS[given["preset"]], seed=given["generator_seed"], cache=folder)

    def read(subject: str) -> SealedSession:
        return seal(generate_subject(world, subject_number(world.preset, subject)).session, given)

    judge = NetWeights.of(train_evaluation_net(world, cache=folder), world.preset.evaluation_net, FACTORS)
    numbers = tuple(str(one) for one in range(1, len(world.preset.subject_gains) + 1))
    return PictureSet(
        names=world.order.names,
        images=world.images,
        features=world.features,
        training=np.arange(world.preset.n_training),
        extractor=extractor_of(world),
        judge=judge,
        seed=world.seed,
        searched=str(given["subject"] or numbers[0]),
        subjects=lambda: numbers,
        read=read,
        classes=tuple(one.name.lower() for one in Shape),
        classify=partial(shape_probabilities, judge),
    )


def shape_probabilities(judge: NetWeights, images: Images) -> NDArray[np.float32]:
    """Return what a network of generated pictures takes each (m, side, side, 3) for: P of each shape, (m, 10)."""
    net = judge.build()
    with torch.inference_mode():
        return torch.cat(
            [net.logits(part)[0].softmax(dim=1) for part in as_batch(images).split(BATCH)]
        ).numpy()


def extractor_of(world: SynthWorld) -> SmallNetExtractor:
    """Return the network whose features the instance features are, without the dimensions that are dead in training."""
    features = fit_z_scores(embed(world.net, world.images[: world.preset.n_training]))
    return SmallNetExtractor(world.net, torch.from_numpy(np.flatnonzero(features.varies)))


def as_squares(session: ImageSession, side: int) -> NDArray[np.float32]:
    """Return a session's pictures averaged, or repeated, to squares of a side, (S, side, side, 3).

    Raises:
        DataError: If there are no pictures, or they are not squares.
    """
    images = session.images
    if images is None or images.shape[1] != images.shape[2]:
        raise DataError(
            f"{session.source} has {'no pictures' if images is None else f'pictures of {images.shape[1:3]} pixels'}, "
            "but the generator makes squares and is compared with what was seen.",
            "Put images_256.npz, or the folder images, beside the subject's file; crop pictures to squares.",
        )
    if images.shape[1] == side:
        return images
    return np.stack([resize_local_mean(one, (side, side)) for one in images]).astype(np.float32)
