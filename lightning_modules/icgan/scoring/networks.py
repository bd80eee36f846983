"""Scores in the feature space of a network, and whether that network is the one that was decoded."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import comb

from lightning_modules.icgan.scoring.identification import Direction, Identification, correlate, identify
from lightning_modules.icgan.scoring.protocols import (
    Architecture,
    Images,
    Protocol,
    check_images,
    network_side,
    resize,
)
from lightning_modules.parts.errors import DataError


@dataclass(frozen=True)
class Network:
    """A network that turns pictures into features.

    Args:
        name: Such as `inception avgpool`.
        features: Takes RGB in [0, 1], (m, height, width, 3), to features (m, ...). It subtracts means and divides by
            standard deviations as its network wants them.
        circular: Whether the features that were decoded from the brain are this network's own. A score in its space
            then rewards what was optimised, and is no independent evidence.
        architecture: Where a protocol prescribes a size of pictures for it.
    """

    name: str
    features: Callable[[Images], NDArray[Any]]
    circular: bool
    architecture: Architecture | None = None


@dataclass(frozen=True, eq=False)
class NetworkScores:
    """Scores of m reconstructions in one network's space.

    Args:
        network: Name of the network.
        circular: See `Network`.
        protocol: Whose size of pictures was used.
        side: To which pictures were resized; None as they were.
        identification: Each reconstruction among all stimuli, or the other way round; not centred.
        distance: 1 - r of each reconstruction's features and its stimulus', (m,); 1 where features do not vary.
    """

    network: str
    circular: bool
    protocol: Protocol
    side: int | None
    identification: Identification
    distance: NDArray[np.float64]

    @property
    def label(self) -> str:
        """The network's name, for tables, with a warning where its scores are circular."""
        return f"{self.network} (circular: the decoded network's own)" if self.circular else self.network


def score_in_network(
    network: Network,
    reconstructions: Images,
    stimuli: Images,
    *,
    protocol: Protocol = "native",
    direction: Direction = "among_stimuli",
) -> NetworkScores:
    """Compare the features of reconstructions with those of stimuli.

    Args:
        network: What makes the features.
        reconstructions: RGB in [0, 1], (m, height, width, 3).
        stimuli: Of the same shape, one of each reconstruction.
        protocol: At which size pictures enter the network; see `network_side`.
        direction: See `Identification`.

    Raises:
        DataError: If pictures do not match, or features are not finite.
        ValueError: If the protocol is unknown, or has no size for the network.

    Source:
        Specification 5.2; `evaluate_reconstruction.py` of Brain-Diffuser.
    """
    check_images(reconstructions, stimuli)
    side = network_side(protocol, network.architecture)
    made, seen = (_features(network, resize(images, side)) for images in (reconstructions, stimuli))
    identification, distance = compare_features(made, seen, direction)
    return NetworkScores(network.name, network.circular, protocol, side, identification, distance)


def compare_features(
    made: NDArray[Any], seen: NDArray[Any], direction: Direction = "among_stimuli"
) -> tuple[Identification, NDArray[np.float64]]:
    """Compare features of reconstructions with those of their stimuli, not centred.

    Args:
        made: Of reconstructions, (m, D).
        seen: Of stimuli, (m, D).
        direction: See `Identification`.

    Returns:
        Identification, and 1 - r of each pair, (m,).
    """
    similarity = correlate(made, seen)
    return identify(similarity, np.arange(len(seen)), direction), 1 - np.diagonal(similarity)


@dataclass(frozen=True, eq=False)
class ClassIdentification:
    """How often the stimulus' class is among the likeliest k of n classes for the reconstruction.

    Args:
        n: Classes in one draw, the stimulus' own included.
        k: How many of the likeliest count as right.
        chance: k / n.
        success: Probability of success over all draws of the other classes, (m,).
    """

    n: int
    k: int
    chance: float
    success: NDArray[np.float64]

    @property
    def accuracy(self) -> float:
        """Mean over reconstructions."""
        return float(self.success.mean())

    @property
    def sd_over_draws(self) -> NDArray[np.float64]:
        """Standard deviation of success over single draws, (m,), as public code prints it from a sample of them."""
        return np.sqrt(self.success * (1 - self.success))


def identify_class(
    of_reconstructions: NDArray[Any], of_stimuli: NDArray[Any], *, n: int = 50, k: int = 1
) -> ClassIdentification:
    """Say how often a classifier finds the stimulus' class in the reconstruction, in closed form.

    The class of a stimulus is the likeliest one of the stimulus itself. Of C classes, n - 1 others are drawn without
    replacement; with b others at least as likely as the own one for the reconstruction, fewer than k of those must be
    drawn: P = Σ_{j<k} C(b, j) C(C-1-b, n-1-j) / C(C-1, n-1).

    Args:
        of_reconstructions: The classifier's probabilities, or logits, (m, C).
        of_stimuli: The same of the stimuli.
        n: Classes in a draw, from 2 to C.
        k: Likeliest classes that count, from 1 to n - 1.

    Raises:
        DataError: If the two do not match or are not finite.
        ValueError: If n or k is out of range.

    Source:
        `n_way_top_k_acc` of MinD-Vis' `eval_metrics.py`, which draws at random; a tie fails here.
    """
    if of_reconstructions.ndim != 2 or of_reconstructions.shape != of_stimuli.shape:
        raise DataError(
            f"Classes of reconstructions {of_reconstructions.shape} do not match those of stimuli {of_stimuli.shape}.",
            "Give the same classifier's output of both, (pictures, classes).",
        )
    if not (np.isfinite(of_reconstructions).all() and np.isfinite(of_stimuli).all()):
        raise DataError(
            "Outputs of the classifier are not all finite.", "Look at its weights and the pictures."
        )
    n_classes = of_stimuli.shape[1]
    problems = []
    if not 2 <= n <= n_classes:
        problems.append(f"`n` is {n}, but must be from 2 to the {n_classes} classes.")
    if not 1 <= k < n:
        problems.append(f"`k` is {k}, but must be from 1 to n - 1 = {n - 1}.")
    if problems:
        raise ValueError(" ".join(problems))
    own = np.take_along_axis(of_reconstructions, of_stimuli.argmax(axis=1)[:, None], axis=1)
    better = np.count_nonzero(of_reconstructions >= own, axis=1) - 1
    drawn = np.arange(k)[:, None]
    ways = np.asarray(comb(better, drawn) * comb(n_classes - 1 - better, n - 1 - drawn))
    return ClassIdentification(n, k, k / n, ways.sum(axis=0) / comb(n_classes - 1, n - 1))


def _features(network: Network, images: Images) -> NDArray[Any]:
    features = np.asarray(network.features(images))
    if len(features) != len(images):
        raise DataError(
            f"{network.name} made {len(features)} rows of features of {len(images)} pictures.",
            "Return one row for each picture.",
        )
    return features.reshape(len(features), -1)
