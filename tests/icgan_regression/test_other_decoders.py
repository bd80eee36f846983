"""Kernel, banded and reduced-rank ridge, and ridge on selected voxels."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.kernel_ridge import KernelRidge as SklearnKernelRidge
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel
from sklearn.preprocessing import KernelCenterer

from lightning_modules.icgan.regression.banded import fit_banded, partition
from lightning_modules.icgan.regression.kernel import Polynomial, RadialBasis, fit_kernel_ridge
from lightning_modules.icgan.regression.reduced_rank import fit_reduced_rank
from lightning_modules.icgan.regression.ridge import fit_ridge
from lightning_modules.icgan.regression.voxel_selection import fit_selected
from lightning_modules.parts.errors import DataError

PER_TARGET = np.array([0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0])


@pytest.mark.parametrize("alpha", [0.1, PER_TARGET], ids=["shared", "per target"])
@pytest.mark.parametrize("kind", ["radial", "cubic"])
def test_kernel_ridge_is_sklearns_on_the_centred_kernel(recording: Any, alpha: Any, kind: str) -> None:
    kernel = RadialBasis(0.4) if kind == "radial" else Polynomial(degree=3, gamma=0.7, offset=0.5)

    def similarity(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        if kind == "radial":
            return rbf_kernel(rows, others, gamma=0.4 / 90)
        return polynomial_kernel(rows, others, degree=3, gamma=0.7 / 90, coef0=0.5)

    centrer, mean = KernelCenterer(), recording.targets.mean(axis=0)
    theirs = SklearnKernelRidge(alpha=alpha, kernel="precomputed")
    theirs.fit(
        centrer.fit_transform(similarity(recording.voxels, recording.voxels)), recording.targets - mean
    )
    new = centrer.transform(similarity(recording.new_voxels, recording.voxels))
    ours = fit_kernel_ridge(recording.voxels, recording.targets, alpha, kernel=kernel)
    np.testing.assert_allclose(
        ours.predict(recording.new_voxels), theirs.predict(new) + mean, rtol=0, atol=1e-9
    )


def test_a_polynomial_of_degree_one_is_plain_ridge(recording: Any) -> None:
    kernel = Polynomial(degree=1, gamma=90.0, offset=2.0)  # a constant is what centring takes away
    ours = fit_kernel_ridge(recording.voxels, recording.targets, 25.0, kernel=kernel)
    plain = SklearnRidge(alpha=25.0).fit(recording.voxels, recording.targets)
    np.testing.assert_allclose(
        ours.predict(recording.new_voxels), plain.predict(recording.new_voxels), rtol=0, atol=1e-9
    )


def test_kernels_name_all_their_wrong_arguments() -> None:
    with pytest.raises(ValueError, match=r"`degree` is 0.*`gamma` is -1.*`offset` is -2"):
        Polynomial(degree=0, gamma=-1, offset=-2)
    with pytest.raises(ValueError, match="`gamma` is 0"):
        RadialBasis(0)


def augmented(recording: Any, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Centred rows with √α I below, whose plain least squares is ridge regression."""
    voxels = recording.voxels - recording.voxels.mean(axis=0)
    targets = recording.targets - recording.targets.mean(axis=0)
    return (
        np.vstack([voxels, np.sqrt(alpha) * np.eye(voxels.shape[1])]),
        np.vstack([targets, np.zeros((voxels.shape[1], targets.shape[1]))]),
    )


@pytest.mark.parametrize("rank", [1, 3, 6])
@pytest.mark.parametrize("n_targets", [7, 100], ids=["fewer targets than rows", "more targets than rows"])
def test_reduced_rank_is_the_svd_of_the_fit_to_augmented_rows(
    recording: Any, rank: int, n_targets: int
) -> None:
    alpha = 200.0
    if n_targets > 7:
        mixing = np.random.default_rng(0).standard_normal((7, n_targets))
        recording = replace(recording, targets=recording.targets @ mixing)
    rows, wanted = augmented(recording, alpha)
    weights, *_ = np.linalg.lstsq(rows, wanted, rcond=None)
    _, _, right = np.linalg.svd(rows @ weights, full_matrices=False)
    expected = (weights @ right[:rank].T @ right[:rank]).T
    ours = fit_reduced_rank(recording.voxels, recording.targets, alpha, rank)
    np.testing.assert_allclose(ours.weights(), expected, rtol=0, atol=1e-9)
    assert np.linalg.matrix_rank(ours.weights(), tol=1e-9) == rank


