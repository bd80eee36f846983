"""Score neurons of the decoders, by far most of the synapses of a logical neuron."""

from functools import lru_cache

import torch
from torch import Tensor

from lightning_modules.fault_tolerant.codes.grid_faults import (
    DENSE_FROM,
    Chance,
    fault_positions,
    surviving_bytes,
)


def decoder_scores(trig: Tensor, decoder: Tensor, n_decoders: int, chance: Chance) -> Tensor:
    """Weigh the cosines and sines of all modules for every candidate, through synapses of which some fail.

    What every decoder would compute without failures is computed once; lost synapses are then taken off.

    Args:
        trig: Cosines, then sines, (2M, B).
        decoder: Weights, (S, 2M).
        n_decoders: D, each with synapses of its own.
        chance: Draws of this chunk.

    Returns:
        Scores without Gaussian noise, (S, D, B).
    """
    p = chance.noise.failure
    clean = (decoder @ trig).unsqueeze(1)
    if p == 0 or chance.noise.site == "neuron":
        return clean.repeat(1, n_decoders, 1)
    if chance.correlated:
        return _shared_faults(trig, decoder, n_decoders, chance)
    if chance.frozen:
        return _frozen_faults(trig, decoder, n_decoders, chance)
    if p < DENSE_FROM:
        scores = clean.repeat(1, n_decoders, 1)
        return _take_off(scores, trig, decoder, p, chance, None)
    return _dense(trig, decoder, n_decoders, chance)


def _take_off(
    scores: Tensor, trig: Tensor, decoder: Tensor, p: float, chance: Chance, alive: Tensor | None
) -> Tensor:
    """Take single faults off the scores in place; `alive` tells which synapses still count, (S, D, 2M, B)."""
    n_symbols, n_decoders, n = scores.shape
    n_inputs = len(trig)
    weight_of, to_source, to_target = _places(n_symbols, n_decoders, n_inputs, n, trig.device)
    weights = decoder.reshape(-1).index_select(0, weight_of)
    faults = fault_positions(len(weights) * n, p, chance.masks)
    at = faults >> n.bit_length() - 1 if n.bit_count() == 1 else faults // n
    source = to_source.index_select(0, at).add_(faults)
    target = to_target.index_select(0, at).add_(faults)
    lost = trig.view(-1).index_select(0, source).mul_(weights.index_select(0, at))
    if alive is not None:
        lost *= alive.view(-1).index_select(0, faults)
    scores.view(-1).scatter_add_(0, target, lost.neg_())
    return scores


@lru_cache(maxsize=8)
def _places(
    n_symbols: int, n_decoders: int, n_inputs: int, n: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Return, by synapse, its weight's place, and how far its input and its score are from it.

    Evaluations vary fastest, so that the same evaluation of another row is a fixed number of places away.
    """
    synapse = torch.arange(n_symbols * n_decoders * n_inputs, device=device)
    score, of = synapse // n_inputs, synapse % n_inputs
    return score // n_decoders * n_inputs + of, (of - synapse) * n, (score - synapse) * n


def _dense(trig: Tensor, decoder: Tensor, n_decoders: int, chance: Chance) -> Tensor:
    n_symbols, n_inputs, n = *decoder.shape, trig.shape[1]
    alive, rest = surviving_bytes(n_symbols * n_decoders * n_inputs * n, chance.noise.failure, chance.masks)
    alive = alive.view(n_symbols, n_decoders, n_inputs, n)
    terms = (decoder.unsqueeze(2) * trig).unsqueeze(1)  # (S, 1, 2M, B)
    # A product with the bool mask itself would be twelve times slower.
    scores = alive.float().mul_(terms).sum(dim=2)
    return _take_off(scores, trig, decoder, rest, chance, alive)


def _shared_faults(trig: Tensor, decoder: Tensor, n_decoders: int, chance: Chance) -> Tensor:
    n_modules, n = len(trig) // 2, trig.shape[1]
    terms = (decoder.unsqueeze(2) * trig).view(len(decoder), 2, n_modules, n)
    return chance.failed(terms).sum(dim=(1, 2)).unsqueeze(1).repeat(1, n_decoders, 1)


def _frozen_faults(trig: Tensor, decoder: Tensor, n_decoders: int, chance: Chance) -> Tensor:
    weights = decoder.unsqueeze(1).repeat(1, n_decoders, 1)
    weights.view(-1)[fault_positions(weights.numel(), chance.noise.failure, chance.masks)] = 0
    return weights @ trig
