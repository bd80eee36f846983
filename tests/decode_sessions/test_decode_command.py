"""`neurosweep decode` on a real sweep of SABLE: every address of a model gives the same file."""

import inspect
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from lightning_modules.parts.decoding.inference import infer
from lightning_modules.parts.decoding.read_in import fit_read_in
from lightning_modules.parts.errors import DataError as ScienceError
from lightning_modules.parts.spikes.data_module import SpikeDataModule
from lightning_modules.parts.spikes.recordings import load_sessions
from neurosweep.errors import ConfigError, DataError, NeurosweepError, StorageError
from neurosweep.layout import read_json, write_json
from neurosweep.sweeps.decoding import decode
from neurosweep.trials.reload import load_model

Decode = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def bench(make_bench: Callable[[str], Any], recordings: Path) -> Any:
    """A finished sweep `tiny` of two trials on the recordings."""
    bench = make_bench("decoding")
    network = ("encoder_hidden", "encoder_width", "generator_hidden", "behaviour_hidden", "behaviour_width")
    config = {
        "experiment": "sable",
        "name": "tiny",
        "seed": 1,
        "search": {"trials": 2, "pruner": "none"},
        "data": {"path": str(recordings)},
        "model": {**dict.fromkeys(network, 8), "factor_dim": 4, "latent_dim": 4},
        "trainer": {"max_epochs": 1},
    }
    (bench.folder / "sweep.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    code, output = bench.run("launch", "sweep.yaml")
    assert code == 0, output
    return bench


@pytest.fixture(scope="module")
def best(bench: Any) -> Path:
    """Kept checkpoint of the best trial, as the leaderboard ranks them."""
    lines = (bench.storage / "tiny" / "leaderboard.csv").read_text(encoding="utf-8").splitlines()
    number = int(lines[1].split(",")[lines[0].split(",").index("trial")])
    (checkpoint,) = (bench.storage / "tiny" / "trials" / f"{number:04d}").glob("best-*.ckpt")
    return checkpoint


@pytest.fixture
def here(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; the sweep is found by its storage."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def test_command_writes_what_the_best_trial_predicts(bench: Any, best: Path, new_day: Any, days: Any) -> None:
    path = new_day(animal="Ada")
    code, output = bench.run("decode", "--model", "tiny", "--data", str(path))
    assert code == 0, output
    written = read(bench.folder / "new-decoded.npz")
    with torch.no_grad():
        spikes = torch.tensor(days[4].spikes.reshape(24, 10, 12).astype(np.float32))
        expected = load_model(best)(spikes).behaviour.numpy()
    np.testing.assert_allclose(written["predicted"], expected, rtol=1e-5, atol=1e-6)
    assert written["behaviour_names"].tolist() == ["position_x", "position_y"]
    assert written["trial_start"].tolist() == list(range(0, 240, 10))
    assert (float(written["bin_width_s"]), str(written["model"])) == (0.07, str(best))
    truth, guess = days[4].behaviour.astype(float), expected.reshape(-1, 2)
    score = 1 - ((truth - guess) ** 2).sum() / ((truth - truth.mean(axis=0)) ** 2).sum()
    lines = output.splitlines()
    assert f"{score:.3f} on this session" in next(line for line in lines if line.startswith("R2  "))
    assert "trials            24 decoded" in lines
    assert "warning: The session is of Ada, the model was trained on generated." in lines
    again, refused = bench.run("decode", "--model", "tiny", "--data", str(path))
    assert again == 2
    assert "new-decoded.npz exists already" in refused
    assert "--overwrite" in refused


def test_adapting_decodes_behind_a_read_in_of_the_training_days(
    bench: Any, best: Path, new_day: Any, recordings: Path, days: Any
) -> None:
    code, output = bench.run(
        "decode", "--model", "tiny", "--data", str(new_day()), "--adapt-from", str(recordings),
        "--output", "adapted.npz",
    )  # fmt: skip
    assert code == 0, output
    counts = [day.spikes.reshape(24, 10, 12) for day in days]
    model = load_model(best)
    read_in = fit_read_in(model, np.concatenate(counts[:3]), counts[4])
    expected = infer(model, read_in(counts[4])).behaviour
    written = read(bench.folder / "adapted.npz")["predicted"]
    np.testing.assert_allclose(written, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(written - infer(model, counts[4]).behaviour).max() > 1e-3
    assert "without their labels, so that latents are distributed as on all 3 training days" in output


def test_sweep_checkpoint_run_and_logged_model_give_the_same(
    bench: Any, best: Path, new_day: Any, here: Path
) -> None:
    path = str(new_day())
    run = bench.trials("tiny")[int(best.parent.name)]
    (model,) = run.outputs.model_outputs
    addresses = ("tiny", str(best), f"runs:/{run.info.run_id}", run.info.run_id, f"models:/{model.model_id}")
    for number, address in enumerate(addresses):
        decode(address, path, output=f"{number}.npz", storage=str(bench.storage))
    first, *others = [read(here / f"{number}.npz") for number in range(len(addresses))]
    for address, other in zip(addresses[1:], others, strict=True):
        assert str(other.pop("model")) == address
        for name, values in other.items():
            np.testing.assert_array_equal(values, first[name], err_msg=f"{name} of {address}")


def test_what_the_data_module_says_lies_beside_the_checkpoint_and_in_the_model(
    bench: Any, best: Path
) -> None:
    written = read_json(best.parent / "data.json")
    settings = read_json(best.parent / "config.json")["sections"]["data"]
    of_load = {
        name: settings[name] for name in inspect.signature(load_sessions).parameters if name in settings
    }
    described = SpikeDataModule(load_sessions(**of_load)).description
    assert written == json.loads(json.dumps(described))
    copies = list((bench.storage / "mlartifacts").rglob("data.json"))
    assert len(copies) == 2
    assert [read_json(copy) for copy in copies] == [written, written]


def test_a_model_that_does_not_say_its_input_is_refused(best: Path, new_day: Any, here: Path) -> None:
    shutil.copytree(best.parent, here / "old")
    (here / "old" / "data.json").unlink()
    with pytest.raises(NeurosweepError, match=r"no .*old/data\.json") as caught:
        decode(str(here / "old" / best.name), str(new_day()))
    assert "Train it again" in caught.value.remedy
    assert not list(here.glob("*.npz"))


def test_an_experiment_that_decodes_nothing_is_refused(best: Path, new_day: Any, here: Path) -> None:
    shutil.copytree(best.parent, here / "lab")
    config = read_json(here / "lab" / "config.json")
    config["experiment"]["decode"] = None
    write_json(here / "lab" / "config.json", config)
    with pytest.raises(ConfigError, match="`sable` names no function that decodes"):
        decode(str(here / "lab" / best.name), str(new_day()))


def test_a_misfit_is_a_data_error_with_the_sciences_problem_and_cure(
    best: Path, new_day: Any, here: Path
) -> None:
    with pytest.raises(DataError, match=r"0\.05 s") as caught:
        decode(str(best), str(new_day(bin_width_s=0.05)))
    assert isinstance(caught.value.__cause__, ScienceError)
    assert (caught.value.exit_code, list(here.iterdir())) == (2, [])
    assert caught.value.remedy.startswith("Bin the session anew at 0.07 s")


@pytest.mark.parametrize(
    ("output", "problem"),
    [("out.mat", "no .npz file"), ("nowhere/out.npz", "no folder"), ("session.npz", "the session itself")],
)
def test_outputs_that_cannot_be_are_refused_before_anything_is_read(
    output: str, problem: str, here: Path
) -> None:
    (here / "session.npz").write_bytes(b"not read")
    with pytest.raises(ConfigError, match=problem):
        decode("no-such-sweep", "session.npz", output=output, overwrite=True)
    assert (here / "session.npz").read_bytes() == b"not read"


def test_an_unknown_model_is_refused_with_the_forms_that_there_are(
    bench: Any, new_day: Any, here: Path
) -> None:
    with pytest.raises(NeurosweepError, match=r"no sweep `tinny`.*there are: tiny") as caught:
        decode("tinny", str(new_day()), storage=str(bench.storage))
    assert "models:/" in caught.value.remedy
    assert "checkpoint" in caught.value.remedy


def test_overwriting_replaces_the_file_and_a_full_disk_leaves_it(
    best: Path, new_day: Any, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(new_day())
    decode(str(best), path, output="out.npz")
    before = (here / "out.npz").read_bytes()
    with pytest.raises(ConfigError, match=r"out\.npz exists"):
        decode(str(best), path, output="out.npz")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="No space left"):
            decode(str(best), path, output="out.npz", overwrite=True)
    assert (here / "out.npz").read_bytes() == before
    assert [one.name for one in here.iterdir()] == ["out.npz"]
    decode(str(best), str(new_day(target=None)), output="out.npz", overwrite=True)
    assert set(read(here / "out.npz")["target"]) == {-1}
