"""The pruner's verdicts, over a view of the sweep in which the judged metric is the one objective."""

from collections.abc import Iterable
from typing import Literal

import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState

from neurosweep.search.trial_records import Attribute, judged_curve


class Judge:
    """Asks one of Optuna's pruners whether a trial should end early.

    Optuna has no pruning for several objectives, none on another metric than the objective, and forgets a
    verdict that was not carried out: successive halving notes a rung as passed before it answers, so a driver
    that is killed in between would let a trial go that should have ended. So the judged curves are kept in a
    study in memory with a single objective, which is rebuilt from the sweep's study in every driver.

    Args:
        study_name: Name of the sweep's study; Hyperband assigns trials to brackets by it.
        pruner: Optuna's pruner.
        direction: Of the judged metric.
        max_epochs: Epochs of a full trial.
    """

    def __init__(
        self,
        study_name: str,
        pruner: BasePruner,
        direction: Literal["maximize", "minimize"],
        max_epochs: int,
    ) -> None:
        self._max_epochs = max_epochs
        self._study = optuna.create_study(
            study_name=study_name,
            pruner=pruner,
            direction=direction,
            sampler=optuna.samplers.RandomSampler(seed=0),
        )
        self._trials: list[optuna.Trial] = []
        self._latest: dict[int, tuple[int, bool]] = {}

    def recall(self, trials: Iterable[FrozenTrial]) -> None:
        """Take up what the study knows, the finished trials first: they competed with the unfinished ones.

        Duplicates are left out: the same curve twice would weigh twice.
        """
        known = [trial for trial in trials if Attribute.DUPLICATE_OF not in trial.user_attrs]
        for trial in sorted(known, key=lambda one: (not one.state.is_finished(), one.number)):
            for epoch, value in judged_curve(trial).items():
                self.judge(trial.number, epoch=epoch, value=value)
            if trial.state.is_finished():
                self.close(trial.number, trial.state)

    def judge(self, number: int, *, epoch: int, value: float) -> bool:
        """Say whether a trial should end after an epoch; asked again for an epoch, repeat the verdict.

        Args:
            number: The trial's number in the sweep's study.
            epoch: Finished epoch, from 0.
            value: The judged metric after it.

        Returns:
            Never True after the last epoch, so that a full trial ends by itself.
        """
        latest, verdict = self._latest.get(number, (-1, False))
        if epoch <= latest:
            return verdict and epoch == latest  # it went on after every epoch before the latest
        trial = self._counterpart(number)
        trial.report(value, step=epoch + 1)
        verdict = epoch + 1 < self._max_epochs and bool(trial.should_prune())
        self._latest[number] = (epoch, verdict)
        return verdict

    def close(self, number: int, state: TrialState) -> None:
        """Note that a trial has ended; the median is taken over completed ones."""
        values = 0.0 if state == TrialState.COMPLETE else None  # pruners look at the curve alone
        self._study.tell(self._counterpart(number), values, state=state, skip_if_finished=True)

    def _counterpart(self, number: int) -> optuna.Trial:
        while len(self._trials) <= number:
            self._trials.append(self._study.ask())
        return self._trials[number]
