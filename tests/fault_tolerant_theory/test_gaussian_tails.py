"""Tiny errors from Gaussian noise against the closed form of the tail."""

import math

import pytest
import torch
from scipy.stats import chi2, multivariate_normal, norm
from torch import Tensor

from lightning_modules.fault_tolerant.estimates.boundaries import NearestErrors, linear_errors, nearest_error
from lightning_modules.fault_tolerant.estimates.importance import shifted_error
from lightning_modules.fault_tolerant.estimates.splitting import split_error
from lightning_modules.parts.errors import DataError

TAIL_OF_BILLIONTH = float(norm.isf(1e-9))
"""Distance of a flat boundary, 6.0 standard deviations."""


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def linear_margins(gaps: Tensor, gradients: Tensor):
    return lambda noise: (gaps + noise @ gradients.T).min(dim=1).values


def test_tail_of_a_billionth_of_linear_scores_is_within_five_percent(generator: torch.Generator):
    direction = torch.randn(1, 24, generator=generator, dtype=torch.float64)
    gaps = TAIL_OF_BILLIONTH * direction.norm(dim=1)
    found = shifted_error(linear_margins(gaps, direction), linear_errors(gaps, direction), 20_000, generator)
    assert found.estimate == pytest.approx(1e-9, rel=0.05)
    assert found.low <= 1e-9 <= found.high
    assert found.effective is not None
    assert 1000 < found.effective < found.events


def test_intervals_cover_the_tail_as_often_as_they_say(generator: torch.Generator):
    gaps, gradients = torch.tensor([TAIL_OF_BILLIONTH]), torch.tensor([[0.6, 0.8]])
    margins, nearest = linear_margins(gaps, gradients), linear_errors(gaps, gradients)
    found = [shifted_error(margins, nearest, 500, generator) for _ in range(200)]
    assert sum(one.low <= 1e-9 <= one.high for one in found) / 200 == pytest.approx(0.95, abs=0.04)


def test_several_rivals_are_all_counted(generator: torch.Generator):
    # Two rivals whose gaps are correlated by .3, one farther than the other.
    gaps = torch.tensor([4.0, 4.3], dtype=torch.float64)
    gradients = torch.tensor([[1.0, 0.0], [0.3, math.sqrt(1 - 0.09)]], dtype=torch.float64)
    both = multivariate_normal(cov=[[1, 0.3], [0.3, 1]]).cdf([-4.0, -4.3])
    truth = norm.sf(4.0) + norm.sf(4.3) - both
    found = shifted_error(linear_margins(gaps, gradients), linear_errors(gaps, gradients), 40_000, generator)
    assert found.low <= truth <= found.high
    assert found.high < 1.1 * found.low
    # Moved to the nearer rival only, nearly all of the other's errors are missed, or weigh enormously when met.
    only_one = NearestErrors.at(linear_errors(gaps, gradients).points[:1])
    missed = shifted_error(linear_margins(gaps, gradients), only_one, 5000, generator)
    assert missed.high < truth


def test_scores_of_the_grid_decoder_have_the_tail_of_a_winner_take_all(generator: torch.Generator):
    # Means (1, 0, 0) and independent noise of .15: by quadrature of the right score against both rivals.
    score = torch.linspace(-4, 6, 40_001, dtype=torch.float64)
    density = torch.exp(-(((score - 1) / 0.15) ** 2) / 2) / (0.15 * math.sqrt(2 * math.pi))
    beaten = 1 - torch.special.ndtr(score / 0.15) ** 2
    truth = float((density * beaten).sum() * (score[1] - score[0]))
    gaps = torch.ones(2, dtype=torch.float64)
    gradients = 0.15 * torch.tensor([[1.0, -1.0, 0.0], [1.0, 0.0, -1.0]], dtype=torch.float64)
    found = shifted_error(linear_margins(gaps, gradients), linear_errors(gaps, gradients), 40_000, generator)
    assert truth < 1e-5
    assert found.low <= truth <= found.high


def test_nearest_error_of_a_plane_is_its_foot_and_of_a_parabola_its_near_point():
    plane = linear_errors(torch.tensor([3.0]), torch.tensor([[1.0, 2.0]])).points[0]
    assert plane.tolist() == pytest.approx([-0.6, -1.2])
    found = nearest_error(lambda noise: 3 + noise @ torch.tensor([1.0, 2.0]), torch.zeros(2))
    assert found.tolist() == pytest.approx(plane.tolist(), abs=1e-4)
    # 5 - x - y^2/20: the nearest point is the tip (5, 0), as the curvature there is below 1/5.
    tip = nearest_error(lambda noise: 5 - noise[:, 0] - noise[:, 1] ** 2 / 20, torch.tensor([1.0, 1.0]))
    assert tip.tolist() == pytest.approx([5.0, 0.0], abs=1e-3)


def test_curved_boundary_is_estimated_from_its_nearest_error(generator: torch.Generator):
    # Wrong where noise of 3 dimensions leaves the ball of radius 6 upwards in the half space x > 5: by symmetry.
    def margins(noise: Tensor) -> Tensor:
        return 5 - noise[:, 0] - (noise[:, 1:].square().sum(dim=1)) / 20

    x = torch.linspace(-5, 5, 20_001, dtype=torch.float64)
    density = torch.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    truth = float((density * torch.exp(-10 * (5 - x)).clamp(max=1)).sum() * (x[1] - x[0])) + norm.sf(5)
    nearest = NearestErrors.at(nearest_error(margins, torch.tensor([1.0, 0.5, 0.2]))[None])
    found = shifted_error(margins, nearest, 60_000, generator)
    assert found.estimate == pytest.approx(truth, rel=0.1)


def test_draws_that_reach_no_error_are_refused(generator: torch.Generator):
    gaps, gradients = torch.tensor([6.0]), torch.tensor([[1.0, 0.0]])
    nowhere = NearestErrors.at(torch.tensor([[0.0, 3.0]]))
    with pytest.raises(DataError, match="0 of 1000 moved draws were wrong"):
        shifted_error(linear_margins(gaps, gradients), nowhere, 1000, generator)
    with pytest.raises(DataError, match="wrong already without noise"):
        linear_errors(torch.tensor([-0.1]), torch.tensor([[1.0, 0.0]]))
    with pytest.raises(DataError, match="never wrong"):
        linear_errors(torch.tensor([1.0]), torch.zeros(1, 2))
    with pytest.raises(DataError, match="No decision boundary was found"):
        nearest_error(lambda noise: 1 + noise.square().sum(dim=1), torch.ones(2))


def test_splitting_finds_tails_without_knowing_where_they_are(generator: torch.Generator):
    flat = split_error(lambda noise: TAIL_OF_BILLIONTH - noise[:, 0], 8, 1000, 6, generator)
    assert flat.estimate == pytest.approx(1e-9, rel=0.6)
    assert flat.low <= 1e-9 <= flat.high
    ball = split_error(lambda noise: 5.5 - noise.norm(dim=1), 4, 1000, 6, generator)
    assert ball.low <= chi2.sf(5.5**2, 4) <= ball.high


def test_splitting_of_margins_without_slope_is_refused(generator: torch.Generator):
    with pytest.raises(DataError, match="margin that falls towards an error without steps"):
        split_error(lambda noise: torch.ones(len(noise)), 2, 200, 4, generator)
    with pytest.raises(ValueError, match="2 runs of 50 noises"):
        split_error(lambda noise: noise[:, 0], 2, 50, 2, generator)
