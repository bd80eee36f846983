"""The report: self-contained, escaped, and true to the trials."""

import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import optuna
import pytest

from neurosweep.comparison import best_record, leaderboard, write_figures, write_report
from neurosweep.layout import SweepFolder
from neurosweep.naming import Status

ATTACK = "<script>alert('x')</script>"


class Page(HTMLParser):
    """Collects what a browser would load, run and show."""

    def __init__(self, text):
        super().__init__()
        self.attributes, self.scripts, self.rows, self.shown = [], [], [], []
        self._stack = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag != "meta":
            self._stack.append(tag)
        if tag == "script":
            self.scripts.append("")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self._stack.pop()

    def handle_data(self, data):
        if "script" in self._stack:
            self.scripts[-1] += data
        elif "style" not in self._stack:
            self.shown.append(data)
            if "td" in self._stack or "th" in self._stack:
                self.rows[-1][-1] += data

    @property
    def text(self):
        return " ".join(" ".join(self.shown).split())

    def facts(self):
        return {row[0]: row[1] for row in self.rows if len(row) == 2}


def report_of(sweep, context):
    path = write_report(
        folder=sweep.folder,
        records=sweep.records,
        objectives=sweep.objectives,
        study=sweep.study,
        context=context,
    )
    assert path == sweep.folder.report
    return Page(path.read_text("utf-8"))


def test_the_report_names_the_best_trial_its_configuration_epoch_checkpoint_and_commands(sweep, context):
    best = max((one for one in sweep.records if one.values), key=lambda one: one.values[0])
    epoch = max(best.curve, key=lambda one: best.curve[one])
    checkpoint = sweep.folder.trial(best.number).best_checkpoint_of(epoch)
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"weights")
    page = report_of(sweep, context)
    facts = page.facts()
    assert facts["val/behaviour_r2"] == f"{best.values[0]:.6g}"
    assert facts["best epoch"] == f"{epoch} (counted from 0)"
    assert Path(facts["checkpoint"]) == checkpoint.resolve()
    assert {name: facts[name] for name in best.parameters} == {k: str(v) for k, v in best.parameters.items()}
    for command in (context.reload_command, context.resume_command, context.mlflow_command):
        assert command in page.text


def test_the_report_counts_trials_by_status_and_lists_failures(sweep, context):
    page = report_of(sweep, context)
    for status in (Status.COMPLETED, Status.PRUNED, Status.FAILED):
        count = sum(one.status is status for one in sweep.records)
        assert f"{count} {status}" in page.text
    failed = [row for row in page.rows if len(row) == 4 and row[1] == "diverged"]
    assert [row[0] for row in failed] == ["6", "11"]
    assert failed[0][2] == "val/behaviour_r2 became NaN in epoch 3"


def test_the_leaderboard_of_the_report_lists_all_trials_in_rank_order(sweep, context):
    page = report_of(sweep, context)
    frame = leaderboard(sweep.records, sweep.objectives)
    start = next(index for index, row in enumerate(page.rows) if row[:3] == ["rank", "trial", "status"])
    shown = [int(row[1]) for row in page.rows[start + 1 : start + 1 + len(frame)]]
    assert shown == frame["trial"].tolist()


def test_the_report_states_spread_savings_and_the_place_of_the_published_values(sweep, context):
    page = report_of(sweep, context)
    values = sorted((one.values[0] for one in sweep.records if one.values), reverse=True)
    place = 1 + values.index(sweep.records[0].values[0])
    saved = sum(2 * (24 - len(one.curve)) for one in sweep.records if one.status is Status.PRUNED)
    assert "winner's curse" in page.text
    assert f"lie between {values[0]:.4g} and {values[4]:.4g}" in page.text
    assert f"place {place} of {len(values)}" in page.text
    assert f"about {saved // 60} min {saved % 60} s of trial time" in page.text


def test_the_report_says_what_was_searched_and_what_was_pinned(sweep, context):
    page = report_of(sweep, context)
    ranges = {row[0]: row[1] for row in page.rows if len(row) == 3}
    assert ranges["model.latent_dim"] == "4 to 64, logarithmic"
    assert ranges["model.reversal_schedule"] == "one of constant, linear, dann"
    assert ranges["model.reversal_warmup_steps"] == "100 to 2000, in steps of 100"
    assert page.facts()["trainer.max_epochs"] == "24"
    assert page.facts()["versions.torch"] == "2.13.0"


