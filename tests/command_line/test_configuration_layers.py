"""From defaults, files and flags to one configuration, or to every complaint about it at once."""

import pytest
import yaml

from neurosweep.config import SearchConfig
from neurosweep.config_files import dump_config, parse_config, read_defaults, resolve_config
from neurosweep.experiments import SABLE


def printed(outcome):
    assert outcome.code == 0, outcome.complaints
    return yaml.safe_load(outcome.output)


def test_later_layers_override_earlier_ones_key_by_key(command, tmp_path):
    of_sable = read_defaults(SABLE)
    assert of_sable["search"]["min_epochs"] != SearchConfig.min_epochs, "the test needs a layer that differs"
    (tmp_path / "mine.yaml").write_text(
        "experiment: sable\nsearch: {trials: 7, startup_trials: 2}\ntrainer: {max_epochs: 11}\nmodel: {latent_dim: 5}\n"
    )
    config = printed(
        command("launch", "mine.yaml", "--trials", "9", "--model.latent_dim", "6", "--print_config")
    )
    assert config["search"]["reduction_factor"] == SearchConfig.reduction_factor  # the platform's
    assert config["search"]["min_epochs"] == of_sable["search"]["min_epochs"]  # the family's
    assert config["search"]["startup_trials"] == 2  # the user's file
    assert config["trainer"] == {"max_epochs": 11}
    assert config["search"]["trials"] == 9  # the flags
    assert config["model"] == {"variant": "sable", "latent_dim": 6}


def test_the_platforms_defaults_are_beneath_a_family_without_a_file(command):
    config = printed(command("launch", "my_lab:EXPERIMENT", "--print_config"))
    assert config["trainer"] == {"max_epochs": 20}
    assert config["search"]["trials"] == 16
    assert (config["model"], config["data"]) == ({}, {})


@pytest.mark.parametrize("target", ["sable", "sable-paper-size", "my_lab:EXPERIMENT"])
def test_a_printed_configuration_is_a_file_that_starts_the_same_sweep(command, tmp_path, target):
    flags = ["--name", "twin", "--trials", "3", "--time-budget", "2m", "--gpus-per-trial", "0.25"]
    outcome = command("launch", target, *flags, "--trainer.max_epochs", "5", "--print_config")
    assert outcome.code == 0
    (tmp_path / "twin.yaml").write_text(outcome.output)
    config = resolve_config("twin.yaml", {})
    assert dump_config(config) == outcome.output
    assert (config.name, config.search.trials, config.search.time_budget) == ("twin", 3, 120.0)
    assert parse_config(yaml.safe_load(outcome.output), source="twin.yaml") == config


def test_flags_work_under_their_dotted_names_too(command):
    short = ["--trials", "4", "--cpus-per-trial", "2", "--tracking-uri", "http://mlflow:5000"]
    dotted = [
        "--search.trials",
        "4",
        "--resources.cpus_per_trial",
        "2",
        "--tracking.uri",
        "http://mlflow:5000",
    ]
    ours = ["launch", "my_lab:EXPERIMENT", "--name", "one", "--print_config"]
    assert printed(command(*ours, *short)) == printed(command(*ours, *dotted))


def test_a_path_is_meant_from_where_it_is_written_down(command, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.yaml").write_text("experiment: sable\ndata: {path: days}\n")
    in_file = printed(command("launch", "elsewhere/mine.yaml", "--print_config"))
    given = printed(command("launch", "sable", "--data.path", "days", "--print_config"))
    assert in_file["data"]["path"] == str(elsewhere / "days")
    assert given["data"]["path"] == str(tmp_path / "days")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sabel",), ("no experiment `sabel`", "Did you mean `sable`?", "sable-paper-size")),
        (("sable", "--model.latent_dmi", "8"), ("`model.latent_dmi`", "Did you mean `model.latent_dim`?")),
        (("sable", "--model.latent_dim", "big"), ("`model.latent_dim` is 'big'", "integer")),
        (("sable", "--sampler", "tpee"), ("`search.sampler` is 'tpee'", "'tpe'")),
        (("sable", "--trials", "0"), ("`search.trials` is 0", "at least 1")),
        (("sable", "--gpus-per-trial", "1.5"), ("`resources.gpus_per_trial` is 1.5", "a fraction")),
        (("sable", "--name", "a/b"), ("`name` is 'a/b'", "names a folder")),
        (("sable", "--trainer.logger", "true"), ("`trainer.logger` cannot be set", "MLflow")),
        (("sable", "--trainer.max_epochs", "0"), ("`trainer.max_epochs` is 0", "at least 1")),
        (("my_lab:EXPERIMNT",), ("`my_lab` has no `EXPERIMNT`",)),
        (("no_lab:EXPERIMENT",), ("`no_lab:EXPERIMENT` cannot be imported", "No module named 'no_lab'")),
        (("my_lab:LabData",), ("not a neurosweep.Experiment", "Adding a model")),
        (("absent.yaml",), ("no file absent.yaml",)),
    ],
)
def test_a_configuration_that_cannot_run_is_refused_with_two(command, arguments, said, written):
    outcome = command("launch", *arguments, "--dry-run")
    assert outcome.code == 2
    assert [text for text in said if text not in outcome.complaints] == []
    assert "Traceback" not in outcome.complaints
    assert written() == []


def test_every_problem_of_a_file_is_listed_at_once(command, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "experiment: sable\nserach: {trials: 3}\nsearch: {trails: 3, sampler: best}\nresources: {cpus_per_trial: two}\n"
    )
    outcome = command("launch", "mine.yaml", "--dry-run")
    assert outcome.code == 2
    assert "4 problems" in outcome.complaints
    for said in ("`serach`", "Did you mean `search`?", "`search.trails`", "Did you mean `trials`?"):
        assert said in outcome.complaints
    assert "`search.sampler` is 'best'" in outcome.complaints
    assert "`resources.cpus_per_trial` is 'two'" in outcome.complaints
    assert "Mend mine.yaml" in outcome.complaints


def test_every_problem_of_pinned_values_is_listed_at_once(command):
    outcome = command(
        "launch",
        "sable",
        "--model.latent_dmi",
        "8",
        "--model.kl_weight",
        "much",
        "--data.bach_size",
        "8",
        "--dry-run",
    )
    assert outcome.code == 2
    assert "3 problems" in outcome.complaints
    for said in ("`model.latent_dim`", "`model.kl_weight` is 'much'", "Did you mean `data.batch_size`?"):
        assert said in outcome.complaints


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("search: {trials: 3}\n", "names no experiment"),
        ("experiment: [sable\n", "not valid YAML"),
        ("- sable\n", "does not hold a mapping"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_by_its_name(command, tmp_path, content, said):
    (tmp_path / "mine.yaml").write_text(content)
    outcome = command("launch", "mine.yaml", "--dry-run")
    assert outcome.code == 2
    assert "mine.yaml" in outcome.complaints
    assert said in outcome.complaints
