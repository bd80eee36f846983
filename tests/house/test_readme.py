"""The README is true where a test can tell."""

import re
from pathlib import Path

import pytest

from neurosweep.options import build_parser, spell_out
from neurosweep.testing import ExperimentConformance


def test_lab_template_is_short(lab_source: str) -> None:
    assert len(lab_source.splitlines()) < 60


def test_every_flag_in_the_readme_exists(repository: Path) -> None:
    text = (repository / "README.md").read_text(encoding="utf-8")
    flags = set(spell_out(re.findall(r"(?<![\w-])--[a-z][a-z_.-]+", text)))
    commands = build_parser()._subcommands_action._name_parser_map  # type: ignore[union-attr]
    known = {
        option
        for parser in commands.values()
        for action in parser._actions
        for option in action.option_strings
    }
    pins = {flag for flag in flags if flag.startswith(("--model.", "--data.", "--trainer."))}
    assert flags - pins <= known


def test_every_path_in_the_readme_exists(repository: Path) -> None:
    text = (repository / "README.md").read_text(encoding="utf-8")
    paths = re.findall(r"\]\(([\w/.-]+)\)", text) + re.findall(
        r"`((?:platform|tests|lightning_modules)/[\w/]+)/?`", text
    )
    assert paths
    assert not [path for path in paths if not (repository / path).exists()]


@pytest.mark.usefixtures("lab_folder")
class TestReadmeTemplate(ExperimentConformance):
    """The template keeps to the contract."""

    experiment = "my_lab:EXPERIMENT"
