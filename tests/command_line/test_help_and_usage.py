"""What the command line says of itself, and what it says to those who mistype it."""

import pytest

from neurosweep.options import duration

COMMANDS = {
    "launch": [
        "--name",
        "--trials",
        "--time-budget",
        "--sampler",
        "--pruner",
        "--address",
        "--gpus-per-trial",
    ]
    + ["--tracking-uri", "--storage", "--study-storage", "--model", "--data", "--trainer", "--dry-run"]
    + ["--print_config", "--seed", "--concurrency", "--retries", "--keep-checkpoints", "--min-epochs"]
    + ["--population", "--generation-epochs"],
    "resume": ["NAME", "--trials", "--time-budget", "--concurrency", "--storage", "--address"],
    "status": ["NAME", "--storage"],
    "leaderboard": ["NAME", "--limit", "--csv", "--storage"],
    "replay": ["NAME", "--member", "--storage"],
    "check": ["TARGET", "--model", "--data", "--trainer", "--read-data"],
    "data": ["inspect", "PATH", "--plot", "--experiment"],
    "study": ["FAMILY", "--settings", "--out", "--tracking-uri", "--storage"],
    "models": ["neurosweep models"],
    "ui": ["--storage", "--tracking-uri", "--host", "--port"],
    "doctor": ["--storage", "--address"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_names_its_options(command, name):
    outcome = command(name, "--help")
    assert outcome.code == 0
    assert [option for option in COMMANDS[name] if option not in outcome.output] == []


def test_the_help_names_every_command(command):
    outcome = command("--help")
    assert outcome.code == 0
    assert [name for name in COMMANDS if f"  {name} " not in outcome.output] == []


def test_no_command_is_bad_usage_that_shows_the_help(command):
    outcome = command()
    assert outcome.code == 2
    assert "launch" in outcome.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("launch", "sable", "--trails", "8"), ("--trails", "Did you mean `--trials`?", "launch --help")),
        (("launch", "sable", "--time-bugdet", "8h"), ("--time-bugdet", "Did you mean `--time-budget`?")),
        (("resume", "first", "--trails", "8"), ("--trails", "Did you mean `--trials`?", "resume --help")),
        (("lunch", "sable"), ("invalid choice: 'lunch'", "'launch'", "'doctor'")),
        (("launch", "sable", "--trials", "many"), ("trials", "many")),
        (("launch", "sable", "--time-budget", "soon"), ("--time-budget", "soon")),
        (("launch",), ("target",)),
    ],
)
def test_bad_usage_exits_with_two_and_says_what_was_meant(command, arguments, said, written):
    outcome = command(*arguments)
    assert outcome.code == 2
    assert [text for text in said if text not in outcome.complaints] == []
    assert "Traceback" not in outcome.complaints
    assert written() == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("launch", "sable", "--trails", "8"), "See `neurosweep launch --help`."),
        (("lunch", "sable"), "Did you mean `launch`?"),
        (("launch", "sable", "--time-budget", "soon"), "90s, 30m, 8h"),
    ],
)
def test_bad_usage_is_answered_with_what_would_work(command, arguments, said):
    assert said in command(*arguments).complaints


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("8h", 28_800), ("2d", 172_800), (45.0, 45)]
)
def test_a_duration_is_read_in_the_unit_that_it_names(text, seconds):
    assert duration(text) == seconds


def test_a_duration_on_the_command_line_reaches_the_plan(command):
    outcome = command("launch", "my_lab:EXPERIMENT", "--time-budget", "1.5h", "--dry-run")
    assert outcome.code == 0
    assert "5400 s" in outcome.output


def test_models_lists_the_families_and_what_they_are(command):
    outcome = command("models")
    assert outcome.code == 0
    assert "sable " in outcome.output
    assert "sable-paper-size" in outcome.output
    assert "Jude et al. 2022" in outcome.output


def test_check_lists_every_parameter_and_whether_it_is_searched_or_fixed(command):
    outcome = command("check", "my_lab:EXPERIMENT", "--data.batch_size", "16", "--read-data")
    assert outcome.code == 0
    rows = [line.split() for line in outcome.output.splitlines()]
    assert ["model.learning_rate", "searched", "0.001"] in rows
    assert ["data.batch_size", "fixed", "16"] in rows
    assert ["data.trials", "256"] in rows
    assert ["model.units", "(from", "the", "data)"] in rows
    assert "is sound: 1 parameters are searched" in outcome.output


@pytest.mark.parametrize("name", ["status", "leaderboard", "resume"])
def test_a_sweep_that_does_not_exist_is_answered_with_those_that_do(command, name, tmp_path, written):
    (tmp_path / "neurosweep-runs" / "monday").mkdir(parents=True)
    (tmp_path / "neurosweep-runs" / "monday" / "sweep.yaml").write_text("experiment: sable\nname: monday\n")
    before = written()
    outcome = command(name, "mnoday")
    assert outcome.code == 2
    assert "no sweep `mnoday`" in outcome.complaints
    assert "there are: monday" in outcome.complaints
    assert "--storage" in outcome.complaints
    assert written() == before


def test_the_status_of_a_storage_without_sweeps_is_an_empty_table(command, written):
    outcome = command("status")
    assert outcome.code == 0
    assert outcome.output.split() == ["sweep", "state", "done", "running", "pruned", "failed", "best"]
    assert written() == []
