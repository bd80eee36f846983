"""What counts as a trial's own loss, on errors as Ray 2.60 was seen to raise them, and how a verdict is taken back."""

import socket
import sys
import threading
from types import SimpleNamespace

import pytest
import ray.exceptions
from optuna.trial import TrialState

from neurosweep.config import ResourceConfig, SearchConfig, SweepConfig
from neurosweep.errors import ClusterLostError, ResourceError
from neurosweep.experiments import Experiment, Objective
from neurosweep.layout import SweepFolder
from neurosweep.naming import Failure
from neurosweep.search.memory import SweepMemory
from neurosweep.search.study import open_study
from neurosweep.sweeps import events as events_module
from neurosweep.sweeps import watchdog
from neurosweep.sweeps.capacity import Capacity, Node
from neurosweep.sweeps.cluster_check import problems_of, report_node
from neurosweep.sweeps.events import DOUBT_SECONDS, SweepEvents
from neurosweep.sweeps.losses import Loss, judge_loss

# Texts as recorded: a raylet killed, its worker killed 20 ms before it, a lone worker killed, both at once.
NODE_DIED = "The actor died because its node has died. Node Id: 678d4f61"
WORKER_DIED = "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR"


def died(text: str, *, preempted: bool = False) -> ray.exceptions.ActorDiedError:
    error = ray.exceptions.ActorDiedError()
    error.error_msg, error._preempted, error.actor_id = text, preempted, "ab"
    return error


@pytest.mark.parametrize(
    ("error", "node_alive", "expected"),
    [
        (died(NODE_DIED), None, Loss.NODE),
        (died(WORKER_DIED), False, Loss.NODE),
        (died(WORKER_DIED, preempted=True), True, Loss.NODE),
        (ray.exceptions.ActorUnavailableError("Socket closed rpc_code: 14", b"a" * 16), True, Loss.NODE),
        (died(WORKER_DIED), True, Loss.WORKER),
        (died(WORKER_DIED), None, Loss.WORKER),
        (None, None, Loss.WORKER),
        (ray.exceptions.OutOfMemoryError("running low on memory"), True, Loss.MEMORY),
    ],
)
def test_loss_is_told_apart(error, node_alive, expected):
    assert judge_loss(error, node_alive=node_alive) is expected


class Nodes:
    """A cluster whose nodes live and die as the test says."""

    def __init__(self) -> None:
        self.dead: set[str] = set()

    def node_of(self, error):
        return None if error is None else "far"

    def is_alive(self, node):
        return node not in self.dead

    def may_outlive(self, node):
        return node != "own"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


