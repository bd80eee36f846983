"""What an evaluation says beyond the searched subject's scores: every subject, the brain, and figures of both."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_modules.icgan.decoder.brain_decoders import why_not_linear
from lightning_modules.icgan.decoder.brain_figures import draw_brain
from lightning_modules.icgan.decoder.brain_maps import map_files
from lightning_modules.icgan.decoder.brain_report import report_brain
from lightning_modules.icgan.decoder.brain_tables import brain_metrics, brain_tables
from lightning_modules.icgan.decoder.over_subjects import FittedSubject, over_subjects, subject_rows
from lightning_modules.icgan.decoder.picture_sets import PictureSet
from lightning_modules.icgan.decoder.pictures import signature
from lightning_modules.icgan.decoder.sealed_figures import draw_averaging, draw_sheet
from lightning_modules.icgan.decoder.sealed_pictures import SealedPictures
from lightning_modules.icgan.decoder.targets import INSTANCE, PICTURE
from lightning_modules.icgan.recordings.normalise import AveragedPatterns
from lightning_modules.icgan.scoring.averaging import REPEATS, AveragingCurve, averaging_curve
from lightning_modules.icgan.scoring.identification import identify
from lightning_modules.icgan.scoring.latents import Generate
from lightning_modules.icgan.scoring.nearest import nearest
from lightning_modules.icgan.scoring.protocols import Images
from lightning_modules.parts.errors import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Findings:
    """Parts of an evaluation.

    Args:
        tables: Rows of tables, by title.
        metrics: By name.
        figures: By name.
        files: Content by name.
        notes: Sentences.
    """

    tables: dict[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    figures: "dict[str, Figure]" = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def report_subjects(
    subjects: Sequence[FittedSubject], sealed: SealedPictures, generate: Generate, oracle: Images
) -> Findings:
    """Score the sealed pictures of every subject, and draw all of them.

    Args:
        subjects: Fitted, the searched one first.
        sealed: The pictures.
        generate: The generator.
        oracle: What it makes of them at best, (m, side, side, 3).

    Returns:
        Metrics `subjects/...` are means over subjects and their standard errors.
    """
    searched, origin = subjects[0].name, signature(subjects[0].model.origin, subjects[0].data)
    scores, figures = {}, {}
    for one in subjects:
        latents = one.model.decode(one.responses.averaged)
        made = generate(latents)
        scores[one.name] = sealed.score(latents, made)
        figures[f"sealed_pictures_{one.name}"] = draw_sheet(
            sealed.stimuli,
            made,
            _nearest(one, latents.h, sealed),
            oracle,
            title=f"All sealed pictures, subject {one.name}, means of {one.responses.n_repeats} responses",
            origin=origin,
        )
    curves = {one.name: _averaging(one, sealed) for one in subjects}
    figures["averaging"] = draw_averaging(curves, searched=searched, origin=origin)
    if len(subjects) < 2:
        return Findings(figures=figures)
    metrics = {}
    for name, (mean, sem) in over_subjects(list(scores.values())).items():
        short = name.partition("/")[2]
        metrics |= {f"subjects/{short}": mean, f"subjects/{short}_sem": sem}
    note = (
        f"Settings were searched on subject {searched} and transferred to the others, whose responses to the sealed "
        "pictures were opened with this evaluation; what settings leave to held-out rows is chosen on each subject's "
        "own."
    )
    return Findings({"subjects": subject_rows(scores, searched)}, metrics, figures, notes=(note,))


def report_areas(subjects: Sequence[FittedSubject], pictures: PictureSet, generate: Generate) -> Findings:
    """Analyse what areas carry; a note alone where decoders or areas do not allow it.

    Args:
        subjects: Fitted, the searched one first.
        pictures: That they saw.
        generate: The generator.

    Returns:
        Metrics are `brain/...`.
    """
    model = subjects[0].model
    reason = why_not_linear(model)
    if reason is not None:
        return Findings(notes=(reason,))
    try:
        report = report_brain(subjects, pictures, generate)
    except DataError as error:
        return Findings(notes=(f"The brain analyses are left out: {error.problem}",))
    files, map_notes = map_files(report.maps)
    return Findings(
        files=files,
        tables=brain_tables(report, pictures.names),
        metrics=brain_metrics(report),
        figures=draw_brain(report, origin=signature(model.origin, subjects[0].data)),
        notes=(*report.notes, *map_notes),
    )


def _nearest(one: FittedSubject, h: np.ndarray, sealed: SealedPictures) -> Images:
    tables = one.data.tables
    row = nearest(h, tables[INSTANCE]).row[:, 0]
    return tables[PICTURE][row].reshape(sealed.stimuli.shape)


def _averaging(one: FittedSubject, sealed: SealedPictures) -> AveragingCurve:
    def identified(averaged: AveragedPatterns) -> float:
        alike = sealed.alike(one.model.decode(averaged.voxels))
        return identify(alike, np.arange(len(sealed))).accuracy

    repeats = sorted({n for n in REPEATS if n < one.responses.n_repeats} | {one.responses.n_repeats})
    return averaging_curve(identified, one.responses.session, repeats=repeats)
