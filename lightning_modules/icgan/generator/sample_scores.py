"""How good made pictures are, by their features alone."""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_modules.parts.decoding.learned import frechet_distance


class SampleScores(NamedTuple):
    """Scores of S pictures of each of N instances.

    Args:
        fid: Fréchet distance of the made pictures' features from the instances'; low is good.
        neighbour_recall: Share of an instance and its k neighbours among the k + 1 instances nearest to a picture
            made of it; chance is (k + 1) / N.
        diversity: Mean distance of the features of two pictures of one instance; 0 where noise does nothing.
        cosine: Mean cosine of a made picture's features with its instance's.
    """

    fid: float
    neighbour_recall: float
    diversity: float
    cosine: float


def score_samples(made: Tensor, h: Tensor, neighbours: Tensor) -> SampleScores:
    """Score pictures by their features.

    Args:
        made: Features of the pictures, unit length, (N, S, H), S at least 2.
        h: Features of the instances, unit length, (N, H).
        neighbours: The k nearest other instances of each, (N, k).

    Source:
        icgan.md section 8.4, which names these scores; their form is ours.
    """
    n_instances, n_samples, _ = made.shape
    own = torch.cat([torch.arange(n_instances)[:, None], neighbours.cpu()], dim=1)
    nearest = torch.cdist(made.flatten(0, 1), h).topk(own.shape[1], largest=False).indices.cpu()
    hits = nearest.view(n_instances, n_samples, -1, 1) == own[:, None, None, :]
    pairs = torch.cdist(made, made).sum(dim=(1, 2)) / (n_samples * (n_samples - 1))
    return SampleScores(
        fid=frechet_distance(made.flatten(0, 1), h),
        neighbour_recall=float(hits.any(dim=-1).double().mean()),
        diversity=float(pairs.mean()),
        cosine=float((made * h[:, None]).sum(dim=-1).mean()),
    )
