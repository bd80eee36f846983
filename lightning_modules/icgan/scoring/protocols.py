"""At which size pictures are compared: publications differ, and their scores with them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from lightning_modules.parts.errors import DataError

Images: TypeAlias = NDArray[np.floating[Any]]
"""RGB in [0, 1], (m, height, width, 3)."""

Protocol = Literal["native", "brain_diffuser", "mindeye"]
Architecture = Literal["alexnet", "inception", "clip", "efficientnet", "swav"]

PIXEL_SIDE = 425
"""To which side both code bases resize pictures for pixel scores: that of the Natural Scenes Dataset."""
BRAIN_DIFFUSER_SIDE = 224
"""Of pictures for any network."""
MINDEYE_SIDES: Mapping[Architecture, int] = MappingProxyType(
    {"alexnet": 256, "inception": 342, "clip": 224, "efficientnet": 255, "swav": 224}
)
"""Of pictures for each network."""


def pixel_side(protocol: Protocol) -> int | None:
    """Return the side to which pictures are resized for pixel scores; None is as they are.

    Source:
        Specification 5.2: the convention of the Natural Scenes Dataset, and native sizes for Generic Object Decoding.
    """
    check_protocol(protocol)
    return None if protocol == "native" else PIXEL_SIDE


def network_side(protocol: Protocol, architecture: Architecture | None) -> int | None:
    """Return the side to which pictures are resized for a network; None is as they are.

    Args:
        protocol: Whose code is followed.
        architecture: Of the network; None for one that no publication uses.

    Raises:
        ValueError: If the protocol is unknown, or has no size for the network.

    Source:
        `eval_extract_features.py` of Brain-Diffuser; `Reconstruction_Metrics.py` of MindEye.
    """
    check_protocol(protocol)
    if protocol == "native":
        return None
    if protocol == "brain_diffuser":
        return BRAIN_DIFFUSER_SIDE
    if architecture is None:
        raise ValueError(
            f"MindEye's protocol has a size for {', '.join(MINDEYE_SIDES)}, and none for another network. "
            "Use `native` or `brain_diffuser`, or name the network's architecture."
        )
    return MINDEYE_SIDES[architecture]


def check_protocol(protocol: str) -> None:
    """Refuse an unknown protocol.

    Raises:
        ValueError: With those that are known.
    """
    if protocol not in get_args(Protocol):
        raise ValueError(f"`protocol` is {protocol!r}, but must be one of {', '.join(get_args(Protocol))}.")


def resize(images: Images, side: int | None) -> Images:
    """Resize pictures to a square, bilinearly, smoothed where they shrink: as Pillow and torchvision do.

    Args:
        images: (m, height, width, 3).
        side: In pixels; None leaves pictures as they are.

    Returns:
        (m, side, side, 3).
    """
    if side is None or images.shape[1:3] == (side, side):
        return images
    channels_first = torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, 3, 1)))
    resized = functional.interpolate(
        channels_first, size=(side, side), mode="bilinear", antialias=True, align_corners=False
    )
    # Weights sum to 1 but for round-off, which would leave [0, 1].
    return np.moveaxis(resized.clamp(0, 1).numpy(), 1, 3)


def check_images(reconstructions: Images, stimuli: Images) -> None:
    """Refuse pictures that cannot be compared.

    Raises:
        DataError: If shapes differ, or values are not in [0, 1].
    """
    problems = []
    if reconstructions.shape != stimuli.shape:
        problems.append(f"reconstructions have shape {reconstructions.shape}, stimuli {stimuli.shape}.")
    for name, images in (("reconstructions", reconstructions), ("stimuli", stimuli)):
        if images.ndim != 4 or images.shape[-1] != 3 or not images.size:
            problems.append(f"{name} have shape {images.shape}, not (pictures, height, width, 3).")
        elif not np.issubdtype(images.dtype, np.floating):
            problems.append(f"{name} are {images.dtype}, not fractions.")
        elif not (images.min() >= 0 and images.max() <= 1):  # so that NaN is refused as well
            problems.append(f"{name} go from {images.min():.4g} to {images.max():.4g}, not within [0, 1].")
    if problems:
        raise DataError(
            f"Pictures cannot be compared: {' '.join(problems)}",
            "Give the same pictures in the same order and size, as RGB fractions in [0, 1].",
        )
