import numpy as np
import pytest
from scipy.spatial.distance import cosine, pdist
from sklearn.linear_model import Ridge as SklearnRidge

from lightning_modules.icgan.brain.areas import area_masks
from lightning_modules.icgan.brain.roi_images import (
    Decoders,
    contrast_pattern,
    gain_sweep,
    optimal_latents,
    random_masks,
    stack_masks,
)
from lightning_modules.icgan.brain.roi_scores import (
    Judges,
    compare_with_random_masks,
    score_pictures,
    subject_agreement,
)
from lightning_modules.icgan.regression.ridge import fit_ridge
from lightning_modules.icgan.scoring.latents import Latents
from lightning_modules.parts.errors import DataError


class Known:
    """A decoder with given weights (D, V)."""

    def __init__(self, weights: np.ndarray, intercept: np.ndarray):
        self.weights = weights
        self.intercept = intercept

    def project(self, directions: np.ndarray) -> np.ndarray:
        return directions @ self.weights.T


def make_decoders(n_voxels: int) -> Decoders:
    rng = np.random.default_rng(0)
    return Decoders(
        *(Known(rng.standard_normal((width, n_voxels)), rng.standard_normal(width)) for width in (6, 3, 8))
    )


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def test_published_latents_are_the_three_lines_of_the_specification(roi):
    rng = np.random.default_rng(1)
    voxels, targets = rng.standard_normal((50, len(roi["VC"]))), rng.standard_normal((50, 9))
    ours = Decoders(
        *(fit_ridge(voxels, targets[:, one], 30.0) for one in (slice(4), slice(4, 6), slice(6, 9)))
    )
    sklearns = [
        SklearnRidge(30.0).fit(voxels, targets[:, one]) for one in (slice(4), slice(4, 6), slice(6, 9))
    ]
    masks = area_masks(roi, overlap_removed=True)
    latents = optimal_latents(ours, stack_masks(masks))
    for at, mask in enumerate(masks.values()):
        h, z, d = ((model.coef_ @ mask, model.intercept_) for model in sklearns)
        np.testing.assert_allclose(latents.h[at], unit(unit(h[0]) + h[1]), atol=1e-9)
        np.testing.assert_allclose(latents.z[at], z[0] + z[1], atol=1e-9)
        np.testing.assert_allclose(latents.d[at], d[0] + d[1], atol=1e-9)


def test_only_noise_and_dense_vectors_know_the_size_of_an_area_unless_it_is_normalised(roi):
    decoders = make_decoders(len(roi["VC"]))
    mask = roi["V1"].astype(float)
    small, large = (Latents(*optimal_latents(decoders, factor * mask[None])) for factor in (1, 4))
    np.testing.assert_allclose(small.h, large.h)
    deviations = [one.d - decoders.d.intercept for one in (small, large)]
    np.testing.assert_allclose(4 * deviations[0], deviations[1])

    projected = decoders.d.project(mask[None])
    by_root = optimal_latents(decoders, mask[None], size_norm="sqrt").d - decoders.d.intercept
    np.testing.assert_allclose(by_root, projected / np.sqrt(60))
    by_length = optimal_latents(decoders, mask[None], size_norm="unit").d - decoders.d.intercept
    np.testing.assert_allclose(by_length[0], unit(projected[0]))


def test_gains_go_along_a_line_through_the_intercept(roi):
    decoders = make_decoders(len(roi["VC"]))
    patterns = stack_masks(area_masks(roi, overlap_removed=True))
    sweep = gain_sweep(decoders, patterns)
    assert list(sweep) == [-3, -2, -1, 0, 1, 2, 3]
    intercept = decoders.z.intercept
    np.testing.assert_allclose(sweep[0].z, [intercept] * 7)
    np.testing.assert_allclose(sweep[0].h, [unit(decoders.h.intercept)] * 7)
    np.testing.assert_allclose(sweep[3].z - intercept, 3 * (sweep[1].z - intercept))
    np.testing.assert_allclose(
        sweep[-2].h[0], unit(decoders.h.intercept - 2 * unit(decoders.h.project(patterns)[0]))
    )


def test_latents_that_are_not_decoded_are_left_to_the_generator(roi):
    decoders = make_decoders(len(roi["VC"]))
    latents = optimal_latents(Decoders(decoders.h), stack_masks({"V1": roi["V1"]}))
    assert latents.z is None
    assert latents.d is None


