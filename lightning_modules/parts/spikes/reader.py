"""Reading the recordings of one animal: a file or a folder, whatever the format."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.events import AS_RECORDED, Alignment, align_trials
from lightning_modules.parts.spikes.npz import read_npz
from lightning_modules.parts.spikes.nwb import read_nwb
from lightning_modules.parts.spikes.pyaldata import read_pyaldata
from lightning_modules.parts.spikes.rebin import rebin_session
from lightning_modules.parts.spikes.session import BehaviourName, SpikeSession, select_behaviour

logger = logging.getLogger(__name__)

SUFFIXES = (".npz", ".nwb", ".mat")


def read_sessions(
    path: str | Path,
    *,
    bin_width_s: float | None = None,
    behaviour: BehaviourName | None = None,
    alignment: Alignment = AS_RECORDED,
) -> tuple[SpikeSession, ...]:
    """Read one session a file, sorted by date.

    Args:
        path: A file, or a folder with files of one animal: `.npz` sessions, `.nwb` (DANDI 000688) or `.mat`
            (PyalData, TrialData). Other files in the folder are ignored.
        bin_width_s: Width of the bins, s: a multiple of the stored one. Default: as stored, 0.02 for NWB.
        behaviour: What is decoded. Default: the behaviour of an `.npz` file, else velocity.
        alignment: Where trials begin. Default: where the session says, at the go cue in `.nwb` and `.mat`.

    Raises:
        DataError: If a file cannot be read, or the sessions do not belong together.
    """
    sessions = [
        read_file(file, bin_width_s=bin_width_s, behaviour=behaviour, alignment=alignment)
        for file in session_files(path)
    ]
    sessions.sort(key=lambda session: (session.date, session.source))
    for error in disagreements(sessions):
        raise error
    logger.info("read %d sessions from %s", len(sessions), path)
    return tuple(sessions)


def session_files(path: str | Path) -> list[Path]:
    """Files that hold a session by their name: the file itself, or those in the folder.

    Raises:
        DataError: If there is none.
    """
    path = Path(path).expanduser()
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(f"{path} is not one of {', '.join(SUFFIXES)}.", "Convert the session to .npz.")
        return [path]
    if not path.is_dir():
        raise DataError(
            f"{path} does not exist.", "Check `--data.path`; on a cluster every node must see it."
        )
    # macOS leaves `._name` beside files on foreign disks; they are no recordings.
    files = sorted(
        file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
    )
    if not files:
        raise DataError(
            f"{path} holds no session: no file ends in {', '.join(SUFFIXES)}.",
            "Give the folder that holds the files themselves; folders inside it are not searched.",
        )
    return files


def read_file(
    file: Path,
    *,
    bin_width_s: float | None = None,
    behaviour: BehaviourName | None = None,
    alignment: Alignment = AS_RECORDED,
) -> SpikeSession:
    """Read one session; see `read_sessions`.

    Raises:
        DataError: If the file cannot be read.
    """
    suffix = file.suffix.lower()
    if suffix == ".npz":
        # Aligned first: the speed that tells movement onset may not be what is decoded.
        return rebin_session(
            select_behaviour(align_trials(read_npz(file), alignment), behaviour), bin_width_s
        )
    if behaviour == "emg":
        raise DataError(
            f"{file.name}: muscle activity is read from .npz sessions only.",
            "Leave out `--data.behaviour emg`.",
        )
    read = read_nwb if suffix == ".nwb" else read_pyaldata
    return read(file, bin_width_s=bin_width_s, behaviour=behaviour, alignment=alignment)


def disagreements(sessions: Sequence[SpikeSession]) -> Iterator[DataError]:
    """Why sessions do not belong together, an error each; nothing if they do."""
    yield from _differences(
        "animal", [session.animal for session in sessions], sessions, "Keep one animal in a folder."
    )
    yield from _differences(
        "bin width (s)",
        [f"{session.bin_width_s:g}" for session in sessions],
        sessions,
        "Give `--data.bin_width_s`, a multiple of each of them.",
    )
    yield from _differences(
        "behaviour",
        [", ".join(session.behaviour_names) for session in sessions],
        sessions,
        "Give `--data.behaviour` one that every session holds, or take the others out of the folder.",
    )
    yield from _copies(sessions)


def _differences(
    what: str, values: Sequence[str], sessions: Sequence[SpikeSession], remedy: str
) -> Iterator[DataError]:
    first = {value: session.source for value, session in reversed(list(zip(values, sessions, strict=True)))}
    if len(first) > 1:
        listed = "; ".join(f"{value} ({first[value]})" for value in dict.fromkeys(values))
        yield DataError(f"The sessions differ in {what}: {listed}.", remedy)


def _copies(sessions: Sequence[SpikeSession]) -> Iterator[DataError]:
    """Refuse copies: a copied day could be trained on and sealed at the same time."""
    seen: dict[str, str] = {}
    for session in sessions:
        digest = hashlib.sha256(session.spikes.tobytes()).hexdigest()
        if digest in seen:
            yield DataError(
                f"{seen[digest]} and {session.source} hold the same spikes.", "Remove one of them."
            )
        seen.setdefault(digest, session.source)
