"""Decoding a session that a trained model has never seen: fitted to the model's input, decoded, judged."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray

from lightning_modules.parts.decoding.familiarity import describe_unfamiliar
from lightning_modules.parts.decoding.inference import infer
from lightning_modules.parts.decoding.model_input import FittedSession, fit_session, listed
from lightning_modules.parts.decoding.read_in import fit_read_in
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.metrics import r2
from lightning_modules.parts.spikes.input_description import InputDescription, session_rates
from lightning_modules.parts.spikes.reader import session_files
from lightning_modules.parts.spikes.session import Indices, Traces


@dataclass(frozen=True, eq=False)
class DecodedSession:
    """What a model makes of a session.

    Shapes:
        K trials that fill the model's window, T bins, D behavioural dimensions.

    Args:
        predicted: In the unit of the training recordings, float32 (K, T, D).
        behaviour_names: Names of the D dimensions.
        bin_width_s: Width of the T bins, s.
        trial: Position of each trial in an `.npz` file; of other files, among the trials that are used, (K,).
        trial_start: First bin of each trial's window in an `.npz` file; of other files, in the used trials put
            one after the other, (K,).
        recorded_bin_width_s: Width of the bins that `trial_start` counts, s.
        target: Of each trial, (K,); -1 where the file has none.
        behaviour: As recorded, float32 (K, T, D); None where it is not recorded, is another one, or is sealed.
        scores: R² on this session by name; empty without `behaviour`.
        warnings: What is unlike the training days, was left out or filled up, in sentences.
    """

    predicted: Traces
    behaviour_names: tuple[str, ...]
    bin_width_s: float
    trial: Indices
    trial_start: Indices
    recorded_bin_width_s: float
    target: Indices
    behaviour: Traces | None
    scores: Mapping[str, float]
    warnings: tuple[str, ...]

    @property
    def n_trials(self) -> int:
        """K."""
        return len(self.predicted)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """What belongs into a file, by name."""
        entries = {
            "predicted": self.predicted,
            "behaviour_names": np.array(self.behaviour_names),
            "bin_width_s": np.array(self.bin_width_s),
            "trial": self.trial,
            "trial_start": self.trial_start,
            "recorded_bin_width_s": np.array(self.recorded_bin_width_s),
            "target": self.target,
        }
        return entries if self.behaviour is None else {**entries, "behaviour": self.behaviour}


def decode_session(
    module: pl.LightningModule,
    description: Mapping[str, Any],
    path: str | Path,
    *,
    adapt_from: str | Path | None = None,
) -> DecodedSession:
    """Read a session, bring it into the form that the model was trained on, and predict its behaviour.

    Args:
        module: A decoder of spikes; see `infer`.
        description: What `SpikeDataModule.description` gave where the model was trained.
        path: `.npz` session, with or without behaviour and targets; `.nwb` or `.mat` file.
        adapt_from: The training sessions, a file or a folder that may hold others too. With them the model decodes
            behind a read-in that is fitted to the new session's trials, without their labels; see `fit_read_in`.

    Raises:
        DataError: If a file cannot be read or does not fit the model, or no training session is there.
    """
    model = InputDescription.from_dict(description)
    _check_belongs(module, model)
    fitted = fit_session(Path(path).expanduser(), model)
    seen = _as_seen(fitted, model)
    adapted = []
    if adapt_from is not None:
        training, adapted = _training_spikes(adapt_from, model)
        seen = fit_read_in(module, training, seen)(seen)
    predicted = infer(module, seen).behaviour
    rates = session_rates(fitted.trials.spikes, bin_width_s=model.bin_width_s, name=fitted.recorded.date)
    known = fitted.behaviour_names == model.behaviour_names and not _is_sealed(fitted, model)
    behaviour = fitted.trials.behaviour if known else None
    return DecodedSession(
        predicted=predicted,
        behaviour_names=model.behaviour_names,
        bin_width_s=model.bin_width_s,
        trial=fitted.trial,
        trial_start=fitted.trial_start,
        recorded_bin_width_s=fitted.recorded.bin_width_s,
        target=fitted.trials.target,
        behaviour=behaviour,
        scores={} if behaviour is None else _scores(predicted, behaviour, model.behaviour_names),
        warnings=(
            *adapted,
            *_origin_warnings(fitted, model),
            *describe_unfamiliar(model, rates, absent=fitted.absent),
            *fitted.warnings,
        ),
    )


def _as_seen(session: FittedSession, model: InputDescription) -> NDArray[Any]:
    """Counts of a session's trials as the model sees them."""
    spikes = session.trials.spikes
    return spikes if model.matching is None else model.matching.match(spikes)


