"""The command line, with a SIGKILL of its own process planted in it: `killing_driver.py POINT -- launch ...`.

A point is `MOMENT TARGET CALL`, such as `after Study.ask 2`; `told` sends SIGTERM and `full` fills the disk instead.
Nothing in the platform knows of this: the methods are wrapped from here. With `--serve` the process imports
everything once and forks a driver for each line of its standard input; those drivers train in their own process
instead of in Ray's, so that a kill costs a second or two.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

TARGETS = {
    "Study.enqueue_trial": "optuna:Study",
    "Study.ask": "optuna:Study",
    "Study.tell": "optuna:Study",
    "PinnedTrial.suggest_int": "neurosweep.search.pinned:PinnedTrial",
    "Trial.set_user_attr": "optuna:Trial",
    "Trial.report": "optuna:Trial",
    "SweepJournal.append_logs": "neurosweep.search.study:SweepJournal",
    "JournalFileSymlinkLock.acquire": "optuna.storages.journal:JournalFileSymlinkLock",
    "SweepEvents.announce": "neurosweep.sweeps.events:SweepEvents",
    "SweepEvents.reported": "neurosweep.sweeps.events:SweepEvents",
    "SweepMemory.report": "neurosweep.search.memory:SweepMemory",
    "SweepMemory.prune": "neurosweep.search.memory:SweepMemory",
    "SweepMemory.complete": "neurosweep.search.memory:SweepMemory",
    "Outbox.append": "neurosweep.tracking.outbox:Outbox",
    "Outbox._write": "neurosweep.tracking.outbox:Outbox",
    "Delivery.save": "neurosweep.tracking.delivery:Delivery",
    "Mirror.open_sweep": "neurosweep.tracking.mirror:Mirror",
    "Mirror.close_sweep": "neurosweep.tracking.mirror:Mirror",
    "Courier.drain": "neurosweep.tracking.courier:Courier",
    "MlflowClient.create_run": "mlflow:MlflowClient",
    "MlflowClient.log_batch": "mlflow:MlflowClient",
    "MlflowClient.log_artifact": "mlflow:MlflowClient",
    "MlflowClient.create_logged_model": "mlflow:MlflowClient",
    "MlflowClient.log_model_artifacts": "mlflow:MlflowClient",
    "MlflowClient.finalize_logged_model": "mlflow:MlflowClient",
    "MlflowClient.log_outputs": "mlflow:MlflowClient",
    "MlflowClient.set_terminated": "mlflow:MlflowClient",
    "Strategy.save_checkpoint": "pytorch_lightning.strategies:Strategy",
    "Path.replace": "pathlib:Path",
    "closing.write_csv": "neurosweep.sweeps.closing",
    "closing.write_figures": "neurosweep.sweeps.closing",
    "closing.write_report": "neurosweep.sweeps.closing",
}
"""Where each target is found."""

_IN_LAUNCH = {
    "launch.write_json": "neurosweep.sweeps.launch",
    "launch.write_atomically": "neurosweep.sweeps.launch",
    "drive.open_study": "neurosweep.sweeps.drive",
}
TARGETS |= _IN_LAUNCH

TORN = ("SweepJournal.append_logs", "Outbox._write")
"""Targets that can also be killed in the middle of their line."""


_ARMED = threading.Event()
"""Set once the sweep's own study is about to be opened."""


def arm() -> None:
    """Let calls count from the opening of the sweep's study on."""
    from neurosweep.sweeps import drive

    open_study = drive.open_study

    def open_armed(*arguments: Any, **keywords: Any) -> Any:
        _ARMED.set()
        return open_study(*arguments, **keywords)

    drive.open_study = open_armed


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def plant(point: str) -> None:
    """Wrap the target of a point so that this process dies there."""
    moment, target, call = point.split()
    wrap(target, lambda count: count == int(call), moment)


def wrap(target: str, strikes: Callable[[int], bool], moment: str) -> None:
    """Wrap a target; at a call whose number strikes, the process dies before, after or in the middle of it."""
    module, _, kind = TARGETS[target].partition(":")
    owner = importlib.import_module(module)
    owner = getattr(owner, kind) if kind else owner
    name = target.partition(".")[2]
    original = getattr(owner, name)
    calls: Counter[str] = Counter()

    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        if target not in _IN_LAUNCH and not _ARMED.is_set():
            return original(*arguments, **keywords)  # the checks before a launch ask a study of their own
        calls[name] += 1
        struck = strikes(calls[name])
        if struck and moment == "before":
            die()
        if struck and moment == "amid":
            tear(*arguments)
        if struck and moment == "full":
            fill_disk(os.environ["CHAOS_BALLAST"])
        if struck and moment == "told":
            os.kill(os.getpid(), signal.SIGTERM)
        result = original(*arguments, **keywords)
        if struck and moment == "after":
            die()
        return result

    setattr(owner, name, wrapped)


