"""The pictures of recordings: their features from the authors' arrays, SwAV's weights or a network learnt of them."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_modules.icgan.decoder.painting import Judge, NetWeights, ResNetWeights, features_of
from lightning_modules.icgan.decoder.picture_sets import PictureSet, as_squares
from lightning_modules.icgan.decoder.sessions import SealedSession, read_recorded, seal
from lightning_modules.icgan.features.net_cache import cached_small_net
from lightning_modules.icgan.features.small_net import NetSettings, SmallNet
from lightning_modules.icgan.features.z_scores import fit_z_scores
from lightning_modules.icgan.generator.image_loss import Extractor, ImageFeatures
from lightning_modules.icgan.generator.resnet import load_swav
from lightning_modules.icgan.generator.small_extractor import SmallNetExtractor
from lightning_modules.icgan.judges.public_network import load_public_network
from lightning_modules.icgan.recordings.images import opened_npz
from lightning_modules.icgan.recordings.reader import subject_names
from lightning_modules.icgan.synthetic.presets import PRESETS
from lightning_modules.parts.errors import DataError

INSTANCE_ARRAYS = ("train_instance", "test_instance")
INSTANCE_FILE, NOISE_FILE, DENSE_FILE = "instance_features.npz", "noise_vectors.npy", "dense_vectors.npy"
"""Names in the authors' folder `extracted_features`."""

NET_STEPS = 480
"""Batches that a small network of pictures is trained on, as that of the generated `tiny` data set."""
MOST_EPOCHS = 120


class PixelsAlone:
    """Stands in for a network that is not at hand: without maps, pictures are compared by their pixels.

    Args:
        h_dim: Dimensions of the features.
    """

    def __init__(self, h_dim: int) -> None:
        self.h_dim = h_dim

    def __call__(self, images: torch.Tensor, /) -> ImageFeatures:
        """Return no features and no maps."""
        return ImageFeatures(images.new_zeros(len(images), self.h_dim), ())


def recorded_pictures(given: Mapping[str, Any], side: int) -> PictureSet:
    """Read the pictures of recordings and find their features.

    Args:
        given: Arguments of `load_targets`.
        side: Of the pictures that the generator makes, pixels.

    Raises:
        DataError: If recordings, arrays or weights cannot be read, or do not fit together.
    """
    recorded = read_recorded(given["path"], given["subject"])
    sealed = seal(recorded, given)
    session, training = sealed.session, sealed.training
    images = as_squares(session, side)
    features, extractor = _features(given, sealed, images)

    def read(subject: str) -> SealedSession:
        return sealed if subject == recorded.subject else seal(read_recorded(given["path"], subject), given)

    return PictureSet(
        names=session.stimulus_names,
        images=images,
        features=features,
        training=training,
        extractor=extractor,
        judge=_judge(given, images[training], session.category[training]),
        seed=given["generator_seed"],
        searched=recorded.subject,
        subjects=lambda: subject_names(given["path"]),
        read=read,
    )


def read_array(path: Path, n_rows: int, n_columns: int | None = None) -> NDArray[np.float32]:
    """Read one of the authors' arrays, a row for each training picture.

    Args:
        path: `.npy`.
        n_rows: Training pictures.
        n_columns: What the generator takes; None takes any.

    Raises:
        DataError: If it is not there, or is not of this shape.
    """
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read: {error}.", "Give the authors' array, as it was saved."
        ) from error
    return _checked(found, path.name, path, n_rows, n_columns)


def _features(
    given: Mapping[str, Any], sealed: SealedSession, images: NDArray[np.float32]
) -> tuple[NDArray[np.float32], Extractor]:
    """Return features of all pictures, of length one, and the network that looks at pictures."""
    swav = None if given["swav"] is None else load_swav(Path(given["swav"]).expanduser())
    if given["features"] is not None:
        file = Path(given["features"]).expanduser() / INSTANCE_FILE
        features = _instance_arrays(file, sealed)
        return features, PixelsAlone(features.shape[1]) if swav is None else swav
    if swav is not None:
        return features_of(swav, sealed.images), swav
    training = sealed.training
    net = _learn_net(
        given, images[training], sealed.session.category[training], images.shape[1], evaluation=False
    )
    extractor = SmallNetExtractor(net)
    known = features_of(extractor, images[training])
    alive = SmallNetExtractor(net, torch.from_numpy(np.flatnonzero(fit_z_scores(known).varies)))
    return features_of(alive, images), alive


