"""Subjects of OpenNeuro ds001246, the Generic Object Decoding experiment as a BIDS tree."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.recordings.bids_events import Block, drop_repeats, read_blocks
from lightning_modules.icgan.recordings.bids_volumes import block_responses, read_areas, read_run
from lightning_modules.icgan.recordings.god_rows import GodRows, god_subject
from lightning_modules.icgan.recordings.pointers import is_there
from lightning_modules.icgan.recordings.session import Shown
from lightning_modules.parts.errors import DataError

PREPROCESSED = Path("derivatives/preproc-spm/output")
SESSIONS = {"perceptionTraining": Shown.TRAINING, "perceptionTest": Shown.TEST, "imageryTest": Shown.IMAGERY}

_SESSION = re.compile(rf"ses-({'|'.join(SESSIONS)})\d+")


class BidsRun(NamedTuple):
    """One run.

    Args:
        shown: What its rows are.
        number: Counted from 1 within its kind, over sessions.
        blocks: Its blocks, without the repeats of the one-back task.
        volumes: The preprocessed run.
    """

    shown: Shown
    number: int
    blocks: tuple[Block, ...]
    volumes: Path


def find_runs(folder: Path) -> list[BidsRun]:
    """Runs of one subject by their events, in the order of training, test and imagery sessions.

    Args:
        folder: `sub-0N` of the tree.

    Raises:
        DataError: If there are no events, or preprocessed runs are missing.
    """
    runs: list[BidsRun] = []
    for kind, shown in SESSIONS.items():
        files = sorted(folder.glob(f"ses-{kind}*/func/*_events.tsv"))
        files = [file for file in files if _SESSION.fullmatch(file.parent.parent.name)]
        runs += [
            BidsRun(shown, number, _blocks(file, shown), _volumes(file, folder))
            for number, file in enumerate(files, start=1)
        ]
    if not runs:
        raise DataError(
            f"{folder} holds no events: no ses-perceptionTraining*, ses-perceptionTest* or ses-imageryTest* with "
            "func/*_events.tsv.",
            "Give a clone of OpenNeuro ds001246.",
        )
    missing = [run.volumes for run in runs if not is_there(run.volumes)]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(runs)} preprocessed runs are missing, the first ones: "
            f"{', '.join(path.name for path in missing[:5])}. Looked in {folder.parent / PREPROCESSED}.",
            "Fetch them with `datalad get derivatives/preproc-spm`.",
        )
    return runs


def read_bids_rows(folder: Path) -> GodRows:
    """Read one subject: a row of percent signal change for each block, for voxels of visual cortex (VC).

    Args:
        folder: `sub-0N` of a clone of ds001246, with its `sourcedata` and `derivatives` beside it.

    Raises:
        DataError: If something is missing, was not fetched, or does not fit.
    """
    runs = find_runs(folder)
    areas, affine = read_areas(folder.parent / "sourcedata" / folder.name / "anat", folder.name)
    cortex = areas["VC"]
    counts = [len(run.blocks) for run in runs]
    responses = [
        block_responses(read_run(run.volumes, cortex), run.blocks, run.volumes.name).astype(np.float32)
        for run in runs
    ]
    return GodRows(
        voxels=np.concatenate(responses),
        ids=np.array([block.stimulus for run in runs for block in run.blocks], dtype=np.int64).reshape(-1, 2),
        shown=np.repeat(np.array([int(run.shown) for run in runs]), counts),
        run=np.repeat(np.array([run.number for run in runs]), counts),
        roi={name: mask[cortex] for name, mask in areas.items()},
        voxel_xyz=voxel_places(cortex, affine),
        subject=god_subject(folder),
        source=folder.name,
        notes=("runs are counted within training, test and imagery.",),
    )


def voxel_places(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Place of each voxel of a mask, mm, (V, 3)."""
    indices = np.argwhere(mask)
    return indices @ affine[:3, :3].T + affine[:3, 3]


def _blocks(events: Path, shown: Shown) -> tuple[Block, ...]:
    """Blocks that make a row. Nothing is repeated for a task in imagery, where a category may follow itself."""
    blocks = read_blocks(events)
    return blocks if shown is Shown.IMAGERY else drop_repeats(blocks)


def _volumes(events: Path, folder: Path) -> Path:
    name = events.name.replace("_events.tsv", "_bold_preproc.nii.gz")
    return folder.parent / PREPROCESSED / events.parent.relative_to(folder.parent) / name
