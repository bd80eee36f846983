"""What is decoded of recordings: the authors' arrays, inverted pictures, learnt features; and what is refused."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lightning_modules.icgan.decoder import recorded_pictures, sealed_reconstructions
from lightning_modules.icgan.decoder.icgan import IcganDecoder
from lightning_modules.icgan.decoder.painting import features_of, paint
from lightning_modules.icgan.decoder.sealed_reconstructions import SealedReconstructions
from lightning_modules.icgan.decoder.targets import JUDGE, PICTURE, load_targets, open_source, with_defaults
from lightning_modules.icgan.generator.checkpoint import load_generator, save_generator
from lightning_modules.icgan.generator.network import Generator
from lightning_modules.icgan.generator.presets import PRESETS
from lightning_modules.icgan.generator.resnet import ResNet50, load_swav
from lightning_modules.icgan.judges.alexnet import AlexNet
from lightning_modules.icgan.judges.public_network import load_public_network
from lightning_modules.icgan.recordings.session import ImageSession, Shown
from lightning_modules.icgan.recordings.session_npz import write_session_npz
from lightning_modules.icgan.scoring.latents import Latents
from lightning_modules.icgan.scoring.protocols import resize
from lightning_modules.parts.errors import DataError
from neurosweep import errors
from neurosweep.config_files import resolve_config
from neurosweep.sweeps.plan import searched_names
from neurosweep.sweeps.preparation import prepare

N_TRAINING, N_TEST, N_REPEATS, N_VOXELS, H_DIM = 16, 4, 3, 30, 12
PRESET = replace(PRESETS["s32"], h_dim=H_DIM)


@pytest.fixture(scope="module")
def generator() -> Generator:
    """Random weights, whose pictures differ by noise as well as by features."""
    torch.manual_seed(0)
    made = Generator(PRESET)
    with torch.no_grad():
        for name, values in made.named_parameters():
            if "gain" in name or "bias" in name:
                values.mul_(3)
    return made.eval()


@pytest.fixture(scope="module")
def known(generator: Generator) -> Latents:
    """Of all pictures, training before test."""
    rng = np.random.default_rng(1)
    h = rng.standard_normal((N_TRAINING + N_TEST, H_DIM)).astype(np.float32)
    z = rng.standard_normal((len(h), PRESET.dim_z)).clip(-2, 2).astype(np.float32)
    return Latents(
        h / np.linalg.norm(h, axis=1, keepdims=True), z, generator.dense(torch.from_numpy(z)).detach().numpy()
    )


@pytest.fixture(scope="module")
def session(generator: Generator, known: Latents) -> ImageSession:
    """Training pictures once, test pictures three times, in a run of each kind; the generator made what is seen."""
    rng = np.random.default_rng(2)
    stimulus = np.concatenate([np.arange(N_TRAINING), np.tile(N_TRAINING + np.arange(N_TEST), N_REPEATS)])
    return ImageSession(
        voxels=(known.h @ rng.standard_normal((H_DIM, N_VOXELS)))[stimulus].astype(np.float32)
        + 0.1 * rng.standard_normal((len(stimulus), N_VOXELS)).astype(np.float32),
        stimulus=stimulus,
        stimulus_names=tuple(f"picture_{one:02d}" for one in range(N_TRAINING + N_TEST)),
        category=np.concatenate([np.arange(N_TRAINING) // 4, 10 + np.arange(N_TEST)]),
        shown=np.where(stimulus < N_TRAINING, int(Shown.TRAINING), int(Shown.TEST)),
        run=np.zeros(len(stimulus), np.int64),
        roi={"V1": np.arange(N_VOXELS) < 10},
        subject="S1",
        images=paint(generator, known).astype(np.float32),
    )


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, generator: Generator, known: Latents, session: ImageSession
) -> Path:
    """Two subjects, the generator as a public checkpoint, and the arrays as the authors' scripts keep them."""
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "subjects").mkdir()
    write_session_npz(session, folder / "subjects" / "one.npz")
    other = replace(session, voxels=session.voxels[:, ::-1].copy(), subject="S2")
    write_session_npz(other, folder / "subjects" / "two.npz")
    save_generator(folder / "generator", generator, slot=0, iteration=1, best_fid=1.0)
    (folder / "arrays").mkdir()
    (folder / "instance_alone").mkdir()
    parts = {"train_instance": known.h[:N_TRAINING], "test_instance": known.h[N_TRAINING:]}
    for where in ("arrays", "instance_alone"):
        np.savez(folder / where / "instance_features.npz", **parts)
    assert known.z is not None
    assert known.d is not None
    np.save(folder / "arrays" / "noise_vectors.npy", known.z[:N_TRAINING])
    np.save(folder / "arrays" / "dense_vectors.npy", known.d[:N_TRAINING])
    return folder


