"""A driver killed before, after and in the middle of everything that it does, then resumed: nothing lost or doubled.

The trials train in the driver's own process; the searcher, the scheduler, the study, the outboxes, the courier and
MLflow are the real ones. Kills under Ray are in `test_ray_kills.py`.
"""

import random
import signal

import pytest
from killing_driver import TARGETS, TORN

AT_START = ("launch.write_json", "launch.write_atomically", "drive.open_study", "Study.enqueue_trial")
"""Targets that only a new sweep comes to."""
CALLS = {
    **dict.fromkeys(("Trial.report", "Outbox.append", "Outbox._write", "SweepEvents.reported"), 4),
    **dict.fromkeys(("MlflowClient.log_batch", "Delivery.save", "Strategy.save_checkpoint"), 6),
    **dict.fromkeys(("SweepJournal.append_logs", "JournalFileSymlinkLock.acquire", "Path.replace"), 12),
    "Trial.set_user_attr": 2,
}
"""How many calls of a target a driver with one new trial makes at least; 1 for the others."""

MAIN_POINTS = (
    "before Study.ask 1",
    "after Study.ask 1",  # a trial without a parameter
    "after PinnedTrial.suggest_int 1",  # with two of three
    "after MlflowClient.create_run 1",  # a run without its tags and parameters
    "after MlflowClient.log_batch 4",  # MLflow has it, the delivery note does not
    "before Delivery.save 4",
    "amid Outbox._write 2",
    "after Outbox.append 3",  # the study does not know the epoch yet
    "after Trial.report 2",  # nobody has asked the pruner yet
    "amid SweepJournal.append_logs 7",
    "after Study.tell 1",  # MLflow still says RUNNING
    "before MlflowClient.set_terminated 1",
    "after MlflowClient.create_logged_model 1",  # nothing uploaded yet
    "after MlflowClient.log_model_artifacts 1",
    "after Strategy.save_checkpoint 3",  # written, not renamed
    "before Path.replace 9",
    "before closing.write_report 1",
    "before Mirror.close_sweep 1",
)


def generate_points(targets: list[str], *, seed: int, moments: int) -> list[str]:
    """Make kill points: for each target so many of its moments, each at a random one of its calls."""
    chance = random.Random(seed)
    points = []
    for target in targets:
        known = ["before", "after", *(["amid"] if target in TORN else [])]
        for moment in chance.sample(known, min(moments, len(known))):
            points.append(f"{moment} {target} {chance.randint(1, CALLS.get(target, 1))}")
    chance.shuffle(points)
    return points


def kill_in_turn(arena, points: list[str], *, check_each: bool) -> None:
    """Resume one sweep again and again, with one more trial each time, and kill each driver at its point."""
    trials = 2
    assert arena.drive(arena.launch(trials=trials)) == 0, arena.output
    kills = 0
    for point in points:
        trials += 1
        target = point.split()[1]
        while (code := arena.drive(arena.resume(trials=trials), point=point)) == 0:
            assert trials < 200, f"{point} is never reached"
            trials += 1  # such as `prune`: not every trial is
            point = f"{point.split()[0]} {target} 1"
        assert code == -signal.SIGKILL, f"{point}: {code}\n{arena.output[-4000:]}"
        kills += 1
        if check_each:
            assert arena.drive(arena.resume()) == 0, f"{point}\n{arena.output[-4000:]}"
            arena.check(trials=trials, retrained=kills)
    assert arena.drive(arena.resume()) == 0, arena.output[-4000:]
    arena.check(trials=trials, retrained=kills)


def kill_at_start(make_arena, points: list[str]) -> None:
    """Kill a new sweep at a point of its first second, then continue it as a person would."""
    for number, point in enumerate(points):
        arena = make_arena(f"start-{number}")
        assert arena.drive(arena.launch(trials=3), point=point) == -signal.SIGKILL, arena.output
        exists = (arena.sweep / "sweep.yaml").exists()
        again = arena.resume() if exists else arena.launch(trials=3)
        assert arena.drive(again) == 0, f"{point}\n{arena.output[-4000:]}"
        arena.check(trials=3, retrained=0)
        board = (arena.sweep / "leaderboard.csv").read_text(encoding="utf-8")
        assert board.count("published") == 2, f"{point}: published values were lost"


def later_targets() -> list[str]:
    return [target for target in TARGETS if target not in AT_START]


def test_driver_killed_where_it_hurts(arena):
    kill_in_turn(arena, list(MAIN_POINTS), check_each=False)


def test_driver_killed_in_the_first_second_of_a_sweep(make_arena):
    kill_at_start(make_arena, ["after launch.write_atomically 1", "after Study.enqueue_trial 1"])


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("seed", [2])
def test_driver_killed_at_every_moment_of_everything_it_does(arena, seed):
    kill_in_turn(arena, generate_points(later_targets(), seed=seed, moments=3), check_each=True)


@pytest.mark.slow
def test_driver_killed_at_every_moment_of_the_first_second(make_arena):
    kill_at_start(make_arena, generate_points(list(AT_START), seed=4, moments=2))
