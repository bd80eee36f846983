"""What a user sees in MLflow's own pages after a sweep, with nothing set up by hand."""

import json
import signal
import time
from urllib.parse import quote

import psutil
import pytest


def _address_of(ui, run, rest=""):
    return f"{ui.address}/#/experiments/{run.info.experiment_id}/runs{rest}"


@pytest.fixture(scope="module")
def parent(finished):
    (one,) = finished[0].runs("first", "sweep")
    return one


@pytest.fixture(scope="module")
def trials(finished):
    return finished[0].trials("first")


def test_runs_page_shows_the_sweep_and_under_it_each_trial_by_name(browser, ui, parent, trials):
    browser.open(_address_of(ui, parent))
    browser.wait_for(f"{len(trials) + 1} matching runs")
    names = {run.info.run_name for run in trials.values()}
    assert not [name for name in names if name in browser.text()], "the trials were not folded away"

    browser.click(f'[row-id="{parent.info.run_id}"] button')  # the plus before the sweep's name
    browser.wait_for(*names)
    assert parent.info.run_name in browser.text().splitlines()
    assert names == {f"first/{number:04d}" for number in range(8)}


def test_compare_page_shows_names_searched_parameters_and_the_objective(browser, ui, trials):
    compared = [trials[number] for number in (2, 4)]
    runs = json.dumps([run.info.run_id for run in compared])
    experiments = json.dumps([compared[0].info.experiment_id])
    browser.open(f"{ui.address}/#/compare-runs?runs={quote(runs)}&experiments={quote(experiments)}")

    browser.wait_for(
        "Comparing 2 Runs from 1 Experiment", "model.learning_rate", "data.batch_size", "val/mse"
    )
    browser.wait_for(*(run.info.run_name for run in compared))
    for run in compared:
        browser.wait_for(run.data.params["model.learning_rate"])  # as many digits as were used


def test_report_of_the_sweep_opens_among_its_artifacts(browser, ui, parent, trials):
    browser.open(_address_of(ui, parent, f"/{parent.info.run_id}/artifacts/report.html"))
    browser.wait_for("leaderboard.csv", "report.html", "study.journal")
    report = browser.wait("the report", lambda: _with("Best trial", browser.frame_text()))
    best = min(trials.values(), key=lambda run: run.data.metrics["best/mse"])
    assert best.data.params["model.learning_rate"] in report


def _with(text, page):
    return page if text in page else ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_ui_says_by_which_signal_and_leaves_no_process_behind(start_ui, number, code):
    ui = start_ui()
    servers = psutil.Process(ui.process.pid).children(recursive=True)
    assert servers
    assert ui.stop(number) == code
    deadline = time.monotonic() + 5  # for whoever reaps what has ended
    while left := [one for one in servers if _lives(one)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def _lives(process):
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
