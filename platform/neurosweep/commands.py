"""The commands behind the command line; each returns an exit code."""

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from neurosweep.config import EVALUATION_SEEDS, UI_HOST, UI_PORT, SweepConfig
from neurosweep.config_files import dump_config, resolve_config
from neurosweep.console import live_progress, readable_seconds, screen, show_table
from neurosweep.experiments import Experiment, available_experiments, find_experiment
from neurosweep.sweeps.signals import Interruption, watch_signals

__all__ = ["COMMANDS", "Interruption"]

Given = Mapping[str, Any]

_MOST_REASONS = 3
"""Reasons of failures that are shown at the end of a sweep; the report has all."""


def launch(given: Given) -> int:
    """Run a new sweep, or print its configuration or plan."""
    target, overrides = given["target"], _without(given, "target", "print_config", "dry_run")
    if given.get("print_config") is not None:
        screen.print(dump_config(resolve_config(target, overrides)), markup=False, end="", soft_wrap=True)
        return 0
    if given.get("dry_run"):
        from neurosweep.sweeps.launch import refuse_existing
        from neurosweep.sweeps.plan import make_plan
        from neurosweep.sweeps.preparation import sweep_folder

        config = resolve_config(target, overrides)
        refuse_existing(sweep_folder(config))
        _print_pairs(make_plan(config).lines())
        return 0
    from neurosweep.sweeps.launch import launch as launch_sweep

    config = resolve_config(target, overrides)
    screen.print(f"sweep [bold]{escape(config.name)}[/]: {config.search.trials} trials of {escape(target)}")
    with live_progress() as show:
        result = launch_sweep(config, observer=show)
    return _conclude(result)


def resume(given: Given) -> int:
    """Continue a sweep."""
    from neurosweep.sweeps.launch import resume as resume_sweep

    with live_progress() as show:
        result = resume_sweep(
            given["name"],
            storage=_storage(given),
            overrides=_without(given, "name", "storage"),
            observer=show,
        )
    return _conclude(result)


def _conclude(result: Any) -> int:
    """Print what a sweep found, and return the exit code that fits how it ended."""
    from neurosweep.comparison import leaderboard_table
    from neurosweep.comparison.hypervolume import in_words
    from neurosweep.sweeps.next_steps import reload_call, resume_command, ui_command
    from neurosweep.sweeps.preparation import experiment_of
    from neurosweep.sweeps.result import SweepEnd

    screen.print(leaderboard_table(result.leaderboard, limit=20))
    config = result.config
    if result.best is not None:
        screen.print(f"best: trial {result.best.number}, with")
        searched = {name: value for name, value in result.best.parameters.items() if name not in config.pins}
        _print_pairs([(f"  {name}", str(value)) for name, value in searched.items()])
    pairs = _failures(result)
    if result.hypervolume is not None:
        pairs.append(("hypervolume", in_words(result.hypervolume, experiment_of(config).objectives)))
    pairs.append(("report", str(result.report)))
    if result.best is not None and result.best_checkpoint is not None:
        model_id = result.model_ids.get(result.best.number)
        reload = reload_call(config, model_id, result.best_checkpoint)
        pairs += [("checkpoint", str(result.best_checkpoint)), ("reload", reload)]
    pairs.append(("MLflow", ui_command(config)))
    if result.undelivered_points:
        pairs.append(("waiting", f"{result.undelivered_points} points for MLflow; a resume delivers them"))
    if result.end is not SweepEnd.FINISHED:
        go_on = resume_command(result.folder)
        pairs.append((str(result.end), f"{result.end.explanation}; continue with `{go_on}`"))
    _print_pairs(pairs)
    if result.signal is not None:
        return 128 + result.signal
    return 0 if result.best is not None or result.end is not SweepEnd.FINISHED else 1


def _failures(result: Any) -> list[tuple[str, str]]:
    """The commonest reasons why trials have failed, with how many failed of each."""
    from neurosweep.naming import Status
    from neurosweep.sweeps.inspection import inspect_sweep

    if not (result.leaderboard["status"] == str(Status.FAILED)).any():
        return []
    records = inspect_sweep(result.config.name, result.config.storage).records
    reasons = Counter(
        one.failure_message or str(one.failure) for one in records if one.status is Status.FAILED
    )
    return [("failed", f"{count} × {reason}") for reason, count in reasons.most_common(_MOST_REASONS)]


def status(given: Given) -> int:
    """Show how one sweep or all sweeps of a storage stand."""
    from neurosweep.sweeps.inspection import describe_sweeps

    table = Table("sweep", "state", "done", "running", "pruned", "failed", "best", box=None, pad_edge=False)
    for row in describe_sweeps(_storage(given), given.get("name")):
        table.add_row(*row)
    screen.print(table)
    return 0


