"""What all subjects of SynthGOD share: pictures, the network of their features, and the banks voxels respond to."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.features.net_cache import cached_small_net
from lightning_modules.icgan.features.small_net import NetSettings, SmallNet, embed, head_accuracy
from lightning_modules.icgan.features.z_scores import fit_z_scores
from lightning_modules.icgan.recordings.stimulus_ids import Pairs, StimulusOrder
from lightning_modules.icgan.synthetic.attributes import (
    FACTORS,
    ClassSplit,
    Integers,
    PictureAttributes,
    draw_attributes,
    split_classes,
)
from lightning_modules.icgan.synthetic.banks import Banks, build_banks
from lightning_modules.icgan.synthetic.pictures import render
from lightning_modules.icgan.synthetic.presets import SynthPreset
from lightning_modules.icgan.synthetic.streams import Stream, stream

FIRST_SYNSET = 20_000_000
"""Category of class 0; WordNet's nouns end below, so that no natural category is met."""


@dataclass(frozen=True, eq=False)
class SynthWorld:
    """Pictures and what is computed of them, training before test.

    Shapes:
        S stimuli, the first `preset.n_training` of which are for training; D features.

    Args:
        preset: Which version of SynthGOD.
        seed: Of everything.
        classes: Training and test classes.
        order: Stimuli as the Generic Object Decoding files name them.
        attributes: What each of the S pictures shows.
        images: RGB in [0, 1], (S, H, W, 3).
        net: Network of the features, trained on other pictures of the training classes.
        net_accuracy: Share of the test pictures, all of classes that it never saw, whose shape, texture and hue
            `net` names, (3,).
        features: Instance features h, of length one in training; dimensions that are dead there are left out, (S, D).
        banks: What voxels respond to.
    """

    preset: SynthPreset
    seed: int
    classes: ClassSplit
    order: StimulusOrder
    attributes: PictureAttributes
    images: NDArray[np.float32]
    net: SmallNet
    net_accuracy: NDArray[np.float64]
    features: NDArray[np.float32]
    banks: Banks


def build_world(preset: SynthPreset, *, seed: int, cache: Path | None = None) -> SynthWorld:
    """Render the pictures, train the network and compute the banks.

    Args:
        preset: Which version of SynthGOD.
        seed: Of everything; the same seed gives the same subjects on the same processor and versions.
        cache: Folder that keeps the trained network, so that it is trained once; see `cached_small_net`.

    Source:
        icgan.md section 8.2.
    """
    classes = split_classes(stream(seed, Stream.CLASSES), preset.n_training_classes, preset.n_test_classes)
    category = np.concatenate([np.repeat(classes.training, preset.exemplars), classes.test])
    attributes = draw_attributes(stream(seed, Stream.STIMULI), category)
    images = render(attributes, preset.image_size, stream(seed, Stream.PIXEL_NOISE))
    net = _train(preset, preset.net, classes, stream(seed, Stream.NET), cache)
    features = _embedding(preset, attributes, images, net, seed)
    test = slice(preset.n_training, None)
    return SynthWorld(
        preset,
        seed,
        classes,
        order=_order(preset, classes),
        attributes=attributes,
        images=images,
        net=net,
        net_accuracy=head_accuracy(net, images[test], attributes.rows(test).factors),
        features=features,
        banks=build_banks(
            preset,
            attributes=attributes,
            images=images,
            features=features,
            net=net,
            generator=stream(seed, Stream.UNMODELLED),
        ),
    )


def train_evaluation_net(world: SynthWorld, *, cache: Path | None = None) -> SmallNet:
    """Train a second network, of other widths, seed and pictures, for scores in a space that is not the target's.

    Args:
        world: Whose training classes it learns.
        cache: See `build_world`.
    """
    generator = stream(world.seed, Stream.EVALUATION_NET)
    return _train(world.preset, world.preset.evaluation_net, world.classes, generator, cache)


def _train(
    preset: SynthPreset,
    settings: NetSettings,
    classes: ClassSplit,
    generator: np.random.Generator,
    cache: Path | None,
) -> SmallNet:
    """Train on pictures of training classes that are no stimuli."""
    attributes = draw_attributes(generator, np.resize(classes.training, settings.n_pictures))
    images = render(attributes, preset.image_size, generator)
    seed = int(generator.integers(2**31))
    return cached_small_net(
        images, attributes.factors, levels=FACTORS, settings=settings, seed=seed, folder=cache
    )


def _embedding(
    preset: SynthPreset,
    attributes: PictureAttributes,
    images: NDArray[np.float32],
    net: SmallNet,
    seed: int,
) -> NDArray[np.float32]:
    if preset.embedding == "oracle":
        one_hots = attributes.one_hots
        shape = one_hots.shape[1], preset.net.n_features
        mixed = one_hots @ stream(seed, Stream.ORACLE).normal(size=shape)
        features = (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32)
    else:
        features = embed(net, images)
    return features[:, fit_z_scores(features[: preset.n_training]).varies]


def _order(preset: SynthPreset, classes: ClassSplit) -> StimulusOrder:
    return StimulusOrder(_pairs(classes.training, preset.exemplars), _pairs(classes.test, 1))


def _pairs(classes: Integers, exemplars: int) -> Pairs:
    number = np.tile(np.arange(1, exemplars + 1), len(classes))
    return np.stack([FIRST_SYNSET + np.repeat(classes, exemplars), number], axis=1)
