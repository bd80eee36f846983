"""What people see on their screen: progress, tables and errors."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from neurosweep.errors import NeurosweepError
from neurosweep.naming import Status
from neurosweep.sweeps.progress import Observer, Progress

screen = Console(highlight=False)
complaints = Console(stderr=True, highlight=False)

_UNCUT_WIDTH = 140
"""Characters: more than a table of six references and a date takes."""
_PLAIN_INTERVAL_SECONDS = 10.0
"""Where output is not a terminal, a line this often instead of a moving display."""


def show_error(error: NeurosweepError) -> None:
    """Print a problem, then its remedy."""
    complaints.print(f"[bold red]error:[/] {escape(error.problem)}", soft_wrap=True)
    if error.remedy:
        complaints.print(f"[bold]cure:[/]  {escape(error.remedy)}", soft_wrap=True)


def show_table(table: Table) -> None:
    """Print a table; where nobody sees a terminal's edge, no column is cut at it."""
    wide = Console(highlight=False, width=max(screen.width, _UNCUT_WIDTH))
    (screen if screen.is_terminal else wide).print(table)


def describe_progress(progress: Progress) -> str:
    """Say in a line how a sweep stands."""
    counts = progress.counts
    parts = [
        f"{progress.finished}/{progress.trials} trials done",
        f"{counts[Status.RUNNING]} running",
        f"{counts[Status.PRUNED]} pruned",
    ]
    if counts[Status.FAILED]:
        parts.append(f"{counts[Status.FAILED]} failed")
    if progress.best is not None:
        value, number = progress.best
        parts.append(f"best {progress.objective.metric} {value:.4g} (trial {number})")
    parts.append(f"{readable_seconds(progress.elapsed)} gone")
    if progress.remaining is not None and progress.finished < progress.trials:
        parts.append(f"about {readable_seconds(progress.remaining)} left")
    if progress.draining:
        parts.append("no more trials start; Ctrl-C again stops those under way")
    if progress.waiting_points > 2000:
        parts.append(f"{progress.waiting_points} points wait for MLflow")
    return " · ".join(parts)


def readable_seconds(seconds: float) -> str:
    """Write a time as people say it: `48s`, `3m 20s`, `2h 05m`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


@contextmanager
def live_progress() -> Iterator[Observer]:
    """Show a sweep's progress: a moving bar on a terminal, a line now and then elsewhere."""
    if not screen.is_terminal:
        yield _PlainProgress()
        return
    with Live(console=screen, refresh_per_second=4, transient=False) as live:

        def show(progress: Progress) -> None:
            grid = Table.grid(padding=(0, 1))
            bar = ProgressBar(total=progress.trials, completed=progress.finished, width=30)
            grid.add_row(bar, Text(describe_progress(progress)))
            live.update(grid)

        yield show


class _PlainProgress:
    """Prints a line when a trial has ended, and at least every few seconds."""

    def __init__(self) -> None:
        self._shown: tuple[int, bool] | None = None
        self._printed = 0.0

    def __call__(self, progress: Progress) -> None:
        quiet = time.monotonic() - self._printed < _PLAIN_INTERVAL_SECONDS
        news = (progress.finished, progress.draining)
        if quiet and news == self._shown:
            return
        self._shown, self._printed = news, time.monotonic()
        screen.print(describe_progress(progress), soft_wrap=True)
        sys.stdout.flush()
