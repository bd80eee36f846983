"""What the data module hands to a model: named tuples of tensors, with and without labels."""

from typing import NamedTuple

from torch import Tensor


class SpikeBatch(NamedTuple):
    """Training trials of several sessions. No session label: most methods must not see one.

    Args:
        spikes: Counts per bin, float32 (B, T, N).
        behaviour: Raw units of the recording, float32 (B, T, D).
    """

    spikes: Tensor
    behaviour: Tensor


class LabelledSpikeBatch(NamedTuple):
    """Trials with the labels that metrics, probes of frozen latents and session classifiers need.

    Args:
        spikes: Counts per bin, float32 (B, T, N).
        behaviour: Raw units of the recording, float32 (B, T, D).
        session: Position of the trial's session in `SpikeData.session_names`, int64 (B,).
        target: Target of the trial, int64 (B,).
    """

    spikes: Tensor
    behaviour: Tensor
    session: Tensor
    target: Tensor
