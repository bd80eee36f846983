"""A real cluster that a test can hurt."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    # Ray takes 15 s by default to declare a node dead.
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "3",
    "RAY_health_check_timeout_ms": "1000",
}


class RayNodes:
    """Nodes of a real Ray cluster, by name; see `ray_nodes.py`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "ray_nodes.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **ENVIRONMENT},
        )
        self.address = ""
        self.ids: dict[str, str] = {}

    def _do(self, **command: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        self.address, self.ids = answer["address"], answer["nodes"]
        return answer

    def add(self, name: str, **options: Any) -> None:
        self._do(do="add", name=name, **options)

    @contextmanager
    def blind(self, name: str, folder: Path) -> Iterator[None]:
        """While the block runs, have a node that finds `folder` empty, as where it is not mounted.

        Skips the test where mount namespaces cannot be made.
        """
        alone = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
        hide = f"mount -t tmpfs none '{folder}'"
        if subprocess.run([*alone, hide], check=False).returncode:
            pytest.skip("needs the right to make mount namespaces")
        ray = f"-m ray.scripts.scripts start --address {self.address} --num-cpus 1 --node-name {name} --block"
        ray += f" --object-store-memory {80 * 2**20}"
        process = subprocess.Popen(
            [*alone, f"{hide} && exec '{sys.executable}' {ray}"],
            env={**os.environ, **ENVIRONMENT},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            while name not in self._do(do="list")["alive"]:
                assert process.poll() is None, "the node did not start"
                time.sleep(0.2)
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def kill(self, name: str) -> None:
        self._do(do="kill", name=name)

    def kill_all(self) -> None:
        self._do(do="kill_all")

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)


@pytest.fixture(scope="module")
def quick_health_checks() -> Iterator[None]:
    """Let every Ray that starts here declare a node dead within two seconds."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def nodes(quick_health_checks: None) -> Iterator[RayNodes]:
    """A cluster without nodes."""
    cluster = RayNodes()
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def node_bench(make_bench: Callable) -> Any:
    """A bench with `node_lab.py` in it."""
    bench = make_bench("nodes")
    (bench.folder / "node_lab.py").write_text((HERE / "node_lab.py").read_text(encoding="utf-8"))
    return bench
