"""The house stands as the design fixes it: no shadowed standard library, imports one way, a complete wheel."""

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ALLOWED_TOP_LEVEL = {
    ".ci", ".git", ".gitignore", ".importlinter", ".pre-commit-config.yaml", "CHANGELOG.md", "LICENSE", "Makefile",
    "README.md", "deploy", "lightning_modules", "platform", "pyproject.toml", "requirements.lock", "search_spaces",
    "tests",
}  # fmt: skip


def tracked_files(repository: Path) -> list[str]:
    listing = subprocess.run(["git", "ls-files"], cwd=repository, capture_output=True, text=True, check=True)
    return listing.stdout.split()


@pytest.mark.parametrize("path", [".", "platform"])
def test_the_standard_librarys_platform_is_not_shadowed(repository: Path, path: str) -> None:
    code = "import platform, sysconfig; print(platform.__file__); print(platform.python_version())"
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository / path)},
        capture_output=True,
        text=True,
        check=True,
    )
    file, version = found.stdout.split()
    assert Path(file).parent.name == f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert version == sys.version.split()[0]


def test_platform_is_a_source_root_without_python_of_its_own(repository: Path) -> None:
    assert not list((repository / "platform").glob("*.py"))


def test_top_level_is_the_fixed_one(repository: Path) -> None:
    top = {name.partition("/")[0] for name in tracked_files(repository)}
    assert top <= ALLOWED_TOP_LEVEL


def test_test_folders_are_no_packages_and_not_named_like_ours(repository: Path) -> None:
    tests = [Path(name) for name in tracked_files(repository) if name.startswith("tests/")]
    assert not [path for path in tests if path.name == "__init__.py"]
    folders = {path.parts[1] for path in tests if len(path.parts) > 2}
    assert not folders & {"platform", "neurosweep", "lightning_modules", "search_spaces"}


@pytest.mark.parametrize(
    "statement", ["import neurosweep", "from neurosweep.cli import main; main(['models'])"]
)
def test_importing_and_listing_models_loads_neither_torch_nor_ray(statement: str) -> None:
    loaded = "sorted({'torch', 'ray', 'mlflow', 'optuna'} & set(sys.modules))"
    code = f"{statement}\nimport sys\nprint('loaded', {loaded})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "loaded []"


def test_import_contracts_hold(repository: Path) -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    found = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
    assert "0 broken" in found.stdout


def test_wheel_holds_every_tracked_source_and_nothing_else(repository: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(repository),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tracked = {
        name.removeprefix("platform/")
        for name in tracked_files(repository)
        if name.startswith(("platform/", "lightning_modules/", "search_spaces/"))
    }
    assert packed == tracked


def test_every_runtime_dependency_is_pinned_in_the_lock(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    lock = (repository / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pinned = {line.split("==")[0].lower() for line in lock if "==" in line}
    names = {name.split("[")[0].split(">")[0].split("=")[0].strip().lower() for name in wanted}
    assert names <= pinned
    assert "torch==2.13.0" in lock, "a newer torch pulls gigabytes, and +cpu is on no public registry"
    assert not [line for line in lock if line.startswith("lightning==")], "two Lightnings clash"


def test_data_and_run_output_stay_out_of_the_repository(repository: Path) -> None:
    sizes = {name: (repository / name).stat().st_size for name in tracked_files(repository)}
    learning_curves = {"tests/benchmarks/curves.npz"}  # what `record_curves.py` measured; nobody's recordings
    data = {name for name in sizes if name.endswith((".npz", ".nwb", ".mat", ".ckpt", ".db", ".h5"))}
    assert not data - learning_curves
    assert not {name for name, size in sizes.items() if size > 500_000}
