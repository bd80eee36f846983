"""Hypervolume against areas worked out by hand."""

import optuna
import pytest

from neurosweep.comparison import hypervolume, write_figures
from neurosweep.experiments import Objective
from neurosweep.layout import SweepFolder

BOTH_DOWN = (
    Objective("val/log10_error", "minimize", reference=0.0),
    Objective("val/log10_neurons", "minimize", 6.0),
)


def study_of(points, directions=("minimize", "minimize")):
    study = optuna.create_study(directions=list(directions))
    for values in points:
        study.add_trial(optuna.trial.create_trial(values=values, params={}, distributions={}))
    return study


def test_volume_is_the_union_of_rectangles_up_to_the_reference():
    # (-1, 2) and (-3, 4): 1 x 4 + 3 x 2 - 1 x 2 = 8; (-0.5, 5) is dominated, (0.5, 1) and (-4, 7) are beyond.
    study = study_of([(-1, 2), (-3, 4), (-0.5, 5), (0.5, 1), (-4, 7)])
    assert hypervolume(study, BOTH_DOWN) == pytest.approx(8)


def test_what_is_maximized_counts_upwards():
    objectives = (
        Objective("val/r2", "maximize", reference=0.0),
        Objective("val/cost", "minimize", reference=10.0),
    )
    study = study_of([(0.5, 4), (0.9, 8)], ("maximize", "minimize"))
    assert hypervolume(study, objectives) == pytest.approx(0.5 * 6 + 0.9 * 2 - 0.5 * 2)


def test_nothing_better_than_the_reference_is_zero_and_no_reference_is_none(tmp_path):
    assert hypervolume(study_of([(1, 7)]), BOTH_DOWN) == 0
    assert hypervolume(study_of([]), BOTH_DOWN) is None
    plain = (Objective("val/a", "minimize", reference=0.0), Objective("val/b", "minimize"))
    assert hypervolume(study_of([(-1, -1)]), plain) is None
    assert "hypervolume" not in write_figures(
        study=study_of([(-1, -1)]), folder=SweepFolder(tmp_path), objectives=plain
    )


def test_one_objective_has_no_volume():
    study = optuna.create_study()
    study.add_trial(optuna.trial.create_trial(value=-1.0, params={}, distributions={}))
    assert hypervolume(study, BOTH_DOWN[:1]) is None


def test_its_history_is_a_figure(tmp_path):
    study = study_of([(-1, 2), (-3, 4)])
    written = write_figures(study=study, folder=SweepFolder(tmp_path), objectives=BOTH_DOWN)
    assert "reference point" in written["hypervolume"].read_text("utf-8")