def test_a_contrast_has_both_signs_and_cancels_where_areas_overlap(roi):
    pattern = contrast_pattern(roi["FFA"], roi["LOC"])
    both = roi["FFA"] & roi["LOC"]
    assert (pattern == 1).sum() == (roi["FFA"] & ~both).sum()
    assert (pattern == -1).sum() == (roi["LOC"] & ~both).sum()
    assert not pattern[both].any()


def test_an_empty_mask_and_an_unknown_norm_are_refused(roi):
    decoders = make_decoders(len(roi["VC"]))
    with pytest.raises(DataError, match=r"Patterns \[1\] are zero in all voxels"):
        optimal_latents(decoders, np.stack([roi["V1"], 0 * roi["V1"]]))
    with pytest.raises(ValueError, match="'l2', but must be one of none, sqrt, unit"):
        optimal_latents(decoders, stack_masks(roi), size_norm="l2")


def test_random_masks_keep_the_size_and_use_all_voxels_alike(roi):
    masks = random_masks(roi["PPA"], n_masks=2000, seed=0)
    assert masks.dtype == np.bool_
    assert set(masks.sum(axis=1)) == {20}
    share = 20 / len(roi["VC"])
    assert np.abs(masks.mean(axis=0) - share).max() < 5 * np.sqrt(share * (1 - share) / 2000)
    np.testing.assert_array_equal(masks, random_masks(roi["PPA"], n_masks=2000, seed=0))
    assert len(np.unique(random_masks(roi["PPA"]), axis=0)) == 100


def test_an_area_that_drives_a_class_stands_out_of_random_masks(roi):
    """Faces are the first dimension of h, to which FFA alone has strong weights; pictures are h itself."""
    rng = np.random.default_rng(2)
    weights = 0.3 * rng.standard_normal((12, len(roi["VC"])))
    weights[0] += np.where(roi["FFA"] & ~roi["LOC"], 2.0, 0)
    decoders = Decoders(Known(weights, np.zeros(12)))
    judges = Judges(
        embed=lambda images: images[:, 0, :, 0],
        classify=lambda images: images[:, 0, :2, 0],
        classes=("face", "scene"),
    )

    def generate(latents: Latents) -> np.ndarray:
        return np.tile(latents.h[:, None, :, None], (1, 4, 1, 3))

    masks = area_masks(roi, overlap_removed=True)
    found = compare_with_random_masks(decoders, masks, generate, judges, n_masks=99, seed=3)
    assert found.null.shape == (7, 99, 2)
    assert found.observed[:, 0].argmax() == found.areas.index("FFA")
    assert found.p[found.areas.index("FFA"), 0] == 1 / 100
    expected = (1 + (found.null[0, :, 1] >= found.observed[0, 1]).sum()) / 100
    assert found.p[0, 1] == pytest.approx(expected)


def test_scores_of_pictures_are_cosines_and_nearest_training_pictures():
    rng = np.random.default_rng(4)
    h, training = rng.standard_normal((3, 5)), rng.standard_normal((40, 5))
    shown = h + 0.5 * rng.standard_normal(h.shape)
    judges = Judges(lambda images: shown, lambda images: shown[:, :2], ("face", "scene"))
    found = score_pictures(np.zeros((3, 4, 4, 3)), Latents(h), judges, training)
    np.testing.assert_allclose(
        found.self_consistency, [1 - cosine(a, b) for a, b in zip(shown, h, strict=True)]
    )
    assert found.nearest.row.shape == (3, 10)
    distances = [cosine(h[1], one) for one in training]
    np.testing.assert_array_equal(found.nearest.row[1], np.argsort(distances)[:10])
    with pytest.raises(DataError, match=r"shape \(3, 2\) for 3 pictures and 1 classes"):
        score_pictures(
            np.zeros((3, 4, 4, 3)), Latents(h), Judges(judges.embed, judges.classify, ("face",)), training
        )


def test_agreement_is_the_mean_cosine_over_pairs_of_subjects():
    h = np.random.default_rng(5).standard_normal((5, 7, 6))
    expected = [np.mean(1 - pdist(h[:, area], "cosine")) for area in range(7)]
    np.testing.assert_allclose(subject_agreement(h), expected)
    with pytest.raises(DataError, match="not of two subjects"):
        subject_agreement(h[:1])
