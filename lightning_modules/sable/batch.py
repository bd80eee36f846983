"""What the data module hands to SABLE: named tuples of tensors, with and without labels."""

from typing import NamedTuple

from torch import Tensor


class SpikeBatch(NamedTuple):
    """Training trials of several sessions. No session label: the method must not see one.

    Args:
        spikes: Counts per bin, float32 (B, T, N).
        behaviour: Raw units of the recording, float32 (B, T, D).
    """

    spikes: Tensor
    behaviour: Tensor


class LabelledSpikeBatch(NamedTuple):
    """Validation trials with the labels that metrics and probes of frozen latents need.

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
