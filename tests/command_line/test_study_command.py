"""`neurosweep study`: a lab's own study on the screen, in a folder and in MLflow."""

import csv
import json
from pathlib import Path

import pytest

LAB = """
from dataclasses import dataclass, field, replace

from matplotlib.figure import Figure
from my_lab import EXPERIMENT as BASE


@dataclass(frozen=True)
class Settings:
    \"\"\"What is drawn.

    Args:
        gain: Slope of the line, which may be
            any number.
        places: Where it is drawn.

    Raises:
        ValueError: If there is no place.
    \"\"\"

    gain: float = 2.0
    places: tuple[float, ...] = (1.0, 2.0)

    def __post_init__(self):
        if not self.places:
            raise ValueError("`places` are empty; give one or more.")


@dataclass
class Result:
    figures: dict
    tables: dict
    metrics: dict
    notes: tuple = ()


@dataclass
class Study:
    summary: str
    settings: type
    run: object


def run(settings, say):
    if settings.gain == 0:
        raise ValueError("a flat line")
    figure = Figure()
    figure.subplots().plot(settings.places, [settings.gain * x for x in settings.places])
    say(f"{len(settings.places)} places")
    rows = [{"x": x, "y": settings.gain * x} for x in settings.places]
    return Result({"line": figure}, {"points": rows}, {"line/gain": settings.gain}, ("Synthetic.",))


STUDIES = {"line": Study("a straight line", Settings, run), "circle": Study("a circle", Settings, run)}
EXPERIMENT = replace(BASE, name="drawn", studies="study_lab:STUDIES")
"""


@pytest.fixture
def lab(command, tmp_path, monkeypatch):
    """Run a command beside the lab's file; the module is read anew for each test."""
    (tmp_path / "study_lab.py").write_text(LAB, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return command


def test_study_is_written_shown_and_logged(lab, tmp_path):
    from mlflow import MlflowClient

    outcome = lab("study", "study_lab:EXPERIMENT", "line", "--gain", "3", "--places=.5,4", "--out", "found")
    assert outcome.code == 0, outcome.complaints
    lines = [line.split() for line in outcome.output.splitlines()]
    assert ["2", "places"] in lines
    assert ["0.5", "1.5"] in lines
    assert "Synthetic." in outcome.output

    folder = tmp_path / "found"
    assert (folder / "line.png").read_bytes().startswith(b"\x89PNG")
    with (folder / "points.csv").open(encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [{"x": "0.5", "y": "1.5"}, {"x": "4.0", "y": "12.0"}]
    assert json.loads((folder / "settings.json").read_text("utf-8")) == {"gain": 3.0, "places": [0.5, 4.0]}
    assert "line/gain = 3" in (folder / "summary.txt").read_text("utf-8")

    client = MlflowClient(f"sqlite:///{tmp_path / 'neurosweep-runs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("drawn")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_id in outcome.output
    assert run.info.status == "FINISHED"
    assert run.data.metrics["line/gain"] == 3
    assert run.data.params["gain"] == "3.0"
    tags = {name.removeprefix("neurosweep."): value for name, value in run.data.tags.items()}
    assert (tags["kind"], tags["experiment"], tags["study"], tags["status"]) == (
        "study",
        "drawn",
        "line",
        "completed",
    )
    assert "python=" in tags["versions"]
    fetched = client.download_artifacts(run.info.run_id, "study/line.png", str(tmp_path))
    assert Path(fetched).read_bytes() == (folder / "line.png").read_bytes()

    # A folder that holds something is not written over; a study that fails says why, and so does its run.
    assert "is there already" in lab("study", "study_lab:EXPERIMENT", "line", "--out=found").complaints
    failed = lab("study", "study_lab:EXPERIMENT", "line", "--gain=0")
    assert failed.code == 2
    assert "a flat line" in failed.complaints
    states = sorted(one.info.status for one in client.search_runs([experiment.experiment_id]))
    assert states == ["FAILED", "FINISHED"]


def test_studies_are_listed_with_their_settings(lab, written):
    outcome = lab("study", "study_lab:EXPERIMENT")
    assert outcome.code == 0
    assert "neurosweep study study_lab:EXPERIMENT line: a straight line" in outcome.output
    assert "--gain    Slope of the line, which may be any number." in outcome.output
    assert "(2.0)" in outcome.output
    assert "ValueError" not in outcome.output
    assert [name for name in written() if "neurosweep-runs" in name] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("study_lab:EXPERIMENT", "lime"), ("no study `lime`", "Did you mean `line`?", "circle")),
        (("study_lab:EXPERIMENT", "line", "--gian=3"), ("`--gian` is no setting", "Did you mean `--gain`?")),
        (
            ("study_lab:EXPERIMENT", "line", "--gain=steep", "--places=a,b"),
            ("2 problems", "`--gain` is 'steep'", "`--places` is 'a,b'"),
        ),
        (("study_lab:EXPERIMENT", "line", "--places=[]"), ("`places` are empty",)),
        (("sable", "line"), ("`sable` offers no studies",)),
        (("fault_tolerant", "level"), ("Did you mean `levels`?",)),
    ],
)
def test_what_is_mistyped_is_answered_and_nothing_is_written(lab, written, arguments, said):
    outcome = lab("study", *arguments)
    assert outcome.code == 2
    assert [text for text in said if text not in outcome.complaints] == []
    assert [name for name in written() if "neurosweep-runs" in name] == []
