"""A trial with several workers: a Tune trainable that runs Ray Train and hands its reports on, one at a time."""

import concurrent.futures
import json
import logging
import os
import time
from dataclasses import asdict
from typing import Any

import ray
import ray.train
from ray import tune
from ray.exceptions import OutOfMemoryError, RayError
from ray.train.torch import TorchConfig, TorchTrainer
from ray.util.placement_group import (
    get_current_placement_group,
    placement_group_table,
    remove_placement_group,
)

from neurosweep.layout import SweepFolder
from neurosweep.trials.run import ENDING, run_trial
from neurosweep.trials.setup import TrialSetup, WorkerRank
from neurosweep.trials.switchboard import start_switchboard

logger = logging.getLogger(__name__)

_TAKE_SECONDS = 1.0
"""How long to wait for a report before looking whether the workers still live."""
_LOOK_SECONDS = 0.1
"""How often to look whether workers that are leaving have left."""
_STOP_SECONDS = 50.0
"""How long workers may take to leave."""

_TRAIN_ENVIRONMENT = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # how soon the end of a worker is noticed; 2 s by default
    # Each costs a process or a thread a trial, and nothing here asks them.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
}


def distributed_trainable(setup: TrialSetup, data: Any) -> Any:
    """Return a Tune trainable for trials with several workers.

    It reserves next to nothing, since it only waits: CPUs and GPUs are the workers' alone.

    Args:
        setup: What all trials share.
        data: What the experiment's `load` returned.
    """
    shared = tune.with_parameters(
        DistributedTrial, setup=setup, data=[ray.put(data)], switchboard=start_switchboard()
    )
    return tune.with_resources(shared, {"cpu": 0.0, "memory": 2.0**20})


class DistributedTrial(tune.Trainable):
    """A trial whose workers train by DDP, as a Tune trainable.

    A step returns the next report of rank 0, which waits for the answer before it goes on: the trial is pruned
    after the same epoch, with the same checkpoint, as one with a single worker. A stopped trial lets its workers
    leave by themselves, so that Ray Train frees their placement group.
    """

    def setup(  # pyright: ignore[reportIncompatibleMethodOverride], `with_parameters` adds arguments
        self, config: dict[str, Any], setup: TrialSetup, data: list[ray.ObjectRef], switchboard: Any
    ) -> None:
        """Take what all trials share; Tune calls this once a process.

        Args:
            config: `number`, `parameters` and `seed` of an `Assignment`.
            setup: What all trials share.
            data: Reference to what the experiment's `load` returned, in a list: only the workers fetch it.
            switchboard: The sweep's `Switchboard`.
        """
        self._shared = {"setup": setup, "data": data, "switchboard": switchboard}
        self._run: _TrainRun | None = None

    def step(self) -> dict[str, Any]:
        """Let the workers go on, and return their next report.

        Raises:
            ray.train.TrainingFailedError: If a worker's process died.
        """
        if self._run is None:
            self._run = _TrainRun(name=self.trial_id, job={**self._shared, "assignment": dict(self.config)})
        else:
            self._run.answer(go_on=True)
        result = self._run.next()
        if ENDING in result:
            self._run.finish()
            self._run = None
        return result

    def ping(self) -> None:
        """Do nothing; the caller learns that the process lives."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Make room for the next trial."""
        self.cleanup()
        return True

    def cleanup(self) -> None:
        """Let the workers leave."""
        run, self._run = self._run, None
        if run is not None:
            run.stop()


