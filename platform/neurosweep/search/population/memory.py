"""The memory of a population: hands out segments, and decides between generations.

One Optuna trial is one member over its whole life, and one MLflow run mirrors it. A member's curve is what it
scored itself, epoch by epoch; its kept checkpoint is the best epoch of that curve, also where its later weights
were copied from another member. So the kept checkpoint gives the logged value again.
"""

import logging

import optuna
from optuna.trial import FrozenTrial, TrialState

from neurosweep.config import SweepConfig
from neurosweep.experiments import Experiment, import_callable
from neurosweep.layout import SweepFolder
from neurosweep.naming import Failure, Status
from neurosweep.records import TrialRecord
from neurosweep.search.memory import Assignment
from neurosweep.search.pinned import PinnedTrial, Space
from neurosweep.search.population.decisions import Standing, Step, decide
from neurosweep.search.population.files import (
    drop_generation_checkpoints,
    write_kept_config,
    write_lineages,
)
from neurosweep.search.population.history import observations
from neurosweep.search.population.initial import initial_population
from neurosweep.search.population.lineage import epochs_of
from neurosweep.search.population.log import (
    Generation,
    PopulationHead,
    PopulationLog,
    SegmentEnd,
    read_population,
)
from neurosweep.search.population.segment import Segment
from neurosweep.search.seeds import derive_seed
from neurosweep.search.trial_records import Attribute, count, records_of, to_record

logger = logging.getLogger(__name__)

_HANDED_OUT = "generation_handed_out"


