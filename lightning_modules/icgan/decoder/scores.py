"""How well held-out rows are decoded: identification, and correlation over pictures and over features."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.decoder.batch import DecodingRows
from lightning_modules.icgan.regression.spectrum import Real
from lightning_modules.icgan.scoring.identification import (
    Identification,
    correlate,
    identify,
    profile_correlation,
)


@dataclass(frozen=True, eq=False)
class HeldOutScores:
    """Scores of training rows, each decoded by a decoder that did not see its category.

    Args:
        identification: Each row among all stimuli of its own fold, features less their training mean.
        profile: Pearson's r over rows of each feature that varies, mean.
        pattern: Pearson's r over features of each row with its stimulus, features less their training mean, mean.
        spread: Median over features of how much predictions vary relative to the truth; 1 is as much.
    """

    identification: Identification
    profile: float
    pattern: float
    spread: float

    def as_metrics(self, kind: str) -> dict[str, float]:
        """Return the scores by the names under which they are logged."""
        return {
            f"val/{kind}_identification": self.identification.accuracy,
            f"val/{kind}_profile_correlation": self.profile,
            f"val/{kind}_pattern_correlation": self.pattern,
            f"val/{kind}_spread": self.spread,
        }


def score_held_out_rows(
    predicted: Real, rows: DecodingRows, table: NDArray[Any], scored: NDArray[np.int64]
) -> HeldOutScores:
    """Score held-out predictions.

    The distractors of a row are all other stimuli: where they were held out does not matter, since none of
    them is what was shown. The mean that is taken off is that of the rows that its decoder was fitted to.

    Args:
        predicted: Of the rows that are scored, (m, D); see `hold_out`.
        rows: All rows, (n,).
        table: Feature of each stimulus, (S, D).
        scored: Which rows were predicted, (m,); all of a fold or none of it.
    """
    similarity = np.empty((len(predicted), len(table)))
    fold, stimulus, truth = rows.fold[scored], rows.stimulus[scored], rows.targets[scored]
    for name in np.unique(fold):
        held = fold == name
        centre = rows.targets[rows.fold != name].mean(axis=0, dtype=np.float64)
        similarity[held] = correlate(predicted[held], table, centre)
    profile = profile_correlation(predicted, truth)
    spread = truth.std(axis=0, dtype=np.float64)
    varies = spread > 0
    ratio = predicted.std(axis=0, dtype=np.float64)[varies] / spread[varies]
    return HeldOutScores(
        identification=identify(similarity, stimulus),
        profile=float(np.nanmean(profile)),
        pattern=float(similarity[np.arange(len(predicted)), stimulus].mean()),
        spread=float(np.median(ratio)),
    )
