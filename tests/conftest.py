"""What all tests share: a quiet environment, the README's own model as an experiment, and sweeps of it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import optuna
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from xdist.scheduler import LoadScopeScheduling

# Before anything imports ray or torch. A Ray that a test starts is reached from this machine only, and one
# thread a process keeps numbers and times steady on two cores.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

ROOT = Path(__file__).resolve().parents[1]
RECORDINGS = ROOT.parent / "shared" / "data"
PATIENCE_SECONDS = 240.0


@dataclass(frozen=True)
class Bench:
    """A folder in which sweeps are run: the command line in a process of its own, real Ray, real MLflow on SQLite.

    MLflow and Optuna are imported where they are used: tests of the models should not wait for them.
    """

    folder: Path

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "neurosweep.cli", *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command in a process group of its own, as a shell would."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "COLUMNS": "200"},
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run a command to its end; return exit code and output."""
        process = self.start(*arguments)
        try:
            output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode, output

    def stop_midway(self, process: subprocess.Popen[str], ready: Callable[[], bool], number: int) -> int:
        """Send a signal to the driver alone once `ready`; return its exit code."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not ready():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "the sweep never got that far"
            time.sleep(0.05)
        process.send_signal(number)
        process.communicate(timeout=PATIENCE_SECONDS)
        return process.returncode

    @property
    def storage(self) -> Path:
        return self.folder / "neurosweep-runs"

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.storage / 'mlflow.db'}"

    def trial_file(self, sweep: str, number: int, name: str) -> Path:
        return self.storage / sweep / "trials" / f"{number:04d}" / name

    def study(self, sweep: str) -> "optuna.Study":
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        journal = JournalFileBackend(str(self.storage / sweep / "study.journal"))
        return optuna.load_study(study_name=sweep, storage=JournalStorage(journal))

    def epochs_done(self, sweep: str) -> int:
        """Epochs in the outboxes of a sweep's trials so far."""
        return sum(
            file.read_text(encoding="utf-8").count('"cost/epoch_seconds"')
            for file in self.storage.glob(f"{sweep}/trials/*/metrics.jsonl")
        )

    def client(self) -> "MlflowClient":
        from mlflow import MlflowClient

        return MlflowClient(self.uri)

    def runs(self, sweep: str, kind: str) -> "list[Run]":
        client = self.client()
        experiments = [one.experiment_id for one in client.search_experiments()]
        query = f"tags.`neurosweep.sweep` = '{sweep}' and tags.`neurosweep.kind` = '{kind}'"
        return list(client.search_runs(experiments, query, max_results=1000))

    def trials(self, sweep: str) -> "dict[int, Run]":
        """The trials' runs by number; two runs of one trial are an error."""
        runs = self.runs(sweep, "trial")
        by_number = {int(run.data.tags["neurosweep.trial"]): run for run in runs}
        assert len(by_number) == len(runs), "a trial has two runs"
        return by_number

    def history(self, run: "Run", key: str) -> list[tuple[int, float]]:
        points = self.client().get_metric_history(run.info.run_id, key)
        return sorted((point.step, point.value) for point in points)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "LoadScopeScheduling":
    """Keep the tests of a folder on one worker: what they share is then made once.

    The marks that xdist 3.8 has for this do nothing under pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFolder(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid.split("/")[1]

    return ByFolder(config, log)


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def lab_source() -> str:
    """The template of 'Adding a model' in the README, as written there."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```python\n# my_lab\.py\n(.*?)```", readme, flags=re.DOTALL)
    return source


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory: pytest.TempPathFactory, lab_source: str) -> Iterator[Path]:
    """A folder with the README's `my_lab.py`, importable."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "my_lab.py").write_text(lab_source, encoding="utf-8")
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="session")
def make_bench(tmp_path_factory: pytest.TempPathFactory, lab_source: str) -> Callable[[str], Bench]:
    """Make a bench with the README's `my_lab.py` and the models of `troubled_lab.py` in it."""

    def make(name: str) -> Bench:
        folder = tmp_path_factory.mktemp(name)
        (folder / "my_lab.py").write_text(lab_source, encoding="utf-8")
        troubled = (ROOT / "tests" / "sweep_runs" / "troubled_lab.py").read_text(encoding="utf-8")
        (folder / "troubled_lab.py").write_text(troubled, encoding="utf-8")
        return Bench(folder)

    return make


@pytest.fixture(scope="session")
def finished(make_bench: Callable[[str], Bench]) -> tuple[Bench, str]:
    """A finished sweep of eight trials, `first`, and what it printed."""
    bench = make_bench("finished")
    code, output = bench.run("launch", "my_lab:EXPERIMENT", "--name", "first", "--trials", "8", "--seed", "3")
    assert code == 0, output
    return bench, output


@pytest.fixture(autouse=True)
def _no_stray_stores(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves an MLflow store or a sweep in the checkout."""
    strays = [ROOT / name for name in ("mlflow.db", "mlruns", "mlartifacts", "lightning_logs")]
    before = {path for path in strays if path.exists()}
    yield
    left = {path for path in strays if path.exists()} - before
    assert not left, f"{request.node.nodeid} left {left}"
