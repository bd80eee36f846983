"""A decoder's settings on every subject of a data set: searched on one of them, transferred to the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.decoder.data_module import PictureDataModule
from lightning_modules.icgan.decoder.icgan import LatentDecoder
from lightning_modules.icgan.decoder.picture_sets import PictureSet
from lightning_modules.icgan.decoder.sealed_pictures import SealedResponses
from lightning_modules.icgan.decoder.sessions import SealedSession
from lightning_modules.icgan.decoder.targets import TargetData, TargetSource, targets_of
from lightning_modules.parts.errors import DataError


@dataclass(frozen=True, eq=False)
class FittedSubject:
    """One subject with a decoder that was fitted to the subject's training rows.

    Args:
        name: Of the subject.
        searched: Whether the settings were searched on this one.
        data: Training rows.
        responses: To the sealed pictures.
        model: Fitted.
    """

    name: str
    searched: bool
    data: TargetData
    responses: SealedResponses
    model: LatentDecoder


@dataclass(frozen=True, eq=False)
class OtherSubjects:
    """The subjects that the settings were not searched on.

    Args:
        fitted: Those that could be fitted, in the data set's order.
        notes: Which were left out and why, in sentences.
    """

    fitted: tuple[FittedSubject, ...]
    notes: tuple[str, ...]


class OpenedSubjects(NamedTuple):
    """The subjects whose sealed pictures are the searched subject's own.

    Args:
        sessions: By name, without the pictures, which are the same for all.
        notes: Which were left out and why, in sentences.
    """

    sessions: Mapping[str, SealedSession]
    notes: tuple[str, ...] = ()


def open_other_subjects(pictures: PictureSet, sealed: NDArray[np.int64]) -> OpenedSubjects:
    """Read every subject that settings were not searched on.

    Args:
        pictures: What the subjects share.
        sealed: The sealed pictures of the searched subject; the others must have the same.
    """
    sessions, notes = {}, []
    for name in pictures.subjects():
        if name == pictures.searched:
            continue
        try:
            opened = pictures.open(name)
            if not np.array_equal(opened.stimuli, sealed):
                raise DataError(
                    "Other pictures are sealed than of the searched subject.", "Evaluate it by itself."
                )
            sessions[name] = replace(opened, session=replace(opened.session, images=None))
        except DataError as error:
            notes.append(_left_out(name, error))
    return OpenedSubjects(sessions, tuple(notes))


def fit_other_subjects(
    model: LatentDecoder, opened: OpenedSubjects, source: TargetSource, given: Mapping[str, Any]
) -> OtherSubjects:
    """Fit a model's settings to the training rows of every subject that it was not searched on.

    Penalties that the settings leave to held-out rows are chosen anew on each subject's own.

    Args:
        model: Fitted to the searched subject.
        opened: The subjects.
        source: What they share.
        given: Arguments of `load_targets`, all of them.
    """
    fitted, notes = [], list(opened.notes)
    for name, session in opened.sessions.items():
        try:
            data = targets_of(source, session, given)
            fitted.append(
                FittedSubject(name, False, data, SealedResponses.of(session), fit_settings(model, data))
            )
        except (DataError, ValueError) as error:  # ValueError: an area that this subject lacks
            notes.append(_left_out(name, error))
    return OtherSubjects(tuple(fitted), tuple(notes))


def _left_out(name: str, error: Exception) -> str:
    return f"Subject {name} is left out: {error}".replace("\n", " ")


def fit_settings(model: LatentDecoder, data: TargetData) -> LatentDecoder:
    """Fit a new decoder with a model's settings to training rows.

    Args:
        model: Whose settings; all that it decodes is decoded in closed form.
        data: Training rows.
    """
    data_module = PictureDataModule(data)
    new = type(model)(**{**model.hparams, **data_module.model_arguments})
    (batch,) = data_module.train_dataloader()
    for kind in new.settings:
        new.fit_kind(batch, kind)
    new.on_validation_epoch_end()
    return new.eval()


def subject_rows(scores: Mapping[str, Mapping[str, float]], searched: str) -> tuple[dict[str, Any], ...]:
    """Return rows of a table: scores of each subject, and their mean and standard error over subjects.

    Args:
        scores: Metrics `test/...` by subject.
        searched: The subject that settings were searched on.
    """
    rows: list[dict[str, Any]] = [
        {"subject": f"{name} (searched)" if name == searched else name, **_short(one)}
        for name, one in scores.items()
    ]
    summary = over_subjects(list(scores.values()))
    if summary:
        rows.append({"subject": "mean", **_short({name: mean for name, (mean, _) in summary.items()})})
        rows.append({"subject": "SEM", **_short({name: sem for name, (_, sem) in summary.items()})})
    return tuple(rows)


def over_subjects(scores: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Return mean and standard error (ddof 1) over subjects of each metric; nothing for one subject.

    A mean of p values is none, so that those are left out.
    """
    if len(scores) < 2:
        return {}
    names = [name for name in scores[0] if not name.endswith("_p")]
    table = np.array([[one[name] for name in names] for one in scores])
    sem = table.std(axis=0, ddof=1) / np.sqrt(len(table))
    return {
        name: (float(mean), float(error))
        for name, mean, error in zip(names, table.mean(axis=0), sem, strict=True)
    }


def _short(scores: Mapping[str, float]) -> dict[str, float]:
    return {name.partition("/")[2]: value for name, value in scores.items()}