def test_no_other_weights_of_the_same_rank_fit_better(recording: Any) -> None:
    """Descent on the two factors of the weights, from random starts, finds nothing below the closed form."""
    alpha, rank = 500.0, 2
    rows, wanted = augmented(recording, alpha)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        left, right = flat[: 90 * rank].reshape(90, rank), flat[90 * rank :].reshape(rank, 7)
        error = rows @ left @ right - wanted
        slope = rows.T @ error
        return 0.5 * (error**2).sum(), np.concatenate([(slope @ right.T).ravel(), (left.T @ slope).ravel()])

    rng = np.random.default_rng(0)
    found = [
        minimize(loss, 0.1 * rng.standard_normal(97 * rank), jac=True, options={"maxiter": 2000}).fun
        for _ in range(3)
    ]
    weights = fit_reduced_rank(recording.voxels, recording.targets, alpha, rank).weights().T
    ours = 0.5 * ((rows @ weights - wanted) ** 2).sum()
    assert ours == pytest.approx(min(found), rel=1e-6)


def test_full_rank_is_plain_ridge(recording: Any) -> None:
    full = fit_reduced_rank(recording.voxels, recording.targets, 30.0, 7)
    plain = SklearnRidge(alpha=30.0).fit(recording.voxels, recording.targets)
    np.testing.assert_allclose(
        full.predict(recording.new_voxels), plain.predict(recording.new_voxels), rtol=0, atol=1e-9
    )


def test_more_directions_than_the_fit_has_are_all_of_them_and_none_is_refused(recording: Any) -> None:
    wide = replace(recording, targets=recording.targets @ np.random.default_rng(0).standard_normal((7, 100)))
    for one in (recording, wide):
        plain = SklearnRidge(alpha=30.0).fit(one.voxels, one.targets)
        found = fit_reduced_rank(one.voxels, one.targets, 30.0, 99)
        np.testing.assert_allclose(
            found.predict(one.new_voxels), plain.predict(one.new_voxels), rtol=0, atol=1e-8
        )
    with pytest.raises(ValueError, match="`rank` is 0"):
        fit_reduced_rank(recording.voxels, recording.targets, 30.0, 0)


@pytest.mark.parametrize("n_voxels", [1, 25, 80], ids=["one", "fewer than rows", "more than rows"])
def test_each_target_is_read_from_its_most_correlated_voxels_as_in_a_sklearn_loop(
    recording: Any, n_voxels: int
) -> None:
    recording.voxels[:, 3] = 1.0  # a dead voxel correlates with nothing
    recording.new_voxels[:, 3] = 7.0
    ours = fit_selected(recording.voxels, recording.targets, 10.0, n_voxels)
    expected = np.empty((20, 7))
    weights = np.zeros((7, 90))
    for target in range(7):
        sizes = [
            abs(np.corrcoef(recording.voxels[:, voxel], recording.targets[:, target])[0, 1])
            if voxel != 3
            else 0
            for voxel in range(90)
        ]
        chosen = np.sort(np.argsort(sizes)[::-1][:n_voxels])
        np.testing.assert_array_equal(ours.selected[target], chosen)
        ridge = SklearnRidge(alpha=10.0).fit(recording.voxels[:, chosen], recording.targets[:, target])
        expected[:, target] = ridge.predict(recording.new_voxels[:, chosen])
        weights[target, chosen] = ridge.coef_
    np.testing.assert_allclose(ours.predict(recording.new_voxels), expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ours.weights(), weights, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours.weight_l1(), np.abs(weights).sum(axis=0), rtol=0, atol=1e-10)
    mask = np.arange(90) < 40
    np.testing.assert_allclose(ours.project(mask), weights @ mask, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours.predict(np.zeros((1, 90)))[0], ours.intercept, rtol=0, atol=1e-10)


@pytest.mark.parametrize("n_voxels", [25, 80], ids=["fewer than rows", "more than rows"])
def test_targets_of_the_same_voxels_and_of_several_blocks_are_solved_as_one_by_one(
    recording: Any, n_voxels: int
) -> None:
    targets = np.tile(recording.targets, 80) * np.repeat(np.arange(1.0, 81.0), 7)  # 560: more than one block
    together = fit_selected(recording.voxels, targets, 10.0, n_voxels)
    for target in (0, 6, 513, 559):
        alone = fit_selected(recording.voxels, targets[:, [target]], 10.0, n_voxels)
        np.testing.assert_array_equal(together.selected[target], alone.selected[0])
        np.testing.assert_allclose(together.coefficients[target], alone.coefficients[0], rtol=1e-9)


def test_selecting_at_least_all_voxels_is_plain_ridge(recording: Any) -> None:
    plain = SklearnRidge(alpha=10.0).fit(recording.voxels, recording.targets)
    ours = fit_selected(recording.voxels, recording.targets, 10.0, 5000)
    np.testing.assert_allclose(
        ours.predict(recording.new_voxels), plain.predict(recording.new_voxels), rtol=0, atol=1e-9
    )


def test_selection_of_no_voxel_is_refused(recording: Any) -> None:
    with pytest.raises(ValueError, match="`n_voxels` is 0"):
        fit_selected(recording.voxels, recording.targets, 10.0, 0)