def space(trial):
    trial.suggest_float("model.gain", 0.0, 1.0)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A memory over a real journal, events with one retry, nodes and a clock."""
    monkeypatch.setitem(sys.modules, "verdict_space", SimpleNamespace(space=space))
    experiment = Experiment(
        name="verdicts", summary="A space alone", module="verdict_space:space", data_module="verdict_space:space",
        load="verdict_space:space", space="verdict_space:space", objectives=(Objective("val/score", "maximize"),),
    )  # fmt: skip
    config = SweepConfig("verdicts", "verdicts", search=SearchConfig(trials=1), trainer={"max_epochs": 3})
    folder = SweepFolder(tmp_path / "verdicts")
    folder.root.mkdir()
    memory = SweepMemory(open_study(config, folder, experiment.objectives), experiment, config)
    nodes, clock = Nodes(), Clock()
    monkeypatch.setattr(events_module, "time", clock)
    events = SweepEvents(memory, keep_points=lambda *_: None, publish=lambda _: None, retries=1, nodes=nodes)
    return memory, events, nodes, clock


def losses(memory) -> int:
    return memory.study.get_trials()[0].user_attrs.get("losses", 0)


def state(memory) -> TrialState:
    return memory.study.get_trials()[0].state


def test_lost_nodes_are_never_counted_however_many(desk):
    memory, events, _, _ = desk
    for _ in range(10):
        number = memory.next().number
        events.lost(number, died(NODE_DIED))
    assert memory.next().number == 0
    assert losses(memory) == 0


def test_dead_workers_are_counted_and_the_trial_fails_only_when_its_node_was_not_to_blame(desk):
    memory, events, _, clock = desk
    for count in (1, 2):
        events.lost(memory.next().number, died(WORKER_DIED))
        assert losses(memory) == count
    assert state(memory) is TrialState.RUNNING
    clock.now += DOUBT_SECONDS - 1
    events.settle()
    assert state(memory) is TrialState.RUNNING, "failed while its node was in doubt"
    clock.now += 2
    events.settle()
    assert state(memory) is TrialState.FAIL
    assert memory.record(0).failure is Failure.WORKER_LOST


def test_loss_is_taken_back_when_the_node_is_found_dead_soon_after(desk):
    memory, events, nodes, _ = desk
    events.lost(memory.next().number, died(WORKER_DIED))
    assert memory.next().number == 0  # it goes on elsewhere meanwhile
    assert losses(memory) == 1
    nodes.dead.add("far")
    events.settle()
    assert losses(memory) == 0
    assert state(memory) is TrialState.RUNNING


def test_trial_at_the_end_of_its_retries_is_handed_out_again_when_the_node_is_found_dead(desk):
    memory, events, nodes, _ = desk
    for _ in (1, 2):
        events.lost(memory.next().number, died(WORKER_DIED))
    assert memory.live == {0}, "the sweep must wait for the verdict"
    nodes.dead.add("far")
    events.settle()
    assert losses(memory) == 0
    assert memory.next().number == 0


def test_worker_killed_for_memory_fails_its_trial_as_out_of_memory(desk):
    memory, events, _, clock = desk
    for _ in (1, 2):
        events.lost(memory.next().number, ray.exceptions.OutOfMemoryError("running low on memory"))
    clock.now += DOUBT_SECONDS + 1
    events.settle()
    assert memory.record(0).failure is Failure.OUT_OF_MEMORY


def test_closed_events_end_the_thread_that_calls_them(desk):
    memory, events, _, _ = desk
    number = memory.next().number
    events.close()
    with pytest.raises(SystemExit):
        events.lost(number, died(WORKER_DIED))
    assert losses(memory) == 0


TWO_NODES = Capacity((Node(cpus=3, gpus=2), Node(cpus=3, gpus=1)), where="the cluster at `auto`")


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (
            ResourceConfig(cpus_per_trial=2),
            2,
        ),  # one on each; the two cores left over lie on different machines
        (ResourceConfig(cpus_per_trial=1, concurrency=2), 2),
        (ResourceConfig(cpus_per_trial=0.5, gpus_per_trial=0.5), 6),
        (
            ResourceConfig(gpus_per_trial=0.4),
            5,
        ),  # two fractions of 0.4 on each GPU, and a core for each trial
        (ResourceConfig(gpus_per_trial=1), 3),
        (ResourceConfig(cpus_per_trial=2, workers_per_trial=2), 1),
        (ResourceConfig(cpus_per_trial=4), 0),
    ],
)
def test_slots_are_what_fits_on_machines_one_by_one(resources, expected):
    assert TWO_NODES.fitting(resources) == expected


def test_a_trial_that_fits_on_no_machine_is_refused_though_the_cluster_has_the_sum():
    with pytest.raises(ResourceError, match="which have to lie on one machine") as caught:
        TWO_NODES.slots(ResourceConfig(cpus_per_trial=4))
    assert "3 CPUs and 2 GPUs, 3 CPUs and 1 GPUs" in caught.value.problem


def test_node_is_held_against_the_driver_in_folder_versions_and_code(tmp_path, monkeypatch):
    monkeypatch.setattr("neurosweep.sweeps.cluster_check._FOLDER_SECONDS", 0.1)
    proof = tmp_path / "proof"
    proof.touch()
    (tmp_path / "lab_of_today.py").write_text("SCALE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    driver = report_node(proof, ["neurosweep", "lab_of_today", "json"])
    assert problems_of("n", driver, driver, tmp_path) == []
    (tmp_path / "lab_of_today.py").write_text("SCALE = 2\n")
    other = report_node(tmp_path / "unseen", ["neurosweep", "lab_of_today"])
    problems = problems_of("n", other, driver, tmp_path)
    assert problems == [
        f"Node n does not see the sweep's folder {tmp_path}.",
        "Node n has other code in `lab_of_today` than the driver.",
        "Node n has no module `json`.",
    ]


class TestWatchdog:
    def test_gcs_is_given_time_to_come_back_and_a_raylet_is_not(self, monkeypatch):
        clock = Clock()
        monkeypatch.setattr(watchdog, "time", clock)

        def seconds_until_lost(part: str) -> float:
            dog, start = watchdog.Watchdog(lambda: part), clock.now
            while dog.lost() is None:
                clock.now += 0.2
            return clock.now - start

        assert watchdog.GCS_PATIENCE_SECONDS <= seconds_until_lost(watchdog.HEAD) < 60
        assert seconds_until_lost(watchdog.OWN_NODE) < 15

    def test_short_absence_is_forgotten(self, monkeypatch):
        clock, parts = Clock(), [watchdog.HEAD] * 20 + [None] + [watchdog.HEAD] * 20
        monkeypatch.setattr(watchdog, "time", clock)
        dog = watchdog.Watchdog(lambda: parts.pop(0))
        verdicts = []
        while parts:
            clock.now += 0.5
            verdicts.append(dog.lost())
        assert verdicts == [None] * len(verdicts)

    def test_errors_of_the_work_reach_the_caller(self):
        def work() -> None:
            raise ValueError("upside down")

        with pytest.raises(ValueError, match="upside down"):
            watchdog.run_watched(work, missing=lambda: None, remedy="")

    def test_errors_of_the_work_on_a_dead_cluster_are_the_cluster_s(self):
        def work() -> None:
            raise ray.exceptions.ObjectLostError("ab" * 28, None, "")

        with pytest.raises(ClusterLostError, match="head"):
            watchdog.run_watched(work, missing=lambda: watchdog.HEAD, remedy="")

    def test_hanging_work_is_left_when_nobody_listens_any_more(self, monkeypatch, tmp_path):
        monkeypatch.setattr(watchdog, "PROBE_SECONDS", 0.1)
        monkeypatch.setattr(watchdog, "RAYLET_PATIENCE_SECONDS", 0.5)
        with socket.create_server(("127.0.0.1", 0)) as gcs, socket.socket(socket.AF_UNIX) as raylet:
            raylet.bind(str(tmp_path / "raylet"))
            raylet.listen()
            sockets = watchdog.ClusterSockets(f"127.0.0.1:{gcs.getsockname()[1]}", str(tmp_path / "raylet"))
            assert sockets.missing() is None
            raylet.close()
            with pytest.raises(ClusterLostError, match="node of this driver") as caught:
                watchdog.run_watched(
                    threading.Event().wait, missing=sockets.missing, remedy="`neurosweep resume it`"
                )
        assert "neurosweep resume it" in str(caught.value)
