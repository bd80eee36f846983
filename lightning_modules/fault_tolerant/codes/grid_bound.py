"""How often a decoder picks the wrong candidate, without drawing anything."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from lightning_modules.fault_tolerant.noise import NoiseSpec

Phases = NDArray[np.float64]


def pairwise_distances(phases: Phases) -> NDArray[np.float64]:
    """Return D of all pairs of candidates (S, M): Σ_j (1 - cos 2π(u_tj - u_kj)), (S, S).

    Source:
        fault_tolerant.md section 2.8 [inferred, verified].
    """
    return (1 - np.cos(2 * np.pi * (phases[:, None] - phases[None]))).sum(axis=2)


def decoder_error_bound(
    phases: Phases, noise: NoiseSpec, *, phase_sd: float, score_scale: float = 1.0
) -> NDArray[np.float64]:
    """Return the union bound on the error of a decoder, by candidate, (S,): Σ_k Q(μ / √V) over the others.

    Within about 10 % where trig and score noise dominate. It is a bound on Gaussian scores: where phase noise or
    failures alone make the errors, the tail is heavier: a phase noise of .08 makes eight times as many [measured].

    Args:
        phases: Of the candidates, cycles, (S, M).
        noise: Failures, trig and score noise; its `phase_sd` is not used.
        phase_sd: Of the sum that is decoded, all phase noise taken together, cycles.
        score_scale: What the norm multiplies scores with.

    Source:
        fault_tolerant.md section 2.8 [inferred, verified].
    """
    p, n_modules = noise.failure, phases.shape[1]
    kept = np.exp(-2 * (np.pi * phase_sd) ** 2)
    apart = 2 * np.pi * (phases[:, None] - phases[None])  # (S, S, M)
    distance = pairwise_distances(phases)
    cosine, sine = np.cos(2 * np.pi * phases) ** 2, np.sin(2 * np.pi * phases) ** 2
    lost = (cosine**2 + sine**2).sum(axis=1)[:, None] + cosine @ cosine.T + sine @ sine.T
    blurred = ((1 + kept**4) / 2 - kept**2) * (1 - np.cos(apart)) ** 2 + (1 - kept**4) / 2 * np.sin(
        apart
    ) ** 2
    variance = (
        p * (1 - p) * lost
        + (1 - p) ** 2 * (2 * noise.trig_sd**2 * distance + blurred.sum(axis=2))
        + 2 * p * (1 - p) * noise.trig_sd**2 * n_modules
        + 2 * (noise.score_sd / score_scale) ** 2
    )
    gap = (1 - p) * kept * distance
    # Without any noise the quotient is infinite, or 0 / 0 between a candidate and itself.
    with np.errstate(divide="ignore", invalid="ignore"):
        wrong = norm.sf(gap / np.sqrt(variance))
    np.fill_diagonal(wrong, 0.0)
    return np.minimum(wrong.sum(axis=1), 1.0)