@pytest.fixture(scope="module")
def networks(folder: Path) -> Path:
    """A folder with an AlexNet of random weights."""
    torch.manual_seed(0)
    (folder / "networks").mkdir()
    torch.save(AlexNet().state_dict(), folder / "networks" / "alexnet.pth")
    return folder / "networks"


@pytest.fixture(scope="module")
def settings(folder: Path) -> Iterator[dict[str, Any]]:
    """With the small networks' training cut short."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorded_pictures, "NET_STEPS", 20)
        patch.setattr(sealed_reconstructions, "ORACLE", replace(sealed_reconstructions.ORACLE, z_steps=10))
        yield {
            "path": str(folder / "subjects"),
            "subject": "S1",
            "generator": str(folder / "generator"),
            "features": str(folder / "arrays"),
            "normalisation": "none",
            "inversion_steps": 40,
            "cache": str(folder / "cache"),
        }


def test_the_authors_arrays_are_what_is_decoded(
    settings: dict[str, Any], known: Latents, session: ImageSession
) -> None:
    data = load_targets(**settings)
    assert data.stimulus_names == session.stimulus_names[:N_TRAINING]
    for kind, expected in zip(("instance", "noise", "dense"), known, strict=True):
        assert expected is not None
        np.testing.assert_array_equal(data.tables[kind], expected[:N_TRAINING])
    assert session.images is not None
    np.testing.assert_array_equal(data.tables[PICTURE], session.images[:N_TRAINING].reshape(N_TRAINING, -1))
    decoded = Latents(*(data.tables[kind] for kind in ("instance", "noise", "dense")))
    made = paint(data.generator.build(), decoded)
    np.testing.assert_allclose(made, session.images[:N_TRAINING], atol=1e-5)
    assert load_generator(Path(data.generator_path)).preset == data.generator.preset


def test_areas_that_the_recording_lacks_are_not_searched(
    settings: dict[str, Any], session: ImageSession, tmp_path: Path
) -> None:
    early = replace(session, roi={"V1": session.roi["V1"], "LVC": session.roi["V1"]})
    write_session_npz(early, tmp_path / "early.npz")
    for path, lacking in (
        (settings["path"], {"instance": "HVC", "spatial": "LVC"}),
        (
            str(tmp_path / "early.npz"),
            {"instance": "HVC"},
        ),
    ):
        given = {"data": {**settings, "path": path}, "storage": str(tmp_path), "name": "sweep"}
        prepared = prepare(resolve_config("icgan", given))
        parameters = {f"{kind}_area" for kind in lacking}
        assert prepared.config.model == dict.fromkeys(parameters, "all")
        searched = searched_names(prepared.config, prepared.experiment)
        assert {name for name in searched if name.endswith("area")} == {
            "model.instance_area",
            "model.spatial_area",
        } - {f"model.{name}" for name in parameters}
        assert any(all(area in note for area in lacking.values()) for note in prepared.notes)


def test_a_pinned_area_that_the_recording_lacks_is_refused_before_a_trial_runs(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    given = {"data": settings, "storage": str(tmp_path), "name": "sweep"}
    with pytest.raises(
        errors.DataError, match=r"(?s)no voxels for `--model\.spatial_area LVC`.*all \(30\), V1 \(10\)"
    ):
        prepare(resolve_config("icgan", {**given, "model": {"spatial_area": "LVC"}}))
    pinned = prepare(resolve_config("icgan", {**given, "model": {"spatial_area": "V1"}}))
    assert pinned.config.model == {"spatial_area": "V1", "instance_area": "all"}


@pytest.mark.parametrize("dense_mode", ["from_z", "free"])
def test_inverted_pictures_are_made_of_noise_that_makes_them(
    settings: dict[str, Any], folder: Path, known: Latents, session: ImageSession, dense_mode: str
) -> None:
    given = {**settings, "features": str(folder / "instance_alone"), "dense_mode": dense_mode}
    data = load_targets(**given)
    generator = data.generator.build()
    assert session.images is not None
    seen = session.images[:N_TRAINING]

    def likeness(latents: Latents) -> float:
        pairs = zip(paint(generator, latents), seen, strict=True)
        return float(np.mean([np.corrcoef(made.ravel(), other.ravel())[0, 1] for made, other in pairs]))

    h = known.h[:N_TRAINING]
    found = Latents(h, data.tables["noise"], data.tables["dense"])
    assert likeness(found) > 0.95
    assert 1 - likeness(found) < 0.6 * (1 - likeness(Latents(h)))
    own = generator.dense(torch.from_numpy(data.tables["noise"])).numpy()
    assert np.allclose(data.tables["dense"], own, atol=1e-4) == (dense_mode == "from_z")


def test_no_sealed_picture_changes_what_is_learnt(
    settings: dict[str, Any], session: ImageSession, tmp_path: Path
) -> None:
    without = {name: value for name, value in settings.items() if name not in ("generator", "features")}
    without |= {"generator_steps": 2, "path": str(tmp_path / "same.npz"), "cache": str(tmp_path / "one")}
    write_session_npz(session, tmp_path / "same.npz")
    assert session.images is not None
    changed = session.images.copy()
    changed[N_TRAINING:] = 1 - changed[N_TRAINING:]
    write_session_npz(replace(session, images=changed), tmp_path / "changed.npz")
    one = load_targets(**without)
    other = load_targets(
        **without | {"path": str(tmp_path / "changed.npz"), "cache": str(tmp_path / "other")}
    )
    assert set(one.tables) == set(other.tables)
    for name, table in one.tables.items():
        np.testing.assert_array_equal(table, other.tables[name])
    for name, weights in one.generator.weights.items():
        np.testing.assert_array_equal(weights, other.generator.weights[name])
    lengths = np.linalg.norm(one.tables["instance"], axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)


def test_features_are_those_of_the_given_weights_and_the_judge_is_another(
    settings: dict[str, Any], folder: Path, session: ImageSession
) -> None:
    for seed, name in enumerate(("swav.pth", "classifier.pth")):
        torch.manual_seed(seed)
        torch.save(ResNet50().state_dict(), folder / name)
    few = np.array([0, 4, 16, 17])
    assert session.images is not None
    pictures = session.images[few]
    small = replace(
        session,
        **{name: getattr(session, name)[few] for name in ("voxels", "shown", "run")},
        stimulus=np.arange(4),
        stimulus_names=("a", "b", "c", "d"),
        category=few,
        images=pictures,
    )
    write_session_npz(small, folder / "few.npz")
    given = {
        **settings,
        "features": None,
        "generator": None,
        "generator_steps": 1,
        "path": str(folder / "few.npz"),
    }
    data = load_targets(**given | {"swav": str(folder / "swav.pth"), "judge": str(folder / "classifier.pth")})
    for kind, name in (("instance", "swav.pth"), (JUDGE, "classifier.pth")):
        expected = features_of(load_swav(folder / name), pictures[:2])
        np.testing.assert_allclose(data.tables[kind], expected, atol=1e-5)


def test_each_subject_of_a_folder_is_opened_with_the_same_pictures(
    settings: dict[str, Any], session: ImageSession
) -> None:
    source = open_source(with_defaults(settings))
    assert source.pictures.subjects() == ("S1", "S2")
    other = source.pictures.open("S2")
    np.testing.assert_array_equal(other.session.voxels, session.voxels[:, ::-1])
    np.testing.assert_array_equal(other.stimuli, np.arange(N_TRAINING, N_TRAINING + N_TEST))
    strange = replace(source.pictures, names=("another", *source.pictures.names[1:]))
    with pytest.raises(DataError, match=r"do not show the same pictures"):
        strange.open("S2")


def test_sealed_pictures_of_recordings_are_scored(
    fit: Any, settings: dict[str, Any], session: ImageSession, known: Latents, networks: Path
) -> None:
    data = load_targets(**settings)
    module, _ = fit(data, kind=IcganDecoder)
    sealed = SealedReconstructions(data, {**settings, "networks": str(networks)})
    found = sealed.score([module])
    means = np.stack(
        [session.voxels[session.stimulus == N_TRAINING + one].mean(axis=0) for one in range(N_TEST)]
    )
    made = paint(data.generator.build(), module.decode(means))
    assert session.images is not None
    expected = [
        np.corrcoef(one.ravel(), other.ravel())[0, 1]
        for one, other in zip(made, session.images[N_TRAINING:], strict=True)
    ]
    assert found.scores[0]["test/pixcorr"] == pytest.approx(np.mean(expected), abs=1e-5)
    # Over many deals no picture is told from others more often than by chance.
    assert found.references["shuffled"]["test/instance_identification"] == pytest.approx(0.5, abs=0.15)
    everything, farthest = found.tables["pictures by how like training ones they are"]
    assert everything["pixcorr"] == pytest.approx(np.mean(expected), abs=1e-5)
    likeness = [(data.tables["instance"] @ one).max() for one in known.h[N_TRAINING:]]
    assert farthest["n"] == 1
    assert farthest["pixcorr"] == pytest.approx(expected[int(np.argmin(likeness))], abs=1e-5)
    assert "Synthetic" not in " ".join(sealed.notes)
    assert "repeats_2" in found.references
    assert "repeats_5" not in found.references
    rows = found.tables["in the networks of publications"]
    fifth = load_public_network(networks / "alexnet.pth").layers(resize(np.clip(made, 0, 1), 224))[
        "alexnet 5"
    ]
    seen = load_public_network(networks / "alexnet.pth").layers(resize(session.images[N_TRAINING:], 224))
    distance = [1 - np.corrcoef(*pair)[0, 1] for pair in zip(fifth, seen["alexnet 5"], strict=True)]
    assert [row["network"] for row in rows] == ["alexnet 2", "alexnet 5"]
    assert rows[1]["distance, decoded"] == pytest.approx(np.mean(distance), abs=1e-5)
    assert found.metrics["networks/alexnet_5_distance"] == rows[1]["distance, decoded"]


def test_a_network_of_publications_can_be_the_judge(settings: dict[str, Any], networks: Path) -> None:
    data = load_targets(**settings, judge=str(networks / "alexnet.pth"))
    pictures = data.tables[PICTURE].reshape(N_TRAINING, *data.picture_shape)
    fifth = load_public_network(networks / "alexnet.pth").layers(resize(pictures[:2], 224))["alexnet 5"]
    expected = fifth / np.linalg.norm(fifth, axis=1, keepdims=True)
    np.testing.assert_allclose(data.tables[JUDGE][:2], expected, atol=1e-6)
    with pytest.raises(DataError, match="holds no weights"):
        load_targets(**settings, networks=settings["features"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"generator": None}, None),
        ({"generator": None, "noise_from": "arrays"}, "belong to a generator"),
        ({"noise_from": "warm_start"}, "not learnt together"),
        ({"noise_from": "elsewhere"}, r"(?s)elsewhere.*auto, arrays, warm_start, inversion"),
        ({"features": "missing"}, r"(?s)missing/instance_features\.npz does not exist.*train_instance"),
        ({"generator": None, "picture_size": 48}, r"(?s)picture_size` is 48.*32, 64"),
        ({"path": None, "subject": None}, r"(?s)features` is .* a generated data set has networks of its own"),
        ({"test_categories": 1}, "test pictures of its own"),
        ({"subject": None}, r"(?s)2 subjects: S1, S2.*--data\.subject"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused(
    settings: dict[str, Any], change: dict[str, Any], message: str | None
) -> None:
    given = {**settings, "generator_steps": 1, **change}
    if message is None:  # a small generator is learnt for features that came as arrays
        assert load_targets(**given).generator.preset.h_dim == H_DIM
        return
    with pytest.raises(DataError, match=message):
        load_targets(**given)


def test_arrays_of_other_pictures_or_another_generator_are_refused(
    settings: dict[str, Any], folder: Path, known: Latents, tmp_path: Path
) -> None:
    given = {**settings, "features": str(tmp_path)}
    np.savez(tmp_path / "instance_features.npz", train_instance=known.h[:3], test_instance=known.h[:4])
    with pytest.raises(
        DataError, match=r"(?s)`train_instance` is float32 of shape \(3, 12\).*\(16, features\)"
    ):
        load_targets(**given)
    wider = np.concatenate([known.h, known.h], axis=1)
    np.savez(tmp_path / "instance_features.npz", train_instance=wider[:16], test_instance=wider[16:])
    with pytest.raises(DataError, match=r"(?s)takes 12 features, but pictures have 24.*--data\.swav"):
        load_targets(**given)
    np.savez(tmp_path / "instance_features.npz", train_instance=known.h[:16], test_instance=known.h[16:])
    np.save(tmp_path / "noise_vectors.npy", np.zeros((16, 7), np.float32))
    with pytest.raises(DataError, match=rf"(?s)noise_vectors\.npy.*\(16, 7\).*\(16, {PRESET.dim_z}\)"):
        load_targets(**given)
    (tmp_path / "noise_vectors.npy").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError, match=r"noise_vectors\.npy cannot be read"):
        load_targets(**given)
