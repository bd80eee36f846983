"""What an experiment's evaluation may give beside scores: it is shown, kept in the sweep's folder and in MLflow."""

import json
from pathlib import Path

import pytest

from neurosweep.comparison import read_evaluation
from neurosweep.layout import SweepFolder

LAB = """
from dataclasses import dataclass, field, replace

from matplotlib.figure import Figure
from my_lab import EXPERIMENT as BASE


@dataclass
class Found:
    scores: tuple
    references: dict = field(default_factory=dict)
    days: tuple = ()
    tables: dict = field(default_factory=dict)
    metrics: dict = field(default_factory=dict)
    figures: dict = field(default_factory=dict)
    files: dict = field(default_factory=dict)
    notes: tuple = ("Area X has no voxels.",)


class Sealed:
    sealed = {"day 9": "0123"}
    also_opened = {"day 9 of another": "4567"}
    notes = ("Synthetic.",)

    def score(self, models):
        figure = Figure()
        figure.subplots().plot([1, 2], [3, 4])
        rows = ({"subject": "A", "r": 0.25}, {"subject": "B", "n": 3})
        return Found(
            ({"test/mse": 0.5},),
            tables={"all subjects": rows},
            metrics={"brain/contrast": 1.75},
            figures={"bars": figure},
            files={"map.nii.gz": b"a brain"},
        )


class Plain(Sealed):
    def score(self, models):
        return Found(({"test/mse": 0.5},), notes=())


def open_sealed(data, settings):
    return Sealed()


def open_plain(data, settings):
    return Plain()


EXPERIMENT = replace(BASE, name="drawn", evaluate="drawn_lab:open_sealed")
PLAIN = replace(BASE, name="plain", evaluate="drawn_lab:open_plain", uses_seed=False)
"""


@pytest.fixture(scope="module")
def bench(make_bench):
    bench = make_bench("drawn")
    (bench.folder / "drawn_lab.py").write_text(LAB, encoding="utf-8")
    for name, experiment in (("with", "EXPERIMENT"), ("without", "PLAIN")):
        code, output = bench.run(
            "launch", f"drawn_lab:{experiment}", "--name", name, "--trials=1", "--trainer.max_epochs=1"
        )
        assert code == 0, output
    return bench


def test_tables_notes_figures_and_metrics_reach_the_screen_the_folder_and_mlflow(bench, tmp_path):
    code, output = bench.run("evaluate", "with", "--seeds=0")
    assert code == 0, output
    lines = [line.split() for line in output.splitlines()]
    assert ["all", "subjects"] in lines
    assert ["subject", "r", "n"] in lines
    assert ["A", "0.250"] in lines
    assert ["B", "3"] in lines
    assert "Area X has no voxels." in output

    found = read_evaluation(SweepFolder(bench.storage / "with"))
    assert found.sealed == {"day 9": "0123"}
    opened = json.loads((bench.storage / "openings.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert opened["sealed"] == {"day 9": "0123", "day 9 of another": "4567"}
    assert found.tables["all subjects"] == ({"subject": "A", "r": 0.25}, {"subject": "B", "n": 3})
    drawn = bench.storage / "with" / "evaluation" / "bars.png"
    assert drawn.read_bytes().startswith(b"\x89PNG")
    (run,) = bench.runs("with", "sweep")
    assert run.data.metrics["brain/contrast"] == 1.75
    fetched = bench.client().download_artifacts(run.info.run_id, "evaluation/bars.png", str(tmp_path))
    assert Path(fetched).read_bytes() == drawn.read_bytes()
    fetched = bench.client().download_artifacts(run.info.run_id, "evaluation/map.nii.gz", str(tmp_path))
    assert Path(fetched).read_bytes() == drawn.with_name("map.nii.gz").read_bytes() == b"a brain"
    kept = bench.client().download_artifacts(run.info.run_id, "evaluation.json", str(tmp_path))
    assert json.loads(Path(kept).read_text(encoding="utf-8"))["metrics"] == {"brain/contrast": 1.75}


def test_figures_of_an_earlier_evaluation_do_not_outlive_one_that_draws_none(bench):
    stale = bench.storage / "without" / "evaluation" / "old.png"
    stale.parent.mkdir()
    stale.write_bytes(b"of a model that no longer wins")
    code, output = bench.run("evaluate", "without", "--seeds=0")
    assert code == 0, output
    assert not stale.parent.exists()
    folder = SweepFolder(bench.storage / "without")
    assert read_evaluation(folder).tables == {}
    # What was kept before there were tables is still read.
    content = json.loads(folder.evaluation.read_text(encoding="utf-8"))
    for name in ("tables", "metrics"):
        del content[name]
    folder.evaluation.write_text(json.dumps(content), encoding="utf-8")
    assert read_evaluation(folder).metrics == {}


def test_one_model_is_trained_where_it_does_not_depend_on_a_seed(bench):
    code, output = bench.run("evaluate", "without", "--seeds=3")
    assert code == 0, output
    assert "one model in place of 3: those of `plain` do not depend on a seed" in output
    assert sorted(bench.trials("without-evaluation-0")) == [0]
    assert len(read_evaluation(SweepFolder(bench.storage / "without")).scores) == 1
