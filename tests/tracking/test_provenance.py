import datetime
import subprocess
import sys
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from neurosweep import provenance
from neurosweep.provenance import describe_code, fingerprint


@dataclass(frozen=True)
class Session:
    spikes: np.ndarray
    names: tuple[str, ...]
    bin_width_s: float
    optional: np.ndarray | None = None


def session(**changes) -> Session:
    content = {
        "spikes": np.arange(12, dtype=np.uint8).reshape(3, 4),
        "names": ("x", "y"),
        "bin_width_s": 0.02,
    }
    return Session(**{**content, **changes})


DIFFERENT = [
    session(),
    session(spikes=np.arange(12, dtype=np.uint8).reshape(4, 3)),
    session(spikes=np.arange(12, dtype=np.uint16).reshape(3, 4)),
    session(spikes=np.arange(1, 13, dtype=np.uint8).reshape(3, 4)),
    session(names=("xy",)),
    session(names=("y", "x")),
    session(bin_width_s=0.020000000000000004),
    session(optional=np.zeros(0)),
    1,
    1.0,
    True,
    "1",
    b"1",
    None,
    "",
    [],
    [[]],
    {},
    [1, [2]],
    [[1], 2],
    ["ab", "c"],
    ["a", "bc"],
    {"a": 1},
    {"a": {"b": 1}},
    {1, 2},
    Path("1"),
    datetime.date(2026, 3, 1),
    datetime.datetime(2026, 3, 1),
    np.zeros((2, 0)),
    np.zeros((0, 2)),
    np.array(["a", "b"]),
    np.array("2026-03-01", dtype="datetime64[D]"),
]


def test_different_content_has_different_fingerprints():
    assert len({fingerprint(one) for one in DIFFERENT}) == len(DIFFERENT)


def test_equal_content_has_one_fingerprint_however_it_is_held():
    class Kind(Enum):
        SPIKES = "spikes"

    spikes = np.arange(12, dtype=np.uint8).reshape(3, 4)
    pairs = [
        (session(), session(spikes=np.asfortranarray(spikes))),
        (session(), session(spikes=np.repeat(spikes, 2, axis=1)[:, ::2], names=["x", "y"])),
        (session(), {"names": ("x", "y"), "optional": None, "bin_width_s": 0.02, "spikes": spikes}),
        (np.arange(3, dtype=">i4"), np.arange(3, dtype="<i4")),
        (np.array(["a", "b"], dtype="U1"), np.array(["a", "b"], dtype="U9")),
        (np.float64(0.5), 0.5),
        (np.int16(3), 3),
        (np.bool_(True), True),
        (Kind.SPIKES, "spikes"),
        ({"b": 1, "a": 2}, {"a": 2, "b": 1}),
        ({3, 1, 2}, {2, 3, 1}),
    ]
    for one, other in pairs:
        assert fingerprint(one) == fingerprint(other), one


def test_fingerprint_is_the_same_in_another_process():
    content = {"a": {"x", "y", "z"}, "b": [1, 2.5, None, "text"], 3: ("t", b"u")}
    program = f"from neurosweep.provenance import fingerprint; print(fingerprint({content!r}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == fingerprint(content)
    assert len(fingerprint(content)) == 16


def test_content_without_a_stable_value_is_refused():
    with pytest.raises(TypeError, match="A object has no stable fingerprint"):
        fingerprint({"model": object()})


def test_described_versions_are_those_installed():
    code = describe_code()
    assert code.versions["torch"] == version("torch")
    assert code.versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(code.versions) >= {"neurosweep", "pytorch-lightning", "ray", "optuna", "mlflow", "numpy"}
    assert f"mlflow={version('mlflow')}" in code.as_tags()["neurosweep.versions"]


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git checkout with a package in it."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    package = tmp_path / "package"
    package.mkdir()
    (package / "code.py").write_text("one = 1\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    return package, git


def test_commit_of_a_clean_checkout_is_its_head_and_a_change_makes_it_dirty(checkout):
    package, git = checkout
    head = git("rev-parse", "HEAD")
    assert provenance._commit(package) == head
    (package / "code.py").write_text("one = 2\n")
    assert provenance._commit(package) == f"{head}-dirty"


def test_package_installed_inside_another_checkout_has_no_commit(checkout):
    package, _ = checkout
    installed = package.parent / ".venv" / "neurosweep"
    installed.mkdir(parents=True)
    (installed / "code.py").write_text("one = 1\n")
    assert provenance._commit(installed) is None


def test_folder_outside_any_checkout_has_no_commit(tmp_path):
    assert provenance._commit(tmp_path) is None
