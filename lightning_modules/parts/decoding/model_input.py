"""A new session in the form that a trained model was trained on, or the reason why it cannot be brought into it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.events import align_trials
from lightning_modules.parts.spikes.input_description import InputDescription
from lightning_modules.parts.spikes.npz import NOT_RECORDED, read_npz
from lightning_modules.parts.spikes.reader import SUFFIXES, read_file
from lightning_modules.parts.spikes.rebin import rebin_session
from lightning_modules.parts.spikes.session import BehaviourName, Indices, SpikeSession, select_behaviour
from lightning_modules.parts.spikes.units import PlacedUnits, place_units
from lightning_modules.parts.spikes.windows import SpikeTrials, cut_trials


@dataclass(frozen=True, eq=False)
class FittedSession:
    """A session as a model takes it.

    Args:
        recorded: The session in its own bins, NWB in the model's.
        trials: Those that fill the model's window, (K, T, N) and (K, T, D').
        behaviour_names: What the session calls its D' dimensions of behaviour.
        trial: Position of each trial in `recorded`, (K,).
        trial_start: First bin of each trial's window in `recorded`, (K,).
        absent: Columns of the model that the session does not record; silent in `trials`.
        warnings: What was left out or filled up, in sentences.
    """

    recorded: SpikeSession
    trials: SpikeTrials
    behaviour_names: tuple[str, ...]
    trial: Indices
    trial_start: Indices
    absent: tuple[str, ...]
    warnings: tuple[str, ...]

    def is_of_one_of(self, days: Sequence[str]) -> bool:
        """Whether the session was recorded on one of these days; their names start with an ISO date."""
        return any(day[:10] == self.recorded.date for day in days)


def fit_session(path: Path, model: InputDescription) -> FittedSession:
    """Read a session and fit bins, units and trials to a model.

    Args:
        path: `.npz` session, with or without behaviour and targets; `.nwb` or `.mat` file.
        model: The input that the model was trained on.

    Raises:
        DataError: If the file cannot be read or does not fit the model.
    """
    recorded = _read(path, model)
    # Trials are left out on the way, and what is known of each goes with it: here its position.
    numbered = replace(recorded, target=np.arange(recorded.n_trials))
    aligned = numbered
    if path.suffix.lower() == ".npz":  # the other readers have aligned while they read
        with _cure(
            f"The model's trials begin {model.alignment}: add `go_cue` or `movement_onset` to the session."
        ):
            aligned = align_trials(numbered, model.alignment)
    decoded = _select_behaviour(aligned, model)
    with _cure(f"Bin the session anew at {model.bin_width_s:g} s, which the model was trained on."):
        session = rebin_session(decoded, model.bin_width_s)
    placed = _place_units(session, model)
    cut = _cut_trials(placed.session, model)
    trial = cut.target
    return FittedSession(
        recorded=recorded,
        trials=replace(cut, target=recorded.target[trial]),
        behaviour_names=session.behaviour_names,
        trial=trial,
        trial_start=aligned.trial_start[np.searchsorted(aligned.target, trial)],
        absent=placed.absent,
        warnings=(
            *_unit_warnings(placed, model),
            *_trial_warnings(aligned.n_trials, len(trial), model),
            *_behaviour_warnings(session, model),
            *aligned.notes,
        ),
    )


def columns(model: InputDescription) -> str:
    """What the model's input columns are called."""
    return {"channel": "channels", "matched": "units", "padded": "columns"}[model.units]


def listed(names: Sequence[str], most: int = 8) -> str:
    """List the first names, and how many more there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _read(path: Path, model: InputDescription) -> SpikeSession:
    suffix = path.suffix.lower()
    if not path.is_file() or suffix not in SUFFIXES:
        what = "is a folder" if path.is_dir() else "is no session" if path.exists() else "does not exist"
        raise DataError(f"{path} {what}.", f"Give one file that ends in {', '.join(SUFFIXES)}.")
    if suffix == ".npz":
        return read_npz(path, labelled=False)
    return read_file(
        path,
        bin_width_s=model.bin_width_s if suffix == ".nwb" else None,
        behaviour=_kind_of_behaviour(model),
        alignment=model.alignment,
    )


def _kind_of_behaviour(model: InputDescription) -> BehaviourName | None:
    kinds: tuple[BehaviourName, ...] = ("velocity", "position")
    return next((kind for kind in kinds if model.behaviour_names[0].startswith(kind)), None)


def _select_behaviour(session: SpikeSession, model: InputDescription) -> SpikeSession:
    """The session with what the model predicts as its behaviour, where it holds that under another entry."""
    if session.emg is not None and session.emg_names == model.behaviour_names:
        return select_behaviour(session, "emg")
    if session.position is not None and _kind_of_behaviour(model) == "position":
        return select_behaviour(session, "position")
    return session


def _place_units(session: SpikeSession, model: InputDescription) -> PlacedUnits:
    if model.units == "matched" and session.electrodes is None and not session.units_matched_across_sessions:
        raise DataError(
            f"{session.source}: its units are not matched across sessions, so that the same number is another "
            "unit than the one that the model was trained on.",
            "Match them and set `units_matched_across_sessions`, or train a model with `--data.units channel`.",
        )
    with _cure("Decode a session of the same array, whose file names its units as the training sessions do."):
        return place_units(session, model.unit_names)


def _cut_trials(session: SpikeSession, model: InputDescription) -> SpikeTrials:
    longest = float(session.trial_lengths.max() * session.bin_width_s)
    with _cure(
        f"The model decodes windows of {model.window_s:g} s: give longer trials, or train a model with "
        f"`--data.window_s {longest:g}` or less."
    ):
        return cut_trials(session, n_bins=model.window_bins, session_index=0)


def _unit_warnings(placed: PlacedUnits, model: InputDescription) -> Iterator[str]:
    if model.units == "padded":
        yield (
            "The model's columns are units in the order of the files (`padded`): on another day they are other "
            "units, so expect predictions near chance."
        )
    fired = np.any([one.rates_hz for one in model.training], axis=0)
    absent = [
        name for name, did in zip(model.unit_names, fired, strict=True) if did and name in placed.absent
    ]
    if absent:
        yield (
            f"{len(absent)} of {len(model.unit_names)} {columns(model)} that fired on the training days are not in "
            f"the session and were read as silent: {listed(absent)}."
        )
    if placed.left_out:
        yield (
            f"{len(placed.left_out)} {columns(model)} of the session are unknown to the model and were left out: "
            f"{listed(placed.left_out)}."
        )


def _trial_warnings(n_trials: int, n_kept: int, model: InputDescription) -> Iterator[str]:
    if n_kept < n_trials:
        yield (
            f"{n_trials - n_kept} of {n_trials} trials are shorter than the model's window of {model.window_s:g} s "
            "and were left out."
        )


def _behaviour_warnings(session: SpikeSession, model: InputDescription) -> Iterator[str]:
    if session.behaviour_names not in (model.behaviour_names, (NOT_RECORDED,)):
        yield (
            f"The session's behaviour is {', '.join(session.behaviour_names)}, the model predicts "
            f"{', '.join(model.behaviour_names)}: there is no score."
        )


@contextmanager
def _cure(remedy: str) -> Iterator[None]:
    """Give a refusal the remedy of somebody who has a trained model, not of somebody who trains one."""
    try:
        yield
    except DataError as error:
        raise DataError(error.problem, remedy) from error
