"""The sweep's memory: one Optuna study that hands out, judges and remembers every trial.

Ray may be killed at any moment: whatever is known of a trial is in the study, so that a fresh driver goes on
from it. Ray's own restore is not used (`shared/design.md`, sections 4 and 9).
"""

import logging
import warnings
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from neurosweep.config import SweepConfig
from neurosweep.experiments import Experiment, import_callable
from neurosweep.naming import Failure
from neurosweep.records import TrialRecord
from neurosweep.search.ahead import AskAhead
from neurosweep.search.beginning import lay_down
from neurosweep.search.drawing import draw_again, is_drawn
from neurosweep.search.duplicates import TriedConfigurations, end_as
from neurosweep.search.earlier import EarlierTrials
from neurosweep.search.judging import Judge
from neurosweep.search.pinned import PinnedTrial, Space
from neurosweep.search.population.segment import Segment
from neurosweep.search.samplers import build_pruner, build_sampler, proposals_ahead
from neurosweep.search.sampling_view import SamplingView
from neurosweep.search.seeds import derive_seed
from neurosweep.search.trial_records import (
    MEMORY_CONSTRAINT,
    Attribute,
    count,
    epoch_attribute,
    own_trials,
    status_of,
    to_record,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Assignment:
    """A trial to run.

    Args:
        number: The trial's number in the study.
        parameters: Searched values by dotted name.
        seed: Seed of the trial.
        segment: Of a population's member, the epochs to run; None for a whole trial.
    """

    number: int
    parameters: Mapping[str, Any]
    seed: int
    segment: Segment | None = None


class SweepMemory:
    """Hands out trials and keeps what becomes of them.

    Args:
        study: The sweep's study.
        experiment: Gives the space, the objectives, the constraints and what is judged.
        config: Gives the number of trials, the sampler, the pruner, the pinned values and the seed.
        earlier: Trials of earlier sweeps to start from; only a sweep that has not begun takes them up.
    """

    def __init__(
        self,
        study: optuna.Study,
        experiment: Experiment,
        config: SweepConfig,
        earlier: EarlierTrials | None = None,
    ) -> None:
        self.study = study
        self.objectives = experiment.objectives
        self.max_epochs = int(config.trainer.get("max_epochs", 1))
        self._config = config
        self._constraints = experiment.constraints
        self._space: Space = import_callable(experiment.space)
        self._live: dict[int, optuna.Trial] = {}
        self._ids: dict[int, int] = {}
        self._final: dict[int, TrialRecord] = {}
        self._ahead: AskAhead | None = None
        self._settled: list[int] = []
        study.pruner = build_pruner(
            config.search, max_epochs=self.max_epochs
        )  # samplers respect its brackets
        earlier = earlier or EarlierTrials()
        lay_down(study, evidence=earlier.evidence, openings=self._openings(experiment, earlier))
        self._judge = self._make_judge(experiment)
        self._tried = TriedConfigurations(study)
        self._unfinished: deque[FrozenTrial] = deque()
        self._pick_up()

    def _openings(self, experiment: Experiment, earlier: EarlierTrials) -> list[tuple[str, dict[str, Any]]]:
        search, pins = self._config.search, self._config.pins
        published = experiment.starting_points(pins) if search.try_published else []
        openings: list[tuple[str, Mapping[str, Any]]] = [("published", values) for values in published]
        openings += earlier.openings
        return [
            (origin, {name: value for name, value in values.items() if name not in pins})
            for origin, values in openings[: search.trials]
        ]

    def _make_judge(self, experiment: Experiment) -> Judge | None:
        judged = experiment.judged
        self._judged_apart = self.objectives != (judged,)
        if judged is None:
            return None
        pruner = build_pruner(self._config.search, max_epochs=self.max_epochs)
        judge = Judge(self.study.study_name, pruner, judged.direction, self.max_epochs)
        judge.recall(self.study.get_trials(deepcopy=False))
        return judge

    def _pick_up(self) -> None:
        """Take over what an earlier driver left unfinished, and finish what it had decided or begun to draw."""
        left = [trial for trial in own_trials(self.study) if trial.state == TrialState.RUNNING]
        for frozen in left:
            trial = self._reopen(frozen)
            if Attribute.FAILURE in frozen.user_attrs:
                self._tell_failure(trial)
                continue
            if not is_drawn(frozen):
                draw_again(trial)
                self._draw(trial)
            self._unfinished.append(frozen)

    def ask_ahead(self, *, slots: int) -> None:
        """From now on have proposals ready as configured, made in a thread of its own until `release_live`.

        Args:
            slots: Trials at the same time.
        """
        ready = proposals_ahead(self._config.search, slots=slots)
        if ready:
            self._ahead = AskAhead(self._propose, ready=ready)

    def next(self) -> Assignment | None:
        """Return the next trial to run, or None when the sweep has all its trials.

        Trials that an earlier driver left unfinished come first: same number, same parameters, same seed. A
        new one that repeats a configuration ends at once (`take_settled`), unless repeats are to be run. While
        trials run, None may also mean that the sampler, asked ahead, is not ready yet.
        """
        while (trial := self._reopened() or self._new()) is not None:
            original = self._original_of(trial)
            if original is not None:
                self._settle(trial, original)
                continue
            count(trial, Attribute.ATTEMPTS)
            self._live[trial.number] = trial
            self._ids[trial.number] = trial._trial_id
            return Assignment(trial.number, dict(trial.params), trial.user_attrs[Attribute.SEED])
        return None

    def _reopened(self) -> optuna.Trial | None:
        return self._reopen(self._unfinished.popleft()) if self._unfinished else None

    def _reopen(self, frozen: FrozenTrial) -> optuna.Trial:
        return optuna.Trial(self._asking(frozen.number), frozen._trial_id)

    def _new(self) -> optuna.Trial | None:
        return self._propose() if self._ahead is None else self._ahead.take(wait=not self._live)

    def _propose(self) -> optuna.Trial | None:
        """Make a new trial in the study, unless the sweep has all its trials."""
        if not self.unstarted:
            return None
        begun = sum(one.state != TrialState.WAITING for one in self.study.get_trials(deepcopy=False))
        trial = self._asking(begun).ask()
        self._draw(trial)
        return trial

    def _draw(self, trial: optuna.Trial) -> None:
        self._space(PinnedTrial(trial, self._config.pins))
        trial.set_user_attr(Attribute.SEED, derive_seed("trial", self._config.seed, trial.number))

    def _asking(self, number: int) -> optuna.Study:
        """Return the study with the sampler of a trial; an object of its own, since two threads may ask."""
        # Hyperband shows a sampler the trials of a bracket, taken from the storage: it has no use for the view.
        seen = SamplingView if self._config.search.sampler == "gp" else optuna.Study
        return seen(
            self.study.study_name,
            self.study._storage,
            build_sampler(self._config.search, seed=self._config.seed, number=number),
            self.study.pruner,
        )

    def _original_of(self, trial: optuna.Trial) -> int | None:
        if self._config.search.duplicates == "run" or trial.user_attrs.get(Attribute.ATTEMPTS):
            return None
        return trial.user_attrs.get(Attribute.DUPLICATE_OF, self._tried.original_of(trial.params))

    def _settle(self, trial: optuna.Trial, original: int) -> None:
        end_as(trial, self._frozen(original))
        self._settled.append(trial.number)
        logger.info("trial %d: the configuration of trial %d, not run again", trial.number, original)

    def take_settled(self) -> list[int]:
        """Return the numbers of the trials that `next` has ended without a run since the last call."""
        settled, self._settled = self._settled, []
        return settled

    def count_loss(self, number: int) -> int:
        """Note that the trial's worker died, and return how often that has happened, in all drivers."""
        return count(self._live[number], Attribute.LOSSES)

    def forgive_loss(self, number: int) -> None:
        """Take a counted loss back: not the worker was lost but its node."""
        frozen = self._frozen(number)
        if frozen.state == TrialState.RUNNING:  # what has finished meanwhile needs no count any more
            count(self._live.get(number) or optuna.Trial(self.study, frozen._trial_id), Attribute.LOSSES, -1)

    def take_back(self, number: int) -> None:
        """Let `next` hand out again a trial that has not begun."""
        count(self._live[number], Attribute.ATTEMPTS, -1)
        self.hand_back(number)

    def hand_back(self, number: int) -> None:
        """Let `next` hand the trial out again."""
        del self._live[number]
        self._unfinished.append(self._frozen(number))

    def report(self, number: int, *, epoch: int, value: float, judged: float | None = None) -> bool:
        """Keep what a trial is worth after an epoch and ask the pruner.

        Args:
            number: The trial.
            epoch: Finished epoch, from 0.
            value: First objective after it.
            judged: The metric that the experiment prunes on; the first objective if it names none.

        Returns:
            Whether the trial should end here. Never after the last epoch, so that a full trial ends by itself.
        """
        judged = value if judged is None else judged
        trial = self._live[number]
        frozen = self._frozen(number)  # a resumed trial reports again what it trains again
        if len(self.objectives) == 1 and epoch + 1 not in frozen.intermediate_values:
            trial.report(value, step=epoch + 1)  # TPE ranks pruned trials by it
        if self._judged_apart and epoch_attribute(epoch) not in frozen.user_attrs:
            trial.set_user_attr(epoch_attribute(epoch), [value, judged])
        return self._judge is not None and self._judge.judge(number, epoch=epoch, value=judged)

    def complete(
        self, number: int, values: tuple[float, ...], *, constrained: tuple[float, ...] = ()
    ) -> None:
        """Remember a full trial.

        Args:
            number: The trial.
            values: The objectives of its kept checkpoint.
            constrained: The metric of each of the experiment's constraints there.
        """
        self._constrain(number, constrained)
        self._tell(number, TrialState.COMPLETE, list(values))

    def prune(self, number: int, *, constrained: tuple[float, ...] = ()) -> None:
        """Remember a trial that was stopped early; its curve stays."""
        self._constrain(number, constrained)
        self._tell(number, TrialState.PRUNED, None)

    def fail(self, number: int, failure: Failure, message: str) -> None:
        """Remember a trial without a usable objective, and why.

        Failed trials have no value: the sampler ignores them rather than taking a penalty for data. Running out
        of memory is different. It is a property of the configuration, so it is told as a violated constraint.
        """
        trial = self._live.pop(number, None)
        if trial is None:
            return  # told already
        trial.set_user_attr(Attribute.MESSAGE, message)
        trial.set_user_attr(Attribute.FAILURE, failure.value)
        self._tell_failure(trial)

    def _tell_failure(self, trial: optuna.Trial) -> None:
        """Tell a failure that is noted already.

        Of finished trials, Optuna's samplers read the constraints of COMPLETE and PRUNED ones only, and a
        COMPLETE one needs a value, which would be an invention. TPE reads PRUNED ones; for GP see
        `SamplingView`. NSGA-II has no need of it: a trial outside the population is as good as a dominated one.
        """
        failure = Failure(trial.user_attrs[Attribute.FAILURE])
        if failure is not Failure.OUT_OF_MEMORY:
            self._finish(trial, TrialState.FAIL, None)
            return
        if MEMORY_CONSTRAINT not in trial.constraints:
            trial.set_constraint(MEMORY_CONSTRAINT, 1.0)
        self._finish(trial, TrialState.PRUNED, None)

    def _constrain(self, number: int, constrained: tuple[float, ...]) -> None:
        trial = self._live.get(number)
        if trial is None or not constrained:
            return
        known = trial.constraints
        for constraint, value in zip(self._constraints, constrained, strict=True):
            if constraint.metric not in known:
                trial.set_constraint(constraint.metric, constraint.violation(value))

    def _tell(self, number: int, state: TrialState, values: list[float] | None) -> None:
        trial = self._live.pop(number, None)
        if trial is None:
            return  # told already
        self._finish(trial, state, values)
        self._tried.add(number, trial.params)

    def _finish(self, trial: optuna.Trial, state: TrialState, values: list[float] | None) -> None:
        with warnings.catch_warnings():
            # That CMA-ES does not look at the constraint of a trial out of memory is known.
            warnings.filterwarnings("ignore", message="Constraints have been set")
            told = self.study.tell(trial, values=values, state=state, skip_if_finished=True)
        if self._judge is not None:
            self._judge.close(trial.number, state)
        logger.info("trial %d: %s %s", trial.number, status_of(told), "" if values is None else values)

    @property
    def unstarted(self) -> int:
        """How many trials have not been handed out for the first time."""
        states = [one.state for one in own_trials(self.study)]
        return max(0, self._config.search.trials - sum(state != TrialState.WAITING for state in states))

    @property
    def live(self) -> frozenset[int]:
        """Numbers of the trials handed out and not yet finished."""
        return frozenset(self._live)

    def release_live(self) -> None:
        """Give up the trials that are under way; they stay unfinished in the study, for a resume."""
        if self._ahead is not None:
            self._ahead.stop()
            self._ahead = None
        self._live.clear()

    def record(self, number: int) -> TrialRecord:
        """Return what is known of one trial; unfinished ones count as running."""
        return to_record(self._frozen(number), self._config.pins, alive=True)

    def _frozen(self, number: int) -> FrozenTrial:
        """Return Optuna's trial; one that was handed out here without walking over all the others."""
        if number in self._ids:
            return self.study._storage.get_trial(self._ids[number])
        return self.study.get_trials(deepcopy=False)[number]

    def records(self) -> list[TrialRecord]:
        """Return what is known of all trials, by number; unfinished ones not handed out are interrupted."""
        found = []
        for frozen in own_trials(self.study):
            record = self._final.get(frozen.number)
            if record is None:
                record = to_record(frozen, self._config.pins, alive=frozen.number in self._live)
            if record.status.is_final:
                self._final[record.number] = record
            found.append(record)
        return found
