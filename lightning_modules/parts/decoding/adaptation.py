"""What looks at a sealed day's trials before it decodes them: models behind a read-in, and aligned linear decoders.

No behaviour of the sealed day is used; CCA uses its targets. All of it is a leaderboard of its own.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from numpy.typing import NDArray
from torch import nn

from lightning_modules.parts.decoding.adversarial import fit_adversarial
from lightning_modules.parts.decoding.alignment import (
    Align,
    fit_aligned,
    fit_session_zscoring,
    predict_cross_aligned,
)
from lightning_modules.parts.decoding.cca import fit_cca
from lightning_modules.parts.decoding.cycle import fit_cycle
from lightning_modules.parts.decoding.inference import infer
from lightning_modules.parts.decoding.procrustes import fit_procrustes
from lightning_modules.parts.decoding.read_in import fit_read_in
from lightning_modules.parts.decoding.references import predict_by_day
from lightning_modules.parts.decoding.wiener import Array, fit_wiener
from lightning_modules.parts.spikes.matching import average_day
from lightning_modules.parts.spikes.windows import SpikeTrials

UNLABELLED: dict[str, Align] = {
    "z_scored": fit_session_zscoring,
    "procrustes": fit_procrustes,
    "adversarial": fit_adversarial,
    "cycle": fit_cycle,
}
"""Alignments of spikes alone: fitted to all trials of the sealed day, and scored on them, as published."""

BY_TARGET: dict[str, Align] = {"cca": fit_cca}
"""Alignments that know the targets: each trial is decoded through one that was fitted to other trials."""

_fit_filtered = partial(fit_wiener, smoothing_bins=0)


def decode_read_in(models: Sequence[nn.Module], training: SpikeTrials, test: SpikeTrials) -> list[Array]:
    """Decode each test day with each model behind a read-in of that day.

    Args:
        models: Trained on `training`; see `fit_read_in`.
        training: Trials as the models were shown them.
        test: Trials of the test days, as the models would be shown them.

    Returns:
        Of each model, (K, T, D).
    """
    return [predict_by_day(test, partial(_decode_read_in_day, model, training)) for model in models]


def decode_aligned(training: SpikeTrials, test: SpikeTrials) -> tuple[dict[str, Array], list[str]]:
    """Decode each test day with Wiener filters of the training days, behind alignments.

    `matched` is one filter of all training days, whose units, and the test day's, have the mean and spread of the
    average training day. All others align the test day with the last training day and have that day's filter.

    Args:
        training: Counts, (K, T, N).
        test: Counts of the test days, (K', T, N).

    Returns:
        Decoded behaviour (K', T, D) by the alignment's name, and a sentence for each that could not be fitted.
    """
    days = list(training.by_session().values())
    average = average_day([day.spikes for day in days])
    matched = fit_wiener(average.match_sessions(training))
    found = {"matched": matched.predict(average.match_sessions(test).spikes)}
    notes: list[str] = []
    decoders: dict[str, Callable[[SpikeTrials], NDArray[Any]]] = {
        name: partial(_decode_aligned_day, days[-1], align) for name, align in UNLABELLED.items()
    } | {
        name: partial(predict_cross_aligned, days[-1], align=align, fit=_fit_filtered)
        for name, align in BY_TARGET.items()
    }
    for name, decode in decoders.items():
        try:
            found[name] = predict_by_day(test, decode)
        except ValueError as error:  # of ours, or of scikit-learn where a target has too few trials
            reason = str(error).partition("\n")[0]
            notes.append(f"The alignment `{name}` could not be fitted: {reason}")
    return found, notes


def _decode_read_in_day(model: nn.Module, training: SpikeTrials, day: SpikeTrials) -> NDArray[Any]:
    return infer(model, fit_read_in(model, training.spikes, day.spikes)(day.spikes)).behaviour


def _decode_aligned_day(last: SpikeTrials, align: Align, day: SpikeTrials) -> Array:
    return fit_aligned(last, align(last, day), _fit_filtered).predict(day.spikes)
