"""Who copies whom, and how a copied hyperparameter changes: against slow loops and known distributions."""

import math

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy import stats

from neurosweep.config import PopulationConfig
from neurosweep.experiments import Objective
from neurosweep.search.population.decisions import Standing, binary_tournament, decide, truncation
from neurosweep.search.population.explore import perturbed_by_factors, perturbed_by_weight, resampled, within

MORE, LESS = Objective("val/score", "maximize"), Objective("val/error", "minimize")
RATE = FloatDistribution(1e-4, 1e-1, log=True)


def standings(*scores):
    return [Standing(number, score, {"model.rate": 0.01}) for number, score in enumerate(scores)]


@pytest.mark.parametrize(("objective", "sign"), [(MORE, 1), (LESS, -1)])
def test_truncation_replaces_the_worst_quarter_by_the_best(objective, sign):
    """Eight members, a quarter: the two worst copy one of the two best, each of them about half of the time."""
    scores = [3.0, 8.0, 1.0, 5.0, 7.0, 2.0, 6.0, 4.0]
    counts = np.zeros(2)
    for seed in range(2000):
        sources = truncation(
            standings(*(sign * one for one in scores)), objective, np.random.default_rng(seed), quantile=0.25
        )
        assert sorted(sources) == [2, 5]
        assert set(sources.values()) <= {1, 4}
        counts += [list(sources.values()).count(1), list(sources.values()).count(4)]
    assert stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize(
    ("members", "quantile", "replaced"), [(2, 0.25, 1), (3, 0.5, 1), (4, 0.25, 1), (10, 0.25, 3)]
)
def test_truncation_rounds_up_to_half_of_the_population_at_most(members, quantile, replaced):
    sources = truncation(standings(*range(members)), MORE, np.random.default_rng(0), quantile=quantile)
    assert sorted(sources) == list(range(replaced))
    assert all(source >= members - replaced for source in sources.values())


def test_equal_members_are_left_alone():
    for seed in range(50):
        assert (
            truncation(standings(1.0, 1.0, 1.0, 1.0), MORE, np.random.default_rng(seed), quantile=0.25) == {}
        )
        assert binary_tournament(standings(1.0, 1.0, 1.0), MORE, np.random.default_rng(seed)) == {}


def test_tournament_is_won_as_often_as_by_drawing_lots():
    """Of 5 members, the one of rank r (0 best) meets a better one with probability r / 4, and each of them alike."""
    scores, draws = [2.0, 5.0, 1.0, 4.0, 3.0], 4000
    copied = np.zeros((5, 5))
    for seed in range(draws):
        for member, source in binary_tournament(
            standings(*scores), MORE, np.random.default_rng(seed)
        ).items():
            copied[member, source] += 1
    for member in range(5):
        for source in range(5):
            if scores[source] <= scores[member]:
                assert copied[member, source] == 0
            else:
                assert stats.binomtest(int(copied[member, source]), draws, 0.25).pvalue > 1e-4


@pytest.mark.parametrize("method", ["pbt", "pb2", "bt_pbt"])
def test_failed_members_are_always_replaced_by_living_ones(method):
    for seed in range(30):
        steps = decide(
            standings(None, 1.0, None, None, 2.0),
            objective=LESS,
            population=PopulationConfig(method=method),
            distributions={"model.rate": RATE},
            history=[],
            generation=1,
            seed=seed,
        )
        assert [step.member for step in steps] == [0, 1, 2, 3, 4]
        assert all(steps[number].source in (1, 4) for number in (0, 2, 3))
        for step in steps:
            kept = step.source == step.member
            assert (step.parameters["model.rate"] == 0.01) == kept


def test_decision_depends_on_sweep_and_generation_alone():
    def taken(seed, generation, scores=(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)):
        return decide(
            standings(*scores),
            objective=MORE,
            population=PopulationConfig(method="bt_pbt"),
            distributions={"model.rate": RATE},
            history=[],
            generation=generation,
            seed=seed,
        )

    assert taken(0, 1) == taken(0, 1)
    assert len({str(taken(seed, generation)) for seed in range(4) for generation in range(1, 5)}) == 16


