"""What `neurosweep data inspect` says of image sessions whose counts, overlaps, faults and reliability are known."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lightning_modules.icgan.recordings.god_writer import write_god
from lightning_modules.icgan.recordings.inspection import describe_subject
from lightning_modules.icgan.recordings.inspection_figures import draw_areas, draw_rows
from lightning_modules.icgan.recordings.inspection_findings import find_problems
from lightning_modules.icgan.recordings.inspection_report import inspect_images
from lightning_modules.icgan.recordings.session import ImageSession, Shown
from lightning_modules.icgan.recordings.session_npz import write_session_npz
from lightning_modules.parts.errors import DataError
from neurosweep import console
from neurosweep.cli import main

N_STIMULI, N_REPEATS = 1200, 4


@pytest.fixture(scope="module")
def repeated() -> ImageSession:
    """Four runs of 1200 pictures; of voxel v the noise has the variance (0, 1, 4, infinite)[v] of the signal's."""
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((N_STIMULI, 4)) * [1, 1, 1, 0]
    stimulus = np.concatenate([rng.permutation(N_STIMULI) for _ in range(N_REPEATS)])
    noise = rng.standard_normal((len(stimulus), 4)) * [0, 1, 2, 1]
    return ImageSession(
        voxels=(signal[stimulus] + noise).astype(np.float32),
        stimulus=stimulus,
        stimulus_names=tuple(f"picture_{one}" for one in range(N_STIMULI)),
        category=np.arange(N_STIMULI) // 2,
        shown=np.full(len(stimulus), int(Shown.TRAINING)),
        run=np.repeat(np.arange(N_REPEATS), N_STIMULI),
        roi={"V1": np.array([True, True, False, False]), "V2": np.array([False, False, True, False])},
        subject="S7",
        images=rng.random((N_STIMULI, 4, 6, 3)).astype(np.float32),
    )


def problems_of(session: ImageSession) -> str:
    found = find_problems(session, describe_subject(session))
    return "\n".join(f"{one.problem} {one.consequence}" for one in found)


def test_rows_runs_repeats_and_categories_are_counted(session: ImageSession) -> None:
    facts = describe_subject(session)
    assert list(facts.kinds) == ["training", "test", "imagery"]
    training, test, imagery = facts.kinds.values()
    assert (training.n_rows, test.n_rows, imagery.n_rows) == (1200, 1750, 500)
    assert training.run_rows == (50,) * 24
    assert test.run_rows == (50,) * 35
    assert imagery.run_rows == (25,) * 20
    assert training.repeats == (1,) * 1200
    assert test.repeats == (35,) * 50
    assert len(training.categories) == 150
    assert test.categories == imagery.categories
    assert facts.shown_in_run == 50
    assert facts.z_scored_by_run


def test_overlaps_of_areas_are_counted(session: ImageSession) -> None:
    """V1 is voxels 0 to 4, LOC 5 to 9, FFA 9 to 13, VC 0 to 12 of 14."""
    facts = describe_subject(session)
    assert facts.areas == {"V1": 5, "LOC": 5, "FFA": 5, "VC": 13}
    expected = {("V1", "VC"): 5, ("LOC", "FFA"): 1, ("LOC", "VC"): 5, ("FFA", "VC"): 4}
    assert facts.shared == expected
    assert facts.unlabelled == 0
    numbers = {(text.get_position(), text.get_text()) for text in draw_areas(session).axes[0].texts}
    assert {((3, 2), "4"), ((2, 3), "4"), ((2, 1), "1"), ((1, 1), "5")} <= numbers
    assert len(numbers) == 4 + 2 * len(expected)


def test_reliability_is_that_of_the_constructed_signal(repeated: ImageSession) -> None:
    """Of means of four repeats it is 1 / (1 + noise / (4 signal))."""
    found = describe_subject(repeated).reliability
    assert found is not None
    assert (found.kind, found.n_stimuli, found.n_repeats) == ("training", 1200, 4)
    expected = [1, 1 / (1 + 1 / 4), 1 / (1 + 4 / 4), 0]
    np.testing.assert_allclose(found.reliability, expected, atol=0.06)
    assert found.medians == pytest.approx({"V1": np.mean(expected[:2]), "V2": expected[2]}, abs=0.06)


def test_reliability_is_of_test_rows_where_they_are_repeated(session: ImageSession) -> None:
    found = describe_subject(session).reliability
    assert found is not None
    assert (found.kind, found.n_stimuli, found.n_repeats) == ("test", 50, 35)


def test_what_is_whole_has_no_problems(session: ImageSession) -> None:
    assert problems_of(replace(session, images=session.images[:, :5])) == ""  # type: ignore[index]


def test_faults_of_rows_and_voxels_are_found(repeated: ImageSession) -> None:
    voxels = repeated.voxels.copy()
    voxels[:, 2] = 3.5
    voxels[7] = 1.0
    voxels[7, 2] = 3.5
    voxels[20], voxels[21] = 3.5, voxels[22]
    run = repeated.run.copy()
    run[5] = 99
    found = problems_of(replace(repeated, voxels=voxels, run=run, roi={}))
    assert "1 of 4 voxels never change." in found
    assert "1 rows have one value in all voxels." in found
    assert "1 rows repeat an earlier one digit for digit." in found
    assert "1 run has a single row." in found
    assert "No voxel has an area." in found


