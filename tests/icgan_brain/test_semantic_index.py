import numpy as np
import pytest
from scipy.stats import percentileofscore

from lightning_modules.icgan.brain.areas import AREAS, area_masks, area_means, matched_area_means
from lightning_modules.icgan.brain.semantic_index import (
    WeightNorms,
    percentiles,
    semantic_index,
    shuffled_index,
    two_sided_p,
)
from lightning_modules.icgan.regression.ridge import fit_ridge, spectrum_of
from lightning_modules.parts.errors import DataError


def make_norms(n_voxels: int, seed: int = 0) -> WeightNorms:
    rng = np.random.default_rng(seed)
    return WeightNorms(rng.gamma(2, size=n_voxels), rng.gamma(2, size=n_voxels))


def test_percentiles_are_scipys_weak_ones_also_for_ties():
    norms = np.random.default_rng(0).integers(0, 20, size=70).astype(float)
    expected = [percentileofscore(norms, one, kind="weak") for one in norms]
    np.testing.assert_allclose(percentiles(norms), expected)


def test_the_mean_percentile_of_all_voxels_is_near_50():
    norms = make_norms(4500)
    # (V + 1) / 2V of 100.
    assert percentiles(norms.semantic).mean() == pytest.approx(50 + 50 / 4500)


def test_the_index_of_a_toy_with_known_weights_is_the_one_on_paper():
    weights_h = np.array([[1.0, -2, 3, 0], [1, 2, -3, 0]])  # norms 2, 4, 6, 0
    weights_d = np.array([[5.0, 0, 1, -2], [0, 0, 1, 2], [0, 1, 1, 0]])  # norms 5, 1, 3, 4
    norms = WeightNorms(np.abs(weights_h).sum(axis=0), np.abs(weights_d).sum(axis=0))
    np.testing.assert_allclose(percentiles(norms.semantic), [50, 75, 100, 25])
    np.testing.assert_allclose(percentiles(norms.spatial), [100, 25, 50, 75])
    np.testing.assert_allclose(norms.index, [-50, 50, 50, -50])
    masks = {"V1": np.array([1, 0, 0, 1], bool), "PPA": np.array([0, 1, 1, 0], bool)}
    np.testing.assert_allclose(area_means(norms.index, masks), [-50, 50])


def test_the_mean_index_weighted_by_numbers_of_voxels_is_0(roi):
    norms = make_norms(len(roi["VC"]))
    masks = area_masks(roi, overlap_removed=False)
    # A partition of all voxels: areas with the overlap given to LOC alone, and those of no area.
    masks["FFA"] = masks["FFA"] & ~masks["LOC"]
    masks["none"] = ~np.any(list(masks.values()), axis=0)
    sizes = np.array([mask.sum() for mask in masks.values()])
    assert area_means(norms.index, masks) @ sizes == pytest.approx(0, abs=1e-9)


def test_voxels_of_both_loc_and_ffa_are_counted_twice_or_not_at_all(roi):
    kept, apart = (area_masks(roi, overlap_removed=removed) for removed in (False, True))
    assert list(kept) == list(apart) == list(AREAS)
    assert [int(kept[name].sum()) for name in ("LOC", "FFA", "V1")] == [35, 25, 60]
    assert [int(apart[name].sum()) for name in ("LOC", "FFA", "V1")] == [30, 20, 60]
    assert not (apart["LOC"] & apart["FFA"]).any()


def test_versions_use_their_own_voxels_and_norms(roi):
    norms, matched = make_norms(len(roi["VC"])), make_norms(len(roi["VC"]), seed=1)
    versions = semantic_index(norms, roi, ceiling=np.full(len(roi["VC"]), 0.3), df_matched=matched)
    assert list(versions) == ["published", "overlap_removed", "noise_matched", "df_matched"]
    loc, ffa = roi["LOC"], roi["FFA"]
    assert versions["published"][4] == pytest.approx(norms.index[loc].mean())
    assert versions["overlap_removed"][4] == pytest.approx(norms.index[loc & ~ffa].mean())
    assert versions["df_matched"][5] == pytest.approx(matched.index[ffa & ~loc].mean())
    # With one ceiling for all there is nothing to match.
    np.testing.assert_allclose(versions["noise_matched"], versions["overlap_removed"])


