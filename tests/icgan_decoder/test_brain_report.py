"""Brain analyses of an evaluation, on subjects whose areas carry what is known."""

import gzip
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from nibabel.affines import apply_affine
from nibabel.nifti1 import Nifti1Image
from scipy.stats import rankdata, ttest_1samp
from sklearn.linear_model import Ridge

from lightning_modules.icgan.brain.areas import AREAS
from lightning_modules.icgan.decoder.brain_decoders import LinearDecoders
from lightning_modules.icgan.decoder.brain_maps import map_files
from lightning_modules.icgan.decoder.brain_report import FEATURES, BrainReport, report_brain
from lightning_modules.icgan.decoder.brain_tables import brain_metrics, brain_tables
from lightning_modules.icgan.decoder.over_subjects import FittedSubject
from lightning_modules.icgan.decoder.subject_report import report_areas
from lightning_modules.icgan.decoder.targets import TargetSource

Fit = Callable[..., tuple[FittedSubject, ...]]
FFA, PPA = AREAS.index("FFA"), AREAS.index("PPA")


def no_pictures(latents):
    """Pictures in which nothing can be seen."""
    return np.full((len(latents.h), 8, 8, 3), 0.5, dtype=np.float32)


def test_the_index_is_that_of_sklearns_weights_and_higher_areas_exceed_early_ones(
    fit_toys: Fit, toy_report: BrainReport
) -> None:
    subjects = fit_toys()
    for row, one in enumerate(subjects):
        percentiles = []
        for kind in ("instance", "dense"):
            truth = one.data.tables[kind][one.data.stimulus].astype(np.float64)
            weights = Ridge(100.0).fit(one.data.voxels.astype(np.float64), truth).coef_
            percentiles.append(100 * rankdata(np.abs(weights).sum(axis=0)) / weights.shape[1])
        index = (percentiles[0] - percentiles[1]).reshape(len(AREAS), -1).mean(axis=1)
        np.testing.assert_allclose(toy_report.index["published"][row], index, atol=0.2)
    assert toy_report.subjects == ("1", "2", "3")
    for version in ("published", "overlap_removed", "noise_matched", "df_matched", "patterns"):
        values = toy_report.index[version]
        assert (values[:, 4:].mean(axis=1) - values[:, :3].mean(axis=1) > 20).all(), version
    assert toy_report.shuffled_p < 0.01


def test_the_area_of_faces_asks_for_a_face_and_that_of_houses_for_a_house(toy_report: BrainReport) -> None:
    pictures = toy_report.pictures
    for scores in (pictures.class_scores.mean(axis=0), pictures.alignment.mean(axis=0)):
        assert scores[:, 0].argmax() == FFA
        assert scores[:, 1].argmax() == PPA
    assert pictures.against is not None
    assert pictures.against.p[FFA, 0] < 0.05 > pictures.against.p[PPA, 1]
    label = np.arange(60) % 3  # pictures are faces, houses and rings in turn
    assert (label[pictures.nearest[FFA]] == 0).mean() > 0.8
    assert (label[pictures.nearest[PPA]] == 1).mean() > 0.8
    assert (pictures.drawn > 0.5).all()


def test_higher_areas_alone_decode_features_that_early_ones_do_not(toy_report: BrainReport) -> None:
    found = toy_report.decoding[FEATURES]
    pairwise = {area: np.mean([one.pairwise for one in each]) for area, each in found.items()}
    assert min(pairwise[area] for area in ("LOC", "FFA", "PPA")) > 0.8
    assert max(pairwise[area] for area in ("V1", "V2", "V3")) < 0.7
    alone = toy_report.variance.of_areas(toy_report.masks)["first_only"]
    assert alone[4] > 0.1 > np.abs(alone[:3]).max()


def test_a_generator_that_draws_nothing_is_named_and_the_direction_of_h_still_tells(
    fit_toys: Fit, toy_source: TargetSource
) -> None:
    report = report_brain(fit_toys(instance_alpha=100.0), toy_source.pictures, no_pictures)
    assert report.pictures.class_scores[:, :, 0] == pytest.approx(1 / 3, abs=0.01)
    assert report.pictures.alignment[:, :, 0].mean(axis=0).argmax() == FFA
    black = report_brain(
        fit_toys(), toy_source.pictures, lambda latents: no_pictures(latents) * [0.0, 0.0, 1.0]
    )
    assert any("hardly draws face" in note and "house" in note for note in black.notes)


def test_decoders_of_an_area_are_fitted_again_to_all_voxels_at_their_penalty(fit_toys: Fit) -> None:
    (first, *_) = fit_toys(instance_area="FFA", instance_alpha=7.0)
    linear = LinearDecoders(first)
    assert linear.refitted == ("instance",)
    truth = first.data.tables["instance"][first.data.stimulus].astype(np.float64)
    expected = Ridge(7.0).fit(first.data.voxels.astype(np.float64), truth).coef_
    np.testing.assert_allclose(linear.ridges["instance"].weights(), expected, atol=1e-4)