def test_selection_lets_predictions_leave_the_space_of_the_training_targets() -> None:
    """Shared voxels and penalty make predictions combinations of the training targets; see Shirakawa et al. 2024."""
    rng = np.random.default_rng(0)
    voxels, targets = rng.standard_normal((12, 40)), rng.standard_normal((12, 60))
    new = rng.standard_normal((30, 40))
    hull = targets - targets.mean(axis=0)

    def rank_beyond(predicted: np.ndarray) -> int:
        off = predicted - targets.mean(axis=0)
        return int(np.linalg.matrix_rank(off - off @ np.linalg.pinv(hull) @ hull, tol=1e-8))

    assert rank_beyond(fit_ridge(voxels, targets, 1.0).predict(new)) == 0
    assert rank_beyond(fit_selected(voxels, targets, 1.0, 5).predict(new)) > 5


AREAS = {"V1": np.arange(90) < 40, "FFA": (np.arange(90) >= 30) & (np.arange(90) < 80)}


@pytest.mark.parametrize("per_target", [True, False])
def test_banded_ridge_is_sklearns_on_voxels_scaled_by_the_weight_of_their_areas(
    recording: Any, per_target: bool
) -> None:
    ours = fit_banded(
        recording.voxels,
        recording.targets,
        AREAS,
        np.arange(60) % 4,
        alphas=[1.0, 100.0, 1e3],
        n_candidates=8,
        per_target=per_target,
    )
    for target in range(7):
        # A voxel of two areas has the sum of both weights; one of none has no weight.
        weights = sum(
            weight * own for weight, own in zip(ours.band_weights[:, target], AREAS.values(), strict=True)
        )
        scaled = np.sqrt(weights)
        ridge = SklearnRidge(alpha=1.0).fit(recording.voxels * scaled, recording.targets[:, target])
        np.testing.assert_allclose(
            ours.predict(recording.new_voxels)[:, target],
            ridge.predict(recording.new_voxels * scaled),
            rtol=0,
            atol=1e-8,
        )
    if not per_target:
        assert np.ptp(ours.band_weights, axis=1).max() == 0


def test_one_candidate_is_plain_ridge_at_the_penalty_times_the_number_of_areas(recording: Any) -> None:
    halves = {"one": np.arange(90) < 45, "other": np.arange(90) >= 45}
    ours = fit_banded(
        recording.voxels, recording.targets, halves, np.arange(60) % 4, alphas=[30.0], n_candidates=1
    )
    plain = SklearnRidge(alpha=60.0).fit(recording.voxels, recording.targets)
    np.testing.assert_allclose(
        ours.predict(recording.new_voxels), plain.predict(recording.new_voxels), rtol=0, atol=1e-8
    )


def test_an_area_of_noise_is_weighed_down_and_new_rows_are_predicted_better_for_it() -> None:
    rng = np.random.default_rng(0)
    voxels = rng.standard_normal((160, 330))
    voxels[:, 30:] *= 2
    areas = {"signal": np.arange(330) < 30, "noise": np.arange(330) >= 30}
    targets = voxels[:, :30] @ rng.standard_normal((30, 5)) + 2 * rng.standard_normal((160, 5))
    alphas = np.geomspace(0.1, 1e5, 13)
    train, new = slice(0, 100), slice(100, 160)
    fold = np.arange(100) % 5
    banded = fit_banded(voxels[train], targets[train], areas, fold, alphas=list(alphas), n_candidates=60)
    assert (banded.band_weights[0] > 5 * banded.band_weights[1]).all()

    def error(predicted: np.ndarray) -> float:
        return float(((predicted - targets[new]) ** 2).mean())

    plain = min(error(fit_ridge(voxels[train], targets[train], a).predict(voxels[new])) for a in alphas)
    assert error(banded.predict(voxels[new])) < 0.7 * plain  # plain's penalty is even chosen on the new rows
    by_band = banded.predict_by_band(voxels[new])
    assert by_band[0].std() > 5 * by_band[1].std()


def test_each_voxel_belongs_to_the_smallest_of_its_areas() -> None:
    voxel = np.arange(12)
    areas = {
        "all": voxel >= 0,
        "V1": voxel < 3,
        "V2": (voxel >= 3) & (voxel < 5),
        "LVC": voxel < 5,
        "LOC": (voxel >= 5) & (voxel < 9),
        "FFA": (voxel >= 8) & (voxel < 10),
        "HVC": (voxel >= 5) & (voxel < 11),
        "none": voxel < 0,
    }
    found = {name: np.flatnonzero(mask).tolist() for name, mask in partition(areas).items()}
    expected = {"V1": [0, 1, 2], "V2": [3, 4], "LOC": [5, 6, 7], "FFA": [8, 9], "HVC": [10], "all": [11]}
    assert found == expected


def test_areas_that_cannot_be_bands_are_all_named(recording: Any) -> None:
    areas = {"V1": np.zeros(90, dtype=bool), "V2": np.ones(89, dtype=bool)}
    with pytest.raises(DataError, match=r"`V1` has no voxels. `V2` is bool \(89,\), not bool \(90,\)"):
        fit_banded(recording.voxels, recording.targets, areas, np.arange(60) % 4, alphas=[1.0])
