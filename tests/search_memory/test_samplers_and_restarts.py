"""Every sampler stays inside the space, and proposes the same whether or not its driver was restarted."""

import pytest

SAMPLERS = ("tpe", "random", "gp", "cmaes", "qmc", "nsga2")
TRIALS = 5


def loss(parameters) -> float:
    return (parameters["model.gain"] - 1) ** 2 + parameters["model.depth"]


def run(sweep, *, reopen: bool):
    memory, points = sweep.open(), []
    for _ in range(TRIALS):
        memory = sweep.open() if reopen else memory
        assignment = memory.next()
        points.append(assignment.parameters)
        memory.complete(assignment.number, (loss(assignment.parameters),))
    return points


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("space", ["space", "numeric_space"])
def test_a_sampler_proposes_points_of_the_space_and_the_same_ones_over_restarts(make_sweep, sampler, space):
    search = {"sampler": sampler, "trials": TRIALS, "startup_trials": 3}
    experiment = {"space": f"memory_spaces:{space}"}
    kept, restarted = (
        make_sweep(name=name, search=search, experiment=experiment) for name in ("kept", "new")
    )
    points = run(kept, reopen=False)
    for point in points:
        assert -3 <= point["model.gain"] <= 3
        assert point["model.depth"] in range(1, 7)
        assert 1e-4 <= point.get("model.rate", 1e-3) <= 1e-1
        assert point.get("data.batch_size", 8) in (8, 16, 24, 32)
        assert ("model.width" in point) == (point.get("model.kind") == "wide")
        assert 8 <= point.get("model.width", 8) <= 64
    assert len({point["model.gain"] for point in points}) == TRIALS
    assert run(restarted, reopen=True) == points


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_another_seed_proposes_other_points(make_sweep, sampler):
    search = {"sampler": sampler, "trials": 2, "startup_trials": 1}
    experiment = {"space": "memory_spaces:numeric_space"}
    one, other = (
        make_sweep(name=f"of-{seed}", seed=seed, search=search, experiment=experiment) for seed in (0, 1)
    )
    assert one.open().next().parameters != other.open().next().parameters


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_trials_under_way_at_a_kill_do_not_change_what_is_proposed_next(make_sweep, sampler):
    search = {"sampler": sampler, "trials": TRIALS, "startup_trials": 2}
    experiment = {"space": "memory_spaces:numeric_space"}
    points = []
    for name, killed in (("whole", False), ("killed", True)):
        sweep = make_sweep(name=name, search=search, experiment=experiment)
        memory = sweep.open()
        for _ in range(2):
            first = memory.next()
            memory.complete(first.number, (loss(first.parameters),))
        under_way = [memory.next(), memory.next()]
        if killed:
            memory = sweep.open()
            assert [memory.next(), memory.next()] == under_way
        points.append(memory.next().parameters)
    assert points[0] == points[1]


def test_parents_of_a_generation_are_in_one_order_whoever_selects_them(make_sweep):
    """Read back from the study they come by number; Optuna's first caller would have them by selection."""
    sweep = make_sweep(
        search={"sampler": "nsga2", "trials": 12, "generation_size": 6},
        experiment={"space": "memory_spaces:numeric_space"},
    )
    memory = sweep.open()
    for value in (5.0, 4.0, 3.0, 2.0, 1.0, 0.0):
        memory.complete(memory.next().number, (value,))
    study = memory._asking(6)
    selecting = [trial.number for trial in study.sampler.get_parent_population(study, 1)]
    reading = [trial.number for trial in study.sampler.get_parent_population(study, 1)]
    assert selecting == reading
    assert len(selecting) == 6
