"""Values of areas over subjects: which areas differ, and whether higher areas exceed early ones."""

from dataclasses import dataclass
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ttest_1samp, ttest_ind

from lightning_modules.icgan.brain.areas import AREAS, EARLY, HIGHER
from lightning_modules.parts.errors import DataError

PUBLISHED_LEVEL = 0.008
"""Below which the paper's code flags a pair: 0.05 / 6, though there are 21 pairs."""


class Pair(NamedTuple):
    """Two areas compared over subjects.

    Args:
        first: Name of an area.
        second: Of another.
        difference: Mean of the first less that of the second.
        t: Welch's.
        p: Two-sided, uncorrected; 1 where no value varies.
        p_holm: Corrected for all pairs by Holm's procedure.
        flagged: Whether the paper's code would flag it: p below 0.008.
    """

    first: str
    second: str
    difference: float
    t: float
    p: float
    p_holm: float
    flagged: bool


@dataclass(frozen=True, eq=False)
class OverSubjects:
    """Values of the seven areas of S subjects, such as one version of the semantic index.

    Args:
        values: In the order of `AREAS`, (S, 7).
    """

    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        shape = self.values.shape
        if len(shape) != 2 or shape[1] != len(AREAS) or shape[0] < 2 or not np.isfinite(self.values).all():
            raise DataError(
                f"Values of shape {shape} are not finite ones of at least 2 subjects and {len(AREAS)} areas.",
                f"Give (subjects, areas) in the order {', '.join(AREAS)}.",
            )

    @property
    def mean(self) -> NDArray[np.float64]:
        """Over subjects, (7,)."""
        return self.values.mean(axis=0)

    @property
    def sem(self) -> NDArray[np.float64]:
        """Standard error over subjects, ddof 1, (7,)."""
        return self.values.std(axis=0, ddof=1) / np.sqrt(len(self.values))

    @property
    def contrast(self) -> NDArray[np.float64]:
        """See `area_contrast`, (S,)."""
        return area_contrast(self.values)


def area_contrast(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of LOC, FFA and PPA less that of V1, V2 and V3, (...) of (..., 7)."""
    higher, early = ([AREAS.index(name) for name in group] for group in (HIGHER, EARLY))
    return values[..., higher].mean(axis=-1) - values[..., early].mean(axis=-1)


def compare_areas(over: OverSubjects) -> list[Pair]:
    """Compare all 21 pairs of areas over subjects.

    The subjects of both areas are the same, and Welch's test takes them to be others: it is the published one, and
    less sensitive than a paired test.

    Source:
        Specification 6.1, step 6; Welch 1947, Biometrika 34; Holm 1979, Scandinavian Journal of Statistics 6.
    """
    pairs = list(combinations(range(len(AREAS)), 2))
    tests = [_welch(over.values[:, one], over.values[:, other]) for one, other in pairs]
    corrected = holm(np.array([p for _, p in tests]))
    return [
        Pair(
            AREAS[one],
            AREAS[other],
            float(over.mean[one] - over.mean[other]),
            t,
            p,
            float(p_holm),
            p < PUBLISHED_LEVEL,
        )
        for (one, other), (t, p), p_holm in zip(pairs, tests, corrected, strict=True)
    ]


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correct p values for their number, keeping the chance of any false one at the level.

    Args:
        p: Uncorrected, (K,).

    Returns:
        (K,): of the i-th smallest of K, the highest of (K - j + 1) p_j over j up to i, at most 1.

    Source:
        Holm 1979, Scandinavian Journal of Statistics 6.
    """
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(stepped, 1)
    return corrected


@dataclass(frozen=True, eq=False)
class Contrast:
    """Whether higher areas exceed early ones over S subjects.

    Args:
        values: Contrast of each subject, (S,).
        t: Of the mean against 0.
        p: Two-sided, by Student's t; 1 where every subject has 0.
        p_signs: One-sided, exact: of all 2ˢ ways to give the contrasts signs, those with as high a mean; for five
            subjects not below 1/32.
        without_each: Mean without each subject in turn, (S,).
        p_without_each: Two-sided p without each, (S,); NaN for fewer than 3 subjects.
    """

    values: NDArray[np.float64]
    t: float
    p: float
    p_signs: float
    without_each: NDArray[np.float64]
    p_without_each: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Over subjects."""
        return float(self.values.mean())


def contrast_over_subjects(over: OverSubjects) -> Contrast:
    """Test mean(LOC, FFA, PPA) - mean(V1, V2, V3) over subjects, and without each of them in turn."""
    values = over.contrast
    left_out = [np.delete(values, one) for one in range(len(values))]
    t, p = _against_zero(values)
    signs = np.array(list(product((1, -1), repeat=len(values))))
    # Sums in another order differ in the last digits, and must not turn a tie into a lower p.
    as_high = signs @ values >= values.sum() - 1e-12 * np.abs(values).sum()
    return Contrast(
        values,
        t,
        p,
        float(as_high.mean()),
        np.array([rest.mean() for rest in left_out]),
        np.array([_against_zero(rest)[1] for rest in left_out]),
    )


def _welch(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    if not (np.ptp(one) or np.ptp(other) or one[0] != other[0]):
        return 0.0, 1.0
    t, p = np.asarray(ttest_ind(one, other, equal_var=False)).tolist()
    return t, p


def _against_zero(values: NDArray[np.float64]) -> tuple[float, float]:
    if len(values) < 2:
        return float("nan"), float("nan")
    if not values.any():
        return 0.0, 1.0
    t, p = np.asarray(ttest_1samp(values, 0.0)).tolist()
    return t, p