def test_leaks_and_gaps_of_stimuli_are_found(session: ImageSession) -> None:
    assert session.images is not None
    images = session.images.copy()
    images[1203] = images[8]  # a test picture that was trained on
    images[40] = images[41]
    images[9] = 0.25
    category = session.category.copy()
    category[1210] = category[0]
    found = problems_of(replace(session, images=images, category=category))
    assert "1 test pictures are pixel by pixel among the training ones." in found
    assert "2 pictures are pixel by pixel another one of the file." in found
    assert "1 pictures are of one colour." in found
    assert "1 of 50 test categories are among the training ones." in found
    assert "Pictures have 6 x 5 pixels." in found


def test_what_rules_a_search_out_is_said(repeated: ImageSession, tmp_path: Path) -> None:
    alone = problems_of(replace(repeated, images=None, category=np.zeros(N_STIMULI, np.int64)))
    assert "Training rows show 1 categories. Cross-validation holds out whole categories" in alone
    assert "There are no pictures." in alone
    assert "There are no test pictures. Seal categories with `--data.test_categories`" in alone
    own = problems_of(replace(repeated, category=np.arange(N_STIMULI)))
    assert "Every training picture is a category of its own." in own
    once = np.arange(N_STIMULI)
    fields: dict[str, Any] = {
        name: getattr(repeated, name)[:N_STIMULI] for name in ("voxels", "shown", "run")
    }
    assert "Fewer than 3 pictures were shown twice." in problems_of(
        replace(repeated, stimulus=once, **fields)
    )


def test_the_text_names_commands_that_fit_the_file(repeated: ImageSession, tmp_path: Path) -> None:
    file = tmp_path / "s7.npz"
    write_session_npz(repeated, file)
    found = inspect_images(str(file))
    lines = [" ".join(line.split()) for line in found.text.splitlines()]
    assert lines[0] == f"{file}: 1 subject who looked at pictures, S7"
    assert "training 4800 rows in 4 runs of 1200; 1200 pictures of 600 categories, each 4 times" in lines
    assert "areas V1 2, V2 1; 1 voxels without one" in lines
    assert any(line.startswith("pictures 1200 of 4 x 6 pixels, in colour, values") for line in lines)
    assert f"pixels neurosweep launch pixels --data.path {file} --data.test_categories 4" in lines
    assert "icgan lacks square pictures" in lines
    assert set(found.figures) == {"rows", "pictures", "reliability", "areas"}
    assert found.readable


def test_rows_are_drawn_run_after_run(repeated: ImageSession) -> None:
    mixed = np.random.default_rng(1).permutation(len(repeated.run))
    fields: dict[str, Any] = {
        name: getattr(repeated, name)[mixed] for name in ("voxels", "stimulus", "shown", "run")
    }
    session = replace(repeated, **fields)
    line = draw_rows(session).axes[0].lines[0]
    order = np.argsort(np.asarray(line.get_xdata()))
    expected = session.voxels.mean(axis=1)[np.argsort(session.run, kind="stable")]
    np.testing.assert_allclose(np.asarray(line.get_ydata())[order], expected, atol=1e-6)


def test_what_keeps_a_file_from_being_read_in_full_is_said_and_the_rest_described(
    make_session: Callable[..., ImageSession], session: ImageSession, tmp_path: Path
) -> None:
    voxels = session.voxels.copy()
    voxels[:, 4] = 2.0
    write_god(replace(session, voxels=voxels), tmp_path)
    (tmp_path / "images_256.npz").unlink()
    found = inspect_images(str(tmp_path / "Subject1.h5"))
    assert found.readable
    joined = "\n".join(found.problems)
    assert "1250 of 1250 images are missing" in joined
    assert "1 of 14 voxels cannot be used: 0 hold NaN or infinity, 1 never change" in joined
    assert "1200 rows in 24 runs of 50" in found.text
    assert "lacks pictures" in found.text
    assert "holds 3450 rows" not in joined


def test_a_folder_is_described_subject_by_subject(
    repeated: ImageSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As typed, without naming a family."""
    monkeypatch.setattr(console.screen, "_width", 300)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "subjects"
    folder.mkdir()
    few = repeated.stimulus < 50
    fields: dict[str, Any] = {
        name: getattr(repeated, name)[few] for name in ("voxels", "stimulus", "shown", "run")
    }
    for name in ("S1", "S2"):
        write_session_npz(replace(repeated, subject=name, **fields), folder / f"{name}.npz")
    np.savez(folder / "other.npz", voxels=np.zeros((3, 4)), stimulus=np.zeros(3), subject="S3")
    assert main(["data", "inspect", str(folder)]) == 0
    output = capsys.readouterr().out
    assert "2 subjects who looked at pictures, S1, S2" in output
    assert f"--data.path {folder} --data.subject S2 --data.test_categories 4" in output
    assert "! other.npz: " in output
    assert "is not an image session: roi, images, run missing" in output
    sizes = {file.name: Image.open(file).size for file in (tmp_path / "subjects-inspection").iterdir()}
    assert {f"{one}-{name}.png" for one in ("S1", "S2") for name in ("rows", "areas")} <= set(sizes)
    assert min(min(size) for size in sizes.values()) > 200


def test_what_no_family_reads_is_refused_with_what_each_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console.screen, "_width", 300)
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "nothing.npz", voxels=np.zeros((3, 4)))
    assert main(["data", "inspect", "nothing.npz"]) == 1
    output = capsys.readouterr().out
    assert "is an image session (voxels and stimuli)" in output
    assert "is not an image session: roi, stimulus, images, run, subject missing" in output
    with pytest.raises(DataError, match="does not exist"):
        inspect_images(str(tmp_path / "nowhere.npz"))
