"""What each alignment is worth on two days of monkey Jango: one table, force and EMG.

    python tests/benchmarks/alignment_on_jango.py ../shared/data/jango

The Wiener filter of the first day (10 lags, ridge penalty 100, for all rows) decodes the second, 15 days later.
`same trials` scores the trials that were aligned with, as published; `other trials` aligns with one half of the new
day's trials and decodes the other half, both ways. Variance-weighted R². Learned alignments: mean and range of seeds.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import r2_score

from lightning_modules.parts.decoding.adversarial import fit_adversarial
from lightning_modules.parts.decoding.alignment import (
    Align,
    fit_aligned,
    fit_session_zscoring,
    predict_cross_aligned,
)
from lightning_modules.parts.decoding.cca import fit_cca
from lightning_modules.parts.decoding.cycle import fit_cycle
from lightning_modules.parts.decoding.procrustes import fit_procrustes
from lightning_modules.parts.decoding.references import predict_same_day
from lightning_modules.parts.decoding.wiener import Array, CountFilter, Signals, fit_wiener
from lightning_modules.parts.spikes import SpikeTrials, align_units, cut_trials, read_sessions, window_bins
from lightning_modules.parts.spikes.session import SpikeSession

N_FOLDS = 2

fit = partial(fit_wiener, smoothing_bins=0, penalty=100.0)
within_day = partial(fit_wiener, penalty=100.0)


@dataclass(frozen=True)
class Unaligned:
    """The new day's smoothed counts as they are."""

    filter: CountFilter

    def of_first_day(self, spikes: Signals) -> Array:
        return self.filter(spikes)

    def of_new_day(self, spikes: Signals) -> Array:
        return self.filter(spikes)


def leave(first_day: SpikeTrials, new_day: SpikeTrials) -> Unaligned:
    return Unaligned(CountFilter())


ALIGNMENTS: dict[str, tuple[str, Callable[[int], Align]]] = {
    "none": ("nothing", lambda seed: leave),
    "z-score": ("spikes", lambda seed: fit_session_zscoring),
    "CCA": ("spikes and targets", lambda seed: fit_cca),
    "Procrustes": ("spikes", lambda seed: fit_procrustes),
    "adversarial": ("spikes", lambda seed: partial(fit_adversarial, seed=seed)),
    "adversarial, from identity": (
        "spikes",
        lambda seed: partial(fit_adversarial, start="identity", seed=seed),
    ),
    "cycle": ("spikes", lambda seed: partial(fit_cycle, seed=seed)),
    "cycle, no discriminators": (
        "spikes",
        lambda seed: partial(fit_cycle, adversarial_weight=0.0, seed=seed),
    ),
}
"""What it needs of the new day, and how it is fitted with a seed."""

LEARNED = ("adversarial", "adversarial, from identity", "cycle", "cycle, no discriminators")


def with_emg(session: SpikeSession) -> SpikeSession:
    """Decode force and EMG at once: a ridge regression of one fixed penalty treats every dimension alone."""
    assert session.emg is not None, f"{session.source} holds no EMG."
    return replace(
        session,
        behaviour=np.concatenate([session.behaviour, session.emg], axis=1),
        behaviour_names=session.behaviour_names + session.emg_names,
    )


def read_days(folder: Path) -> tuple[list[SpikeTrials], int]:
    """Trials of each day, and how many of the dimensions are force; the rest are EMG."""
    sessions = align_units(read_sessions(folder), "channel").sessions
    n_bins = window_bins(sessions[:1], None)
    days = [
        cut_trials(with_emg(one), n_bins=n_bins, session_index=index) for index, one in enumerate(sessions)
    ]
    return days, len(sessions[0].behaviour_names)


def scores(predicted: Array, trials: SpikeTrials, n_force: int) -> list[float]:
    """R² of force and of EMG."""
    truth = trials.behaviour.reshape(-1, trials.behaviour.shape[2])
    guess = predicted.reshape(truth.shape)
    parts = slice(None, n_force), slice(n_force, None)
    return [r2_score(truth[:, part], guess[:, part], multioutput="variance_weighted") for part in parts]


def measure(align: Align, first: SpikeTrials, new: SpikeTrials, n_force: int) -> tuple[list[float], float]:
    """R² of force and EMG on the same and on other trials, in turn, and seconds of CPU of one fit."""
    start = time.process_time()
    alignment = align(first, new)
    seconds = time.process_time() - start
    same = fit_aligned(first, alignment, fit).predict(new.spikes)
    other = predict_cross_aligned(first, new, align=align, fit=fit, n_folds=N_FOLDS)
    force, emg = zip(scores(same, new, n_force), scores(other, new, n_force), strict=True)
    return [*force, *emg], seconds


def cell(values: Array) -> str:
    """Mean of seeds, and their range where there are several."""
    spread = f" ({values.min():.3f} to {values.max():.3f})" if len(values) > 1 else ""
    return f"{values.mean():.3f}{spread}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the folder with the two session files")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each learned alignment")
    parser.add_argument("--only", choices=list(ALIGNMENTS), nargs="+", default=list(ALIGNMENTS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    (first, new), n_force = read_days(arguments.folder)
    print(f"{len(first)} and {len(new)} trials of {first.spikes.shape[1]} bins")
    print(
        "| alignment | of the new day | force, same trials | force, other trials | EMG, same trials ", end=""
    )
    print("| EMG, other trials | CPU s a fit |\n|---|---|---|---|---|---|---|")
    for name in arguments.only:
        needs, seeded_align = ALIGNMENTS[name]
        seeds = range(arguments.seeds if name in LEARNED else 1)
        measured, seconds = zip(
            *(measure(seeded_align(seed), first, new, n_force) for seed in seeds), strict=True
        )
        cells = [cell(np.array(values)) for values in zip(*measured, strict=True)]
        print(f"| {name} | {needs} | {' | '.join(cells)} | {np.mean(seconds):.1f} |", flush=True)
    oracle = scores(predict_same_day(new, within_day), new, n_force)
    print(f"| the new day's own decoder, 5-fold | labels | | {oracle[0]:.3f} | | {oracle[1]:.3f} | |")


if __name__ == "__main__":
    main()
