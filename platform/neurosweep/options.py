"""The command line's arguments: names, types and help; nothing is decided here."""

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from neurosweep.config import EVALUATION_SEEDS, UI_HOST, UI_PORT, SearchConfig, SweepConfig
from neurosweep.experiments import did_you_mean

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_EXAMPLES = {
    "launch": """examples:
  neurosweep launch sable                                  sixteen trials on generated sessions, on this machine
  neurosweep launch sable --data.path recordings/ --trials 200 --time-budget 8h
  neurosweep launch sable --model.latent_dim 32            pins a value and takes it out of the search
  neurosweep launch sweep.yaml --address auto --gpus-per-trial 0.25 --tracking-uri http://mlflow:5000
  neurosweep launch sable --population bt_pbt --trials 16  AutoLFADS's population-based training, 16 members
  neurosweep launch my_lab:EXPERIMENT --dry-run            what would happen, without starting anything""",
    "resume": """examples:
  neurosweep resume sable-20261123-101500                  after Ctrl-C, a crash or a reboot
  neurosweep resume my-sweep --trials 64                   more trials for a finished sweep""",
    "decode": """examples:
  neurosweep decode --model my-sweep --data monday.npz     with the best trial of a sweep
  neurosweep decode --model models:/m-0123 --data monday.nwb --output monday-velocity.npz""",
    "study": """examples:
  neurosweep study fault_tolerant                          the family's studies and their settings
  neurosweep study fault_tolerant levels --circuit L3      figures, tables and a text in a folder, and in MLflow
  neurosweep study fault_tolerant depth --evaluations 0.1  a tenth of the time""",
}


_STUDY_OPTIONS = ("--help", "--settings", "--out", "--tracking-uri", "--storage")
_USAGE = {
    "launch": "neurosweep launch TARGET [options]",
    "resume": "neurosweep resume NAME [options]",
    "status": "neurosweep status [NAME] [options]",
    "leaderboard": "neurosweep leaderboard NAME [options]",
    "evaluate": "neurosweep evaluate NAME [options]",
    "compare": "neurosweep compare NAME NAME ... [options]",
    "decode": "neurosweep decode --model MODEL --data SESSION [options]",
    "replay": "neurosweep replay NAME [options]",
    "check": "neurosweep check TARGET [options]",
    "data": "neurosweep data inspect PATH [options]",
    "study": "neurosweep study FAMILY [STUDY] [--SETTING VALUE ...] [options]",
    "models": "neurosweep models",
    "ui": "neurosweep ui [options]",
    "doctor": "neurosweep doctor [options]",
}


