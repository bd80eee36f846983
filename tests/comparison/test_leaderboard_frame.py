"""The leaderboard as data frame, CSV and table."""

import io

import pandas as pd
import pytest
from rich.console import Console

from neurosweep.comparison import leaderboard, leaderboard_table, write_csv
from neurosweep.comparison.leaderboard import varying_parameters
from neurosweep.comparison.wording import duration, short_names, short_value
from neurosweep.experiments import Objective
from neurosweep.layout import SweepFolder
from neurosweep.naming import Status
from neurosweep.records import TrialRecord

R2 = (Objective("val/behaviour_r2", "maximize"),)


def text_of(table):
    file = io.StringIO()
    Console(file=file, width=120, color_system=None).print(table)
    return file.getvalue()


def completed(number, value, parameters):
    return TrialRecord(number=number, status=Status.COMPLETED, parameters=parameters, values=(value,))


def test_columns_are_the_fixed_ones_then_parameters_in_the_order_of_the_trials(sweep):
    frame = leaderboard(sweep.records[::-1], sweep.objectives)
    fixed = ["rank", "trial", "status", "val/behaviour_r2", "epochs", "seconds", "origin", "failure", "seed"]
    assert list(frame.columns[:9]) == fixed
    first = list(sweep.records[0].parameters)
    assert list(frame.columns[9 : 9 + len(first)]) == first
    assert len(frame) == len(sweep.records)


def test_a_row_holds_what_the_trial_did(sweep):
    frame = leaderboard(sweep.records, sweep.objectives).set_index("trial")
    for record in sweep.records:
        row = frame.loc[record.number]
        assert row["epochs"] == len(record.curve)
        assert row["seconds"] == 2.0 * len(record.curve)
        assert row["seed"] == 1000 + record.number
        if record.status is Status.COMPLETED:
            assert row["val/behaviour_r2"] == max(record.curve.values())
        elif record.status is Status.PRUNED:
            assert row["val/behaviour_r2"] == max(record.curve.values())
            assert pd.isna(row["rank"])
        else:
            assert row["failure"] == "diverged"
            assert pd.isna(row["val/behaviour_r2"])


def test_the_csv_read_by_pandas_is_the_same_table(sweep):
    frame = leaderboard(sweep.records, sweep.objectives)
    path = write_csv(sweep.folder, frame)
    assert path == sweep.folder.leaderboard
    read = pd.read_csv(path)
    assert list(read.columns) == list(frame.columns)
    for column in frame.columns:
        assert list(read[column].dropna()) == list(frame[column].dropna()), column
        assert list(read[column].isna()) == list(frame[column].isna()), column


def test_an_absent_parameter_is_empty_and_keeps_the_integers_beside_it_whole(tmp_path):
    records = [
        completed(0, 0.3, {"model.layers": 2, "model.schedule": "linear", "model.warmup_steps": 500}),
        completed(1, 0.2, {"model.layers": 3, "model.schedule": "constant"}),
    ]
    frame = leaderboard(records, R2)
    assert frame["model.warmup_steps"].tolist()[0] == 500
    assert pd.isna(frame["model.warmup_steps"].tolist()[1])
    assert write_csv(SweepFolder(tmp_path / "s"), frame).read_text().splitlines()[1].endswith("2,linear,500")


def test_a_chosen_none_differs_from_an_absent_parameter():
    records = [
        completed(0, 0.3, {"trainer.gradient_clip_val": None}),
        completed(1, 0.2, {"trainer.gradient_clip_val": 1.0}),
        completed(2, 0.1, {}),
    ]
    frame = leaderboard(records, R2)
    assert frame["trainer.gradient_clip_val"].tolist()[:2] == ["None", 1.0]
    assert varying_parameters(frame) == ["trainer.gradient_clip_val"]


