"""Who has opened sealed sessions, and how often: a test day that was looked at many times is a validation day."""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from neurosweep.comparison import Opening


def count_opening(ledger: Path, *, sweep: str, trial: int, sealed: Mapping[str, str]) -> list[Opening]:
    """Write an opening down before anything is scored.

    Args:
        ledger: File of all openings of a storage, one JSON object a line.
        sweep: See `Opening`.
        trial: See `Opening`.
        sealed: See `Opening`.

    Returns:
        The earlier openings of any of these sessions, oldest first, whatever sweep they were for.
    """
    lines = ledger.read_text(encoding="utf-8").splitlines() if ledger.exists() else []
    known = [Opening(**json.loads(line)) for line in lines if line.strip()]
    now = Opening(
        sweep, trial, dict(sealed), datetime.now(UTC).isoformat(timespec="seconds"), socket.gethostname()
    )
    ledger.parent.mkdir(parents=True, exist_ok=True)
    with ledger.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(now)) + "\n")
        file.flush()
        os.fsync(file.fileno())
    digests = set(sealed.values())
    return [one for one in known if digests & set(one.sealed.values())]
