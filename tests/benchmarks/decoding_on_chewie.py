"""Velocity of monkey Chewie, whose units are sorted anew each day: within days, and across by canonical correlation.

    python tests/benchmarks/decoding_on_chewie.py ../shared/data/chewie

A Wiener filter of 3 lags of 100 ms, penalty by cross-validation. Within a day each trial is decoded by a filter of
other trials (5 folds); across days through an alignment to the targets of other trials. Variance-weighted R².
"""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.metrics import r2_score

from lightning_modules.parts.decoding.alignment import predict_cross_aligned
from lightning_modules.parts.decoding.cca import fit_cca
from lightning_modules.parts.decoding.references import fit_target_means, predict_same_day
from lightning_modules.parts.decoding.wiener import Array, fit_wiener
from lightning_modules.parts.spikes import SpikeTrials, align_units, cut_trials, read_sessions, window_bins

fit = partial(fit_wiener, lags=3, smoothing_bins=0)


def read_days(folder: Path) -> list[SpikeTrials]:
    """Trials of each day on the first day's window; no unit of one day is one of the other."""
    sessions = align_units(read_sessions(folder), "auto").sessions
    n_bins = window_bins(sessions[:1], None)
    return [cut_trials(one, n_bins=n_bins, session_index=index) for index, one in enumerate(sessions)]


def rows(first: SpikeTrials, second: SpikeTrials) -> Iterator[tuple[str, Array, Array]]:
    """What is decoded, of the first day and of the second."""
    yield "the day itself", predict_same_day(first, fit), predict_same_day(second, fit)
    for name, align in (
        ("the other day, aligned trial by trial", fit_cca),
        ("the other day, aligned by means of targets", partial(fit_cca, matching="means")),
    ):
        across = partial(predict_cross_aligned, align=align, fit=fit)
        yield name, across(second, first), across(first, second)
    generator = np.random.default_rng(0)
    mixed = [
        SpikeTrials(day.spikes, day.behaviour, generator.permutation(day.target), day.session)
        for day in (first, second)
    ]
    across = partial(predict_cross_aligned, align=fit_cca, fit=fit)
    yield "the other day, aligned to permuted targets", across(second, mixed[0]), across(first, mixed[1])
    means = [fit_target_means(day) for day in (first, second)]
    yield (
        "mean of the true target on the other day",
        means[1].predict(first.target),
        means[0].predict(second.target),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the folder with the two session files")
    days = read_days(parser.parse_args().folder)
    print(
        "| decoded from | " + " | ".join(f"day {day + 1}, {len(days[day])} trials" for day in (0, 1)) + " |"
    )
    print("|---|---|---|")
    for name, *decoded in rows(*days):
        scores = [
            r2_score(
                day.behaviour.reshape(-1, day.behaviour.shape[2]),
                one.reshape(-1, day.behaviour.shape[2]),
                multioutput="variance_weighted",
            )
            for day, one in zip(days, decoded, strict=True)
        ]
        print(f"| {name} | " + " | ".join(f"{score:.3f}" for score in scores) + " |")


if __name__ == "__main__":
    main()