def leaderboard(given: Given) -> int:
    """Rank the trials of a sweep."""
    from neurosweep.comparison import leaderboard as rank
    from neurosweep.comparison import leaderboard_table
    from neurosweep.sweeps.inspection import inspect_sweep

    sweep = inspect_sweep(given["name"], _storage(given))
    board = rank(sweep.records, sweep.experiment.objectives)
    if given.get("csv"):
        board.to_csv(sys.stdout, index=False)
    else:
        screen.print(leaderboard_table(board, limit=given.get("limit", 20)))
    return 0


def evaluate(given: Given) -> int:
    """Train a sweep's winner again over seeds, and score it on the sealed data."""
    from neurosweep.comparison import (
        adapted_table,
        day_table,
        further_tables,
        reference_table,
        score_table,
    )
    from neurosweep.sweeps.evaluation import evaluate as score

    with live_progress() as show:
        found = score(
            given["name"],
            storage=_storage(given),
            seeds=given.get("seeds", EVALUATION_SEEDS),
            adapt=given.get("adapt", False),
            observer=show,
            announce=lambda sentence: screen.print(escape(sentence), soft_wrap=True),
        )
    tables = (score_table(found), day_table(found), reference_table(found), adapted_table(found))
    for table in (*tables, *further_tables(found)):
        if table is not None:
            show_table(table)
    for note in found.notes:
        screen.print(escape(note), soft_wrap=True)
    opened = [f"{one.opened[:10]} for {one.sweep}" for one in found.openings]
    many = (
        f"opened {len(opened)} times before: {', '.join(opened[-5:])}"
        if opened
        else "opened for the first time"
    )
    _print_pairs(
        [
            (
                "winner",
                f"trial {found.trial}, validated with {found.validated:.4g}, scored over {len(found.scores)} seeds",
            ),
            ("sealed", f"{', '.join(found.sealed)}; {many}"),
        ]
    )
    return 0


def compare(given: Given) -> int:
    """Put evaluated sweeps side by side, paired over seeds."""
    from neurosweep.comparison import comparison_frame, comparison_table, read_evaluation
    from neurosweep.sweeps.launch import find_sweep

    sweeps = [read_evaluation(find_sweep(name, _storage(given))) for name in given["names"]]
    metric = given.get("metric") or sweeps[0].metric
    frame = comparison_frame(sweeps, metric)
    if given.get("csv"):
        frame.to_csv(sys.stdout, index=False)
        return 0
    show_table(comparison_table(frame, metric))
    for row in frame.to_dict("records"):  # such as that a model has adapted to the test days
        if row["notes"]:
            screen.print(f"{escape(row['sweep'])}: {escape(row['notes'])}", soft_wrap=True)
    if len({one.trials for one in sweeps}) > 1:
        screen.print("[yellow]The sweeps had different budgets[/]: the one with more trials is better tuned.")
    return 0


def decode(given: Given) -> int:
    """Decode a new session with a trained model, and say what to think of it."""
    from neurosweep.sweeps.decoding import decode as decode_session

    done = decode_session(
        given["model"],
        given["data"],
        output=given.get("output"),
        overwrite=given.get("overwrite", False),
        adapt_from=given.get("adapt_from"),
        tracking_uri=given.get("tracking_uri"),
        storage=given.get("storage"),
    )
    scores = [(name, f"{value:.3f} on this session") for name, value in done.scores.items()]
    _print_pairs(
        [
            ("model", done.model),
            ("session", given["data"]),
            ("trials", f"{done.n_trials} decoded"),
            *(scores or [("score", "none: what was predicted is not known of this session")]),
            ("written", str(done.output)),
        ]
    )
    for warning in done.warnings:
        screen.print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)
    return 0


def replay(given: Given) -> int:
    """Train a population's member again, and fail if its score is not the recorded one."""
    from neurosweep.sweeps.replay import replay as train_again

    done = train_again(given["name"], storage=_storage(given), member=given.get("member"))
    members = " → ".join(str(stage.member) for stage in done.stages)
    same = done.value == done.recorded
    _print_pairs(
        [
            ("member", f"{done.member}, trained by members {members}"),
            ("epoch", str(done.epoch)),
            ("recorded", repr(done.recorded)),
            ("replayed", f"{done.value!r} ({'the same' if same else 'not the same'})"),
            ("checkpoints", str(done.folder)),
        ]
    )
    return 0 if same else 1


def check(given: Given) -> int:
    """Check a configuration and list what can be set."""
    from neurosweep.sweeps.checks import accepted_settings, check_config
    from neurosweep.sweeps.plan import searched_names
    from neurosweep.sweeps.preparation import experiment_of, prepare

    config = resolve_config(given["target"], _without(given, "target", "read_data"))
    experiment = experiment_of(config)
    check_config(config, experiment)
    searched = searched_names(config, experiment)
    table = Table("parameter", "", "default", box=None, pad_edge=False)
    for name, parameter in accepted_settings(experiment).items():
        if name.startswith("trainer.") and name not in config.pins and name not in searched:
            continue  # Lightning's own documentation lists them
        how = "searched" if name in searched else "fixed" if name in config.pins else ""
        default = parameter.default if parameter.default is not parameter.empty else "(from the data)"
        table.add_row(name, how, escape(str(config.pins.get(name, default))))
    screen.print(table)
    if given.get("read_data"):
        for note in prepare(config).notes:
            screen.print(escape(note))
    screen.print(f"[green]{escape(given['target'])} is sound[/]: {len(searched)} parameters are searched.")
    return 0