def test_a_list_as_parameter_is_one_value():
    records = [
        completed(n, 0.1 * n, {"data.sessions": [f"day{n}", "x"], "model.widths": [8, 8]}) for n in range(3)
    ]
    frame = leaderboard(records, R2)
    assert frame["data.sessions"].tolist()[0] == ["day2", "x"]
    assert varying_parameters(frame) == ["data.sessions"]
    assert "day2" in text_of(leaderboard_table(frame))


def test_a_sweep_without_trials_has_an_empty_leaderboard(tmp_path):
    frame = leaderboard([], R2)
    assert len(frame) == 0
    assert list(pd.read_csv(write_csv(SweepFolder(tmp_path / "s"), frame)).columns) == list(frame.columns)
    assert "rank" in text_of(leaderboard_table(frame))


def test_the_table_fits_a_hundred_columns_whatever_the_parameters(sweep):
    names = [f"model.a_rather_long_name_of_parameter_{index}" for index in range(12)]
    wild = [
        completed(n, 1e-9 * n, {name: f"{name}-{n}" for name in names[:2]} | dict.fromkeys(names[2:], n))
        for n in range(4)
    ]
    for frame in (leaderboard(wild, R2), leaderboard(sweep.records, sweep.objectives)):
        shown = text_of(leaderboard_table(frame))
        assert max(len(line.rstrip()) for line in shown.splitlines()) <= 100
        assert "…" not in shown
        assert "No room for" in shown


def test_the_table_shows_only_parameters_that_vary_by_the_last_part_of_their_name():
    records = [
        completed(n, 0.1 * n, {"model.latent_dim": 8 * (n + 1), "data.bin_width_s": 0.02}) for n in range(3)
    ]
    shown = text_of(leaderboard_table(leaderboard(records, R2)))
    assert "latent_" in shown
    assert "model." not in shown
    assert "0.02" not in shown


def test_the_table_shows_the_parameters_it_is_asked_for():
    records = [
        completed(n, 0.1 * n, {"model.latent_dim": 8 * (n + 1), "data.bin_width_s": 0.02}) for n in range(3)
    ]
    shown = text_of(leaderboard_table(leaderboard(records, R2), parameters=["data.bin_width_s"]))
    assert "0.02" in shown
    assert "latent" not in shown


def test_the_table_marks_values_of_trials_that_did_not_run_to_their_end(sweep):
    frame = leaderboard(sweep.records, sweep.objectives)
    lines = text_of(leaderboard_table(frame)).splitlines()
    assert all("*" in line for line in lines if " pruned " in line)
    assert not any("*" in line for line in lines if " completed " in line)
    assert any("best value seen" in line for line in lines)


def test_the_table_stops_at_its_limit_and_says_how_many_are_left(sweep):
    shown = text_of(leaderboard_table(leaderboard(sweep.records, sweep.objectives), limit=3))
    assert sum(" completed " in line for line in shown.splitlines()) == 3
    assert "13 more trials in leaderboard.csv" in " ".join(shown.split())


def test_square_brackets_in_a_value_are_text_and_not_markup():
    records = [completed(n, 0.1 * n, {"model.note": f"[red]{n}[/red]"}) for n in range(2)]
    assert "[red]1[/red]" in text_of(leaderboard_table(leaderboard(records, R2)))


def test_names_that_would_read_alike_stay_whole():
    names = ["model.width", "data.width", "model.latent_dim"]
    expected = {"model.width": "model.width", "data.width": "data.width", "model.latent_dim": "latent_dim"}
    assert short_names(names) == expected


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.0, "0.0 s"),
        (9.94, "9.9 s"),
        (42.4, "42 s"),
        (60, "1 min"),
        (250, "4 min 10 s"),
        (7500, "2 h 5 min"),
        (3599.7, "1 h"),
        (90000, "1 d 1 h"),
    ],
)
def test_durations_read_as_people_write_them(seconds, written):
    assert duration(seconds) == written


def test_floats_are_written_with_three_significant_digits_and_integers_in_full():
    written = [short_value(one) for one in (0.00123456, 1234567, 2e-5, True, "dann", None)]
    assert written == ["0.00123", "1234567", "2e-05", "True", "dann", ""]
