"""Image sessions that a decoder has never seen: scaled by hand, decoded by the module itself, scored by loops."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import scipy.stats
import torch

from lightning_modules.icgan.decoder.data_module import PictureDataModule
from lightning_modules.icgan.decoder.evaluation import SealedPixels
from lightning_modules.icgan.decoder.icgan import IcganDecoder
from lightning_modules.icgan.decoder.new_pictures import DecodedPictures, decode_pictures
from lightning_modules.icgan.decoder.painting import GeneratorWeights, NetWeights, paint
from lightning_modules.icgan.decoder.picture_sets import as_squares
from lightning_modules.icgan.decoder.pictures import PictureData
from lightning_modules.icgan.decoder.pixels import PIXELS
from lightning_modules.icgan.decoder.sessions import load_pixels
from lightning_modules.icgan.decoder.targets import DENSE, INSTANCE, NOISE, PICTURE, TargetData
from lightning_modules.icgan.features.small_net import NetSettings, SmallNet
from lightning_modules.icgan.generator.checkpoint import load_generator, save_generator
from lightning_modules.icgan.generator.network import Generator
from lightning_modules.icgan.generator.presets import PRESETS
from lightning_modules.icgan.recordings.session import ImageSession, Shown
from lightning_modules.icgan.recordings.session_npz import read_session_npz, write_session_npz
from lightning_modules.parts.errors import DataError

N_TRAINED = 18
"""Pictures that the decoder is trained on; the other 6 are new."""
ROWS = ("voxels", "stimulus", "shown", "run")
SMALL_NET = NetSettings((4, 6, 8), 24)


@dataclass(frozen=True)
class Trained:
    """A fitted decoder, and the description as a checkpoint keeps it."""

    module: pl.LightningModule
    description: Mapping[str, Any]
    recorded: ImageSession
    """What it was trained on, before scaling."""

    def decode(self, path: Path) -> DecodedPictures:
        """Decode a session, as the command does."""
        return decode_pictures(self.module, self.description, path)


def with_rows(session: ImageSession, rows: np.ndarray) -> ImageSession:
    fields: dict[str, Any] = {name: getattr(session, name)[rows] for name in ROWS}
    return replace(session, **fields)


@pytest.fixture(scope="module")
def recorded(session_file: Path) -> ImageSession:
    """With voxels of different means and spreads, and places."""
    session = read_session_npz(session_file)
    rng = np.random.default_rng(3)
    voxels = session.voxels * rng.uniform(0.5, 2, session.n_voxels) + rng.normal(0, 3, session.n_voxels)
    places = rng.normal(0, 30, (session.n_voxels, 3)).astype(np.float32)
    return replace(session, voxels=voxels.astype(np.float32), voxel_xyz=places)


@pytest.fixture(scope="module")
def train(
    fit: Any, recorded: ImageSession, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Any], Trained]:
    """Fits a decoder to the first 18 pictures under a normalisation, each once."""
    known: dict[str, Trained] = {}
    training = with_rows(recorded, recorded.stimulus < N_TRAINED)
    path = tmp_path_factory.mktemp("training") / "subject.npz"
    write_session_npz(training, path)

    def get(normalisation: Any) -> Trained:
        if normalisation not in known:
            data = load_pixels(path=str(path), normalisation=normalisation)
            module, _ = fit(data, alpha=20.0)
            description = json.loads(json.dumps(PictureDataModule(data).description))
            known[normalisation] = Trained(module, description, training)
        return known[normalisation]

    return get


@pytest.fixture
def trained(train: Callable[[Any], Trained]) -> Trained:
    return train("none")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[ImageSession], Path]:
    def save(session: ImageSession) -> Path:
        write_session_npz(session, tmp_path / "new.npz")
        return tmp_path / "new.npz"

    return save


@pytest.fixture
def new(recorded: ImageSession) -> ImageSession:
    """Responses of another day to all pictures."""
    noise = np.random.default_rng(5).normal(0, 0.3, recorded.voxels.shape)
    return replace(recorded, voxels=recorded.voxels + noise.astype(np.float32))


def scaled_by_hand(normalisation: str, new: ImageSession, training: ImageSession) -> np.ndarray:
    voxels = new.voxels.astype(np.float64)
    if normalisation == "per_run":
        for run in np.unique(new.run):
            voxels[new.run == run] = scipy.stats.zscore(voxels[new.run == run], axis=0)
    if normalisation == "training_stats":
        seen = training.voxels.astype(np.float64)
        voxels = (voxels - seen.mean(axis=0)) / seen.std(axis=0, ddof=1)
    return voxels.astype(np.float32)


@pytest.mark.parametrize("normalisation", ["per_run", "training_stats", "none"])
def test_rows_and_means_are_decoded_as_the_module_decodes_rows_scaled_by_hand(
    train: Any, new: ImageSession, write: Any, normalisation: str
) -> None:
    trained = train(normalisation)
    found = trained.decode(write(new))
    rows = scaled_by_hand(normalisation, new, trained.recorded)
    means = np.stack([rows[new.stimulus == one].mean(axis=0) for one in range(new.n_stimuli)])
    for own, name in ((rows, PIXELS), (means, f"mean_{PIXELS}")):
        expected = trained.module(torch.from_numpy(own))[PIXELS].numpy()
        np.testing.assert_allclose(found.arrays[name], expected, atol=1e-5)
    assert found.n_trials == 72
    pictures = found.arrays[f"mean_{PIXELS}"].reshape(24, 4, 4, 1).clip(0, 1)
    np.testing.assert_array_equal(found.arrays["mean_pictures"], pictures)
    names = np.array(new.stimulus_names)
    np.testing.assert_array_equal(found.arrays["stimulus"], names[new.stimulus])
    np.testing.assert_array_equal(found.arrays["mean_stimulus"], names)
    np.testing.assert_array_equal(found.arrays["mean_rows"], np.full(24, 3))
    assert set(found.arrays["kind"]) == {"training"}


def test_scores_are_of_the_new_pictures_alone(trained: Trained, new: ImageSession, write: Any) -> None:
    found = trained.decode(write(new))
    assert new.images is not None
    pixels = new.images[..., 0].reshape(new.n_stimuli, -1).astype(np.float64)
    centre = pixels[:N_TRAINED].mean(axis=0)
    fresh, wins, correlations, centred = range(N_TRAINED, new.n_stimuli), [], [], []
    for one in fresh:
        decoded = found.arrays[f"mean_{PIXELS}"][one]
        alike = {other: np.corrcoef(decoded - centre, pixels[other] - centre)[0, 1] for other in fresh}
        own = alike.pop(one)
        wins.append(np.mean([own > other for other in alike.values()]))
        centred.append(own)
        correlations.append(np.corrcoef(decoded, pixels[one])[0, 1])
    assert found.scores["identification among 6"] == pytest.approx(np.mean(wins), abs=1e-9)
    assert found.scores["PixCorr"] == pytest.approx(np.mean(correlations), abs=1e-6)
    assert found.scores["PixCorr, centred"] == pytest.approx(np.mean(centred), abs=1e-6)
    assert found.scores["PixCorr, single rows"] < found.scores["PixCorr"]
    assert len(found.scores) == 6
    (warning,) = found.warnings
    assert (
        "18 of 24 pictures were trained on, by their pixels or their name: scores are of the other 6."
        in warning
    )


def test_pictures_that_were_trained_on_are_never_scored(
    trained: Trained, new: ImageSession, write: Any
) -> None:
    old = new.stimulus < N_TRAINED
    found = trained.decode(write(with_rows(new, old)))
    assert found.scores == {}
    assert (
        "18 of 18 pictures were trained on, by their pixels or their name: there is no score."
        in found.warnings
    )
    renamed = replace(new, stimulus_names=tuple(f"other_{one}" for one in range(new.n_stimuli)))
    assert trained.decode(write(with_rows(renamed, old))).scores == {}
    assert new.images is not None
    redrawn = replace(new, images=new.images[::-1].copy())
    assert trained.decode(write(with_rows(redrawn, old))).scores == {}


def test_imagined_pictures_are_averaged_and_scored_apart(
    trained: Trained, new: ImageSession, write: Any
) -> None:
    shown = np.where(new.run == 2, int(Shown.IMAGERY), new.shown)
    found = trained.decode(write(replace(new, shown=shown)))
    imagined = found.arrays["mean_imagined"]
    assert imagined.sum() == 24
    np.testing.assert_array_equal(found.arrays["mean_rows"], np.where(imagined, 1, 2))
    expected = trained.module(torch.from_numpy(new.voxels[new.run == 2]))[PIXELS].numpy()
    order = new.stimulus[new.run == 2].argsort()
    np.testing.assert_allclose(found.arrays[f"mean_{PIXELS}"][imagined], expected[order], atol=1e-5)
    assert found.scores["imagined: PixCorr"] == pytest.approx(found.scores["imagined: PixCorr, single rows"])
    assert found.scores["imagined: PixCorr"] != found.scores["PixCorr"]


def test_sealed_pictures_score_as_in_the_evaluation(fit: Any, session_file: Path) -> None:
    settings = {"path": str(session_file), "test_categories": 4, "normalisation": "per_run"}
    data = load_pixels(**settings)
    module, _ = fit(data, alpha=20.0)
    found = decode_pictures(module, PictureDataModule(data).description, session_file)
    (expected,) = SealedPixels(data, settings).score([module]).scores
    assert found.scores["identification among 8"] == expected[f"test/{PIXELS}_identification"]
    assert found.scores["PixCorr"] == pytest.approx(expected["test/pixcorr"], abs=1e-6)
    assert found.scores["PixCorr, centred"] == pytest.approx(expected["test/pixcorr_centred"], abs=1e-6)
    assert any("8 of these pictures are sealed in the model's sweep" in one for one in found.warnings)


def test_another_number_of_voxels_is_refused(trained: Trained, new: ImageSession, write: Any) -> None:
    kept = slice(0, 50)
    fewer = replace(
        new,
        voxels=new.voxels[:, kept],
        roi={name: mask[kept] for name, mask in new.roi.items()},
        voxel_xyz=None if new.voxel_xyz is None else new.voxel_xyz[kept],
    )
    with pytest.raises(DataError, match=r"(?s)has 50 voxels, but the decoder was fitted to the 60 of S1"):
        trained.decode(write(fewer))


def test_other_voxels_are_refused(trained: Trained, new: ImageSession, write: Any) -> None:
    first, last = new.roi.values()
    assert new.voxel_xyz is not None
    with pytest.raises(
        DataError, match=r"areas hold other voxels: V1 \(30, but others\), V2 \(30, but others\)"
    ):
        trained.decode(write(replace(new, roi={"V1": last, "V2": first})))
    with pytest.raises(DataError, match=r"areas hold other voxels: V1 \(60, not 30\)"):
        trained.decode(write(replace(new, roi={"V1": first | last, "V2": last})))
    with pytest.raises(DataError, match=r"(?s)60 voxels lie more than 0.5 mm.*leave those out of the file"):
        trained.decode(write(replace(new, voxel_xyz=new.voxel_xyz[::-1].copy())))
    trained.decode(write(replace(new, voxel_xyz=new.voxel_xyz + np.float32(1e-4))))


def test_what_makes_a_session_unlike_the_training_rows_is_said(
    trained: Trained, new: ImageSession, write: Any
) -> None:
    def warnings(**changes: Any) -> str:
        return "\n".join(trained.decode(write(replace(new, **changes))).warnings)

    assert "The session is of S2, the decoder of S1" in warnings(subject="S2")
    assert "The session lacks V2, voxel_xyz: whether its voxels" in warnings(
        roi={"V1": new.roi["V1"]}, voxel_xyz=None
    )
    still = new.voxels.copy()
    still[:, :3] = still[0, :3]
    assert "3 of 60 voxels never change in this session" in warnings(voxels=still)
    spread = trained.recorded.voxels.std(axis=0)
    moved = new.voxels.copy()
    moved[:, :20] += 2 * spread[:20]
    assert "The mean of 20 of 60 voxels lies more than 1 standard deviation" in warnings(voxels=moved)
    centre = new.voxels.mean(axis=0)
    wide = centre + 4 * (new.voxels - centre)
    assert "60 of 60 voxels vary more than 2 times as much" in warnings(voxels=wide)
    assert "standard deviation" not in warnings()


def test_runs_of_few_pictures_are_named_where_each_run_is_z_scored(
    train: Any, new: ImageSession, write: Any
) -> None:
    found = train("per_run").decode(write(replace(new, run=np.arange(72) // 6)))
    assert any("a run shows 6 pictures in the median" in one for one in found.warnings)
    alone = train("per_run").decode(write(replace(new, run=np.arange(72))))
    assert any("72 rows are the only one of their run" in one for one in alone.warnings)


def test_pictures_of_another_kind_give_no_score(trained: Trained, new: ImageSession, write: Any) -> None:
    assert new.images is not None
    coloured = new.images.copy()
    coloured[..., 0] *= 0.5
    for images in (coloured, new.images[:, :3]):
        found = trained.decode(write(replace(new, images=images)))
        assert found.scores == {}
        assert any("not of the kind that was trained on, 4 x 4 x 1" in one for one in found.warnings)


def test_a_description_of_another_model_or_version_is_refused(
    trained: Trained, new: ImageSession, write: Any
) -> None:
    path = write(new)
    other = {**trained.description, "n_voxels": 61}
    with pytest.raises(DataError, match="takes 60 voxels, but the description of its input says 61"):
        decode_pictures(trained.module, other, path)
    earlier = {name: trained.description[name] for name in ("subject", "n_voxels", "areas")}
    with pytest.raises(DataError, match="lacks layout, voxel_xyz, scaling, picture_shape"):
        decode_pictures(trained.module, earlier, path)
    with pytest.raises(DataError, match="do not adapt"):
        decode_pictures(trained.module, trained.description, path, adapt_from=path)


@pytest.fixture(scope="module")
def generating(
    recorded: ImageSession,
    run_trainer: Callable[..., pl.Trainer],
    tmp_path_factory: pytest.TempPathFactory,
) -> Trained:
    """A decoder of three latents of a small untrained generator, whose pictures have 32 pixels."""
    folder = tmp_path_factory.mktemp("generator")
    torch.manual_seed(0)
    generator = Generator(replace(PRESETS["s32"], channels=4, h_dim=5)).eval()
    save_generator(folder / "kept", generator, slot=0, iteration=1, best_fid=0.0)
    rng = np.random.default_rng(0)
    path = folder / "subject.npz"
    write_session_npz(with_rows(recorded, recorded.stimulus < N_TRAINED), path)
    rows = load_pixels(path=str(path), normalisation="training_stats")
    session = read_session_npz(path)
    widths = {INSTANCE: 5, NOISE: generator.preset.dim_z, DENSE: generator.preset.dense_dim}
    tables = {kind: rng.standard_normal((N_TRAINED, n)).astype(np.float32) for kind, n in widths.items()}
    tables[PICTURE] = as_squares(session, 32)[:N_TRAINED].reshape(N_TRAINED, -1)
    known = {one.name: getattr(rows, one.name) for one in fields(PictureData)}
    data = TargetData(
        **known | {"tables": tables, "picture_shape": (32, 32, 3)},
        generator=GeneratorWeights.of(generator),
        generator_path=str(folder / "kept"),
        judge=NetWeights.of(SmallNet(SMALL_NET, (2,)), SMALL_NET, (2,)),
        n_painted=1,
    )
    data_module = PictureDataModule(data)
    module = IcganDecoder(**data_module.model_arguments, instance_rescale=False)
    run_trainer(module, data_module, limit_val_batches=0)
    description = json.loads(json.dumps(data_module.description))
    return Trained(module, description, with_rows(recorded, recorded.stimulus < N_TRAINED))


def test_latents_of_means_become_the_generators_pictures(
    generating: Trained, new: ImageSession, write: Any
) -> None:
    found = generating.decode(write(new))
    rows = scaled_by_hand("training_stats", new, generating.recorded)
    means = np.stack([rows[new.stimulus == one].mean(axis=0) for one in range(new.n_stimuli)])
    latents = generating.module.decode(means)  # type: ignore[operator]
    for kind, expected in zip((INSTANCE, NOISE, DENSE), latents, strict=True):
        np.testing.assert_allclose(found.arrays[f"mean_{kind}"], expected, atol=1e-4)
        assert found.arrays[kind].shape == (72, expected.shape[1])
    made = paint(load_generator(Path(generating.description["generator"])), latents)
    np.testing.assert_allclose(found.arrays["mean_pictures"], made, atol=1e-4)
    seen = as_squares(new, 32)
    fresh = range(N_TRAINED, new.n_stimuli)
    correlations = [np.corrcoef(made[one].ravel(), seen[one].ravel())[0, 1] for one in fresh]
    assert found.scores["PixCorr"] == pytest.approx(np.mean(correlations), abs=1e-4)
    assert set(found.scores) == {"identification among 6", "PixCorr", "PixCorr, centred", "SSIM"}


def test_without_the_generator_latents_are_decoded_alone(
    generating: Trained, new: ImageSession, write: Any, tmp_path: Path
) -> None:
    lost = replace(generating, description={**generating.description, "generator": str(tmp_path / "lost")})
    found = lost.decode(write(new))
    assert {"mean_instance", "mean_noise", "mean_dense", "dense"} <= set(found.arrays)
    assert "mean_pictures" not in found.arrays
    assert found.scores == {}
    assert any("No pictures were made, only h, z and d" in one for one in found.warnings)
