"""Epochs until a good value, on recorded learning curves: our memory against random search and OptunaSearch + ASHA.

No training and no Ray cluster: `curves.npz` (made once by `record_curves.py`) has the losses of 1,500 configurations
of two problems after each of 27 epochs. A proposal is answered with the curve of the nearest configuration. Trials run
four at a time, an epoch of each in turn, as they would in four slots. Each method decides with the code that decides in
a sweep: ours with `SweepMemory` (TPE, and successive halving that tells pruned trials as pruned with their curves), the
rival with Ray's own `OptunaSearch` and `ASHAScheduler`, which tell a stopped trial as complete with its early value.
"""

import argparse
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import numpy as np
import optuna
from record_curves import BOUNDS, CURVES, LOGARITHMIC, record

SLOTS, FEWEST, REDUCTION = 4, 3, 3
"""Trials at a time; epochs before a trial may be stopped; of so many at a rung one goes on."""
LOSS = "val/loss"
NO_CONTROLLER: Any = None
"""Asynchronous successive halving asks Tune's controller nothing."""


def space(trial: Any) -> None:
    """Suggest the parameters of the recorded configurations; the search space of both searches."""
    for name, (low, high) in BOUNDS.items():
        if name == "width":
            trial.suggest_int(f"model.{name}", int(low), int(high), log=True)
        else:
            trial.suggest_float(f"model.{name}", low, high, log=name in LOGARITHMIC)


@dataclass(frozen=True)
class Recorded:
    """One problem.

    Args:
        points: Configurations scaled to [0, 1], (configurations, parameters).
        losses: Validation loss after each epoch, (configurations, epochs).
    """

    points: np.ndarray
    losses: np.ndarray

    def curve(self, parameters: dict[str, Any]) -> np.ndarray:
        """Return the losses of the configuration that is nearest to a proposal."""
        wanted = _scaled(np.array([[parameters[f"model.{name}"] for name in BOUNDS]], dtype=float))
        return self.losses[((self.points - wanted) ** 2).sum(axis=1).argmin()]


def _scaled(values: np.ndarray) -> np.ndarray:
    columns = []
    for column, (name, (low, high)) in zip(values.T, BOUNDS.items(), strict=True):
        if name in LOGARITHMIC:
            column, low, high = np.log(column), np.log(low), np.log(high)
        columns.append((column - low) / (high - low))
    return np.stack(columns, axis=1)


class Method(Protocol):
    """A search: proposes trials, hears of epochs, and says when a trial should end."""

    def propose(self) -> tuple[Any, dict[str, Any]]:
        """Return a key of the trial, and its parameters."""
        ...

    def stops(self, key: Any, finished: int, loss: float) -> bool:
        """Take the loss after so many epochs; return whether the trial ends here. Not asked after the last."""
        ...

    def complete(self, key: Any, losses: np.ndarray) -> None:
        """Take a full trial."""
        ...


class Ours:
    """`SweepMemory` over a study in memory."""

    def __init__(self, seed: int, epochs: int, *, sampler: Any, pruner: Any) -> None:
        from neurosweep.config import SearchConfig, SweepConfig
        from neurosweep.experiments import Experiment, Objective
        from neurosweep.search.memory import SweepMemory

        search = SearchConfig(
            trials=100_000,
            sampler=sampler,
            pruner=pruner,
            startup_trials=10,
            min_epochs=FEWEST,
            reduction_factor=REDUCTION,
        )
        nothing = "sample_efficiency:space"
        experiment = Experiment(
            "curves", "Recorded curves", nothing, nothing, nothing, nothing, (Objective(LOSS, "minimize"),)
        )
        config = SweepConfig("curves", f"s{seed}", seed=seed, search=search, trainer={"max_epochs": epochs})
        self._memory = SweepMemory(
            optuna.create_study(study_name=f"s{seed}", direction="minimize"), experiment, config
        )

    def propose(self) -> tuple[int, dict[str, Any]]:
        """See `Method`."""
        assignment = self._memory.next()
        assert assignment is not None
        return assignment.number, dict(assignment.parameters)

    def stops(self, key: int, finished: int, loss: float) -> bool:
        """See `Method`."""
        if self._memory.report(key, epoch=finished - 1, value=loss):
            self._memory.prune(key)
            return True
        return False

    def complete(self, key: int, losses: np.ndarray) -> None:
        """See `Method`; our trials are worth what their best epoch is, whose checkpoint is kept."""
        self._memory.report(key, epoch=len(losses) - 1, value=float(losses[-1]))
        self._memory.complete(key, (float(losses.min()),))