def tear(writer: Any, content: Any) -> None:
    """Write the first half of what was to be written, then die."""
    if not isinstance(content, bytes):
        content = json.dumps(content[0]).encode()
    path = getattr(writer, "_path", None) or writer._file_path
    with open(path, "ab") as file:
        file.write(content[: len(content) // 2])
    die()


def fill_disk(ballast: str) -> None:
    """Leave no free block on the disk of a file."""
    with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def trace(path: str) -> None:
    """Count the calls of every target, and write the counts down at the end of this process."""
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def counting(target: str) -> Callable[[int], bool]:
        def strikes(count: int) -> bool:
            with lock:
                counts[target] = count
            return False

        return strikes

    for target in TARGETS:
        wrap(target, counting(target), "before")
    import atexit

    def write() -> None:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(counts, file)

    atexit.register(write)


def without_ray() -> None:
    """Let trials run in the driver's process, one after another, through the same searcher and scheduler."""
    from neurosweep.sweeps import drive, launch
    from neurosweep.sweeps.capacity import Capacity, Node

    @contextlib.contextmanager
    def no_cluster(address: str, **options: Any) -> Iterator[Capacity]:
        yield Capacity((Node(1.0),), where="this process")

    launch.ray_cluster = no_cluster
    drive.NodeWatch = lambda resources: SimpleNamespace(slots=lambda: 1)
    drive.cluster_sockets = lambda: SimpleNamespace(missing=lambda: None)
    drive._tune = tune_inline


def tune_inline(prepared: Any, memory: Any, events: Any, stop: Any, watcher: Any, nodes: Any) -> None:
    """Stand in for Tune."""
    from ray.tune.schedulers import TrialScheduler
    from ray.tune.search import Searcher

    from neurosweep.sweeps.tuning import StudyScheduler, StudySearcher
    from neurosweep.trials.run import ENDING, run_trial
    from neurosweep.trials.setup import Pace, TrialSetup

    config = prepared.config
    setup = TrialSetup(
        experiment=prepared.experiment,
        sweep_root=prepared.folder.root,
        fixed={"model": config.model, "data": config.data, "trainer": config.trainer},
        data_hash=prepared.data_hash,
        cpus=1.0,
        gpus=0.0,
        pace=Pace().in_step(),  # every epoch is written and reported, so that every call can be the fatal one
    )
    searcher, scheduler = StudySearcher(memory, events, stop, nodes.slots), StudyScheduler(events)
    while not stop.stop_all():
        assignment = searcher.suggest("inline")
        if assignment is None or assignment == Searcher.FINISHED:
            return
        trial: Any = SimpleNamespace(config=assignment)

        def send(result: dict[str, Any], trial: Any = trial) -> None:
            texts = {key: json.dumps(value) for key, value in result.items()}
            decision = scheduler.on_trial_result(None, trial, texts)
            if decision == TrialScheduler.STOP or stop.stop_all():
                raise SystemExit

        try:
            ending = run_trial(assignment, setup=setup, data=prepared.data, send=send)
        except SystemExit:
            continue
        scheduler.on_trial_result(None, trial, {ENDING: json.dumps(asdict(ending))})
        watcher.on_step_end(0, [])


def serve() -> None:
    """Fork a driver for each request, and answer with its exit status.

    A request holds `arguments`, `folder`, `output` and, if wanted, `point`, `trace`, `environment` and `wait`.
    """
    for name in ("mlflow", "plotly.graph_objects", "pytorch_lightning", "neurosweep.commands"):
        importlib.import_module(name)
    sys.path.insert(0, "")
    without_ray()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(drive_forked(request))
        print(json.dumps({"pid": child}), flush=True)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


def drive_forked(request: dict[str, Any]) -> int:
    os.setsid()
    os.chdir(request["folder"])
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.environ.update(request.get("environment", {}))
    arm()
    if request.get("trace"):
        trace(request["trace"])
    if request.get("point"):
        plant(request["point"])
    from neurosweep.cli import main

    try:
        code = main(request["arguments"])
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 70
    if request.get("trace"):
        import atexit

        atexit._run_exitfuncs()
    sys.stdout.flush()
    return code


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve()
    else:
        marker = sys.argv.index("--")
        arm()
        for one in sys.argv[1:marker]:
            plant(one)
        from neurosweep.cli import main

        sys.exit(main(sys.argv[marker + 1 :]))