class _TrainRun:
    """One run of Ray Train, in a thread: one attempt of one trial.

    Args:
        name: Of the run, unique.
        job: What the workers are given: `setup`, `data`, `switchboard` and `assignment`.
    """

    def __init__(self, *, name: str, job: dict[str, Any]) -> None:
        for variable, value in _TRAIN_ENVIRONMENT.items():
            os.environ.setdefault(variable, value)
        setup: TrialSetup = job["setup"]
        self._name = name
        self._switchboard = job["switchboard"]
        ray.get(self._switchboard.open.remote(name, ray.get_runtime_context().current_actor))
        trainer = TorchTrainer(
            _work,
            train_loop_config={**job, "run": name},
            torch_config=TorchConfig(backend=_backend(setup.gpus)),
            scaling_config=ray.train.ScalingConfig(
                num_workers=setup.workers, use_gpu=setup.gpus > 0, resources_per_worker=_resources(setup)
            ),
            run_config=ray.train.RunConfig(
                name=name,
                storage_path=str(SweepFolder(setup.sweep_root).ray / "train"),
                # The study hands a lost trial out again, with its workers on whatever nodes there are then.
                failure_config=ray.train.FailureConfig(max_failures=0),
            ),
        )
        pool = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="train")
        self._ended = pool.submit(trainer.fit)
        pool.shutdown(wait=False)

    def next(self) -> dict[str, Any]:
        """Wait for the next report.

        Raises:
            ray.train.TrainingFailedError: If a worker's process died.
            ray.exceptions.OutOfMemoryError: If Ray ended it because memory ran out.
            RuntimeError: If the workers left without a word.
        """
        while True:
            ended = self._ended.done()  # before asking for a report, which may be a last word
            result: Any = ray.get(self._switchboard.take.remote(self._name, 0.0 if ended else _TAKE_SECONDS))
            if result is not None:
                return result
            if ended:
                error = self._ended.exception() or RuntimeError("The workers left without a word.")
                raise _out_of_memory(error) or error

    def answer(self, *, go_on: bool) -> None:
        """Answer the report that rank 0 waits with."""
        ray.get(self._switchboard.answer.remote(self._name, go_on))

    def stop(self) -> None:
        """Let the workers leave, if they have not."""
        if not self._ended.done():
            self.answer(go_on=False)
        self.finish()

    def finish(self) -> None:
        """Wait until the workers have left and their placement group is free, or free it by force.

        Ray Train's own thread may take another 12 s to end, which nothing has to wait for.
        """
        held: Any = ray.get(self._switchboard.occupied.remote(self._name))
        deadline = time.monotonic() + _STOP_SECONDS
        while not (self._ended.done() or _is_removed(held)):
            if time.monotonic() > deadline:
                logger.error("the workers of run %s do not leave; they are ended", self._name)
                if held is not None:
                    remove_placement_group(held)
                break
            concurrent.futures.wait([self._ended], timeout=_LOOK_SECONDS)
        ray.get(self._switchboard.close.remote(self._name))


def _work(job: dict[str, Any]) -> None:
    """Run a trial on one of its workers."""
    from neurosweep.trials.ranks import from_rank_0

    context = ray.train.get_context()
    worker = WorkerRank(rank=context.get_world_rank(), world_size=context.get_world_size())
    run, switchboard = job["run"], job["switchboard"]

    def send(result: dict[str, Any]) -> None:
        go_on = _ask(switchboard, run, result) if worker.leads else None
        if not from_rank_0(go_on):
            raise SystemExit(0)

    if worker.leads:
        ray.get(switchboard.occupy.remote(run, get_current_placement_group()))
    try:
        ending = run_trial(
            job["assignment"], setup=job["setup"], data=ray.get(job["data"][0]), send=send, worker=worker
        )
    except SystemExit:
        return
    failed = ending.values is None
    if worker.leads or failed:
        ray.get(switchboard.post.remote(run, _as_strings({ENDING: asdict(ending)})))
    if failed:
        # The others may wait for this worker in the middle of a step. An error makes Ray Train end them.
        raise RuntimeError(f"rank {worker.rank}: {ending.message}")


def _ask(switchboard: Any, run: str, result: dict[str, Any]) -> bool:
    """Report, and return whether to go on: not where the driver or the trainable is gone."""
    try:
        return ray.get(switchboard.ask.remote(run, _as_strings(result)))
    except RayError:
        logger.warning("nobody answers for run %s", run, exc_info=True)
        return False


def _as_strings(result: dict[str, Any]) -> dict[str, str]:
    return {key: json.dumps(value) for key, value in result.items()}


def _out_of_memory(error: BaseException) -> OutOfMemoryError | None:
    """Dig out why Ray ended a worker, which Ray Train wraps."""
    for failure in getattr(error, "worker_failures", {}).values():
        cause = getattr(failure, "health_check_failure", failure)
        if isinstance(cause, OutOfMemoryError):
            return cause
    return None


def _is_removed(placement_group: Any) -> bool:
    return placement_group is not None and placement_group_table(placement_group).get("state") == "REMOVED"


def _backend(gpus: float) -> str:
    """NCCL refuses two ranks on one GPU, which a fraction allows."""
    return "nccl" if gpus >= 1 else "gloo"


def _resources(setup: TrialSetup) -> dict[str, float]:
    resources = {"CPU": setup.cpus}
    return {**resources, "GPU": setup.gpus} if setup.gpus else resources