def data(given: Given) -> int:
    """Say what recordings hold, and draw them."""
    from neurosweep.sweeps.data_inspection import inspect_data, picture_folder, write_pictures

    path = Path(given["path"])
    folder = picture_folder(path, given.get("plot"))
    found = inspect_data(path, experiment=given.get("experiment"))
    screen.print(escape(found.text), soft_wrap=True)
    for problem in found.problems:
        screen.print(f"[yellow]![/] {escape(problem)}", soft_wrap=True)
    if found.figures:
        pictures = write_pictures(found.figures, folder)
        _print_pairs([("pictures", f"{folder}: {', '.join(picture.name for picture in pictures)}")])
    return 0 if found.readable else 1


def study(given: Given) -> int:
    """Run a study of a family, or list what it offers."""
    from neurosweep.comparison import titled_tables
    from neurosweep.sweeps.next_steps import ui_of
    from neurosweep.sweeps.studies import brief, run_study

    if given.get("name") is None:
        return _list_studies(given["target"])
    with watch_signals():
        done = run_study(
            given["target"],
            given["name"],
            given.get("settings") or {},
            out=given.get("out"),
            storage=_storage(given),
            tracking_uri=given.get("tracking_uri"),
            say=lambda line: screen.print(escape(line), soft_wrap=True),
        )
    for table in titled_tables(done.result.tables, brief):
        show_table(table)
    for note in done.result.notes:
        screen.print(escape(note), soft_wrap=True)
    _print_pairs(
        [
            ("written", f"{done.folder}: {', '.join(done.files)}"),
            ("MLflow", f"{ui_of(given.get('tracking_uri'), _storage(given))}, run {done.run_id}"),
            ("took", readable_seconds(done.seconds)),
        ]
    )
    return 0


def _list_studies(target: str) -> int:
    from neurosweep.sweeps.studies import studies_of
    from neurosweep.sweeps.study_settings import describe_settings

    experiment = find_experiment(target)
    for name, found in studies_of(experiment).items():
        screen.print(
            f"[bold]neurosweep study {escape(target)} {name}[/]: {escape(found.summary)}", soft_wrap=True
        )
        table = Table(box=None, pad_edge=False, show_header=False)
        for setting, default, meaning in describe_settings(found.settings):
            table.add_row(f"  --{setting}", escape(meaning), f"({escape(default)})")
        screen.print(table)
    return 0


def models(given: Given) -> int:
    """List the model families."""
    table = Table("name", "what it is", box=None, pad_edge=False)
    for name, experiment in available_experiments().items():
        if isinstance(experiment, Experiment):
            table.add_row(name, escape(experiment.summary))
        else:
            table.add_row(name, f"[red]cannot be loaded: {escape(experiment)}[/]")
    screen.print(table)
    return 0


def ui(given: Given) -> int:
    """Serve the MLflow UI until it is stopped."""
    from neurosweep.tracking.server import serve_ui

    uri = given.get("tracking_uri") or f"sqlite:///{Path(_storage(given)).resolve() / 'mlflow.db'}"
    host, port = given.get("host") or UI_HOST, given.get("port") or UI_PORT
    screen.print(f"MLflow over {escape(uri)}: [bold]http://{host}:{port}[/] (Ctrl-C ends it)", soft_wrap=True)
    with watch_signals():
        return serve_ui(uri, host=host, port=port)


def doctor(given: Given) -> int:
    """Check this machine, and reconcile MLflow with the sweeps of a storage."""
    from neurosweep.sweeps.doctor import examine

    worst = 0
    for finding in examine(_storage(given), address=given.get("address")):
        mark = "[green]ok[/]  " if finding.healthy else "[red]ill[/] "
        screen.print(f"{mark} {escape(finding.text)}", soft_wrap=True)
        worst = max(worst, 0 if finding.healthy else 1)
    return worst


def _storage(given: Given) -> str:
    return given.get("storage") or SweepConfig.storage


def _without(given: Given, *names: str) -> dict[str, Any]:
    """Keep what was given for the configuration."""
    return {name: value for name, value in given.items() if name not in names and value is not None}


def _print_pairs(pairs: list[tuple[str, str]]) -> None:
    width = max((len(name) for name, _ in pairs), default=0)
    for name, text in pairs:
        screen.print(f"[bold]{escape(name.ljust(width))}[/]  {escape(text)}", soft_wrap=True)


COMMANDS: dict[str, Callable[[Given], int]] = {
    "launch": launch,
    "resume": resume,
    "status": status,
    "leaderboard": leaderboard,
    "evaluate": evaluate,
    "compare": compare,
    "decode": decode,
    "replay": replay,
    "check": check,
    "data": data,
    "study": study,
    "models": models,
    "ui": ui,
    "doctor": doctor,
}
