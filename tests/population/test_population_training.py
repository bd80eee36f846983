"""A population's life: what is copied, what survives a kill, what becomes of members that fail."""

import json
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from optuna.trial import TrialState

from neurosweep.config_files import with_overrides
from neurosweep.errors import ConfigError
from neurosweep.naming import Failure, Status
from neurosweep.search.population.log import read_population
from neurosweep.sweeps.population_checks import refuse_changed_size
from neurosweep.trials.reload import load_model


class Killed(BaseException):
    """Ends driver and worker at once."""


def killer(*moments: int) -> Callable[[int], None]:
    def at_event(event: int) -> None:
        if event in moments:
            raise Killed

    return at_event


@pytest.fixture(scope="module")
def calm(make_colony):
    """An undisturbed population of four members and three generations of two epochs."""
    colony = make_colony("calm", population={"method": "bt_pbt", "explore_weight": 0.5})
    return colony, colony.train()


def test_copy_takes_the_hyperparameters_of_its_source_and_changes_what_is_mutable(calm):
    colony, memory = calm
    head, generations = read_population(colony.folder.population)
    assert head is not None
    copies = [
        (one.number, step)
        for one in generations[1:]
        for step in one.steps.values()
        if step.source != step.member
    ]
    assert copies, "no copy was made: the test shows nothing"
    for number, step in copies:
        source = generations[number - 1].steps[step.source]
        for name in head.mutable:
            low, high = source.parameters[name] * 0.5, source.parameters[name] * 1.5
            assert low <= step.parameters[name] <= high
            assert step.parameters[name] != source.parameters[name]
        assert step.parameters["model.width"] == source.parameters["model.width"]
    assert len({one.parameters["model.width"] for one in memory.records()}) == 1


