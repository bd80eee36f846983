"""Decoders beyond ridge as trials run them: bands of areas, what is done to predictions, and what is kept."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch
from himalaya.kernel_ridge import MultipleKernelRidgeCV
from himalaya.scoring import correlation_score
from sklearn.linear_model import Ridge
from sklearn.model_selection import PredefinedSplit

from lightning_modules.icgan.decoder import fitting
from lightning_modules.icgan.decoder.batch import DecodingRows
from lightning_modules.icgan.decoder.data_module import PictureDataModule
from lightning_modules.icgan.decoder.finishing import Finishing
from lightning_modules.icgan.decoder.fitting import ALPHAS, Penalty, fit_decoder
from lightning_modules.icgan.decoder.icgan import IcganDecoder
from lightning_modules.icgan.decoder.pictures import PictureData
from lightning_modules.icgan.decoder.pixels import PIXELS, PixelDecoder
from lightning_modules.icgan.decoder.scores import score_held_out_rows
from lightning_modules.icgan.decoder.sessions import load_pixels
from lightning_modules.icgan.decoder.settings import DecoderSettings, Method
from lightning_modules.icgan.decoder.stored import TargetDecoder, from_tensors, to_tensors

Fit: TypeAlias = Callable[..., Any]
"""See the fixture `fit`."""


@pytest.fixture(scope="module")
def data(session_file: Path) -> PictureData:
    return load_pixels(path=str(session_file), test_categories=2)


def targets(data: PictureData) -> np.ndarray:
    return data.tables[PIXELS][data.stimulus].astype(np.float64)


def himalayas(data: PictureData, alphas: np.ndarray) -> MultipleKernelRidgeCV:
    """Himalaya's own search over weights of the two areas, with the first five candidates of the seed."""
    voxels = data.voxels - data.voxels.mean(axis=0)
    kernels = np.stack([voxels[:, own] @ voxels[:, own].T for own in (data.roi["V1"], data.roi["V2"])])
    search = MultipleKernelRidgeCV(
        kernels="precomputed",
        solver="random_search",
        cv=PredefinedSplit(data.fold),  # type: ignore[arg-type]
        fit_intercept=True,
        random_state=0,
        solver_params={
            "n_iter": 5,
            "alphas": alphas.astype(np.float32),
            "local_alpha": False,
            "score_func": correlation_score,
            "progress_bar": False,
        },
    )
    return search.fit(kernels, targets(data).astype(np.float32))


@pytest.mark.parametrize("alpha_from", ["grouped", "fixed"])
def test_areas_have_the_penalties_that_himalaya_finds_for_all_targets_together(
    fit: Fit, data: PictureData, alpha_from: str
) -> None:
    noise = 3 * np.random.default_rng(2).standard_normal(data.voxels.shape) * data.roi["V2"]
    data = replace(data, voxels=(data.voxels + noise).astype(np.float32))
    module, trainer = fit(data, method="banded", alpha_from=alpha_from, alpha=40.0, n_candidates=5)
    theirs = himalayas(data, (ALPHAS if alpha_from == "grouped" else np.array([40.0])) / 2)
    weights = np.exp(theirs.deltas_[:, 0])
    scale = np.sqrt(weights[0] * data.roi["V1"] + weights[1] * data.roi["V2"])
    expected = Ridge(1.0).fit(data.voxels * scale, targets(data))
    rows = np.random.default_rng(1).standard_normal((5, 60)).astype(np.float32)
    found = module(torch.from_numpy(rows))[PIXELS].numpy()
    np.testing.assert_allclose(found, expected.predict(rows * scale), atol=1e-4)
    logged = [trainer.callback_metrics[f"train/{PIXELS}_weight_{area}"].item() for area in ("V1", "V2")]
    assert logged == pytest.approx(list(weights / weights.mean()), rel=1e-4)
    assert logged[0] > 1.5 * logged[1]
    (batch,) = PictureDataModule(data).val_dataloader()
    held_out = module.hold_out(batch, PIXELS)
    for fold in np.unique(data.fold):
        rest, held = data.fold != fold, data.fold == fold
        decoder = Ridge(1.0).fit(data.voxels[rest] * scale, targets(data)[rest])
        np.testing.assert_allclose(held_out[held], decoder.predict(data.voxels[held] * scale), atol=1e-4)