def test_weights_that_cannot_be_compared_are_left_out_with_the_reason(
    fit_toys: Fit, toy_source: TargetSource
) -> None:
    found = report_areas(fit_toys(instance_method="rbf"), toy_source.pictures, no_pictures)
    assert not found.tables
    assert not found.figures
    assert "instance is decoded by `rbf`" in found.notes[0]


def test_a_subject_without_an_area_has_no_brain_part(fit_toys: Fit, toy_source: TargetSource) -> None:
    first, *others = fit_toys()
    roi = {name: mask for name, mask in first.data.roi.items() if name != "PPA"}
    subjects = (replace(first, data=replace(first.data, roi=roi)), *others)
    found = report_areas(subjects, toy_source.pictures, no_pictures)
    assert found.notes == ("The brain analyses are left out: Areas PPA are missing among "
                           f"{', '.join(roi)}.",)  # fmt: skip


def test_tables_and_metrics_hold_the_reports_numbers(toy_report: BrainReport) -> None:
    metrics = brain_metrics(toy_report)
    values = toy_report.index["published"]
    contrast = values[:, 4:].mean(axis=1) - values[:, :3].mean(axis=1)
    assert metrics["brain/contrast_published"] == pytest.approx(contrast.mean())
    assert metrics["brain/contrast_published_p"] == pytest.approx(ttest_1samp(contrast, 0).pvalue)
    assert metrics["brain/index_LOC"] == pytest.approx(values[:, 4].mean())
    assert metrics["brain/face_FFA"] == pytest.approx(toy_report.pictures.class_scores[:, FFA, 0].mean())
    tables = brain_tables(toy_report, tuple(f"picture_{one}" for one in range(69)))
    (row, *_) = tables["LOC, FFA, PPA less V1, V2, V3"]
    assert row["above 0"] == "3 of 3"
    assert row["p of signs"] == pytest.approx(1 / 8)
    areas = tables["pictures that areas ask for"]
    assert areas[FFA]["likeliest"] == "face"
    assert areas[PPA]["likeliest"] == "house"
    nearest = int(areas[FFA]["nearest training picture"].partition("_")[2])
    assert nearest == toy_report.pictures.nearest[FFA, 0]


def test_one_subject_alone_has_values_and_no_tests(fit_toys: Fit, toy_source: TargetSource) -> None:
    report = report_brain(fit_toys()[:1], toy_source.pictures, no_pictures)
    assert report.pictures.agreement is None
    metrics = brain_metrics(report)
    assert "brain/contrast_published" in metrics
    assert "brain/contrast_published_p" not in metrics
    assert "areas that differ, published index" not in brain_tables(report, toy_source.pictures.names)


def test_maps_of_every_subject_hold_what_was_found_at_the_place_of_each_voxel(
    fit_toys: Fit, toy_report: BrainReport
) -> None:
    files, notes = map_files(toy_report.maps)
    names = ("p_h", "p_d", "index", "noise_ceiling")
    assert set(files) == {f"map_{name}_{subject}.nii.gz" for name in names for subject in "123"}
    assert "1, 2, 3 (p_h, p_d, index, noise_ceiling)" in notes[0]
    first = fit_toys()[0]
    assert first.data.voxel_xyz is not None
    shown = {}
    for name in names:
        image = Nifti1Image.from_bytes(gzip.decompress(files[f"map_{name}_1.nii.gz"]))
        at = np.rint(apply_affine(np.linalg.inv(image.affine), first.data.voxel_xyz)).astype(int)
        shown[name] = image.get_fdata()[tuple(at.T)]
        assert np.isfinite(image.get_fdata()).sum() == len(at)
    for name, kind in (("p_h", "instance"), ("p_d", "dense")):
        truth = first.data.tables[kind][first.data.stimulus].astype(np.float64)
        weights = Ridge(100.0).fit(first.data.voxels.astype(np.float64), truth).coef_
        percentiles = 100 * rankdata(np.abs(weights).sum(axis=0)) / weights.shape[1]
        np.testing.assert_allclose(shown[name], percentiles, atol=1.5)  # near ties change places
    np.testing.assert_allclose(shown["index"], shown["p_h"] - shown["p_d"], atol=1e-4)
    np.testing.assert_allclose(shown["index"], toy_report.voxel_index, atol=1e-4)
    assert np.median(shown["noise_ceiling"]) > 0.5


def test_no_map_is_written_where_places_are_not_known_or_off_the_grid(toy_report: BrainReport) -> None:
    one, two, _ = toy_report.maps.values()
    assert two.voxel_xyz is not None
    turned = two.voxel_xyz @ np.array([[0.8, 0.6, 0], [-0.6, 0.8, 0], [0, 0, 1]], dtype=np.float32)
    files, notes = map_files({"1": one._replace(voxel_xyz=None), "2": two._replace(voxel_xyz=turned)})
    assert not files
    assert "No maps of subject 1: the recording has no places of voxels" in notes[0]
    assert re.match(r"No maps of subject 2: .*cells off the centres of the grid", notes[1])
