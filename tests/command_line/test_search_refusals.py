"""Searches that cannot work are refused with a cure, before anything starts."""

import dataclasses

import pytest

from neurosweep.config import SearchConfig, SweepConfig
from neurosweep.experiments import SABLE, Constraint, Objective
from neurosweep.sweeps.search_checks import problems_of_search

SIZE = Objective("val/size", "minimize")


def problems(*, sampler="tpe", pins=None, **parts) -> list[str]:
    config = SweepConfig("sable", "try", search=SearchConfig(sampler=sampler), model=pins or {})
    return problems_of_search(config, dataclasses.replace(SABLE, **parts))


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        ({"constraints": (Constraint("val/latency"),)}, "has no bound: give it `at_most` or `at_least`"),
        ({"constraints": (Constraint("val/latency", at_most=1, at_least=2),)}, "at least 2 and at most 1"),
        (
            {"constraints": (Constraint("val/size", at_most=1), Constraint("val/size", at_least=0))},
            "make them one with both bounds",
        ),
        ({"constraints": (Constraint("latency", at_most=1),)}, "name it as `val/latency`"),
        ({"prune_on": Objective("pace", "maximize")}, "name it as `val/pace`"),
        (
            {"objectives": (Objective("val_loss", "minimize"),)},
            "The objective names `val_loss`, which has no split",
        ),
        (
            {"sampler": "cmaes"},
            "`model.reversal_warmup_steps` are: choose `tpe`, or pin what decides on them",
        ),
        ({"sampler": "cmaes", "objectives": (*SABLE.objectives, SIZE)}, "choose `nsga2`, `tpe` or `gp`"),
        (
            {"sampler": "cmaes", "constraints": (Constraint("val/size", at_most=1),)},
            "does not look at constraints",
        ),
    ],
)
def test_what_cannot_work_is_refused(parts, complaint):
    assert any(complaint in problem for problem in problems(**parts)), problems(**parts)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2", "random", "qmc"])
def test_what_works_is_not_refused(sampler):
    parts = {
        "objectives": (*SABLE.objectives, SIZE),
        "constraints": (Constraint("val/latency", at_most=1),),
        "prune_on": Objective("val/pace", "maximize"),
    }
    assert problems(sampler=sampler, **parts) == []


def test_a_space_that_pins_make_unconditional_can_be_searched_by_cmaes():
    parts = {"pins": {"reversal_schedule": "constant"}, "objectives": SABLE.objectives[:1]}
    assert problems(sampler="cmaes", **parts) == []
