"""Pixel decoders against scikit-learn: what they predict, how rows are held out, and what a checkpoint keeps."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut

from lightning_modules.icgan.decoder.data_module import PictureDataModule
from lightning_modules.icgan.decoder.pictures import PictureData
from lightning_modules.icgan.decoder.pixels import PIXELS, PixelDecoder
from lightning_modules.icgan.decoder.sessions import load_pixels
from lightning_modules.parts.errors import DataError
from neurosweep.experiments import ICGAN
from neurosweep.experiments import PIXELS as PIXELS_EXPERIMENT

Fit: TypeAlias = Callable[..., Any]
"""See the fixture `fit`."""

METHODS: list[dict[str, Any]] = [
    {"method": "ridge", "alpha": 20.0, "rescale": True},
    {"method": "ridge", "alpha_from": "grouped", "sharing": "per_target"},
    {"method": "rbf", "alpha": 20.0},
    {"method": "polynomial", "alpha_from": "leave_one_out"},
    {"method": "reduced_rank", "alpha": 20.0, "rank": 3},
    {"method": "selected", "alpha": 20.0, "n_selected": 10, "area": "V2"},
]


@pytest.fixture
def data(session_file: Path) -> PictureData:
    return load_pixels(path=str(session_file), test_categories=2)


def targets(data: PictureData) -> np.ndarray:
    return data.tables[PIXELS][data.stimulus].astype(np.float64)


def test_a_fixed_penalty_is_sklearns(fit: Fit, data: PictureData) -> None:
    module, _ = fit(data, alpha=20.0)
    rows = np.random.default_rng(1).standard_normal((5, 60)).astype(np.float32)
    expected = Ridge(20.0).fit(data.voxels.astype(np.float64), targets(data)).predict(rows)
    np.testing.assert_allclose(module(torch.from_numpy(rows))[PIXELS].numpy(), expected, atol=1e-4)


def test_a_kernel_is_sklearns_with_both_centred(fit: Fit, data: PictureData) -> None:
    module, _ = fit(data, method="polynomial", alpha=20.0)
    voxels, n_voxels = data.voxels.astype(np.float64), data.voxels.shape[1]
    kernel = n_voxels * (voxels @ voxels.T / n_voxels + 1) ** 2
    means = kernel.mean(axis=0)
    centred = kernel - means - means[:, None] + kernel.mean()
    mean = targets(data).mean(axis=0)
    expected = (
        KernelRidge(alpha=20.0, kernel="precomputed").fit(centred, targets(data) - mean).predict(centred)
    )
    found = module(torch.from_numpy(data.voxels))[PIXELS].numpy()
    np.testing.assert_allclose(found, expected + mean, atol=1e-4)


def test_only_the_areas_voxels_are_used(fit: Fit, data: PictureData) -> None:
    module, _ = fit(data, alpha=20.0, area="V2")
    columns = data.roi["V2"]
    expected = Ridge(20.0).fit(data.voxels[:, columns].astype(np.float64), targets(data))
    rows = np.random.default_rng(1).standard_normal((5, 60)).astype(np.float32)
    found = module(torch.from_numpy(rows))[PIXELS].numpy()
    np.testing.assert_allclose(found, expected.predict(rows[:, columns]), atol=1e-4)


def test_validation_scores_rows_whose_category_was_left_out(fit: Fit, data: PictureData) -> None:
    """A slow loop: for each category a decoder of the others, every row against every other picture."""
    _, trainer = fit(data, alpha=20.0)
    groups = data.category[data.stimulus]
    truth, table = targets(data), data.tables[PIXELS].astype(np.float64)
    wins, patterns = [], []
    predicted = np.empty_like(truth)
    for rest, held in LeaveOneGroupOut().split(data.voxels, truth, groups):
        predicted[held] = (
            Ridge(20.0).fit(data.voxels[rest].astype(np.float64), truth[rest]).predict(data.voxels[held])
        )
        centre = truth[rest].mean(axis=0)
        for row in held:
            alike = [np.corrcoef(predicted[row] - centre, one - centre)[0, 1] for one in table]
            own = alike.pop(data.stimulus[row])
            wins.append(np.mean([own > other for other in alike]))
            patterns.append(own)
    metrics = trainer.callback_metrics
    assert metrics["val/pixels_identification"].item() == pytest.approx(np.mean(wins), abs=1e-6)
    assert metrics["val/pixels_pattern_correlation"].item() == pytest.approx(np.mean(patterns), abs=1e-4)
    profile = [np.corrcoef(predicted[:, pixel], truth[:, pixel])[0, 1] for pixel in range(truth.shape[1])]
    assert metrics["val/pixels_profile_correlation"].item() == pytest.approx(np.mean(profile), abs=1e-4)
    assert np.mean(wins) > 0.8


def test_rescaled_predictions_of_held_out_rows_vary_as_much_as_the_truth(fit: Fit, data: PictureData) -> None:
    _, plain = fit(data, alpha=200.0)
    _, rescaled = fit(data, alpha=200.0, rescale=True)
    assert plain.callback_metrics["val/pixels_spread"] < 0.9
    assert rescaled.callback_metrics["val/pixels_spread"].item() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("settings", METHODS, ids=lambda one: one["method"])
def test_a_checkpoint_decodes_and_validates_as_the_decoder_that_wrote_it(
    fit: Fit, data: PictureData, tmp_path: Path, settings: dict[str, Any]
) -> None:
    module, trainer = fit(data, **settings)
    trainer.save_checkpoint(tmp_path / "decoder.ckpt")
    loaded = PixelDecoder.load_from_checkpoint(tmp_path / "decoder.ckpt", weights_only=True).eval()
    rows = torch.from_numpy(data.voxels)
    assert torch.equal(module(rows)[PIXELS], loaded(rows)[PIXELS])
    logged = dict(trainer.callback_metrics)
    (again,) = trainer.validate(loaded, datamodule=PictureDataModule(data), verbose=False)
    assert again == pytest.approx({name: logged[name].item() for name in again}, abs=1e-6)


@pytest.mark.parametrize("settings", METHODS, ids=lambda one: one["method"])
def test_no_decoder_in_closed_form_depends_on_a_seed(
    fit: Fit, data: PictureData, settings: dict[str, Any]
) -> None:
    decoded = []
    for seed in (0, 1):
        pl.seed_everything(seed, verbose=False)
        module, _ = fit(data, **settings)
        decoded.append(module.predict(PIXELS, data.voxels))
    np.testing.assert_array_equal(*decoded)
    assert not PIXELS_EXPERIMENT.uses_seed
    assert not ICGAN.uses_seed


def test_few_pictures_in_a_run_leave_the_voxels_as_recorded(session_file: Path) -> None:
    taken = load_pixels(path=str(session_file))
    assert not any("as recorded" in note for note in taken.notes)  # 24 pictures a run
    raw = load_pixels(path=str(session_file), normalisation="none")
    np.testing.assert_allclose(taken.voxels.std(axis=0), 1, atol=1e-4)
    assert abs(raw.voxels.std(axis=0) - 1).max() > 0.2


def test_sealed_categories_are_in_no_row_of_the_search(session_file: Path, data: PictureData) -> None:
    everything = load_pixels(path=str(session_file))
    assert len(data.sealed_stimuli) == 4
    assert set(data.stimulus_names) == set(everything.stimulus_names) - set(data.sealed_stimuli)
    assert len(data.voxels) == 20 * 3
    assert data.tables[PIXELS].shape == (20, 16)


def test_a_run_of_few_pictures_is_not_z_scored_and_a_note_says_so() -> None:
    from lightning_modules.icgan.decoder.sessions import ENOUGH_IN_A_RUN

    recording = Path(__file__).resolve().parents[2] / "../shared/data/miyawaki/miyawaki_s1.npz"
    if not recording.exists():
        pytest.skip(f"the recording of Miyawaki et al. is not at {recording}")
    found = load_pixels(path=str(recording))
    with np.load(recording) as file:
        shown = [len(np.unique(file["stimulus"][file["run"] == run])) for run in np.unique(file["run"])]
        assert np.median(shown) < ENOUGH_IN_A_RUN
        np.testing.assert_array_equal(np.sort(found.voxels, axis=None), np.sort(file["voxels"], axis=None))
    assert any("as recorded" in note for note in found.notes)


def test_what_cannot_be_decoded_is_refused_with_the_cure(
    fit: Fit, session_file: Path, data: PictureData
) -> None:
    with pytest.raises(DataError, match="at least 2 must be left"):
        load_pixels(path=str(session_file), test_categories=11)
    with pytest.raises(DataError, match="no generated subject `9`"):
        load_pixels(subject=9)
    with pytest.raises(ValueError, match=r"area `PPA`.*all \(60\), V1 \(30\), V2 \(30\)"):
        fit(data, area="PPA")
    module, _ = fit(data)
    with pytest.raises(DataError, match=r"fitted to 60 voxels.*\(3, 7\)"):
        module(torch.zeros(3, 7))
    with pytest.raises(DataError, match="has not been fitted"):
        PixelDecoder(n_voxels=60)(torch.zeros(3, 60))


def test_all_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"`method` is 'lasso'.*`alpha` is -1.*`rank` is 0") as caught:
        PixelDecoder(n_voxels=3, method="lasso", alpha=-1.0, rank=0)  # type: ignore[arg-type]
    assert "ridge, banded, rbf" in str(caught.value)


def test_a_subject_is_named_by_its_name_or_refused_by_a_number_that_is_none(session_file: Path) -> None:
    assert load_pixels(path=str(session_file), subject="S1").subject == "S1"
    assert load_pixels(path=str(session_file), subject=1).subject == "S1"
    with pytest.raises(DataError, match="no subject 2, but S1"):
        load_pixels(path=str(session_file), subject=2)
