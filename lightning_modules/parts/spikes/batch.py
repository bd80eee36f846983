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


def check_trials(spikes: Tensor, *, n_bins: int, n_units: int, model: str) -> None:
    """Refuse spikes that a model was not built for.

    Args:
        spikes: Counts per bin, (B, T, N).
        n_bins: T of the model.
        n_units: N of the model.
        model: Its name.

    Raises:
        ValueError: If `spikes` is not (B, `n_bins`, `n_units`).
    """
    if spikes.shape[1:] != (n_bins, n_units):
        raise ValueError(
            f"{model} was built for trials of {n_bins} bins and {n_units} units but got "
            f"spikes of shape {tuple(spikes.shape)}. Cut trials and order units as the data module does, or "
            "rebuild the model."
        )
