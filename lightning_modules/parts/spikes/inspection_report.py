"""`neurosweep data inspect`: read what can be read, say it in words, draw it."""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.inspection import (
    Finding,
    RecordingFacts,
    SessionFacts,
    describe_recordings,
)
from lightning_modules.parts.spikes.inspection_figures import draw_rates, draw_trajectories, draw_unit_means
from lightning_modules.parts.spikes.reader import read_file, session_files
from lightning_modules.parts.spikes.session import SpikeSession

FORMATS = {".npz": "session file", ".nwb": "NWB", ".mat": "PyalData"}
WIDTH = 13
"""Of the column of headings."""


@dataclass(frozen=True)
class Inspection:
    """What `neurosweep data inspect` shows.

    Args:
        text: What the readable files hold.
        problems: What is wrong or missing, each with what it rules out.
        figures: Pictures by name; none if nothing can be read.
        readable: Whether any file can be read.
    """

    text: str
    problems: tuple[str, ...]
    figures: Mapping[str, Figure]
    readable: bool


def inspect_recordings(path: str) -> Inspection:
    """Describe a session file, or the sessions of a folder.

    A file that cannot be read is a problem among the others; it does not end the inspection.

    Raises:
        DataError: If the path holds no session file.
    """
    sessions: list[SpikeSession] = []
    unreadable: list[Finding] = []
    for file in session_files(path):
        try:
            sessions.append(read_file(file))
        except DataError as error:
            unreadable.append(_unreadable(file, error))
        except Exception as error:  # a damaged file may make its library raise anything
            unreadable.append(Finding(f"{file.name}: {type(error).__name__}: {error}", "Copy it again."))
    if not sessions:
        return Inspection(f"{path}: no session can be read", _listed(unreadable), {}, readable=False)
    sessions.sort(key=lambda session: (session.date, session.source))
    facts = describe_recordings(sessions)
    return Inspection(
        text="\n".join(describe(path, facts)),
        problems=_listed([*unreadable, *facts.findings]),
        figures={
            "rates": draw_rates(sessions),
            "mean_rates": draw_unit_means(sessions),
            "trajectories": draw_trajectories(sessions),
        },
        readable=True,
    )


def _unreadable(file: Path, error: DataError) -> Finding:
    if file.suffix.lower() == ".npz" and "voxels" in _entries(file):
        return Finding(f"{file.name} is an image session (voxels and stimuli).", "Inspect it by itself.")
    named = error.problem if file.name in error.problem else f"{file.name}: {error.problem}"
    return Finding(named, error.remedy)


def _entries(file: Path) -> list[str]:
    try:
        with zipfile.ZipFile(file) as archive:
            return [Path(name).stem for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile):
        return []


def _listed(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(f"{one.problem} {one.consequence}" for one in findings)


def describe(path: str, facts: RecordingFacts) -> Iterator[str]:
    """Write the facts down, line by line."""
    days = [one.date for one in facts.sessions]
    span = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    animals = ", ".join(dict.fromkeys(one.animal for one in facts.sessions))
    yield f"{path}: {len(days)} session{'s' * (len(days) > 1)} of {animals}, {span}"
    for one in facts.sessions:
        yield ""
        yield f"{one.date}  {one.source} ({FORMATS.get(Path(one.source).suffix.lower(), 'session')})"
        yield from _pairs(_session_pairs(one))
    yield ""
    yield "together"
    yield from _pairs(_common_pairs(facts))


def _pairs(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    return (f"  {heading.ljust(WIDTH)}{text}" for heading, text in pairs)


def _session_pairs(one: SessionFacts) -> list[tuple[str, str]]:
    rates, seconds = np.array(one.mean_rates_hz), np.array(one.trial_s)
    electrodes = "electrodes not known" if one.n_electrodes is None else f"on {one.n_electrodes} electrodes"
    matched = "matched across sessions" if one.units_matched else "not matched across sessions"
    targets = ", ".join(f"{target} ({count})" for target, count in one.targets)
    onsets = (
        f"recorded in {one.onsets} trials"
        if one.onsets is not None
        else f"not recorded; the speed shows it in {one.onsets_from_speed} of {one.n_trials} trials"
    )
    return [
        ("bins", f"{one.n_bins} of {one.bin_width_s:g} s, {one.n_bins * one.bin_width_s:.0f} s in all"),
        ("units", f"{one.n_units}, {electrodes}, {matched}"),
        (
            "rates",
            f"mean {rates.mean():.3g} Hz (units from {rates.min():.3g} to {rates.max():.3g}), "
            f"{one.silent_units} silent",
        ),
        (
            "behaviour",
            ", ".join(f"{trace.name} {trace.lowest:.3g} to {trace.highest:.3g}" for trace in one.behaviour),
        ),
        ("position", "recorded" if one.has_position else "not recorded"),
        ("emg", f"{len(one.emg_names)}: {', '.join(one.emg_names)}" if one.emg_names else "not recorded"),
        (
            "trials",
            f"{one.n_trials}, {seconds.min():.3g} to {seconds.max():.3g} s long, median {np.median(seconds):.3g} s",
        ),
        ("targets", f"{len(one.targets)} (trials): {targets}"),
        ("go cue", f"in {one.go_cues} trials" if one.go_cues is not None else "not recorded"),
        ("onset", onsets),
        *(("note", note) for note in one.notes),
    ]


def _common_pairs(facts: RecordingFacts) -> list[tuple[str, str]]:
    pairs = []
    for mode in facts.modes:
        columns = "does not work" if mode.n_columns is None else f"{mode.n_columns} columns"
        chosen = ", what `auto` takes" if mode.automatic else ""
        pairs.append((mode.mode, ". ".join([f"{columns}{chosen}", *mode.notes])))
    width = facts.sessions[0].bin_width_s
    pairs.append(("window", f"{facts.window_bins * width:.3g} s by default, {facts.window_bins} bins"))
    if facts.split is not None:
        names = [one.date for one in facts.sessions]
        for purpose, positions in vars(facts.split).items():
            pairs.append((purpose, ", ".join(names[position] for position in positions) or "no whole day"))
    return pairs