def test_factors_and_new_draws_come_in_their_proportions():
    random, draws = np.random.default_rng(0), 4000
    values = [
        perturbed_by_factors(0.01, RATE, random, factors=(0.8, 1.2), resample_probability=0.25)
        for _ in range(draws)
    ]
    for factor in (0.8, 1.2):
        count = sum(math.isclose(value, 0.01 * factor) for value in values)
        assert stats.binomtest(count, draws, 0.375).pvalue > 1e-3
    others = [value for value in values if not any(math.isclose(value, 0.01 * one) for one in (0.8, 1.2))]
    # A new draw is even in the logarithm, over the whole range.
    places = np.log(np.array(others) / 1e-4) / np.log(1e3)
    assert stats.kstest(places, "uniform").pvalue > 1e-3


def test_weight_gives_even_relative_changes_inside_the_range():
    random = np.random.default_rng(0)
    changes = [perturbed_by_weight(0.01, RATE, random, weight=0.3) / 0.01 - 1 for _ in range(4000)]
    assert stats.kstest(np.abs(changes), stats.uniform(0.3 * 0.002, 0.3 * 0.998).cdf).pvalue > 1e-3
    assert stats.binomtest(sum(one > 0 for one in changes), 4000).pvalue > 1e-3
    # At the edge only the half that stays inside is drawn, rather than piling up on it.
    edge = [perturbed_by_weight(0.1, RATE, random, weight=0.3) for _ in range(500)]
    assert max(edge) < 0.1
    assert min(edge) >= 0.07


@pytest.mark.parametrize(
    ("value", "distribution", "allowed"),
    [
        (0.1, FloatDistribution(0.0, 0.1), None),
        (4, IntDistribution(2, 8, step=2), {2, 4, 6, 8}),
        (3, IntDistribution(1, 64, log=True), set(range(1, 65))),
        (0.5, FloatDistribution(0.0, 1.0, step=0.25), {0.0, 0.25, 0.5, 0.75, 1.0}),
        ("relu", CategoricalDistribution(["relu", "elu"]), {"relu", "elu"}),
        (64, CategoricalDistribution([16, 64, 256]), {16, 64, 256}),
        (True, CategoricalDistribution([True, False]), {True, False}),
    ],
)
def test_what_is_explored_stays_in_the_space(value, distribution, allowed):
    random = np.random.default_rng(0)
    drawn = [
        *(perturbed_by_weight(value, distribution, random, weight=0.8) for _ in range(200)),
        *(
            perturbed_by_factors(value, distribution, random, factors=(0.5, 2.0), resample_probability=0.1)
            for _ in range(200)
        ),
    ]
    for one in drawn:
        assert type(one) is type(value)
        assert distribution._contains(distribution.to_internal_repr(one))
        assert allowed is None or one in allowed
    assert len(set(drawn)) > 1


def test_numeric_choices_move_to_a_neighbour():
    random = np.random.default_rng(0)
    choices = CategoricalDistribution([256, 16, 64, 1024])
    moved = {perturbed_by_weight(64, choices, random, weight=0.2) for _ in range(50)}
    assert moved == {16, 256}


def test_zero_is_not_a_trap():
    """No factor moves a dropout of 0."""
    random = np.random.default_rng(0)
    dropout = FloatDistribution(0.0, 0.4)
    assert all(perturbed_by_weight(0.0, dropout, random, weight=0.2) > 0 for _ in range(20))
    drawn = [
        perturbed_by_factors(0.0, dropout, random, factors=(0.8,), resample_probability=0.0)
        for _ in range(20)
    ]
    assert min(drawn) > 0


def test_new_draws_reach_every_grid_point_alike():
    random, grid = np.random.default_rng(0), IntDistribution(24, 96, step=24)
    drawn = [resampled(grid, random) for _ in range(4000)]
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [24, 48, 72, 96]
    assert stats.chisquare(counts).pvalue > 1e-3
    assert within(1e9, grid) == 96
