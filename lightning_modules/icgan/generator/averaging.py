"""A running average of a network's weights."""

import torch
from torch import nn


@torch.no_grad()
def move_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move every parameter and buffer of an average towards a network's, in place: a <- decay a + (1 - decay) x.

    Args:
        average: A network with the same entries.
        network: Towards which it moves.
        decay: Share that stays; 0 copies.
    """
    entries = network.state_dict()
    for name, one in average.state_dict().items():
        one.mul_(decay).add_(entries[name], alpha=1 - decay)
