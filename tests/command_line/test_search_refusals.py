"""Searches that cannot work are refused with a cure, before anything starts."""

import dataclasses

import pytest

from neurosweep.config import SearchConfig, SweepConfig
from neurosweep.errors import ConfigError
from neurosweep.experiments import ICGAN_MLP, SABLE, Constraint, Objective
from neurosweep.sweeps.search_checks import problems_of_search, with_objectives

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


def test_objectives_can_be_chosen_of_those_that_the_family_offers():
    first, second = SABLE.objectives
    assert with_objectives(SABLE, ()) is SABLE
    assert with_objectives(SABLE, (second.metric, first.metric)).objectives == (second, first)
    assert with_objectives(SABLE, (first.metric,)) == dataclasses.replace(SABLE, objectives=(first,))


def test_what_is_searched_for_alone_is_what_is_pruned_on():
    worst = with_objectives(SABLE, ("val/behaviour_r2_worst_session",))
    assert worst.judged == worst.objectives[0] == SABLE.objectives[1]
    of_features = with_objectives(ICGAN_MLP, ("val/pixcorr",))  # features are no objective, but pruned on
    assert of_features.judged == ICGAN_MLP.prune_on


@pytest.mark.parametrize(
    ("metrics", "complaint"),
    [
        (("val/behaviour_r3",), "Did you mean `val/behaviour_r2`"),
        (("loss",), "`loss` is no objective of `sable`"),
        (("val/behaviour_r2", "val/behaviour_r2"), "`val/behaviour_r2` is named twice"),
    ],
)
def test_objectives_that_the_family_does_not_offer_are_refused(metrics, complaint):
    offered = "one or several of: val/behaviour_r2, val/behaviour_r2_worst_session"
    with pytest.raises(ConfigError, match=complaint) as error:
        with_objectives(SABLE, metrics)
    assert offered in error.value.remedy


def test_chosen_objectives_are_in_the_plan_and_unknown_ones_start_nothing(command, written):
    flags = ["fault_tolerant", "--dry-run", "--objectives"]
    outcome = command("launch", *flags, "val/log10_neurons")
    assert outcome.code == 0, outcome.complaints
    assert "minimize val/log10_neurons" in outcome.output
    assert "val/log10_error" not in outcome.output
    refused = command("launch", *flags, "val/log10_neurones")
    assert refused.code == 2
    assert "Did you mean `val/log10_neurons`" in refused.complaints
    assert written() == []
