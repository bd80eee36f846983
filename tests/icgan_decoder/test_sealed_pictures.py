"""What a pixel decoder is worth on sealed pictures, found again with scikit-learn and loops."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from lightning_modules.icgan.decoder.evaluation import SealedPixels
from lightning_modules.icgan.decoder.pictures import PictureData
from lightning_modules.icgan.decoder.pixels import PIXELS
from lightning_modules.icgan.decoder.sessions import load_pixels
from lightning_modules.icgan.recordings.session import ImageSession
from lightning_modules.icgan.recordings.session_npz import read_session_npz
from lightning_modules.parts.errors import DataError


@pytest.fixture
def settings(session_file: Path) -> dict[str, Any]:
    return {"path": str(session_file), "test_categories": 4, "normalisation": "none"}


@pytest.fixture
def data(settings: dict[str, Any]) -> PictureData:
    return load_pixels(**settings)


@pytest.fixture
def session(session_file: Path) -> ImageSession:
    return read_session_npz(session_file)


def pixels_of(session: ImageSession) -> np.ndarray:
    assert session.images is not None
    return session.images[..., 0].reshape(session.n_stimuli, -1).astype(np.float64)


def test_scores_are_of_averaged_responses_to_the_sealed_pictures(
    fit: Any, settings: dict[str, Any], data: PictureData, session: ImageSession
) -> None:
    module, _ = fit(data, alpha=20.0)
    found = SealedPixels(data, settings).score([module])
    pixels, sealed = pixels_of(session), [session.stimulus_names.index(name) for name in data.sealed_stimuli]
    training = ~np.isin(session.stimulus, sealed)
    truth = pixels[session.stimulus]
    decoder = Ridge(20.0).fit(session.voxels[training].astype(np.float64), truth[training])
    centre = truth[training].mean(axis=0)
    wins, correlations, first = [], [], []
    for one in sealed:
        decoded = decoder.predict(session.voxels[session.stimulus == one].mean(axis=0, keepdims=True))[0]
        alike = {other: np.corrcoef(decoded - centre, pixels[other] - centre)[0, 1] for other in sealed}
        own = alike.pop(one)
        wins.append(np.mean([own > other for other in alike.values()]))
        first.append(np.prod([own > other for other in alike.values()]))
        correlations.append(np.corrcoef(decoded, pixels[one])[0, 1])
    (scores,) = found.scores
    assert len(sealed) == 8
    assert scores[f"test/{PIXELS}_identification"] == pytest.approx(np.mean(wins), abs=1e-9)
    assert scores["test/pixcorr"] == pytest.approx(np.mean(correlations), abs=1e-4)
    assert scores["test/identification_2_way"] == pytest.approx(np.mean(wins), abs=1e-9)
    assert scores["test/identification_p"] < 0.01
    assert np.mean(wins) > 0.8
    assert np.mean(first) <= scores["test/identification_5_way"] <= scores["test/identification_2_way"]


def test_what_knows_less_scores_less(fit: Any, settings: dict[str, Any], data: PictureData) -> None:
    module, _ = fit(data, alpha=20.0)
    found = SealedPixels(data, settings).score([module])
    name = f"test/{PIXELS}_identification"
    own, references = found.scores[0][name], found.references
    assert references["shuffled"][name] < own
    assert references["single_trials"]["test/pixcorr"] < found.scores[0]["test/pixcorr"]
    assert references["nearest_training_image"]["test/pixcorr"] < found.scores[0]["test/pixcorr"]
    assert references["chance"]["test/identification_5_way"] == 0.2


def test_the_digest_tells_which_responses_were_opened(settings: dict[str, Any], data: PictureData) -> None:
    first = SealedPixels(data, settings).sealed
    assert first == SealedPixels(data, settings).sealed
    other = {**settings, "split_seed": 1}
    assert SealedPixels(load_pixels(**other), other).sealed != first


def test_without_sealed_pictures_there_is_nothing_to_open(session_file: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)0 pictures are sealed.*--data\.test_categories 4"):
        SealedPixels(load_pixels(path=str(session_file)), {"path": str(session_file)})