def test_equal_penalties_of_all_areas_are_sklearns_plain_ridge(fit: Fit, data: PictureData) -> None:
    module, _ = fit(data, method="banded", alpha=40.0, n_candidates=1)
    expected = Ridge(40.0).fit(data.voxels.astype(np.float64), targets(data))
    rows = np.random.default_rng(1).standard_normal((5, 60)).astype(np.float32)
    np.testing.assert_allclose(
        module(torch.from_numpy(rows))[PIXELS].numpy(), expected.predict(rows), atol=1e-4
    )
    assert module.fitted(PIXELS).penalty.alpha == pytest.approx([40.0])


def test_what_a_method_does_not_leave_open_is_not_pinned() -> None:
    selected = PixelDecoder(n_voxels=3, method="selected", alpha_from="grouped", sharing="per_target")
    assert (selected.settings[PIXELS].alpha_from, selected.settings[PIXELS].sharing) == ("fixed", "shared")
    banded = IcganDecoder(
        n_voxels=3, instance_method="banded", alpha_from="leave_one_out", sharing="per_target"
    )
    found = {kind: (one.alpha_from, one.sharing) for kind, one in banded.settings.items()}
    other = ("leave_one_out", "per_target")
    assert found == {"instance": ("grouped", "shared"), "noise": other, "dense": other}
    with pytest.raises(ValueError, match=r"`alpha_from` must be fixed or grouped.*`sharing` must be shared"):
        DecoderSettings(method="banded", alpha_from="leave_one_out", sharing="per_target")