def test_nothing_is_loaded_from_anywhere(sweep, context):
    written = write_figures(study=sweep.study, folder=sweep.folder, objectives=sweep.objectives)
    report_of(sweep, context)
    for path in (sweep.folder.report, *written.values()):
        page = Page(path.read_text("utf-8"))
        assert not [one for one in page.attributes if one[1] in ("src", "href", "srcset", "action", "data")]
        policy = [value for _, name, value in page.attributes if name == "content" and "default-src" in value]
        assert policy[0].startswith("default-src 'none'")
        assert "connect-src" not in policy[0]
        style = re.search(r"<style>(.*?)</style>", path.read_text("utf-8"), flags=re.DOTALL)
        assert style is not None
        assert "url(" not in style[1]
        assert "@import" not in style[1]


def test_plotly_is_embedded_once_and_does_not_offer_to_send_data_away(sweep, context):
    page = report_of(sweep, context)
    assert sum("plotly.js v" in script for script in page.scripts) == 1
    assert "showSendToCloud: false" in page.scripts[-1]


def test_markup_in_names_and_messages_is_shown_as_text(tmp_path, sweep, context):
    study = optuna.create_study(direction="maximize")
    for value in (0.1, 0.5, 0.3):
        trial = study.ask()
        trial.suggest_categorical(f"model.{ATTACK}", [ATTACK, "plain", "other"])
        trial.suggest_float("model.rate", 0.0, 1.0)
        trial.report(value, 0)
        study.tell(trial, value)
    records = [
        replace(
            record,
            parameters={f"model.{ATTACK}": f"{ATTACK}{record.number}"},
            failure_message=f"{ATTACK} & more",
            origin=ATTACK,
        )
        for record in sweep.records
    ]
    hostile = replace(sweep, study=study, records=records)
    hostile_context = replace(
        context,
        experiment=ATTACK,
        resume_command=ATTACK,
        mlflow_command=ATTACK,
        reload_command=ATTACK,
        data_hash=ATTACK,
        data_notes=(ATTACK,),
        provenance={ATTACK: ATTACK},
        pinned={ATTACK: ATTACK},
    )
    page = report_of(hostile, hostile_context)
    raw = sweep.folder.report.read_text("utf-8")
    assert "<script>alert" not in raw
    assert not any(script.lstrip().startswith("alert") for script in page.scripts)
    assert f"Experiment {ATTACK}" in page.text
    assert f"{ATTACK} & more" in unescape(raw)
    for path in write_figures(study=study, folder=sweep.folder, objectives=sweep.objectives).values():
        assert "<script>alert" not in path.read_text("utf-8")


def test_a_sweep_without_a_completed_trial_still_has_a_report(failed_sweep, context):
    page = report_of(failed_sweep, context)
    assert "Every trial failed, so there is no best one." in page.text
    assert "0 completed" in page.text
    assert "3 failed" in page.text
    assert context.reload_command not in page.text


def test_a_sweep_without_any_trial_still_has_a_report(tmp_path, failed_sweep, context):
    empty = replace(
        failed_sweep, folder=SweepFolder(tmp_path / "empty"), study=optuna.create_study(), records=[]
    )
    page = report_of(empty, replace(context, wall_seconds=None))
    assert "No trial has completed." in page.text
    assert "No trial has started." in page.text


def test_an_unfinished_sweep_names_the_best_value_seen(sweep, context):
    records = [
        replace(one, status=Status.INTERRUPTED, values=None) if one.values else one for one in sweep.records
    ]
    page = report_of(replace(sweep, records=records), context)
    pruned = [one for one in records if one.status is Status.PRUNED]
    value, number = max((max(one.curve.values()), one.number) for one in pruned)
    assert f"The best value seen is {value:.4g} val/behaviour_r2 in trial {number}." in page.text
    interrupted = sum(one.status is Status.INTERRUPTED for one in records)
    assert interrupted > 0
    assert f"{interrupted} interrupted" in page.text


def test_with_two_objectives_the_report_lists_the_pareto_front(two_objective_sweep, context):
    sweep = two_objective_sweep
    page = report_of(sweep, context)
    front = sorted(one.number for one in sweep.study.best_trials)  # Optuna's own front
    assert f"Pareto front: {', '.join(map(str, front))}." in page.text
    best = best_record(sweep.records, sweep.objectives)
    assert best is not None
    assert page.facts()["trial"].startswith(f"{best.number} ")


@pytest.mark.parametrize("seconds", [None, 130.0])
def test_wall_time_is_the_callers_or_the_span_of_the_trials(sweep, context, seconds):
    page = report_of(sweep, replace(context, wall_seconds=seconds))
    span = max(one.ended for one in sweep.records) - min(one.started for one in sweep.records)
    whole = round(seconds or span.total_seconds())
    assert page.facts()["wall time"].startswith(f"{whole // 60} min {whole % 60} s")