def _instance_arrays(file: Path, sealed: SealedSession) -> NDArray[np.float32]:
    """Put the authors' two arrays into the order of the stimuli."""
    if not file.exists():
        raise DataError(
            f"{file} does not exist.",
            f"`--data.features` is a folder with {INSTANCE_FILE} ({' and '.join(INSTANCE_ARRAYS)}) and perhaps "
            f"{NOISE_FILE} and {DENSE_FILE}, as the authors' `extracted_features`.",
        )
    with opened_npz(file) as archive:
        missing = [name for name in INSTANCE_ARRAYS if name not in archive.files]
        if missing:
            raise DataError(
                f"{file} lacks {', '.join(missing)}; it holds {', '.join(archive.files)}.",
                "Give the features of training and of test pictures.",
            )
        parts = [
            _checked(archive[name], name, file, len(stimuli))
            for name, stimuli in zip(INSTANCE_ARRAYS, (sealed.training, sealed.stimuli), strict=True)
        ]
    if parts[0].shape[1] != parts[1].shape[1]:
        raise DataError(
            f"{file}: {parts[0].shape[1]} and {parts[1].shape[1]} features.", "Give one network's."
        )
    features = np.empty((sealed.session.n_stimuli, parts[0].shape[1]), np.float32)
    features[sealed.training], features[sealed.stimuli] = parts
    return features


def _checked(
    found: NDArray[Any], name: str, path: Path, n_rows: int, n_columns: int | None = None
) -> NDArray[np.float32]:
    fits = found.ndim == 2 and len(found) == n_rows and n_columns in (None, found.shape[-1])
    if not fits or found.dtype.kind != "f" or not np.isfinite(found).all():
        raise DataError(
            f"{path}: `{name}` is {found.dtype} of shape {found.shape}, or not finite, but must be real numbers of "
            f"shape ({n_rows}, {n_columns or 'features'}).",
            "Give a row for each picture in the order of the stimuli, and the generator that these are for.",
        )
    return found.astype(np.float32)


def _judge(given: Mapping[str, Any], images: NDArray[np.float32], category: NDArray[np.int64]) -> Judge:
    if given["judge"] is not None:
        network = load_public_network(Path(given["judge"]).expanduser())
        return ResNetWeights(network.weights) if network.kind == "resnet50" else network
    side = images.shape[1]
    net = _learn_net(given, images, category, side, evaluation=True)
    return NetWeights.of(net, _net_settings(len(images), side, evaluation=True), (len(np.unique(category)),))


def _learn_net(
    given: Mapping[str, Any],
    images: NDArray[np.float32],
    category: NDArray[np.int64],
    side: int,
    *,
    evaluation: bool,
) -> SmallNet:
    """Learn to tell the categories of the training pictures."""
    names, factor = np.unique(category, return_inverse=True)
    return cached_small_net(
        images,
        factor.reshape(-1, 1).astype(np.int64),
        levels=(len(names),),
        settings=_net_settings(len(images), side, evaluation=evaluation),
        seed=given["generator_seed"] + evaluation,
        folder=Path(given["cache"]).expanduser(),
    )


def _net_settings(n_pictures: int, side: int, *, evaluation: bool) -> NetSettings:
    """Widths of the generated data set with pictures of this size, and as many batches as `tiny` has."""
    preset = PRESETS["tiny" if side <= PRESETS["tiny"].image_size else "full"]
    settings = preset.evaluation_net if evaluation else preset.net
    n_batches = math.ceil(n_pictures / settings.batch)
    return replace(settings, n_pictures=n_pictures, epochs=min(MOST_EPOCHS, math.ceil(NET_STEPS / n_batches)))
