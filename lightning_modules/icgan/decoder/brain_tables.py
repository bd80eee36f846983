"""A brain report as tables and metrics."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.brain.areas import AREAS
from lightning_modules.icgan.brain.over_subjects import (
    Contrast,
    OverSubjects,
    area_contrast,
    compare_areas,
    contrast_over_subjects,
)
from lightning_modules.icgan.decoder.brain_report import BrainReport

Rows = tuple[dict[str, Any], ...]

HIGHEST_P = 0.05
"""After correction, of the pairs of areas that are listed; those that the paper's code would flag are too."""
SOUGHT = ("face", "house")
"""Classes that an area is known for: FFA and PPA."""


def brain_tables(report: BrainReport, names: tuple[str, ...]) -> dict[str, Rows]:
    """Return tables by title; those without a row are left out.

    Args:
        report: What was found.
        names: Of all pictures.
    """
    tables = {
        "semantic index of areas, percentile points": _index_rows(report),
        "LOC, FFA, PPA less V1, V2, V3": _contrast_rows(report),
        "areas that differ, published index": _pair_rows(report),
        "pictures that areas ask for": _picture_rows(report, names),
        "decoded from one area alone": _decoding_rows(report),
        "variance of voxels explained, held out": _variance_rows(report),
    }
    return {title: rows for title, rows in tables.items() if rows}


def brain_metrics(report: BrainReport) -> dict[str, float]:
    """Return metrics `brain/...` of areas and of the contrast of higher and early ones."""
    metrics = {}
    for version, values in report.index.items():
        metrics[f"brain/contrast_{version}"] = float(area_contrast(values).mean())
        found = _tested(values)
        if found is not None:
            metrics[f"brain/contrast_{version}_p"] = found.p
    metrics["brain/contrast_shuffled_p"] = report.shuffled_p
    published = report.index["published"].mean(axis=0)
    metrics |= {f"brain/index_{area}": float(one) for area, one in zip(AREAS, published, strict=True)}
    for name in sought(report):
        column = report.pictures.classes.index(name)
        for label, values in (
            (name, report.pictures.class_scores),
            (f"towards_{name}", report.pictures.alignment),
        ):
            of_areas = values[:, :, column].mean(axis=0)
            metrics |= {
                f"brain/{label}_{area}": float(one)
                for area, one in zip(AREAS, of_areas, strict=True)
                if np.isfinite(one)  # of a class that no training picture is taken for there is no direction
            }
    return metrics


def _index_rows(report: BrainReport) -> Rows:
    rows = []
    for version, values in report.index.items():
        rows.append({"index": version, **_by_area(values.mean(axis=0))})
        if len(values) > 1:
            rows.append({"index": f"{version}, SEM", **_by_area(OverSubjects(values).sem)})
    return tuple(rows)


def _contrast_rows(report: BrainReport) -> Rows:
    rows = []
    for version, values in report.index.items():
        contrasts, found = area_contrast(values), _tested(values)
        row: dict[str, Any] = {
            "index": version,
            "mean": float(contrasts.mean()),
            "above 0": f"{np.count_nonzero(contrasts > 0)} of {len(contrasts)}",
        }
        if found is not None:
            row |= {"t": found.t, "p": found.p, "p of signs": found.p_signs}
            if len(contrasts) > 2:
                row["highest p without one"] = float(found.p_without_each.max())
        if version == "published":
            row["p of shuffled voxels"] = report.shuffled_p
        rows.append(row)
    return tuple(rows)


def _pair_rows(report: BrainReport) -> Rows:
    if len(report.subjects) < 2:
        return ()
    pairs = compare_areas(OverSubjects(report.index["published"]))
    return tuple(
        {
            "areas": f"{one.first} - {one.second}",
            "difference": one.difference,
            "t (Welch)": one.t,
            "p": one.p,
            "p (Holm, 21)": one.p_holm,
        }
        for one in pairs
        if one.flagged or one.p_holm < HIGHEST_P
    )


def _picture_rows(report: BrainReport, names: tuple[str, ...]) -> Rows:
    pictures = report.pictures
    rows = []
    for at, area in enumerate(AREAS):
        row: dict[str, Any] = {"area": area}
        for name in sought(report):
            column = pictures.classes.index(name)
            row[f"P({name})"] = float(pictures.class_scores[:, at, column].mean())
            row[f"h towards {name}"] = float(pictures.alignment[:, at, column].mean())
            if pictures.against is not None:
                row[f"p({name})"] = float(pictures.against.p[at, column])
        if pictures.classes:
            row["likeliest"] = pictures.classes[int(pictures.class_scores[:, at].mean(axis=0).argmax())]
        if pictures.self_consistency is not None:
            row["self-consistency"] = float(pictures.self_consistency[:, at].mean())
        if pictures.agreement is not None:
            row["agreement"] = float(pictures.agreement[at])
        row["nearest training picture"] = names[int(pictures.nearest[at, 0])]
        rows.append(row)
    return tuple(rows)


def _decoding_rows(report: BrainReport) -> Rows:
    rows = []
    for area in AREAS:
        row: dict[str, Any] = {"area": area}
        for target, areas in report.decoding.items():
            row |= {
                f"{target}, pairwise": float(np.mean([one.pairwise for one in areas[area]])),
                f"{target}, profile r": float(np.mean([one.profile for one in areas[area]])),
            }
        row["voxels"] = round(
            float(np.mean([one.n_voxels for one in next(iter(report.decoding.values()))[area]]))
        )
        rows.append(row)
    return tuple(rows)


def _variance_rows(report: BrainReport) -> Rows:
    parts = report.variance.of_areas(report.masks)
    titles = {
        "first_only": "h alone",
        "second_only": "luminance and colour alone",
        "shared": "shared",
        "both": "both",
    }
    return tuple(
        {"area": area} | {title: float(parts[name][at]) for name, title in titles.items()}
        for at, area in enumerate(AREAS)
    )


def sought(report: BrainReport) -> list[str]:
    """Return the classes that areas are known for, of those that a classifier tells apart."""
    return [name for name in SOUGHT if name in report.pictures.classes]


def _by_area(values: NDArray[np.float64]) -> Mapping[str, float]:
    return dict(zip(AREAS, values.tolist(), strict=True))


def _tested(values: NDArray[np.float64]) -> Contrast | None:
    return contrast_over_subjects(OverSubjects(values)) if len(values) > 1 else None
