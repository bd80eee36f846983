"""Sweeps that are killed: a folder with the counting model, drivers that die where they are told to, and the truth."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from chaos_server import Proxy, Server

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for `chaos_invariants`, `chaos_lab` and what else lies here
pytest.register_assert_rewrite("chaos_invariants")

EPOCHS = 6


class Forge:
    """A process that forks drivers which train in their own process: no Ray, and nothing to import anew."""

    @cached_property
    def _process(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(HERE / "killing_driver.py"), "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, folder: Path, *arguments: str, **request: Any) -> int:
        """Start a driver; return its process id."""
        content = {"folder": str(folder), "output": str(folder / "output.txt"), "arguments": arguments}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({**content, **request}) + "\n")
        self._process.stdin.flush()
        return self._answer()["pid"]

    def wait(self) -> int:
        """Wait for the driver that was started; return its exit code, negative for a signal."""
        return self._answer()["code"]

    def run(self, folder: Path, *arguments: str, **request: Any) -> int:
        """Run a driver to its end."""
        self.start(folder, *arguments, **request)
        return self.wait()

    def close(self) -> None:
        if "_process" in vars(self):
            self._process.kill()
            self._process.wait()

    def _answer(self) -> dict[str, int]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the forge has died"
        return json.loads(line)


@dataclass(frozen=True)
class Arena:
    """A folder in which one sweep, `cut`, is killed."""

    folder: Path
    forge: Forge
    server: "Server | None" = None
    uri: str = ""

    def launch(self, *more: str, trials: int) -> tuple[str, ...]:
        """Arguments that start the sweep."""
        return (
            "launch", "chaos_lab:EXPERIMENT", "--name", "cut", "--trials", str(trials), "--seed", "5",
            "--model.diary", str(self.diary), "--trainer.max_epochs", str(EPOCHS), "--min-epochs", "2",
            *(("--tracking-uri", self.uri) if self.uri else ()), *more,
        )  # fmt: skip

    def resume(self, *more: str, trials: int | None = None) -> tuple[str, ...]:
        """Arguments that continue it."""
        return ("resume", "cut", *([] if trials is None else ["--trials", str(trials)]), *more)

    def drive(self, arguments: tuple[str, ...], **request: Any) -> int:
        """Run a driver without Ray; return its exit code."""
        return self.forge.run(self.folder, *arguments, **request)

    @property
    def diary(self) -> Path:
        return self.folder / "diary.jsonl"

    @property
    def sweep(self) -> Path:
        return self.folder / "neurosweep-runs" / "cut"

    @property
    def output(self) -> str:
        """What the drivers have said."""
        return (self.folder / "output.txt").read_text(encoding="utf-8")

    def check(self, *, trials: int, retrained: int) -> None:
        """Assert the invariants."""
        from chaos_invariants import Evidence, check_sweep

        if self.server is None:
            evidence = Evidence(self.sweep, self.sweep.parent / "mlflow.db", self.diary)
        else:
            evidence = Evidence(self.sweep, self.server.database, self.diary, self.server.artifacts)
        check_sweep(evidence, trials=trials, epochs=EPOCHS, retrained=retrained)

    def ray_driver(
        self, *points: str, arguments: tuple[str, ...], output: Any = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        """Start a driver with Ray in a session of its own, with kills planted in it."""
        return subprocess.Popen(
            [sys.executable, str(HERE / "killing_driver.py"), *points, "--", *arguments],
            cwd=self.folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": f"{self.folder}:{os.environ.get('PYTHONPATH', '')}"},
        )


@pytest.fixture(scope="session")
def forge() -> Iterator[Forge]:
    forge = Forge()
    yield forge
    forge.close()


@pytest.fixture
def make_arena(forge: Forge, tmp_path: Path) -> Callable[..., Arena]:
    """Make an arena in a folder of its own."""

    def make(name: str = "arena", **options: Any) -> Arena:
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(HERE / "chaos_lab.py", folder)
        (folder / "diary.jsonl").touch()
        return Arena(folder, forge, **options)

    return make


@pytest.fixture
def arena(make_arena: Callable[..., Arena]) -> Arena:
    return make_arena()


@pytest.fixture
def server(tmp_path: Path) -> "Iterator[Server]":
    """A running `mlflow server`."""
    from chaos_server import Server

    server = Server(tmp_path / "server")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def proxy(server: "Server") -> "Iterator[Proxy]":
    """A proxy in front of it that can misbehave."""
    from chaos_server import Proxy

    proxy = Proxy(server)
    yield proxy
    proxy.stop()
