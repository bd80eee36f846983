import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from himalaya.kernel_ridge import KernelRidge as HimalayaKernelRidge
from sklearn.linear_model import Ridge as SklearnRidge

from lightning_modules.icgan.regression.ridge import fit_ridge, spectrum_of
from lightning_modules.parts.errors import DataError

PER_TARGET = np.array([0.5, 3.0, 20.0, 100.0, 500.0, 2e3, 2e4])


def sklearn_fit(recording: Any, alpha: Any) -> SklearnRidge:
    return SklearnRidge(alpha=alpha).fit(recording.voxels, recording.targets)


@pytest.mark.parametrize("alpha", [1.0, 500.0, PER_TARGET], ids=["weak", "strong", "per target"])
@pytest.mark.parametrize("n_voxels", [25, 90], ids=["fewer voxels than rows", "more voxels than rows"])
def test_dual_ridge_is_sklearns_ridge(recording: Any, alpha: Any, n_voxels: int) -> None:
    voxels = recording.voxels[:, :n_voxels]
    expected = SklearnRidge(alpha=alpha).fit(voxels, recording.targets)
    ridge = fit_ridge(voxels, recording.targets, alpha)
    new = recording.new_voxels[:, :n_voxels]
    np.testing.assert_allclose(ridge.predict(new), expected.predict(new), rtol=1e-9, atol=0)
    np.testing.assert_allclose(ridge.weights(), expected.coef_, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ridge.intercept, expected.intercept_, rtol=1e-9, atol=0)


@pytest.mark.parametrize("alpha", [1.0, 500.0])
def test_float32_ridge_stays_float32_and_within_1e5_of_float64(alpha: float) -> None:
    rng = np.random.default_rng(0)
    voxels = rng.standard_normal((300, 1000)).astype(np.float32)
    targets = (voxels[:, :150] + rng.standard_normal((300, 150))).astype(np.float32)
    new = rng.standard_normal((50, 1000)).astype(np.float32)
    expected = SklearnRidge(alpha=alpha).fit(voxels.astype(float), targets.astype(float)).predict(new)
    predicted = fit_ridge(voxels, targets, alpha).predict(new)
    assert predicted.dtype == np.float32
    assert np.abs(predicted - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("alpha", [0.5, 30.0, 5e3])
def test_dual_ridge_is_himalayas_kernel_ridge(recording: Any, alpha: float) -> None:
    theirs = HimalayaKernelRidge(alpha=alpha, kernel="linear", fit_intercept=True)
    theirs.fit(recording.voxels, recording.targets)
    ours = fit_ridge(recording.voxels, recording.targets, alpha)
    np.testing.assert_allclose(
        ours.predict(recording.new_voxels), theirs.predict(recording.new_voxels), rtol=1e-9, atol=0
    )


def test_one_spectrum_serves_every_kind_of_target(recording: Any) -> None:
    spectrum = spectrum_of(recording.voxels)
    for alpha, columns in ((1.0, slice(0, 3)), (100.0, slice(3, 7))):
        targets = recording.targets[:, columns]
        ridge = fit_ridge(recording.voxels, targets, alpha, spectrum=spectrum)
        expected = SklearnRidge(alpha=alpha).fit(recording.voxels, targets)
        np.testing.assert_allclose(
            ridge.predict(recording.new_voxels), expected.predict(recording.new_voxels), rtol=1e-9, atol=0
        )


def test_blocks_of_targets_join_without_a_seam() -> None:
    rng = np.random.default_rng(1)
    voxels, targets = rng.standard_normal((30, 40)), rng.standard_normal((30, 4100))
    alpha = rng.uniform(1, 100, 4100)
    expected = SklearnRidge(alpha=alpha).fit(voxels, targets)
    ridge = fit_ridge(voxels, targets, alpha)
    np.testing.assert_allclose(ridge.predict(voxels), expected.predict(voxels), rtol=0, atol=1e-10)
    np.testing.assert_allclose(ridge.weight_l1(), np.abs(expected.coef_).sum(axis=0), rtol=1e-10, atol=0)


def test_l1_norms_and_projections_are_those_of_the_primal_weights(recording: Any) -> None:
    weights = sklearn_fit(recording, PER_TARGET).coef_
    ridge = fit_ridge(recording.voxels, recording.targets, PER_TARGET)
    areas = np.arange(90) // 30 == np.arange(3)[:, None]
    np.testing.assert_allclose(ridge.weight_l1(), np.abs(weights).sum(axis=0), rtol=1e-9, atol=0)
    np.testing.assert_allclose(ridge.project(areas), areas @ weights.T, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ridge.project(areas[1]), areas[1] @ weights.T, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ridge.weights(slice(2, 4)), weights[2:4], rtol=0, atol=1e-10)
    np.testing.assert_allclose(ridge.weights(np.array([5, 0])), weights[[5, 0]], rtol=0, atol=1e-10)


def test_ridge_of_an_affine_map_of_the_targets_is_the_affine_map_of_ridge(recording: Any) -> None:
    rng = np.random.default_rng(5)
    matrix, offset = rng.standard_normal((7, 24)), rng.standard_normal(24)
    direct = fit_ridge(recording.voxels, recording.targets @ matrix + offset, 40.0)
    mapped = (
        fit_ridge(recording.voxels, recording.targets, 40.0).predict(recording.new_voxels) @ matrix + offset
    )
    np.testing.assert_allclose(direct.predict(recording.new_voxels), mapped, rtol=0, atol=1e-9)


def test_predictions_lie_in_the_affine_hull_of_the_training_targets() -> None:
    rng = np.random.default_rng(2)
    voxels = rng.standard_normal((15, 40))
    targets = rng.standard_normal((15, 200))  # 15 points span 14 of 200 dimensions
    predicted = fit_ridge(voxels, targets, 3.0).predict(rng.standard_normal((8, 40)))
    # Coefficients that sum to 1, found by least squares with that sum as a heavy equation.
    equations = np.vstack([targets.T, 1e3 * np.ones(15)])
    wanted = np.vstack([predicted.T, 1e3 * np.ones(8)])
    coefficients, *_ = np.linalg.lstsq(equations, wanted, rcond=None)
    np.testing.assert_allclose(coefficients.sum(axis=0), 1, rtol=0, atol=1e-10)
    np.testing.assert_allclose(coefficients.T @ targets, predicted, rtol=0, atol=1e-9)


def test_degrees_of_freedom_are_the_trace_of_the_hat_matrix(recording: Any) -> None:
    centred = recording.voxels - recording.voxels.mean(axis=0)
    spectrum = spectrum_of(recording.voxels)
    alphas = np.array([0.1, 10.0, 1e3, 1e5])
    traces = [
        np.trace(centred @ np.linalg.solve(centred.T @ centred + alpha * np.eye(90), centred.T))
        for alpha in alphas
    ]
    np.testing.assert_allclose(spectrum.degrees_of_freedom(alphas), traces, rtol=1e-9)
    assert spectrum.rank == np.linalg.matrix_rank(centred) == 59


@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.9, 0.999])
def test_alpha_for_a_fraction_of_the_degrees_of_freedom_leaves_that_fraction(
    recording: Any, fraction: float
) -> None:
    centred = recording.voxels - recording.voxels.mean(axis=0)
    alpha = spectrum_of(recording.voxels).alpha_for(fraction)
    values = np.linalg.svd(centred, compute_uv=False) ** 2
    assert (values / (values + alpha)).sum() == pytest.approx(fraction * 59, rel=1e-9)


