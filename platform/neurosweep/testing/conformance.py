"""What every experiment must keep to, as tests that a subclass inherits.

from neurosweep.testing import ExperimentConformance

class TestLabDecoder(ExperimentConformance):
    experiment = "my_lab:EXPERIMENT"
    settings = {"data": {"trials": 64}}
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import optuna
import pytest

from neurosweep.config import SweepConfig
from neurosweep.config_files import resolve_config
from neurosweep.experiments import Experiment, find_experiment, import_callable
from neurosweep.provenance import fingerprint
from neurosweep.search.pinned import PinnedTrial
from neurosweep.sweeps.checks import check_config
from neurosweep.sweeps.preparation import read_data
from neurosweep.trials.reload import load_model, validate_model
from neurosweep.trials.run import EPOCHS, Ending, run_trial
from neurosweep.trials.setup import TrialSetup


class Killed(BaseException):
    """Ends a trial the way a lost worker does."""


class ExperimentConformance:
    """Tests of an experiment against the contract of `neurosweep.Experiment`.

    Set `experiment`, and in `settings` what makes a trial small enough for a test.
    """

    experiment: ClassVar[str]
    """Registered name or import path."""
    settings: ClassVar[Mapping[str, Any]] = {}
    """Sections `model`, `data` and `trainer` of a small trial."""
    epochs: ClassVar[int] = 3
    """Epochs of the trials that are run."""

    @pytest.fixture
    def config(self) -> SweepConfig:
        """The sweep's configuration."""
        overrides = {**self.settings, "name": "conformance"}
        overrides["trainer"] = {**overrides.get("trainer", {}), "max_epochs": self.epochs}
        return resolve_config(self.experiment, overrides)

    @pytest.fixture
    def found(self) -> Experiment:
        """The experiment."""
        return find_experiment(self.experiment)

    def test_space_and_published_values_fit_the_constructors(
        self, config: SweepConfig, found: Experiment
    ) -> None:
        """Every suggested, pinned and published name is an argument, of the right type."""
        check_config(config, found)

    def test_what_the_experiment_names_can_be_imported(self, found: Experiment) -> None:
        """A mistyped path would be met when a search has ended."""
        for path in (found.evaluate, found.decode, found.figures, found.inspect):
            if path is not None:
                import_callable(path)

    def test_space_depends_on_its_trial_alone(self, config: SweepConfig, found: Experiment) -> None:
        """A space that draws by itself, or remembers, makes a sweep that cannot be resumed."""
        space = import_callable(found.space)
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        for _ in range(8):
            trial = study.ask()
            space(PinnedTrial(trial, config.pins))
            again = optuna.trial.FixedTrial(trial.params)
            space(PinnedTrial(again, config.pins))
            assert again.params == trial.params
            assert again.distributions == trial.distributions

    def test_published_values_lie_in_the_space(self, found: Experiment) -> None:
        """Published values outside the space would be drawn anew, and the reproduction be lost."""
        space = import_callable(found.space)
        for values in found.published_values():
            trial = optuna.trial.FixedTrial(values)
            space(trial)
            assert trial.params == values
            outside = [
                name
                for name, distribution in trial.distributions.items()
                if not distribution._contains(distribution.to_internal_repr(values[name]))
            ]
            assert not outside, f"outside the space: {outside}"

    def test_data_is_the_same_each_time_it_is_read(self, config: SweepConfig, found: Experiment) -> None:
        """The data hash in MLflow must mean something."""
        assert fingerprint(read_data(config, found)) == fingerprint(read_data(config, found))

    def test_a_trial_reports_a_finite_objective_each_epoch(
        self, config: SweepConfig, found: Experiment, tmp_path: Path
    ) -> None:
        """A trial runs to its end, and its data is left as it was."""
        data = read_data(config, found)
        before = fingerprint(data)
        ending, reports = self._run(config, found, tmp_path, data)
        assert ending.failure is None, ending.message
        assert [report["epoch"] for report in reports] == list(range(self.epochs))
        assert all(math.isfinite(value) for report in reports for value in report["objectives"])
        assert fingerprint(data) == before, "the trial changed the shared data"

    def test_a_resumed_trial_repeats_an_undisturbed_one(
        self, config: SweepConfig, found: Experiment, tmp_path: Path
    ) -> None:
        """Killed after its first epoch and resumed, a trial reports what it would have reported."""
        data = read_data(config, found)
        _, undisturbed = self._run(config, found, tmp_path / "undisturbed", data)
        with pytest.raises(Killed):
            self._run(config, found, tmp_path / "killed", data, kill_after=0)
        _, resumed = self._run(config, found, tmp_path / "killed", data)
        expected = {report["epoch"]: report["objectives"][0] for report in undisturbed}
        assert {report["epoch"]: report["objectives"][0] for report in resumed} == pytest.approx(expected)

    def test_the_kept_checkpoint_gives_the_reported_metrics_again(
        self, config: SweepConfig, found: Experiment, tmp_path: Path
    ) -> None:
        """The checkpoint loads without pickled code, and validates to what was logged at its epoch."""
        data = read_data(config, found)
        _, reports = self._run(config, found, tmp_path, data)
        checkpoint = self._setup(config, found, tmp_path, data).folder(0).best_checkpoint
        assert checkpoint is not None
        assert not load_model(checkpoint).training
        best = reports[reports[-1]["best_epoch"]]
        logged = {key: value for key, value, *_ in best["points"] if key.startswith("val/")}
        assert validate_model(checkpoint) == pytest.approx(logged, rel=1e-5, abs=1e-5)

    def _setup(self, config: SweepConfig, found: Experiment, root: Path, data: Any) -> TrialSetup:
        return TrialSetup(
            experiment=found,
            sweep_root=root,
            fixed={"model": config.model, "data": config.data, "trainer": config.trainer},
            data_hash=fingerprint(data),
            cpus=1,
            gpus=0,
        )

    def _run(
        self, config: SweepConfig, found: Experiment, root: Path, data: Any, *, kill_after: int | None = None
    ) -> tuple[Ending, list[dict[str, Any]]]:
        """Run a trial with the published values, or drawn ones."""
        reports: list[dict[str, Any]] = []

        def send(result: dict[str, Any]) -> None:
            reports.extend(json.loads(json.dumps(result[EPOCHS])))
            if kill_after is not None and len(reports) > kill_after:
                raise Killed

        assignment = {"number": 0, "parameters": self._parameters(config, found), "seed": 1}
        setup = self._setup(config, found, root, data)
        return run_trial(assignment, setup=setup, data=data, send=send), reports

    def _parameters(self, config: SweepConfig, found: Experiment) -> dict[str, Any]:
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
        for values in found.published_values()[:1]:
            study.enqueue_trial({name: one for name, one in values.items() if name not in config.pins})
        trial = study.ask()
        import_callable(found.space)(PinnedTrial(trial, config.pins))
        return dict(trial.params)
