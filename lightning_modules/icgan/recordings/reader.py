"""Reading subjects who looked at pictures: a file or a folder, whatever the format."""

import logging
import re
from pathlib import Path

from lightning_modules.icgan.recordings.god import (
    DOWNLOADS,
    FORMS,
    find_god,
    god_subjects,
    read_god_file,
)
from lightning_modules.icgan.recordings.god_rows import BadVoxels, god_subject
from lightning_modules.icgan.recordings.images import ARRAY_FILE, opened_npz
from lightning_modules.icgan.recordings.mindvis import MINDVIS_ARRAYS
from lightning_modules.icgan.recordings.pointers import is_there
from lightning_modules.icgan.recordings.session import ImageSession
from lightning_modules.icgan.recordings.session_npz import read_session_npz, session_subject
from lightning_modules.parts.errors import DataError

logger = logging.getLogger(__name__)


def read_image_sessions(
    path: str | Path,
    subject: str | None = None,
    *,
    with_images: bool = True,
    strict: bool = True,
    bad_voxels: BadVoxels = "refuse",
) -> tuple[ImageSession, ...]:
    """Read one session a subject, sorted by the subject's name.

    Args:
        path: A Generic Object Decoding file (`.h5`, `.mat`, `sbj_N.npz`), a folder `sub-0N` of its BIDS tree, an image
            session (`.npz`), or a folder of either.
        subject: The only subject to read, such as `Subject3`; of Generic Object Decoding files its number will do.
            Default: all.
        with_images: Whether to read the pictures of Generic Object Decoding files; image sessions hold theirs.
        strict: Whether Generic Object Decoding files must hold exactly the rows of the experiment.
        bad_voxels: What is done about voxels of such files that hold NaN or never change.

    Raises:
        DataError: If a file cannot be read, or the subject is not there.
    """
    names = {file: _subject_of(file) for file in image_session_files(path, subject)}
    kept = [file for file, name in names.items() if subject is None or _is_subject(name, subject)]
    if not kept:
        raise DataError(
            f"{path} holds no subject {subject}, but {', '.join(names.values())}.",
            "Give one of these subjects, or leave it out to read all.",
        )
    sessions = []
    for file in sorted(kept, key=lambda one: names[one]):
        session = (
            read_session_npz(file)
            if _is_image_session(file)
            else read_god_file(file, with_images=with_images, strict=strict, bad_voxels=bad_voxels)
        )
        logger.info(
            "read %s from %s: %d rows x %d voxels", session.subject, path, len(session.run), session.n_voxels
        )
        sessions.append(session)
    return tuple(sessions)


def subject_names(path: str | Path) -> tuple[str, ...]:
    """Names of the subjects that `read_image_sessions` would read, sorted, without reading their recordings.

    Raises:
        DataError: If there is none.
    """
    return tuple(sorted(_subject_of(file) for file in image_session_files(path)))


def image_session_files(path: str | Path, subject: str | None = None) -> list[Path]:
    """Files, or folders `sub-0N`, that hold a subject each: the path itself, or those in the folder.

    Args:
        path: See `read_image_sessions`.
        subject: Narrows a Generic Object Decoding folder down to this subject. Default: all.

    Raises:
        DataError: If there is none.
    """
    path = Path(path).expanduser()
    if path.is_dir() and not _is_bids_subject(path):
        return _files_of_folder(path, subject)
    return [_check_there(path)]


def _check_there(path: Path) -> Path:
    if not is_there(path):
        raise DataError(f"{path} does not exist. On a cluster every node must see it.", DOWNLOADS)
    return path


def _files_of_folder(folder: Path, subject: str | None) -> list[Path]:
    numbers = god_subjects(folder)
    asked = _number(subject) if subject is not None else None
    if numbers and (asked is None or asked in numbers):
        return [find_god(folder, number) for number in (numbers if asked is None else [asked])]
    sessions = [
        file
        for file in sorted(folder.glob("*.npz"))
        if not file.name.startswith(".") and file.name != ARRAY_FILE and _is_image_session(file)
    ]
    if sessions:
        return sessions
    if numbers and asked is not None:
        return [find_god(folder, asked)]
    names = ", ".join(form.format(1).replace("1", "N") for form in FORMS)
    raise DataError(
        f"{folder} holds no subject: looked for {names}, there and in fmri_data, and for image sessions (.npz).",
        DOWNLOADS,
    )


def _is_image_session(file: Path) -> bool:
    if file.suffix.lower() != ".npz":
        return False
    with opened_npz(file) as archive:
        return not set(archive.files) & set(MINDVIS_ARRAYS)


def _subject_of(file: Path) -> str:
    return session_subject(file) if _is_image_session(file) else god_subject(file)


def _is_bids_subject(path: Path) -> bool:
    return re.fullmatch(r"sub-\d+", path.name) is not None


def _number(subject: str) -> int | None:
    match = re.search(r"(\d+)$", subject)
    return int(match[1]) if match else None


def _is_subject(found: str, asked: str) -> bool:
    return found == asked or (asked.isdigit() and _number(found) == int(asked))
