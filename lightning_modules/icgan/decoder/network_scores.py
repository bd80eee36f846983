"""Sealed pictures in the networks of publications, at the size that Brain-Diffuser's code gives them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightning_modules.icgan.judges.public_network import PublicNetwork, load_public_networks
from lightning_modules.icgan.scoring.networks import score_in_network
from lightning_modules.icgan.scoring.protocols import Images, Protocol

NETWORK_PROTOCOL: Protocol = "brain_diffuser"
TITLE = "in the networks of publications"
PREFIX = "networks/"
"""Before the names of metrics."""


class NetworkTable(NamedTuple):
    """Scores in the networks of publications.

    Args:
        tables: A table by its title; none without networks.
        metrics: The same scores of the decoded pictures, by name.
    """

    tables: dict[str, tuple[dict[str, Any], ...]]
    metrics: dict[str, float]


def networks_of(given: Mapping[str, Any]) -> tuple[PublicNetwork, ...]:
    """Load the networks that an evaluation is asked for.

    Args:
        given: Arguments of `load_targets`, all of them.

    Raises:
        DataError: If the folder holds none, or a file cannot be loaded.
    """
    return () if given["networks"] is None else load_public_networks(Path(given["networks"]).expanduser())


def score_in_networks(
    networks: Sequence[PublicNetwork], stimuli: Images, decoded: Images, others: Mapping[str, Images]
) -> NetworkTable:
    """Compare pictures with what was seen in each layer of each network.

    Args:
        networks: Any number of them.
        stimuli: What was seen, (m, side, side, 3).
        decoded: A picture of each.
        others: What decoded pictures are measured against, by name.
    """
    rows, metrics = [], {}
    for network in (layer for one in networks for layer in one.networks()):
        row: dict[str, Any] = {"network": network.name}
        for name, pictures in {"decoded": decoded, **others}.items():
            found = score_in_network(network, pictures, stimuli, protocol=NETWORK_PROTOCOL)
            scores = {
                "identification": found.identification.accuracy,
                "distance": float(found.distance.mean()),
            }
            row |= {"pixels": found.side} | {f"{score}, {name}": value for score, value in scores.items()}
            if name == "decoded":
                metric = PREFIX + network.name.replace(" ", "_")
                metrics |= {f"{metric}_{score}": value for score, value in scores.items()}
        rows.append(row)
    return NetworkTable({TITLE: tuple(rows)} if rows else {}, metrics)