def _training_spikes(path: str | Path, model: InputDescription) -> tuple[NDArray[Any], list[str]]:
    """Read the trials of the training sessions in a file or folder, and say which days were used."""
    wanted = [one.name for one in model.training]
    found: dict[str, NDArray[Any]] = {}
    refused = ""
    for file in session_files(path):
        try:
            session = fit_session(file, model)
        except DataError as error:  # of a session that is none of the training days
            refused = f" {file.name} does not fit the model: {error.problem}"
            continue
        if session.recorded.animal == model.animal and session.is_of_one_of(wanted):
            found[session.recorded.date] = _as_seen(session, model)
    if not found:
        raise DataError(
            f"{path} holds none of the training days of the model: {model.animal}, {listed(wanted)}.{refused}",
            "Give the sessions that the model was trained on, or leave out `--adapt-from`.",
        )
    used = "the training day"
    if len(wanted) > 1:
        share = "all" if len(found) == len(wanted) else f"{len(found)} of"
        used = f"{share} {len(wanted)} training days"
    note = (
        f"Adapted to the trials of this session, without their labels, so that latents are distributed as on {used}: "
        "this supposes about the same mix of targets."
    )
    return np.concatenate(list(found.values())), [note]


def _check_belongs(module: pl.LightningModule, model: InputDescription) -> None:
    """Refuse the description of another model: it would silently bring the session onto other columns."""
    described = {
        "n_units": len(model.unit_names),
        "n_bins": model.window_bins,
        "bin_width_s": model.bin_width_s,
        "behaviour_names": list(model.behaviour_names),
    }
    own = {name: module.hparams.get(name, value) for name, value in described.items()}
    differing = [f"{name} {own[name]}, not {described[name]}" for name in own if own[name] != described[name]]
    if differing:
        raise DataError(
            f"The model does not fit the description of its input: it has {'; '.join(differing)}.",
            "Keep the description in the folder of its own model.",
        )


def _scores(predicted: Traces, truth: Traces, names: tuple[str, ...]) -> dict[str, float]:
    guess, behaviour = torch.tensor(predicted), torch.tensor(truth)
    of_dimension = {
        f"R2 of {name}": r2(guess[..., one : one + 1], behaviour[..., one : one + 1]).item()
        for one, name in enumerate(names)
    }
    return {"R2": r2(guess, behaviour).item(), **of_dimension}


def _is_sealed(session: FittedSession, model: InputDescription) -> bool:
    return session.recorded.animal == model.animal and session.is_of_one_of(model.sealed_sessions)


def _origin_warnings(session: FittedSession, model: InputDescription) -> Iterator[str]:
    animal, day = session.recorded.animal, session.recorded.date
    if animal != model.animal:
        yield f"The session is of {animal}, the model was trained on {model.animal}."
    elif session.is_of_one_of([one.name for one in model.training]):
        yield f"The model was trained on {day}: a score on this day is no test."
    elif session.is_of_one_of(model.session_names):
        yield f"{day} is a validation day, by which the model was chosen: a score on it flatters."
    elif _is_sealed(session, model):
        yield (
            f"{day} is a sealed test day of the model's sweep: predictions without a score and without the recorded "
            "behaviour, so that it stays unseen until the evaluation."
        )
