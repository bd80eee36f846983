"""`neurosweep data inspect` for image sessions: read what can be read, say it in words, draw it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lightning_modules.icgan.recordings.inspection import KindFacts, SubjectFacts, describe_subject
from lightning_modules.icgan.recordings.inspection_figures import draw_subject
from lightning_modules.icgan.recordings.inspection_findings import find_problems
from lightning_modules.icgan.recordings.normalise import ENOUGH_IN_A_RUN
from lightning_modules.icgan.recordings.reader import image_session_files, read_image_sessions
from lightning_modules.icgan.recordings.session import ImageSession
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.inspection import Finding
from lightning_modules.parts.spikes.inspection_report import Inspection

WIDTH = 15
"""Of the column of headings."""
LENIENT: Mapping[str, Any] = {"with_images": False, "bad_voxels": "zero", "strict": False}
"""How reading is made easier where it fails, in this order."""
MOST_SEALED = 4
"""Categories to seal that are proposed, where there are no test pictures."""


@dataclass
class _Found:
    """What has been read so far of several subjects."""

    facts: list[SubjectFacts] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    figures: dict[str, Figure] = field(default_factory=dict)


def inspect_images(path: str) -> Inspection:
    """Describe the image session of a file, or those of a folder, one subject after the other.

    What keeps a file from being read in full is a problem among the others; it does not end the inspection.

    Raises:
        DataError: If the path holds no subject.
    """
    files = image_session_files(path)
    found = _Found()
    for file in files:
        session, findings = _read(file)
        if session is not None:
            facts = describe_subject(session)
            named = f"{facts.subject}-" if len(files) > 1 else ""
            found.facts.append(facts)
            found.figures |= {f"{named}{name}": one for name, one in draw_subject(session, facts).items()}
            findings += find_problems(session, facts)
        named = f"{file.name}: " if len(files) > 1 else ""
        found.problems += [f"{named}{one.problem} {one.consequence}" for one in findings]
    text = "\n".join(describe(path, found.facts)) if found.facts else f"{path}: no image session can be read"
    return Inspection(text, tuple(found.problems), found.figures, readable=bool(found.facts))


def _read(file: Path) -> tuple[ImageSession | None, list[Finding]]:
    """Read one subject as strictly as it can be read, and say what stands in the way of more."""
    given: dict[str, Any] = {}
    findings: list[Finding] = []
    session, error = _attempt(file, given)
    while error is not None:
        findings.append(Finding(error.problem, error.remedy))
        for name in [one for one in LENIENT if one not in given]:
            session, left = _attempt(file, {**given, name: LENIENT[name]})
            if left is None or left.problem != error.problem:
                given[name], error = LENIENT[name], left
                break
        else:
            return None, findings
    return session, findings


def _attempt(file: Path, given: Mapping[str, Any]) -> tuple[ImageSession | None, DataError | None]:
    try:
        (session,) = read_image_sessions(file, **given)
    except DataError as error:
        return None, error
    if not len(session.run):
        return None, DataError(f"{file.name} holds no rows.", "Export it again.")
    return session, None


def describe(path: str, subjects: Sequence[SubjectFacts]) -> Iterator[str]:
    """Write the facts down, line by line."""
    named = ", ".join(one.subject for one in subjects)
    yield f"{path}: {len(subjects)} subject{'s' * (len(subjects) > 1)} who looked at pictures, {named}"
    for one in subjects:
        yield ""
        yield f"{one.subject}  {one.source}"
        pairs = [
            *_row_pairs(one),
            *_voxel_pairs(one),
            *_picture_pairs(one),
            *_search_pairs(path, one, subjects),
        ]
        yield from (f"  {heading.ljust(WIDTH)}{text}" for heading, text in pairs)


def _row_pairs(one: SubjectFacts) -> Iterator[tuple[str, str]]:
    for kind in one.kinds.values():
        yield kind.kind, _kind_text(kind)
    yield "run keys", one.run_key_note.removesuffix(".")
    chosen = "z-scores each run" if one.z_scored_by_run else "leaves voxels as recorded"
    reason = f"a run shows {one.shown_in_run:g} pictures in the median, z-scoring needs {ENOUGH_IN_A_RUN}"
    yield "normalisation", f"`auto` {chosen}: {reason}"


def _kind_text(kind: KindFacts) -> str:
    return (
        f"{kind.n_rows} rows in {len(kind.run_rows)} runs of {_range(kind.run_rows)}; {len(kind.repeats)} pictures of "
        f"{len(kind.categories)} categories, each {_range(kind.repeats)} times"
    )


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low} to {high}"


def _voxel_pairs(one: SubjectFacts) -> Iterator[tuple[str, str]]:
    places = "places known" if one.has_places else "places not known (no maps)"
    yield "voxels", f"{one.n_voxels}, {one.constant or 'none'} constant, {places}"
    areas = ", ".join(f"{name} {count}" for name, count in one.areas.items())
    yield "areas", f"{areas or 'none'}; {one.unlabelled} voxels without one"
    holds: dict[str, list[str]] = {}
    partly = []
    for (first, second), count in one.shared.items():
        inner, outer = sorted((first, second), key=lambda name: one.areas[name])
        if count == one.areas[inner]:
            holds.setdefault(outer, []).append(inner)
        else:
            partly.append(f"{first} and {second} share {count}")
    overlaps = [f"{outer} holds {', '.join(inner)}" for outer, inner in holds.items()]
    yield "overlaps", "; ".join([*overlaps, *partly]) or "none"
    if one.reliability is not None:
        found = one.reliability
        rows = f"of the means of {found.n_repeats} repeats, {found.n_stimuli} {found.kind} pictures"
        yield "reliability", f"{_middle(found.reliability)}, {rows}"
        if found.medians:
            by_area = ", ".join(f"{name} {median:.2f}" for name, median in found.medians.items())
            yield "by area", f"{by_area} (medians; the noise ceiling of a correlation is the root)"


def _middle(values: NDArray[np.float64]) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return "not defined"
    low, middle, high = np.quantile(known, (0.05, 0.5, 0.95))
    return f"median {middle:.2f} (voxels from {low:.2f} to {high:.2f}, 5 to 95 %)"


def _picture_pairs(one: SubjectFacts) -> Iterator[tuple[str, str]]:
    pictures = one.pictures
    if pictures is None:
        yield "pictures", f"none; {one.n_stimuli} stimuli are named"
        return
    colours = "in colour" if pictures.coloured else "grey"
    values = f"values {pictures.lowest:.3g} to {pictures.highest:.3g}"
    yield "pictures", f"{one.n_stimuli} of {pictures.height} x {pictures.width} pixels, {colours}, {values}"


def _search_pairs(
    path: str, one: SubjectFacts, subjects: Sequence[SubjectFacts]
) -> Iterator[tuple[str, str]]:
    """Say which experiments can be launched, and how."""
    lacking = [] if one.pictures is not None else ["pictures"]
    lacking += ["two training categories"] if one.n_searched < 2 else []
    command = f"--data.path {path}" + (f" --data.subject {one.subject}" if len(subjects) > 1 else "")
    if "test" not in one.kinds:
        sealed = min(MOST_SEALED, one.n_searched - 2)
        command += f" --data.test_categories {sealed}" if sealed > 0 else ""
    for name in ("pixels", "icgan"):
        squares = one.pictures is None or one.pictures.height == one.pictures.width
        missing = [*lacking, *([] if squares or name == "pixels" else ["square pictures"])]
        if missing:
            yield name, f"lacks {' and '.join(missing)}"
        else:
            yield name, f"neurosweep launch {name} {command}"