class PopulationMemory:
    """Hands out the segments of a population and keeps what becomes of them.

    Args:
        study: The sweep's study.
        experiment: Gives the space, what of it may change, and the objectives.
        config: Gives the members, the method, the pinned values and the seed.
        folder: Where the log of the population lies.
    """

    def __init__(
        self, study: optuna.Study, experiment: Experiment, config: SweepConfig, folder: SweepFolder
    ) -> None:
        self.study = study
        self.objectives = experiment.objectives
        self.max_epochs = int(config.trainer.get("max_epochs", 1))
        self._config = config
        self._folder = folder
        self._space: Space = import_callable(experiment.space)
        self._initial = initial_population(config, experiment)
        self._log = PopulationLog(folder.population)
        self._running: set[int] = set()
        self._released = False
        found, generations = read_population(folder.population)
        self._head = found or self._begin(experiment)
        if not generations:
            steps = tuple(Step(number, None, values) for number, values in enumerate(self._initial.members))
            self._log.append(steps, generation=0)
            generations = [Generation(0, {step.member: step for step in steps}, {})]
        self._generations = generations
        self._enqueue()
        self._trials: dict[int, optuna.Trial] = {
            frozen.number: optuna.Trial(study, frozen._trial_id)
            for frozen in study.get_trials(deepcopy=False)
            if frozen.state == TrialState.RUNNING
        }
        self._settle()

    def _begin(self, experiment: Experiment) -> PopulationHead:
        config = self._config
        assert config.population.method is not None
        head = PopulationHead(
            method=config.population.method,
            generation_epochs=config.population.generation_epochs,
            max_epochs=self.max_epochs,
            data_seed=derive_seed("population data", config.seed),
            seeds=tuple(derive_seed("trial", config.seed, number) for number in range(config.search.trials)),
            mutable=tuple(self._initial.distributions),
        )
        self._log.append(head)
        return head

    def _enqueue(self) -> None:
        """Put the members that are missing into the study, with all their values."""
        for number in range(len(self.study.get_trials(deepcopy=False)), len(self._head.seeds)):
            origin = "published" if number < self._initial.published else "sampled"
            self.study.enqueue_trial(
                dict(self._initial.members[number]), user_attrs={Attribute.ORIGIN: origin}
            )

    @property
    def _now(self) -> Generation:
        return self._generations[-1]

    def next(self) -> Assignment | None:
        """Return a segment to run; None while others of its generation run, and when all is over.

        The last segment of a generation to end brings the decision, which is in the log before it is acted on.
        """
        if self._now.is_over and not self._is_over():
            self._decide()
        waiting = self._now.steps.keys() - self._now.ends.keys() - self._running
        if not waiting or self._is_over():
            return None
        number = min(waiting)
        trial = self._trial(number)
        self._count_attempt(trial)
        self._running.add(number)
        step = self._now.steps[number]
        first, until = epochs_of(self._head, self._now.number)
        return Assignment(
            number,
            dict(step.parameters),
            self._head.seeds[number],
            Segment(
                generation=self._now.number,
                first_epoch=first,
                until_epoch=until,
                source=step.source,
                adopts=step.source not in (None, number),
                data_seed=self._head.data_seed,
                explored=self._head.mutable,
            ),
        )

    def _trial(self, number: int) -> optuna.Trial:
        while number not in self._trials:
            trial = self.study.ask()  # members were enqueued in order
            self._trials[trial.number] = trial
        trial = self._trials[number]
        self._space(PinnedTrial(trial, self._config.pins))
        if Attribute.SEED not in trial.user_attrs:
            trial.set_user_attr(Attribute.SEED, self._head.seeds[number])
        return trial

    def _count_attempt(self, trial: optuna.Trial) -> None:
        """Count the first hand-out, and those that repeat a segment; going on after a decision is no attempt."""
        repeated = trial.user_attrs.get(_HANDED_OUT) == self._now.number
        if repeated or Attribute.ATTEMPTS not in trial.user_attrs:
            count(trial, Attribute.ATTEMPTS)
        if not repeated:
            trial.set_user_attr(_HANDED_OUT, self._now.number)

    def _decide(self) -> None:
        ended = self._now
        steps = decide(
            [
                Standing(one.member, one.score, ended.steps[one.member].parameters)
                for one in ended.ends.values()
            ],
            objective=self.objectives[0],
            population=self._config.population,
            distributions=self._initial.distributions,
            history=observations(self._generations, self.objectives[0]),
            generation=ended.number + 1,
            seed=self._config.seed,
        )
        self._log.append(steps, generation=ended.number + 1)
        self._generations.append(Generation(ended.number + 1, {step.member: step for step in steps}, {}))
        copies = [f"{step.member} from {step.source}" for step in steps if step.source != step.member]
        logger.info("generation %d: copies %s", ended.number + 1, ", ".join(copies) or "none")

    def count_loss(self, number: int) -> int:
        """Note that the member's worker died, and return how often that has happened, in all drivers."""
        return count(self._trials[number], Attribute.LOSSES)

    def hand_back(self, number: int) -> None:
        """Let `next` hand the member's segment out again."""
        self._running.discard(number)

    def forgive_loss(self, number: int) -> None:
        """Take a counted loss back: not the worker was lost but its node."""
        count(self._trials[number], Attribute.LOSSES, -1)

    def take_back(self, number: int) -> None:
        """Let `next` hand out again a segment that has not begun."""
        count(self._trials[number], Attribute.ATTEMPTS, -1)
        self.hand_back(number)

    def ask_ahead(self, *, slots: int) -> None:
        """Do nothing: a decision takes milliseconds."""

    def take_settled(self) -> list[int]:
        """Return nothing: every segment is run."""
        return []

    @property
    def unstarted(self) -> int:
        """How many members have not been handed out for the first time."""
        return sum(record.status is Status.WAITING for record in self.records())

    def report(self, number: int, *, epoch: int, value: float, judged: float | None = None) -> bool:
        """Keep the first objective after an epoch; members are never pruned."""
        trial = self._trials[number]
        if epoch + 1 not in self._frozen(number).intermediate_values:
            trial.report(value, step=epoch + 1)
        return False

    def complete(
        self, number: int, values: tuple[float, ...], *, constrained: tuple[float, ...] = ()
    ) -> None:
        """Remember that a member has ended its generation, with the objectives of its kept checkpoint."""
        if number in self._running:
            _, until = epochs_of(self._head, self._now.number)
            score = self._frozen(number).intermediate_values[until]
            self._end(SegmentEnd(self._now.number, number, score=score, values=tuple(values)))

    def prune(self, number: int, *, constrained: tuple[float, ...] = ()) -> None:
        """Do nothing: `report` never asks for it."""

    def fail(self, number: int, failure: Failure, message: str) -> None:
        """Remember that a member failed: the next decision replaces it by a copy, if one is alive."""
        if number in self._running:
            logger.warning("member %d failed in generation %d: %s", number, self._now.number, message)
            self._end(SegmentEnd(self._now.number, number, failure=failure.value, message=message))

    def _end(self, end: SegmentEnd) -> None:
        self._log.append(end)
        self._running.discard(end.member)
        ends = dict(self._now.ends) | {end.member: end}
        self._generations[-1] = Generation(self._now.number, self._now.steps, ends)
        self._settle()

    def _is_over(self) -> bool:
        """Whether the last generation has ended, or no member is left alive."""
        if not self._now.is_over:
            return False
        _, until = epochs_of(self._head, self._now.number)
        return until >= self._head.max_epochs or all(one.score is None for one in self._now.ends.values())

    def _settle(self) -> None:
        """Once all is over, tell the study how each member ended; a kill midway is made good by a resume."""
        if not self._is_over():
            return
        write_lineages(self._folder, self._head, self._generations)
        for number, end in sorted(self._now.ends.items()):
            if self._frozen(number).state.is_finished():
                continue
            trial = self._trial(number)
            if end.values is not None:
                kept = self._kept_parameters(number)
                trial.set_user_attr(Attribute.KEPT_PARAMETERS, kept)
                write_kept_config(self._folder.trial(number), kept)
                self.study.tell(trial, values=list(end.values), state=TrialState.COMPLETE)
            else:
                trial.set_user_attr(Attribute.FAILURE, end.failure)
                trial.set_user_attr(Attribute.MESSAGE, end.message)
                self.study.tell(trial, state=TrialState.FAIL)
        drop_generation_checkpoints(self._folder, len(self._head.seeds))

    def _kept_parameters(self, number: int) -> dict[str, object]:
        """Hyperparameters in force at the best epoch of the member's curve."""
        curve = self._frozen(number).intermediate_values
        better = self.objectives[0].better
        best = min(curve)
        for step in sorted(curve):
            best = step if better(curve[step], curve[best]) else best
        generation = self._generations[(best - 1) // self._head.generation_epochs]
        return dict(generation.steps[number].parameters)

    def _frozen(self, number: int) -> FrozenTrial:
        return self.study.get_trials(deepcopy=False)[number]

    @property
    def live(self) -> frozenset[int]:
        """Numbers of the members whose segment a worker has."""
        return frozenset(self._running)

    def release_live(self) -> None:
        """Give up the segments that are under way; a resume hands them out again."""
        self._running.clear()
        self._released = True

    def record(self, number: int) -> TrialRecord:
        """Return what is known of one member; unfinished ones count as running, between generations too."""
        return to_record(self._frozen(number), self._config.pins, alive=True)

    def records(self) -> list[TrialRecord]:
        """Return what is known of all members, by number."""
        alive = frozenset() if self._released else frozenset(self._trials)
        return list(records_of(self.study, self._config.pins, live=alive))
