"""What all tests share: a quiet environment, and the README's own model as an experiment."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before anything imports ray or torch. A Ray that a test starts is reached from this machine only, and one
# thread a process keeps numbers and times steady on two cores.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

ROOT = Path(__file__).resolve().parents[1]
RECORDINGS = ROOT.parent / "shared" / "data"


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


@pytest.fixture(autouse=True)
def _no_stray_stores(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves an MLflow store or a sweep in the checkout."""
    strays = [ROOT / name for name in ("mlflow.db", "mlruns", "mlartifacts", "lightning_logs")]
    before = {path for path in strays if path.exists()}
    yield
    left = {path for path in strays if path.exists()} - before
    assert not left, f"{request.node.nodeid} left {left}"
