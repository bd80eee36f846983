"""What a trained model says of trials, as arrays."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

AT_ONCE = 1024
"""Trials in a forward pass; no gradient is kept."""


class Inference(NamedTuple):
    """What a model infers of K trials.

    Args:
        behaviour: In the recording's unit, (K, T, D).
        latents: Means of the latent posteriors, (K, Z).
        log_rates: Log of expected counts per bin, (K, T, N); None of a model that does not predict spikes.
    """

    behaviour: NDArray[np.float32]
    latents: NDArray[np.float32]
    log_rates: NDArray[np.float32] | None


def infer(model: nn.Module, spikes: NDArray[Any]) -> Inference:
    """Run a model over trials, in `eval` mode and on its own device.

    Args:
        model: Its `forward` returns a named tuple with `behaviour`, `latent` and `log_rates`, as every decoder of
            spikes here does.
        spikes: Counts per bin, (K, T, N).
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    batches = torch.as_tensor(spikes.astype(np.float32)).split(AT_ONCE)
    try:
        with torch.inference_mode():
            outputs = [model(batch.to(device)) for batch in batches]
    finally:
        model.train(was_training)
    return Inference(
        _join([output.behaviour for output in outputs]),
        _join([output.latent for output in outputs]),
        None if outputs[0].log_rates is None else _join([output.log_rates for output in outputs]),
    )


def _join(parts: list[Tensor]) -> NDArray[np.float32]:
    return torch.cat(parts).cpu().numpy()
