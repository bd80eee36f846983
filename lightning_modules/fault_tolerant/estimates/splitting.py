"""Tiny errors without knowing where they begin: a population of noises, driven towards smaller margins in levels."""

import math

import torch
from torch import Tensor

from lightning_modules.fault_tolerant.estimates.boundaries import Margins
from lightning_modules.fault_tolerant.estimates.error_estimate import CONFIDENCE, ErrorEstimate
from lightning_modules.parts.errors import DataError

KEPT = 0.1
"""Share of the population that reaches the next level: log10(1/error) levels in all."""
MOVES = 10
"""Steps of every noise within a level, after it was copied."""
STEP = 0.5
"""Share of new noise in a step, as an amplitude."""
MOST_LEVELS = 60
FEWEST_RUNS = 4


def split_error(
    margins: Margins,
    n_dimensions: int,
    population: int,
    n_runs: int,
    generator: torch.Generator,
    confidence: float = CONFIDENCE,
) -> ErrorEstimate:
    """Estimate how often Gaussian noise makes the output wrong by multilevel splitting.

    The interval is that of the mean of independent runs, which says nothing of what all of them missed: an error that
    lies in another direction than the small margins lead to. Importance sampling with known boundaries is sharper.

    Args:
        margins: Below 0 where the output is wrong; also where it is right, larger the further from an error.
        n_dimensions: D, of the noise.
        population: Noises of a run.
        n_runs: Independent runs, 4 or more.
        generator: Of all of them.
        confidence: Of the interval.

    Raises:
        ValueError: If there are too few runs or noises.
        DataError: If a run reaches no error.

    Source:
        Botev & Kroese 2012, Statistics and Computing 22 (adaptive levels, steps that keep the Gaussian);
        fault_tolerant.md section 7.7.
    """
    if n_runs < FEWEST_RUNS or population < 10 / KEPT:
        raise ValueError(
            f"{n_runs} runs of {population} noises leave no interval; give {FEWEST_RUNS} of {10 / KEPT:.0f} or more."
        )
    logs = torch.tensor(
        [_one_run(margins, n_dimensions, population, generator) for _ in range(n_runs)], dtype=torch.float64
    )
    # Mean of the runs, which is nearly unbiased; its spread on the scale of the logarithm.
    estimate = float(torch.exp(logs).mean())
    spread = float(torch.exp(logs).std() / math.sqrt(n_runs)) / estimate
    width = _student(confidence, n_runs - 1) * spread
    low, high = estimate * math.exp(-width), min(1.0, estimate * math.exp(width))
    return ErrorEstimate(n_runs, n_runs * population, estimate, low, high, "splitting", float(n_runs))


def _one_run(margins: Margins, n_dimensions: int, population: int, generator: torch.Generator) -> float:
    """Return the log of one estimate."""
    noise = torch.randn(population, n_dimensions, generator=generator, device=generator.device)
    margin, total = margins(noise), 0.0
    for _ in range(MOST_LEVELS):
        level = float(margin.sort().values[int(KEPT * population)])
        if level <= 0:
            return total + math.log(float((margin < 0).float().mean()))
        below = margin < level
        share = float(below.float().mean())
        if share == 0:
            break
        total += math.log(share)
        parents = noise[below]
        chosen = torch.randint(len(parents), (population,), generator=generator, device=generator.device)
        noise, margin = _move(margins, parents[chosen], level, generator)
    raise DataError(
        f"After {MOST_LEVELS} levels or fewer a run stood at a margin of {float(margin.min()):g} without an error.",
        "Give a margin that falls towards an error without steps, or count errors instead.",
    )


def _move(margins: Margins, noise: Tensor, level: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Move noises within margins below a level by steps that leave the Gaussian as it is."""
    margin = margins(noise)
    for _ in range(MOVES):
        fresh = torch.randn(noise.shape, generator=generator, device=noise.device)
        proposed = math.sqrt(1 - STEP**2) * noise + STEP * fresh
        then = margins(proposed)
        stays = then >= level
        noise = torch.where(stays[:, None], noise, proposed)
        margin = torch.where(stays, margin, then)
    return noise, margin


def _student(confidence: float, freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + confidence) / 2, freedom))