def test_decoders_at_matched_degrees_of_freedom_can_be_compared():
    rng = np.random.default_rng(3)
    voxels = rng.standard_normal((60, 40))
    targets_h, targets_d = rng.standard_normal((60, 5)), rng.standard_normal((60, 9))
    alpha = spectrum_of(voxels).alpha_for(0.5)
    norms = WeightNorms(*(fit_ridge(voxels, one, alpha).weight_l1() for one in (targets_h, targets_d)))
    centred = voxels - voxels.mean(axis=0)
    inverse = np.linalg.inv(centred.T @ centred + alpha * np.eye(40)) @ centred.T
    assert np.trace(centred @ inverse) == pytest.approx(0.5 * 40)
    np.testing.assert_allclose(
        norms.spatial, np.abs(inverse @ (targets_d - targets_d.mean(axis=0))).sum(axis=1)
    )


def test_matching_removes_a_difference_that_noise_alone_makes():
    rng = np.random.default_rng(4)
    ceiling = np.concatenate([rng.uniform(0, 0.6, 4000), rng.uniform(0.3, 0.9, 4000)])
    masks = {"low": np.arange(8000) < 4000, "high": np.arange(8000) >= 4000}
    values = 10 * ceiling + 0.1 * rng.standard_normal(8000)
    plain, matched = area_means(values, masks), matched_area_means(values, masks, ceiling, n_bins=40)
    assert plain[1] - plain[0] == pytest.approx(3, abs=0.1)
    assert abs(matched[1] - matched[0]) < 0.1


def test_matched_means_are_those_of_voxels_drawn_at_random():
    rng = np.random.default_rng(5)
    ceiling, values = rng.random(90), rng.standard_normal(90)
    masks = {"a": np.arange(90) < 60, "b": np.arange(90) >= 60}
    expected = matched_area_means(values, masks, ceiling, n_bins=3)
    bins = np.digitize(ceiling, np.quantile(ceiling, [1 / 3, 2 / 3]))
    drawn = []
    for _ in range(4000):
        picked: dict[str, list[float]] = {"a": [], "b": []}
        for one in range(3):
            members = {name: np.flatnonzero(mask & (bins == one)) for name, mask in masks.items()}
            fewest = min(map(len, members.values()))
            for name, member in members.items():
                picked[name] += values[rng.choice(member, fewest, replace=False)].tolist()
        drawn.append([np.mean(picked["a"]), np.mean(picked["b"])])
    np.testing.assert_allclose(np.mean(drawn, axis=0), expected, atol=0.01)


def test_areas_without_voxels_in_common_cannot_be_matched():
    masks = {"a": np.arange(40) < 20, "b": np.arange(40) >= 20}
    with pytest.raises(DataError, match="No bin of noise ceilings out of 10 holds voxels of every area"):
        matched_area_means(np.zeros(40), masks, np.arange(40.0))


def test_shuffled_norms_have_no_index_and_the_spread_of_a_random_draw(roi):
    norms = make_norms(len(roi["VC"]))
    masks = area_masks(roi, overlap_removed=True)
    null = shuffled_index(norms, masks, n_shuffles=3000, seed=0)
    n, sizes = len(roi["VC"]), np.array([mask.sum() for mask in masks.values()])
    # Variance of the mean of k of N ranks without replacement, of two targets.
    rank_variance = (100 / n) ** 2 * (n**2 - 1) / 12
    expected = np.sqrt(2 * rank_variance / sizes * (n - sizes) / (n - 1))
    np.testing.assert_allclose(null.std(axis=0), expected, rtol=0.06)
    np.testing.assert_allclose(null.mean(axis=0) / expected, 0, atol=0.08)


def test_two_sided_p_counts_both_tails_and_the_observed_value():
    null = np.array([-3.0, -1, 0, 1, 3])[:, None]
    assert two_sided_p(np.array([3.0]), null)[0] == pytest.approx(3 / 6)
    assert two_sided_p(np.array([-4.0]), null)[0] == pytest.approx(1 / 6)


def test_missing_and_empty_areas_are_refused_by_name(roi):
    with pytest.raises(DataError, match="Areas FFA, PPA are missing"):
        area_masks(
            {name: mask for name, mask in roi.items() if name not in ("FFA", "PPA")}, overlap_removed=True
        )
    with pytest.raises(DataError, match="No voxel is left in FFA"):
        area_masks(roi | {"LOC": roi["VC"]}, overlap_removed=True)
    with pytest.raises(DataError, match=r"Weights of \(5,\) and \(6,\) voxels"):
        WeightNorms(np.ones(5), np.ones(6))
