"""`neurosweep data inspect`, as typed: what it prints, what it draws, what it leaves alone."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightning_modules.parts.spikes import write_npz
from neurosweep import console
from neurosweep.cli import main

RECORDINGS = Path(__file__).resolve().parents[3] / "shared/data"


@pytest.fixture
def inspect(tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder; return exit code, output and complaints."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    for screen in (console.screen, console.complaints):
        monkeypatch.setattr(screen, "_width", 300)

    def run(*arguments):
        code = main(["data", "inspect", *(str(one) for one in arguments)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def days(make_day, quiet_unit, tmp_path):
    """A folder of four days, the second with muscles and a silent unit."""
    folder = tmp_path / "days"
    folder.mkdir()
    emg = np.ones((576, 2), np.float32)
    for day in range(4):
        session = make_day(day) if day != 1 else quiet_unit(make_day(1, emg=emg, emg_names=("FCR", "ECU")))
        write_npz(session, folder / f"{session.date}.npz")
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_is_described_and_drawn_beside_the_working_directory(inspect, days, tmp_path):
    before = contents(days)
    code, output, _ = inspect(days)
    assert code == 0
    assert "4 sessions of generated, 2025-01-01 to 2025-01-04" in output
    for text in (
        "2025-01-02.npz (session file)",
        "576 of 0.05 s, 29 s in all",
        "6, electrodes not known, matched across sessions",
        "1 silent",
        "2: FCR, ECU",
        "48, 0.6 to 0.6 s long, median 0.6 s",
        "8 (trials): 0 (6), 1 (6)",
        "in 48 trials",
        "6 columns, what `auto` takes",
        "0.6 s by default, 12 bins",
    ):
        assert text in output, text
    assert "\n!" not in output
    pictures = {path.name: Image.open(path).size for path in (tmp_path / "here/days-inspection").iterdir()}
    assert set(pictures) == {"rates.png", "mean_rates.png", "trajectories.png"}
    assert all(width > 300 and height > 300 for width, height in pictures.values())
    assert contents(days) == before


def test_a_single_file_is_described_with_what_one_day_rules_out(inspect, days, tmp_path):
    code, output, _ = inspect(days / "2025-01-02.npz", "--plot", tmp_path / "pictures")
    assert code == 0
    assert "! 1 session only. No day can be held out" in output
    assert (tmp_path / "pictures/rates.png").is_file()
    assert not list((tmp_path / "here").iterdir())


def test_unreadable_files_are_listed_and_the_others_described(inspect, days, make_day):
    (days / "broken.npz").write_bytes(b"no recording")
    (days / "scan.nwb").write_bytes(b"no recording either")
    np.savez(days / "images.npz", voxels=np.zeros((3, 4)), stimulus=np.zeros(3), subject="S1")
    with np.load(days / "2025-01-01.npz") as archive:
        np.savez(
            days / "no_target.npz", **{name: archive[name] for name in archive.files if name != "target"}
        )
        gaps = archive["behaviour"].copy()
        gaps[30, 1] = np.nan
        np.savez(days / "gaps.npz", **{**archive, "behaviour": gaps})
    code, output, _ = inspect(days)
    assert code == 0
    assert "4 sessions of generated" in output
    problems = [line for line in output.splitlines() if line.startswith("!")]
    assert len(problems) == 5
    for text in (
        "broken.npz cannot be read as .npz",
        "scan.nwb cannot be read as NWB",
        "images.npz is an image session (voxels and stimuli). Inspect it by itself.",
        "no_target.npz is not a spike session: target missing",
        "gaps.npz: `behaviour` is missing (NaN or infinite) in bins of 1 trials: 1 in velocity_y",
    ):
        assert sum(text in line for line in problems) == 1, text


def test_a_folder_without_a_readable_session_ends_with_1_and_no_pictures(inspect, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/day.mat").write_bytes(b"no recording")
    code, output, _ = inspect(tmp_path / "bad")
    assert code == 1
    assert "day.mat cannot be read" in output
    assert not list((tmp_path / "here").iterdir())


def test_pictures_are_never_written_among_the_recordings(inspect, days, monkeypatch):
    for arguments in ((days, "--plot", days / "pictures"), (days, "--plot", days)):
        code, _, complaints = inspect(*arguments)
        assert code == 2
        assert "among the recordings" in complaints
        assert "--plot" in complaints
    monkeypatch.chdir(days)
    assert inspect(".")[0] == 2
    assert all(path.suffix == ".npz" for path in days.iterdir())


def test_a_path_that_does_not_exist_and_a_family_without_inspection_are_refused(inspect, days, tmp_path):
    code, _, complaints = inspect(tmp_path / "nowhere")
    assert (code, "does not exist" in complaints) == (2, True)
    lab = "from neurosweep import Experiment\nEXPERIMENT = Experiment('bare', '', 'a:B', 'a:B', 'a:B', 'a:B', ())\n"
    (tmp_path / "here/bare_lab.py").write_text(lab)
    code, _, complaints = inspect(days, "--experiment", "bare_lab:EXPERIMENT")
    assert (code, "`bare` does not say how its data is inspected" in complaints) == (2, True)


@pytest.mark.skipif(not (RECORDINGS / "chewie").is_dir(), reason="recordings are not beside the repository")
def test_real_recordings_with_unmatched_units_are_told_so(inspect):
    code, output, _ = inspect(RECORDINGS / "chewie")
    assert code == 0
    assert "174, electrodes not known, not matched across sessions" in output
    assert "174 columns, what `auto` takes" in output
    assert "! The units are neither matched across sessions nor known by electrode." in output
    assert "7 (15)" in output  # trials to target 7 on the first day, counted in the file