def test_a_members_kept_checkpoint_is_the_best_of_its_own_curve(calm):
    colony, memory = calm
    head, generations = read_population(colony.folder.population)
    for record in memory.records():
        epoch = min(record.curve, key=lambda one, curve=record.curve: curve[one])
        assert record.status is Status.COMPLETED
        assert record.values == (record.curve[epoch],)
        checkpoint = colony.folder.trial(record.number).best_checkpoint
        assert checkpoint.name == f"best-{epoch:06d}.ckpt"
        kept = load_model(checkpoint)
        assert kept.position.square().mean().item() == pytest.approx(record.values[0], rel=1e-6)
        # The checkpoint, the leaderboard and the log agree on the hyperparameters that made it.
        step = generations[epoch // head.generation_epochs].steps[record.number]
        written = json.loads(colony.folder.trial(record.number).config.read_text(encoding="utf-8"))
        for name in head.mutable:
            short = name.partition(".")[2]
            assert kept.hparams[short] == step.parameters[name] == record.parameters[name]
            assert written["sections"]["model"][short] == step.parameters[name]


def test_members_share_the_data_and_differ_in_their_weights(calm):
    colony, _ = calm
    splits, seeds = set(), set()
    for number in range(4):
        content = json.loads(colony.folder.trial(number).config.read_text(encoding="utf-8"))
        splits.add(content["data_seed"])
        seeds.add(content["seed"])
        kept = load_model(colony.folder.trial(number).best_checkpoint)
        assert kept.hparams.split == content["data_seed"]
    assert len(splits) == 1
    assert len(seeds) == 4


def test_no_more_checkpoints_are_left_than_are_kept(calm):
    colony, _ = calm
    for number in range(4):
        names = sorted(path.name for path in colony.folder.trial(number).root.glob("*.ckpt"))
        assert names[1:] == ["last.ckpt"]
        assert not list(colony.folder.trial(number).root.glob(".*tmp"))


@pytest.mark.parametrize("life", [4, 7])
def test_killed_population_takes_the_same_decisions_and_scores(make_colony, calm, life):
    """Driver and worker die again and again, a few events after they began: the rest is as if nothing had happened.

    A segment of two epochs has six events: hand-out, before and after each report, and its end. The last epoch again
    takes four of them.
    """
    colony = make_colony("calm", population={"method": "bt_pbt", "explore_weight": 0.5})
    kills = 0
    while True:
        try:
            colony.train(killer(life))
            break
        except Killed:
            kills += 1
            assert kills < 100, "no progress is made"
    assert kills >= 72 // (life + 1) - 1
    assert colony.scores() == calm[0].scores()
    assert decisions(colony) == decisions(calm[0])
    for number in range(4):
        mine, its = (one.folder.trial(number).best_checkpoint for one in (colony, calm[0]))
        assert mine.name == its.name
        assert torch.equal(load_model(mine).position, load_model(its).position)


def decisions(colony) -> list[str]:
    return colony.folder.population.read_text(encoding="utf-8").splitlines()


def test_log_with_half_a_line_goes_on(make_colony, calm):
    colony = make_colony("calm", population={"method": "bt_pbt", "explore_weight": 0.5})
    with pytest.raises(Killed):
        colony.train(killer(30))
    with colony.folder.population.open("a", encoding="utf-8") as file:
        file.write('{"kind": "end", "gener')
    colony.train()
    assert decisions(colony) == decisions(calm[0])


def test_member_that_diverges_is_replaced_by_a_copy(make_colony, calm):
    """Learning rates above the median of the second generation diverge in it; until then all is as in `calm`."""
    _, undisturbed = read_population(calm[0].folder.population)
    rates = sorted(step.parameters["model.learning_rate"] for step in undisturbed[1].steps.values())
    colony = make_colony(
        "diverging", population={"explore_weight": 0.5}, model={"breaks_above": (rates[1] + rates[2]) / 2}
    )
    memory = colony.train()
    _, generations = read_population(colony.folder.population)
    failed = [end for end in generations[1].ends.values() if end.failure == Failure.DIVERGED]
    alive = [end for end in generations[1].ends.values() if end.failure is None]
    assert (len(failed), len(alive)) == (2, 2)
    for end in failed:
        assert generations[2].steps[end.member].source in {one.member for one in alive}
        assert memory.records()[end.member].status is Status.COMPLETED
    # Its curve has a gap where it failed, and is whole again after the copy.
    curve = memory.records()[failed[0].member].curve
    assert sorted(curve) == [0, 1, 2, 4, 5]


def test_population_without_a_living_member_ends_with_its_failures(make_colony):
    colony = make_colony("dead", model={"breaks_above": 0.0})
    memory = colony.train()
    assert memory.next() is None
    assert [trial.state for trial in memory.study.get_trials()] == [TrialState.FAIL] * 4
    assert {record.failure for record in memory.records()} == {Failure.DIVERGED}
    assert colony.open().next() is None


def test_member_whose_worker_died_is_handed_out_again(make_colony):
    memory = make_colony("lost").open()
    first, second = memory.next(), memory.next()
    assert (first.number, second.number) == (0, 1)
    assert memory.live == {0, 1}
    assert memory.count_loss(0) == 1
    memory.hand_back(0)
    again = memory.next()
    assert again == first
    assert memory.record(0).attempts == 2
    assert memory.record(1).attempts == 1
    assert memory.record(0).status is Status.RUNNING
    # A member that failed in the middle is still alive: it is replaced, not told.
    memory.fail(1, Failure.WORKER_LOST, "gone")
    assert memory.record(1).status is Status.RUNNING
    memory.release_live()
    assert {record.status for record in memory.records()} <= {Status.INTERRUPTED, Status.WAITING}


def test_size_of_a_population_cannot_change(make_colony):
    colony = make_colony("fixed")
    refuse_changed_size(colony.config, colony.folder)
    colony.open()
    refuse_changed_size(colony.config, colony.folder)
    for change in ({"search": {"trials": 6}}, {"trainer": {"max_epochs": 8}}):
        with pytest.raises(ConfigError, match="4 members of 6 epochs, not"):
            refuse_changed_size(with_overrides(colony.config, change), colony.folder)


def test_population_beats_the_best_constant_learning_rate_of_its_members(make_colony):
    """Descent with noise wants a falling learning rate: no constant is best at both ends.

    The constants are those of the same initial members, trained as long, with the same seeds.
    """
    sections = {"trials": 5, "epochs": 16, "seed": 1, "model": {"momentum": 0.0}}
    population = {"method": "pbt", "generation_epochs": 2, "resample_probability": 0.0,
                  "perturbation_factors": (0.4, 0.6, 1.2)}  # fmt: skip
    trained = make_colony("trained", population=population, **sections).train()
    # One generation after the other without a decision: every member keeps its learning rate to the end.
    constants = make_colony(
        "constants", population={**population, "generation_epochs": 16}, **sections
    ).train()
    assert [one.curve[1] for one in trained.records()] == [one.curve[1] for one in constants.records()]
    best_constant = min(record.values[0] for record in constants.records())
    best_trained = min(record.values[0] for record in trained.records())
    assert best_trained < 0.7 * best_constant


def test_generation_that_stops_early_fails_with_its_remedy(make_colony, population_lab, monkeypatch):
    def stop(self, *arguments):
        self.trainer.should_stop = True

    monkeypatch.setattr(population_lab.NoisyDescent, "on_validation_epoch_end", stop, raising=False)
    memory = make_colony("stopping").train()
    assert {record.status for record in memory.records()} == {Status.FAILED}
    assert "ends with epoch 1, but epoch 0 was validated last" in memory.records()[0].failure_message


def test_weights_of_a_copy_are_those_of_its_source(make_colony):
    """With a learning rate of 0 nothing moves, so a copy scores exactly what its source scored."""
    colony = make_colony("still", model={"learning_rate": 0.0})
    colony.train()
    _, generations = read_population(colony.folder.population)
    copies = 0
    for before, now in pairwise(generations):
        for step in now.steps.values():
            copies += step.source != step.member
            assert now.ends[step.member].score == before.ends[step.source].score
    assert copies, "no copy was made: the test shows nothing"
