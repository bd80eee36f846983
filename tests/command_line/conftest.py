"""The command line in this process: exit code, output and complaints of a command."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from neurosweep import console
from neurosweep.cli import main


@dataclass(frozen=True)
class Outcome:
    code: int
    output: str
    complaints: str


@pytest.fixture
def command(
    tmp_path: Path, lab_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Run a command in an empty folder from which the README's `my_lab` can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(lab_folder))
    for screen in (console.screen, console.complaints):
        monkeypatch.setattr(screen, "_width", 200)

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture
def written(tmp_path: Path) -> Callable[[], list[str]]:
    """List everything in the folder that the commands run in."""
    return lambda: sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