def test_alpha_of_voxels_with_one_spread_has_a_closed_form() -> None:
    """Columns of a Hadamard matrix are centred and orthogonal: all eigenvalues are 8, and df = 7·8/(8+α)."""
    hadamard = np.array([[1.0]])
    for _ in range(3):
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    spectrum = spectrum_of(hadamard[:, 1:])
    assert spectrum.degrees_of_freedom(24.0) == pytest.approx(7 / 4)
    assert spectrum.alpha_for(0.25) == pytest.approx(24.0)


def test_rows_that_do_not_match_are_refused_with_both_counts(recording: Any) -> None:
    with pytest.raises(DataError, match=r"60 rows of voxels have 59 rows of targets.*\n.*same order"):
        fit_ridge(recording.voxels, recording.targets[1:], 1.0)


def test_values_that_are_not_finite_are_counted(recording: Any) -> None:
    recording.voxels[3, 4:6] = np.nan
    recording.targets[0, 0] = np.inf
    with pytest.raises(DataError, match=r"2 values of the voxels are not finite. 1 values of the targets"):
        fit_ridge(recording.voxels, recording.targets, 1.0)


@pytest.mark.parametrize("alpha", [0.0, -1.0, np.nan, np.array([1.0] * 6 + [0.0])])
def test_a_penalty_that_is_not_above_zero_is_refused(recording: Any, alpha: Any) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        fit_ridge(recording.voxels, recording.targets, alpha)


def test_another_number_of_voxels_is_refused_with_both_numbers(recording: Any) -> None:
    ridge = fit_ridge(recording.voxels, recording.targets, 1.0)
    for call in (ridge.predict, ridge.project):
        with pytest.raises(DataError, match=r"fitted to 90 voxels, but got an array of shape \(20, 89\)"):
            call(recording.new_voxels[:, 1:])


def test_rows_that_are_all_the_same_are_refused() -> None:
    with pytest.raises(DataError, match="All of the 5 training rows are the same"):
        fit_ridge(np.full((5, 3), 0.1), np.arange(10.0).reshape(5, 2), 1.0)


MEMORY = """
import resource
import numpy as np
from lightning_modules.icgan.regression.ridge import fit_ridge

rng = np.random.default_rng(0)
voxels = rng.standard_normal((1200, 4643), dtype=np.float32)
targets = rng.standard_normal((1200, 24576), dtype=np.float32)
ridge = fit_ridge(voxels, targets, np.linspace(1, 1000, 24576))
assert ridge.predict(voxels[:50]).shape == (50, 24576)
assert ridge.weight_l1().shape == (4643,)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.slow
def test_24576_dense_targets_fit_in_2_gib() -> None:
    run = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 2.0
