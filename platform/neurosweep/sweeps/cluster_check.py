"""Whether every node of a joined cluster sees the sweep's folder and runs the driver's code."""

import importlib.util
import platform
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from neurosweep.errors import ResourceError, numbered
from neurosweep.experiments import Experiment
from neurosweep.layout import SweepFolder
from neurosweep.provenance import fingerprint

_PACKAGES = ("torch", "pytorch-lightning", "numpy")
_FOLDER_SECONDS = 5.0
"""A network file system may take this long to show a new file on another node."""
_NODE_SECONDS = 180.0


@dataclass(frozen=True)
class NodeReport:
    """What a node sees and runs.

    Args:
        sees_folder: Whether it sees the file that the driver wrote into the sweep's folder.
        versions: Version by package, without a build's suffix such as `+cu128`, and of Python.
        code: Fingerprint of the sources by module; None for a module that is not there.
    """

    sees_folder: bool
    versions: Mapping[str, str]
    code: Mapping[str, str | None]


def report_node(proof: Path, modules: Iterable[str]) -> NodeReport:
    """Look at the machine that this runs on.

    Args:
        proof: A file that the driver wrote.
        modules: Modules that a trial imports.
    """
    deadline = time.monotonic() + _FOLDER_SECONDS
    while not (seen := proof.exists()) and time.monotonic() < deadline:
        time.sleep(0.2)
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name).partition("+")[0]
        except PackageNotFoundError:
            versions[name] = "missing"
    return NodeReport(seen, versions, {name: _source_hash(name) for name in modules})


def _source_hash(module: str) -> str | None:
    """Hash a module's file, or a package's, without importing it."""
    try:
        spec = importlib.util.find_spec(module)
    except ImportError:
        return None
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin)
    files = sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]
    return fingerprint([(str(file.relative_to(origin.parent)), file.read_bytes()) for file in files])


def problems_of(name: str, node: NodeReport, driver: NodeReport, folder: Path) -> list[str]:
    """Say what is wrong with a node, measured against the driver's machine.

    Args:
        name: The node's name.
        node: What was found there.
        driver: What was found here.
        folder: The sweep's folder.
    """
    problems = []
    if not node.sees_folder:
        problems.append(f"Node {name} does not see the sweep's folder {folder}.")
    for package, expected in driver.versions.items():
        found = node.versions.get(package)
        if found != expected:
            problems.append(f"Node {name} has {package} {found}, the driver {expected}.")
    for module, expected in driver.code.items():
        found = node.code.get(module)
        if found is None:
            problems.append(f"Node {name} has no module `{module}`.")
        elif found != expected:
            problems.append(f"Node {name} has other code in `{module}` than the driver.")
    return problems


def check_nodes(folder: SweepFolder, experiment: Experiment) -> None:
    """Ask every node of the joined cluster.

    Raises:
        ResourceError: With every problem, if a node does not see the folder or differs from the driver.
    """
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    modules = sorted(
        {"neurosweep", *(path.partition(":")[0] for path in (experiment.module, experiment.data_module))}
    )
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    proof = folder.root / f".seen-by-all-{secrets.token_hex(4)}"
    proof.touch()
    try:
        driver = report_node(proof, modules)
        ask = ray.remote(num_cpus=0, max_retries=1)(report_node)
        asked = {
            ask.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(proof, modules): node
            for node in nodes
        }
        problems = []
        deadline = time.monotonic() + _NODE_SECONDS
        for answer, node in asked.items():
            try:
                report = ray.get(answer, timeout=max(0.0, deadline - time.monotonic()))
                problems += problems_of(node["NodeName"], report, driver, folder.root)
            except RayError as error:
                text = " ".join(str(error).split())[-300:]
                problems.append(f"Node {node['NodeName']} could not be asked: {text}")
    finally:
        proof.unlink(missing_ok=True)
    if problems:
        raise ResourceError(
            f"The cluster is not ready for this sweep:\n{numbered(problems)}",
            "Give every node the same packages, and a `--storage` that all of them mount at the same path; "
            "checkpoints lie there.",
        )