def test_without_a_closed_form_no_fold_is_decomposed(
    fit: Fit, data: PictureData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(fitting.GroupedFolds, "of", refuse)
    for method in ("reduced_rank", "selected"):
        fit(data, method=method, alpha=20.0, rescale=True)


def test_more_directions_than_the_targets_have_are_plain_ridge(fit: Fit, data: PictureData) -> None:
    module, _ = fit(data, method="reduced_rank", alpha=20.0, rank=1000)
    expected = Ridge(20.0).fit(data.voxels.astype(np.float64), targets(data)).predict(data.voxels)
    np.testing.assert_allclose(module(torch.from_numpy(data.voxels))[PIXELS].numpy(), expected, atol=1e-4)


@pytest.fixture
def rows() -> DecodingRows:
    rng = np.random.default_rng(0)
    return DecodingRows(
        voxels=rng.standard_normal((40, 6)),
        targets=rng.standard_normal((40, 5)) + 3,
        stimulus=np.arange(40),
        fold=np.arange(40) % 4,
    )


def test_shrunk_predictions_lie_between_the_mean_and_where_they_would(rows: DecodingRows) -> None:
    predictions = np.random.default_rng(1).standard_normal((40, 5))
    finishing = Finishing.of(rows.targets, held_out=None, shrink_factor=0.3, match_length=False)
    mean = rows.targets.mean(axis=0)
    np.testing.assert_allclose(finishing(predictions), 0.7 * mean + 0.3 * predictions, atol=1e-12)
    for row, found in enumerate(finishing.held_out(predictions, rows)):
        mean = rows.targets[rows.fold != row % 4].mean(axis=0)
        np.testing.assert_allclose(found, 0.7 * mean + 0.3 * predictions[row], atol=1e-12)


def test_shrinking_held_out_rows_tells_nothing_of_their_category(rows: DecodingRows) -> None:
    """Towards the mean of all rows it would: that mean differs from the others' by what was held out."""
    predictions = np.random.default_rng(1).standard_normal((40, 5))
    found = [
        score_held_out_rows(
            Finishing.of(rows.targets, held_out=None, shrink_factor=factor, match_length=False).held_out(
                predictions, rows
            ),
            rows,
            rows.targets,
            np.arange(40),
        )
        for factor in (1.0, 0.01)
    ]
    assert found[0].identification.accuracy == pytest.approx(found[1].identification.accuracy, abs=1e-9)
    assert found[1].spread < 0.1 * found[0].spread


def test_matched_predictions_keep_their_direction_and_get_the_mean_length(rows: DecodingRows) -> None:
    predictions = np.random.default_rng(1).standard_normal((40, 5))
    found = Finishing.of(rows.targets, held_out=None, match_length=True)(predictions)
    length = np.linalg.norm(rows.targets, axis=1).mean()
    np.testing.assert_allclose(
        found, length * predictions / np.linalg.norm(predictions, axis=1)[:, None], atol=1e-12
    )


def test_some_rows_are_scored_as_in_a_slow_loop(rows: DecodingRows) -> None:
    predicted = np.random.default_rng(1).standard_normal((10, 5)) + rows.targets[rows.fold == 1]
    scores = score_held_out_rows(predicted, rows, rows.targets, np.flatnonzero(rows.fold == 1))
    centre = rows.targets[rows.fold != 1].mean(axis=0)
    wins = []
    for one, stimulus in zip(predicted, rows.stimulus[rows.fold == 1], strict=True):
        alike = [np.corrcoef(one - centre, other - centre)[0, 1] for other in rows.targets]
        own = alike.pop(stimulus)
        wins.append(np.mean([own > other for other in alike]))
    assert scores.identification.accuracy == pytest.approx(np.mean(wins))
    ratios = predicted.std(axis=0) / rows.targets[rows.fold == 1].std(axis=0)
    assert scores.spread == pytest.approx(np.median(ratios))


@pytest.mark.parametrize("method", ["ridge", "banded", "rbf", "polynomial", "reduced_rank", "selected"])
@pytest.mark.parametrize("finished", [False, True])
def test_a_stored_decoder_predicts_the_same(rows: DecodingRows, method: Method, finished: bool) -> None:
    settings = DecoderSettings(
        method=method, alpha=20.0, n_selected=3, rank=2, shrink_factor=0.5 if finished else 1.0
    )
    columns = np.array([1, 2, 5])
    gain = np.array([0.5, 2.0, 1.0]) if method == "banded" else None
    penalty = Penalty(np.array([20.0]), gain)
    decoder = fit_decoder(penalty.enlarge(rows.voxels[:, columns]), rows.targets, penalty.value, settings)
    finishing = Finishing.of(
        rows.targets,
        held_out=rows.targets / 2 if finished else None,
        shrink_factor=settings.shrink_factor,
        match_length=finished,
    )
    fitted = TargetDecoder(columns, penalty, decoder, finishing)
    again = from_tensors(to_tensors(fitted), settings)
    np.testing.assert_allclose(fitted.predict(rows.voxels), again.predict(rows.voxels), rtol=1e-12)


def test_a_checkpoint_of_bands_decodes_and_validates_as_the_decoder_that_wrote_it(
    fit: Fit, data: PictureData, tmp_path: Path
) -> None:
    module, trainer = fit(data, method="banded", alpha_from="grouped", n_candidates=4, rescale=True)
    trainer.save_checkpoint(tmp_path / "decoder.ckpt")
    loaded = PixelDecoder.load_from_checkpoint(tmp_path / "decoder.ckpt", weights_only=True).eval()
    rows = torch.from_numpy(data.voxels)
    assert torch.equal(module(rows)[PIXELS], loaded(rows)[PIXELS])
    logged = dict(trainer.callback_metrics)
    (again,) = trainer.validate(loaded, datamodule=PictureDataModule(data), verbose=False)
    assert again == pytest.approx({name: logged[name].item() for name in again}, abs=1e-6)
