"""`neurosweep ui`, and a headless Chromium driven over the pipe of its DevTools protocol."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

PATIENCE_SECONDS = 90.0
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--window-size=1800,1200", "--remote-debugging-pipe"),
)


class Browser:
    """One page. A pipe needs no port and no WebSocket package: messages are JSON that ends in a zero byte."""

    def __init__(self, program: str, profile: Path) -> None:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        # Chromium takes commands on descriptor 3 and answers on 4.
        line = f'exec "$0" "$@" 3<&{commands} 4>&{answers}'
        self.process = subprocess.Popen(
            ["bash", "-c", line, program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(commands)
        os.close(answers)
        self._numbers, self._rest, self._session = count(1), b"", None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command; return its result."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next_message()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next_message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            received = os.read(self._answers, 1 << 16)
            assert received, "Chromium ended"
            self._rest += received
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def open(self, address: str) -> None:
        """Load a page from nothing; a change of the fragment alone would keep the page before."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def text(self) -> str:
        """What a reader sees, without frames."""
        return self.evaluate("document.body?.innerText ?? ''")

    def frame_text(self) -> str:
        """What a reader sees in frames. MLflow shows HTML in a sandbox, a target of its own."""
        targets = self.call("Target.getTargets")["targetInfos"]
        page, texts = self._session, []
        for target in targets:
            if target["type"] == "iframe":
                frame = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
                self._session = frame["sessionId"]
                texts.append(self.text())
                self._session = page
        return "\n".join(texts)

    def wait(self, what: str, ready: Callable[[], Any]) -> Any:
        """Wait until `ready` returns something true, and return it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := ready()):
            assert time.monotonic() < deadline, f"{what} never came; the page reads:\n{self.text()}"
            time.sleep(0.2)
        return found

    def wait_for(self, *texts: str) -> None:
        """Wait until the page shows all of `texts`."""
        for text in texts:
            self.wait(repr(text), lambda text=text: text in self.text())

    def click(self, selector: str) -> None:
        """Click the first element that a CSS selector finds, once there is one."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.wait(selector, lambda: self.evaluate(f"{found} !== null"))
        self.evaluate(f"{found}.click()")

    def close(self) -> None:
        """End Chromium with all its processes."""
        self._session = None
        self.call("Browser.close")
        self.process.wait(30)
        os.close(self._commands)
        os.close(self._answers)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser with an empty profile."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("there is no chromium here; on Debian: apt-get install chromium")
    one = Browser(program, tmp_path_factory.mktemp("profile"))
    yield one
    one.close()


class Ui:
    """`neurosweep ui` as a user starts it, over a storage."""

    def __init__(self, bench) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.log = bench.folder / f"ui-{port}.log"  # a pipe that nobody reads would stop the server once full
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                bench.command("ui", "--storage", str(bench.storage), "--port", str(port)),
                cwd=bench.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{self.address}/health", timeout=2)
            except OSError:
                assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.1)
            else:
                return

    def stop(self, number: int) -> int:
        """Send a signal to the command alone; return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def kill(self) -> None:
        """Leave nothing behind, whatever state it is in."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def start_ui(finished) -> Iterator[Callable[[], Ui]]:
    """Start `neurosweep ui` over the finished sweep; what still runs after the test is killed."""
    started: list[Ui] = []

    def start() -> Ui:
        started.append(Ui(finished[0]))
        started[-1].wait_until_it_answers()
        return started[-1]

    yield start
    for ui in started:
        ui.kill()


@pytest.fixture(scope="module")
def ui(finished) -> Iterator[Ui]:
    """`neurosweep ui` over the finished sweep, for tests that only look."""
    one = Ui(finished[0])
    try:
        one.wait_until_it_answers()
        yield one
    finally:
        one.kill()