class OptunaSearchAndAsha:
    """Ray's searcher and scheduler, driven as Tune's controller drives them."""

    def __init__(self, seed: int, epochs: int) -> None:
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        sampler = optuna.samplers.TPESampler(seed=seed)
        self._search = OptunaSearch(space, metric=LOSS, mode="min", sampler=sampler)
        self._scheduler = ASHAScheduler(
            metric=LOSS,
            mode="min",
            grace_period=FEWEST,
            reduction_factor=REDUCTION,
            max_t=epochs + 1,  # at max_t itself it stops a winner before it has ended
        )
        self._begun = 0

    def propose(self) -> tuple[Any, dict[str, Any]]:
        """See `Method`."""
        name = f"t{self._begun}"
        self._begun += 1
        parameters = self._search.suggest(name)
        assert isinstance(parameters, dict)
        trial: Any = type("FakeTrial", (), {"trial_id": name, "status": "RUNNING"})()
        self._scheduler.on_trial_add(NO_CONTROLLER, trial)
        return trial, parameters

    def stops(self, key: Any, finished: int, loss: float) -> bool:
        """See `Method`."""
        result = {"training_iteration": finished, LOSS: loss}
        if self._scheduler.on_trial_result(NO_CONTROLLER, key, result) == "STOP":
            self._search.on_trial_complete(key.trial_id, result)
            return True
        self._search.on_trial_result(key.trial_id, result)
        return False

    def complete(self, key: Any, losses: np.ndarray) -> None:
        """See `Method`; Ray tells a trial's last value."""
        result = {"training_iteration": len(losses), LOSS: float(losses[-1])}
        self._scheduler.on_trial_complete(NO_CONTROLLER, key, result)
        self._search.on_trial_complete(key.trial_id, result)


METHODS: dict[str, Callable[[int, int], Method]] = {
    "random search": lambda seed, epochs: Ours(seed, epochs, sampler="random", pruner="none"),
    "OptunaSearch + ASHA": OptunaSearchAndAsha,
    "neurosweep, no pruning": lambda seed, epochs: Ours(seed, epochs, sampler="tpe", pruner="none"),
    "neurosweep, halving": lambda seed, epochs: Ours(
        seed, epochs, sampler="tpe", pruner="successive_halving"
    ),
    "neurosweep, hyperband": lambda seed, epochs: Ours(seed, epochs, sampler="tpe", pruner="hyperband"),
}


def epochs_to(method: Method, recorded: Recorded, good: Sequence[float], most: int) -> list[int]:
    """Return how many epochs, over all slots, a method trains until one of them has each loss; else `most`."""
    epochs = recorded.losses.shape[1]
    running: list[tuple[Any, np.ndarray, int]] = []
    reached = [most] * len(good)
    for spent in range(1, most):
        if len(running) < SLOTS:
            key, parameters = method.propose()
            running.append((key, recorded.curve(parameters), 0))
        key, curve, finished = running.pop(0) if len(running) == SLOTS else running.pop()
        finished += 1
        loss = float(curve[finished - 1])
        reached = [
            min(one, spent) if loss <= wanted else one for one, wanted in zip(reached, good, strict=True)
        ]
        if max(reached) < most:
            break
        if finished == epochs:
            method.complete(key, curve)
        elif not method.stops(key, finished, loss):
            running.append((key, curve, finished))
    return reached


def interval(values: np.ndarray, statistic: Callable[..., Any]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a statistic."""
    generator = np.random.default_rng(0)
    drawn = statistic(generator.choice(values, size=(4000, len(values))), axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def show(found: Mapping[str, np.ndarray], most: int) -> None:
    """Print a row a method: median and mean with their intervals, and how often it gave up."""
    print(f"{'':26}{'median':>8}{'95 %':>16}{'mean':>8}{'95 %':>16}{'gave up':>9}")
    for name, counts in found.items():
        middle, mean = interval(counts, np.median), interval(counts, np.mean)
        print(f"{name:26}{np.median(counts):8.0f}{middle[0]:8.0f}{middle[1]:8.0f}"
              f"{counts.mean():8.0f}{mean[0]:8.0f}{mean[1]:8.0f}{(counts == most).sum():9d}", flush=True)  # fmt: skip


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description="Epochs until a good value, on recorded learning curves.")
    parser.add_argument("--seeds", type=int, default=24, help="repetitions (default: 24)")
    parser.add_argument(
        "--good", type=float, nargs="+", default=[0.05, 0.02, 0.01], help="best shares of the configurations"
    )
    parser.add_argument(
        "--most", type=int, default=3000, help="epochs after which to give up (default: 3000)"
    )
    parser.add_argument("--json", type=Path, help="also write all figures here")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("neurosweep").setLevel(logging.WARNING)
    warnings.simplefilter("ignore")
    if not CURVES.exists():
        print("recording the learning curves once: about three minutes", flush=True)
        record()
    content = np.load(CURVES)
    written: dict[str, Any] = {}
    for problem in ("digits", "velocities"):
        losses = content[f"{problem}_losses"].astype(float)
        recorded = Recorded(_scaled(content[f"{problem}_parameters"].astype(float)), losses)
        good = [float(one) for one in np.quantile(losses.min(axis=1), options.good)]
        found = {
            name: np.array(
                [
                    epochs_to(build(seed, losses.shape[1]), recorded, good, options.most)
                    for seed in range(options.seeds)
                ]
            )
            for name, build in METHODS.items()
        }
        for index, (share, loss) in enumerate(zip(options.good, good, strict=True)):
            print(f"\n{problem}: epochs until a loss of {loss:.4f} (best {100 * share:g} %)")
            show({name: counts[:, index] for name, counts in found.items()}, options.most)
        written[problem] = {"good": good, **{name: counts.tolist() for name, counts in found.items()}}
    if options.json is not None:
        options.json.write_text(json.dumps(written, indent=2) + "\n")


if __name__ == "__main__":
    main()
