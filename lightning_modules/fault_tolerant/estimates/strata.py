"""Error by number of faults: sampled once with exactly k random faults, then weighted for any failure probability."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binom

from lightning_modules.fault_tolerant.estimates.error_estimate import (
    CONFIDENCE,
    ErrorEstimate,
    InputErrors,
    bound_without_events,
    wilson,
)
from lightning_modules.fault_tolerant.estimates.fault_sets import Harmful, count_harmful, enumerate_faults
from lightning_modules.fault_tolerant.estimates.log_line import fit_log_line
from lightning_modules.parts.errors import DataError

PILOT_SHARE = 0.25
"""Of all draws, spent evenly on the strata to learn where errors come from."""
TAIL = 1e-10
"""Probability of more faults than any stratum has, at the largest failure probability that was asked for."""


@dataclass(frozen=True)
class Stratum:
    """Networks with one number of faults.

    Args:
        n_faults: Failed sites, k.
        hits: Wrong outputs for each input, (R,); all inputs saw the same sets of faults.
        n_sets: Sets of faults that were tried.
        is_exhaustive: Whether these were all there are.
    """

    n_faults: int
    hits: tuple[int, ...]
    n_sets: int
    is_exhaustive: bool = False


@dataclass(frozen=True)
class Strata:
    """Errors of a network by its number of faults, over sites that fail independently with one probability.

    Args:
        n_sites: Sites that can fail, N.
        strata: In the order of their number of faults.
    """

    n_sites: int
    strata: tuple[Stratum, ...]

    def errors_at(self, failure: float, confidence: float = CONFIDENCE) -> InputErrors:
        """Return the errors of the worst input and of the mean at a failure probability.

        Args:
            failure: p; any, but with the strata that were sampled for another the interval grows.
            confidence: Of the intervals.
        """
        hits = np.array([one.hits for one in self.strata], dtype=np.float64)  # (K, R)
        n_inputs = hits.shape[1]
        shared = 1 - (1 - confidence) / n_inputs
        singles = [self._combine(column, failure, confidence) for column in hits.T]
        row = int(np.argmax([one.estimate * (not one.is_bound) for one in singles]))
        high = max(one.high for one in singles)
        low = self._combine(hits[:, row], failure, shared).low
        chosen = singles[row]
        estimate = high if chosen.is_bound else chosen.estimate
        worst = ErrorEstimate(chosen.events, chosen.trials, estimate, low, high, chosen.method)
        return InputErrors(worst, self._combine(hits.mean(axis=1), failure, confidence), row)

    def _combine(self, hits: NDArray[np.float64], failure: float, confidence: float) -> ErrorEstimate:
        """Add strata up. `hits` (K,) need not be whole.

        Strata with hits add squares of the distances to their Wilson ends (MOVER). For those without, the largest
        sum of w_k f_k under which as many draws show nothing with a probability of 1 - confidence is exact: as
        sum n_k f_k is then 3, it is 3 max w_k/n_k. What was not sampled may always be wrong.

        Source:
            Zou & Donner 2008, Statistics in Medicine 27, for the squares; fault_tolerant.md section 7.7.
        """
        weights = binom.pmf([one.n_faults for one in self.strata], self.n_sites, failure)
        estimate = below = above = unseen = 0.0
        for weight, count, one in zip(weights.tolist(), hits.tolist(), self.strata, strict=True):
            share = count / one.n_sets
            estimate += weight * share
            if one.is_exhaustive:
                continue
            if count == 0:
                unseen = max(unseen, weight * bound_without_events(one.n_sets, confidence))
                continue
            low, high = wilson(count, one.n_sets, confidence)
            below += (weight * (share - low)) ** 2
            above += (weight * (high - share)) ** 2
        not_sampled = max(0.0, 1 - float(weights.sum()))
        upper = min(1.0, estimate + math.sqrt(above) + unseen + not_sampled)
        lower = max(0.0, estimate - math.sqrt(below))
        # All-harmless strata leave a bound; at p = 0, where nothing can fail, the smallest number there is.
        upper = max(upper, math.nextafter(0.0, 1.0))
        events, trials = math.ceil(hits.sum()), sum(one.n_sets for one in self.strata)
        method = "enumeration" if all(one.is_exhaustive for one in self.strata) else "strata"
        if estimate <= 0:
            return ErrorEstimate(0, trials, upper, 0.0, upper, method)
        return ErrorEstimate(events, trials, min(estimate, upper), min(lower, estimate), upper, method)


def allocate(weights: NDArray[np.float64], shares: NDArray[np.float64], n_sets: int) -> NDArray[np.int64]:
    """Return how many draws each stratum gets: in proportion to w_k sqrt(f_k), the best for the sum of w_k f_k.

    Args:
        weights: Of the strata at P failure probabilities, (P, K); a stratum gets what the neediest p asks for.
        shares: Errors of the strata, (K,), above 0.
        n_sets: All draws.

    Source:
        Neyman allocation; fault_tolerant.md section 7.7.
    """
    need = weights * np.sqrt(shares)
    need = (need / need.sum(axis=1, keepdims=True)).max(axis=0)
    return np.floor(n_sets * need / need.sum()).astype(np.int64)


def sample_strata(
    harmful: Harmful,
    n_sites: int,
    failures: Sequence[float],
    n_sets: int,
    generator: torch.Generator,
    *,
    most_enumerated: int = 20_000,
) -> Strata:
    """Estimate a network's error by number of faults.

    A quarter of the draws goes evenly to all strata, the rest where it sharpens the error at `failures` most. Strata
    of few sets are enumerated.

    Args:
        harmful: Whether sets of failed sites make the output wrong. It must be deterministic.
        n_sites: Sites that can fail, N.
        failures: Failure probabilities at which the error will be wanted, above 0 and below 1.
        n_sets: Sets of faults to draw, those that are enumerated not counted.
        generator: Of the draws; sets are made on its device.
        most_enumerated: Strata of so many sets or fewer are enumerated.

    Raises:
        ValueError: If a failure probability is out of range, or a stratum would get no draw in the pilot.
    """
    if not failures or not all(0 < one < 1 for one in failures):
        raise ValueError(f"Failure probabilities are {list(failures)}; give some above 0 and below 1.")
    most = min(n_sites, int(binom.isf(TAIL, n_sites, max(failures))))
    few = [k for k in range(most + 1) if math.comb(n_sites, k) <= most_enumerated]
    many = [k for k in range(most + 1) if k not in few]
    strata = {}
    for k in few:
        whole = enumerate_faults(harmful, n_sites, k, str(generator.device))
        strata[k] = Stratum(k, whole.hits, whole.n_sets, is_exhaustive=True)
    if many:
        strata |= _sample(harmful, n_sites, many, failures, n_sets, generator)
    return Strata(n_sites, tuple(strata[k] for k in sorted(strata)))


def _guess_shares(numbers: Sequence[int], hits: Sequence[int], n_sets: int) -> NDArray[np.float64]:
    """Return errors of the strata, (K,), as a power of the number of faults, from the hits of a pilot.

    Each stratum's own hits would not do: of those that showed too few errors by chance less would be drawn, of those
    that showed too many more, and the sum would come out too small.
    """
    try:
        line = fit_log_line([math.log10(k) for k in numbers], hits, [n_sets] * len(numbers))
    except DataError:
        return np.full(len(numbers), 0.5 / (n_sets + 1))
    return np.array([line.error(math.log10(k)) for k in numbers])


def _sample(
    harmful: Harmful,
    n_sites: int,
    numbers: Sequence[int],
    failures: Sequence[float],
    n_sets: int,
    generator: torch.Generator,
) -> dict[int, Stratum]:
    pilot = int(PILOT_SHARE * n_sets) // len(numbers)
    if pilot < 1:
        raise ValueError(
            f"{n_sets} sets are too few for {len(numbers)} strata; give {8 * len(numbers)} or more."
        )
    first = {k: count_harmful(harmful, pilot, n_sites, k, generator) for k in numbers}
    shares = _guess_shares(numbers, [int(first[k].max()) for k in numbers], pilot)
    weights = np.stack([binom.pmf(list(numbers), n_sites, p) for p in failures])
    rest = allocate(weights, shares, n_sets - pilot * len(numbers))
    strata = {}
    for k, more in zip(numbers, rest.tolist(), strict=True):
        hits = first[k] + (count_harmful(harmful, more, n_sites, k, generator) if more else 0)
        strata[k] = Stratum(k, tuple(hits.tolist()), pilot + more)
    return strata