class _Formatter(argparse.RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """Show the help texts as they are written; they say the defaults where it helps."""

    def _get_help_string(self, action: argparse.Action) -> str:
        return action.help or ""


class _Parser(ArgumentParser):
    """A parser whose complaints name the option that was probably meant."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the complaint and exit with 2."""
        unknown = re.findall(r"(--[\w.-]+)", message) if "nrecognized" in message else []
        options = [option for action in self._actions for option in action.option_strings]
        hints = "".join(did_you_mean(option, options) for option in unknown)
        choice = re.search(r"invalid choice: '(.+?)' \(choose from (.+)\)", message)
        if choice is not None:
            hints += did_you_mean(choice[1], re.findall(r"'(.+?)'", choice[2]))
        # argparse puts what it shows of the parent's usage before the name of a subcommand.
        program = re.sub(r" (\[options\]|COMMAND \.\.\.)", "", self.prog)
        self.exit(2, f"neurosweep: {message.strip()}{hints}\nSee `{program} --help`.\n")


def build_parser() -> ArgumentParser:
    """Build the parser of all commands."""
    parser = _Parser(
        prog="neurosweep",
        description="Hyperparameter sweeps over models of neural recordings.",
        formatter_class=_Formatter,
        usage="neurosweep COMMAND ...",
    )
    commands = parser.add_subcommands(dest="command", metavar="COMMAND", required=False)
    for name, (add_arguments, text) in _COMMANDS.items():
        sub = _Parser(
            prog=f"neurosweep {name}",
            description=text,
            epilog=_EXAMPLES.get(name),
            formatter_class=_Formatter,
            usage=_USAGE[name],
        )
        add_arguments(sub)
        commands.add_subcommand(name, sub, help=text)
    return parser


def spell_out(arguments: Sequence[str]) -> list[str]:
    """Write short forms in full, which jsonargparse would take for a section, or not know.

    `--population bt_pbt` becomes `--population.method bt_pbt`, and the settings of a study those of its section.
    """
    if list(arguments[:1]) == ["study"]:
        return [one if one in ("--help", "--settings") else _spell_setting(one) for one in arguments]
    return [re.sub(r"^--population(?=$|=)", "--population.method", one) for one in arguments]


def _spell_setting(argument: str) -> str:
    """Write `--circuit` as `--settings.circuit`, unless it is an option of `neurosweep study` itself."""
    flag, equals, value = argument.partition("=")
    if not flag.startswith("--") or flag in _STUDY_OPTIONS or flag.startswith("--settings."):
        return argument
    return f"--settings.{flag.removeprefix('--').replace('-', '_')}{equals}{value}"


def duration(text: str | float) -> float:
    """Read a time such as `90`, `90s`, `30m`, `8h` or `2d`, in s; a number, which jsonargparse reads twice, stays."""
    if not isinstance(text, str):
        return float(text)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write seconds, or 90s, 30m, 8h, 2d")
    return float(match.group(1)) * _UNITS[match.group(2) or "s"]


def names(text: str | Sequence[str]) -> list[str]:
    """Read names between commas; a list, which jsonargparse reads twice, stays."""
    return [one.strip() for one in text.split(",") if one.strip()] if isinstance(text, str) else list(text)


def _launch(parser: ArgumentParser) -> None:
    parser.add_argument(
        "target", help="a model family (`neurosweep models`), a YAML file, or my_lab:EXPERIMENT"
    )
    parser.add_argument("--name", type=str, help="name of the sweep (default: family and time)")
    parser.add_argument("--seed", type=int, help=f"seed of sampler and trials (default: {SweepConfig.seed})")
    _add_budget(parser)
    _add_option(
        parser,
        "--objectives",
        "search",
        type=names,
        help="what to search for, of the family's: METRIC,METRIC (default: all)",
    )
    _add_option(parser, "--sampler", "search", type=str, help="tpe, random, gp, cmaes, qmc or nsga2")
    _add_option(parser, "--pruner", "search", type=str, help="successive_halving, hyperband, median or none")
    _add_option(parser, "--min-epochs", "search", type=int, help="epochs that no trial is pruned before")
    _add_option(
        parser, "--startup-trials", "search", type=int, help="random trials before the sampler models"
    )
    _add_option(parser, "--reduction-factor", "search", type=int, help="of this many trials a rung keeps one")
    _add_option(parser, "--generation-size", "search", type=int, help="trials in a generation of nsga2")
    _add_option(
        parser, "--ask-ahead", "search", type=int, help="proposals to have ready (default: 1 for gp, else 0)"
    )
    _add_population(parser)
    _add_option(parser, "--try-published", "search", type=bool, help="begin with the published values")
    _add_option(parser, "--warm-start", "search", type=names, help="earlier sweeps to learn from: NAME,NAME")
    _add_option(
        parser,
        "--duplicates",
        "search",
        type=str,
        help="reuse the results of an equal trial, or run it again",
    )
    _add_resources(parser)
    _add_option(parser, "--tracking-uri", "tracking", dest="uri", type=str, help="MLflow (default: SQLite)")
    _add_option(parser, "--experiment", "tracking", type=str, help="MLflow experiment (default: the family)")
    _add_option(
        parser, "--keep-checkpoints", "tracking", type=bool, help="upload each trial's best checkpoint"
    )
    _add_option(
        parser, "--figures", "tracking", type=bool, help="draw each trial's best checkpoint for MLflow"
    )
    _add_storage(parser)
    parser.add_argument("--study-storage", dest="study_storage", type=str, help="database URL of the studies")
    _add_pins(parser)
    # jsonargparse turns `--print_config` into `--print_config=`, so a plain switch would not do.
    parser.add_argument(
        "--print_config",
        "--print-config",
        nargs="?",
        const="",
        help="print the resolved configuration and stop",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan and start nothing")


def _resume(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="name of the sweep")
    _add_budget(parser)
    _add_resources(parser)
    _add_storage(parser)


def _status(parser: ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="name of the sweep (default: all)")
    _add_storage(parser)


def _leaderboard(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="name of the sweep")
    parser.add_argument("--limit", type=int, help="rows to show (default: 20)")
    parser.add_argument("--csv", action="store_true", help="print every row and column as CSV")
    _add_storage(parser)


def _evaluate(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="name of the sweep")
    parser.add_argument(
        "--seeds",
        type=int,
        help=f"models to train of the best configuration (default: {EVALUATION_SEEDS}); 0 scores the kept one alone",
    )
    parser.add_argument(
        "--adapt",
        action="store_true",
        help="score also what adapts to the unlabelled trials of each sealed session, in a table of its own (minutes)",
    )
    _add_storage(parser)


def _compare(parser: ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="+", help="evaluated sweeps; the others are compared to the first, paired over seeds"
    )
    parser.add_argument("--metric", type=str, help="score to compare (default: that of the first objective)")
    parser.add_argument("--csv", action="store_true", help="print every column as CSV")
    _add_storage(parser)


def _decode(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        type=str,
        required=True,
        help="name of a sweep (its best trial), models:/m-..., runs:/RUN, or the path of a checkpoint",
    )
    parser.add_argument("--data", type=str, required=True, help="the session: .npz, .nwb, .mat or .h5")
    parser.add_argument("--output", type=str, help="file to write (default: SESSION-decoded.npz, here)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if there is one")
    parser.add_argument(
        "--adapt-from",
        type=str,
        help="the training sessions, file or folder: adapt to the new session's trials without their labels",
    )
    parser.add_argument(
        "--tracking-uri", type=str, help="MLflow of the model (default: SQLite in the storage)"
    )
    _add_storage(parser)


def _replay(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="name of the sweep, a population")
    parser.add_argument("--member", type=int, help="number of the member (default: the best one)")
    _add_storage(parser)


def _check(parser: ArgumentParser) -> None:
    parser.add_argument("target", help="a model family, a YAML file, or my_lab:EXPERIMENT")
    _add_pins(parser)
    parser.add_argument("--read-data", action="store_true", help="read the recordings too")


def _data(parser: ArgumentParser) -> None:
    parser.add_argument(
        "action", choices=["inspect"], help="say what recordings hold and lack, and draw them"
    )
    parser.add_argument("path", help="a session file, or a folder of them: .npz, .nwb, .mat, .h5")
    parser.add_argument(
        "--plot", type=str, help="folder for the pictures (default: PATH's name with `-inspection`, here)"
    )
    parser.add_argument(
        "--experiment", type=str, help="family whose data it is (default: one that can read it)"
    )


def _study(parser: ArgumentParser) -> None:
    parser.add_argument("target", help="a model family that offers studies, or my_lab:EXPERIMENT")
    parser.add_argument("name", nargs="?", help="the study (default: list them with their settings)")
    parser.add_argument(
        "--settings",
        type=dict[str, Any],
        metavar=".NAME VALUE",
        help="setting of the study, `--NAME VALUE` for short, such as --circuit L3",
    )
    parser.add_argument(
        "--out", type=str, help="new folder for the files (default: `studies` in the storage)"
    )
    parser.add_argument("--tracking-uri", type=str, help="MLflow (default: SQLite in the storage)")
    _add_storage(parser)


def _models(parser: ArgumentParser) -> None:
    """Take no arguments."""


def _ui(parser: ArgumentParser) -> None:
    _add_storage(parser)
    parser.add_argument("--tracking-uri", type=str, help="MLflow's database (default: SQLite in the storage)")
    parser.add_argument("--host", type=str, help=f"address to listen on (default: {UI_HOST})")
    parser.add_argument("--port", type=int, help=f"port to listen on (default: {UI_PORT})")


def _doctor(parser: ArgumentParser) -> None:
    _add_storage(parser)
    parser.add_argument("--address", type=str, help="also look at this Ray cluster")


def _add_budget(parser: ArgumentParser) -> None:
    _add_option(
        parser, "--trials", "search", type=int, help=f"trials in all (default: {SearchConfig.trials})"
    )
    _add_option(parser, "--time-budget", "search", type=duration, help="stop after this time: 90s, 30m, 8h")
    _add_option(parser, "--gpu-hours", "search", type=float, help="stop after so many GPU hours of training")
    _add_option(parser, "--target", "search", type=float, help="stop when the first objective is this good")
    _add_option(
        parser, "--plateau", "search", type=int, help="stop after so many trials without a better value"
    )


def _add_resources(parser: ArgumentParser) -> None:
    _add_option(parser, "--concurrency", "resources", type=int, help="trials at once (default: what fits)")
    _add_option(
        parser,
        "--workers-per-trial",
        "resources",
        type=int,
        help="workers that share a trial's batches by DDP",
    )
    _add_option(
        parser, "--cpus-per-trial", "resources", type=float, help="CPU cores of a worker (default: 1)"
    )
    _add_option(parser, "--gpus-per-trial", "resources", type=float, help="GPUs of a worker, such as 0.25")
    _add_option(parser, "--address", "resources", type=str, help="Ray cluster: local, auto or host:port")
    _add_option(parser, "--retries", "resources", type=int, help="new starts of a trial whose worker died")
    _add_option(
        parser,
        "--worker-growth-mb",
        "resources",
        type=float,
        help="memory that a worker may keep of its trials",
    )


def _add_population(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--population.method",
        type=str,
        metavar="METHOD",
        help="pbt, pb2 or bt_pbt instead of a search; `--population` for short",
    )
    _add_option(
        parser,
        "--generation-epochs",
        "population",
        type=int,
        help="epochs of a population between two decisions",
    )
    for name, kind, text in (
        ("quantile", float, "part of the members that pbt and pb2 replace by copies"),
        ("resample_probability", float, "probability that pbt draws a hyperparameter anew"),
        ("perturbation_factors", list[float], "what pbt multiplies a hyperparameter by, such as [0.8,1.2]"),
        ("explore_weight", float, "largest relative change of a hyperparameter by bt_pbt"),
    ):
        parser.add_argument(f"--population.{name}", type=kind, help=text)


def _add_storage(parser: ArgumentParser) -> None:
    parser.add_argument("--storage", type=str, help=f"folder of the sweeps (default: {SweepConfig.storage})")


def _add_pins(parser: ArgumentParser) -> None:
    for section, text in {
        "model": "argument of the module, such as --model.latent_dim 32",
        "data": "setting of the data, such as --data.path recordings/",
        "trainer": "argument of Lightning's Trainer, such as --trainer.max_epochs 50",
    }.items():
        parser.add_argument(f"--{section}", type=dict[str, Any], metavar=".NAME VALUE", help=text)


def _add_option(parser: ArgumentParser, flag: str, section: str, *, dest: str = "", **options: Any) -> None:
    """Add a flag for a setting of a section, under its dotted name too."""
    name = dest or flag.removeprefix("--").replace("-", "_")
    parser.add_argument(flag, f"--{section}.{name}", dest=f"{section}.{name}", **options)


_COMMANDS = {
    "launch": (_launch, "run a new sweep"),
    "resume": (_resume, "continue a sweep, or add trials to it"),
    "status": (_status, "show how sweeps stand"),
    "leaderboard": (_leaderboard, "rank the trials of a sweep"),
    "evaluate": (_evaluate, "train the best configuration again over seeds and score it on the sealed data"),
    "compare": (_compare, "compare evaluated sweeps, paired over seeds, with intervals"),
    "decode": (
        _decode,
        "decode a new session: behaviour, or pictures; and say how unlike the training data it is",
    ),
    "replay": (_replay, "train a population's member again along its lineage, and compare the scores"),
    "check": (_check, "check a configuration, its space and what can be set, without starting anything"),
    "data": (_data, "say what recordings hold and lack, and draw them"),
    "study": (_study, "draw and measure what a family shows without a sweep: figures, tables, MLflow"),
    "models": (_models, "list the model families"),
    "ui": (_ui, "open the MLflow UI over the sweeps of a storage"),
    "doctor": (_doctor, "check this machine, and bring MLflow in line with the sweeps of a storage"),
}
