"""Reading, merging, checking and writing the configuration of a sweep."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from neurosweep.config import (
    DEFAULT_TRAINER,
    PopulationConfig,
    ResourceConfig,
    SearchConfig,
    SweepConfig,
    TrackingConfig,
)
from neurosweep.errors import ConfigError
from neurosweep.experiments import Experiment, did_you_mean, find_experiment
from neurosweep.layout import SweepFolder

_ADAPTER = TypeAdapter(SweepConfig)
_SECTIONS: dict[str, Any] = {
    "search": SearchConfig,
    "population": PopulationConfig,
    "resources": ResourceConfig,
    "tracking": TrackingConfig,
}
_SQLITE = "sqlite:///"
_NO_SEARCH = {"search": {"sampler": "random", "pruner": "none"}}
"""What a population leaves of a search, unless the user asks for more, which is then refused."""


def resolve_config(target: str, given: Mapping[str, Any]) -> SweepConfig:
    """Make the configuration of a sweep from its layers; each overrides those before it.

    The layers: the platform's defaults, the experiment's own file, the user's file, what was given directly.

    Args:
        target: Name or import path of an experiment, or a YAML file.
        given: Nested sections, from the command line or from Python.

    Raises:
        ConfigError: With every unknown key and wrong type at once.
    """
    layers: list[Mapping[str, Any]] = []
    if target.endswith((".yaml", ".yml")):
        user = read_yaml(Path(target))
        if "experiment" not in user:
            raise ConfigError(f"{target} names no experiment.", "Add a line such as `experiment: sable`.")
        layers.append(_absolute(user, Path(target).parent))
        experiment_name = str(user["experiment"])
    else:
        experiment_name = target
    experiment = find_experiment(experiment_name)
    layers = [
        {"trainer": DEFAULT_TRAINER},
        read_defaults(experiment),
        *layers,
        {**_absolute(given, Path.cwd()), "experiment": experiment_name},
    ]
    merged = merge(layers)
    population = merged.get("population")
    if isinstance(population, Mapping) and population.get("method") is not None:
        merged = merge([*layers[:2], _NO_SEARCH, *layers[2:]])
    merged.setdefault("name", f"{experiment.name}-{time.strftime('%Y%m%d-%H%M%S')}")
    return parse_config(merged, source=target)


def parse_config(content: Mapping[str, Any], *, source: str) -> SweepConfig:
    """Check nested sections and make a `SweepConfig` of them.

    Raises:
        ConfigError: With every unknown key and wrong type at once.
    """
    problems = _unknown_keys(content, SweepConfig)
    known = {key: value for key, value in content.items() if key in _names(SweepConfig)}
    try:
        config = _ADAPTER.validate_python(_drop_unknown(known))
    except ValidationError as error:
        problems += [_describe(one) for one in error.errors()]
        config = None
    if config is not None:
        problems += _out_of_range(config)
    if problems or config is None:
        raise ConfigError.collect(
            problems, f"Mend {source}, or see `neurosweep launch --help` for what there is."
        )
    return config


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigError: If the file is missing, is no YAML, or holds something else.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"There is no file {path}.", "Check the path.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", "Check the path and its permissions.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}", "Mend the line that it names.") from error
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path} does not hold a mapping.", "Write sections such as `search:` and `model:`."
        )
    return content


def read_defaults(experiment: Experiment) -> dict[str, Any]:
    """Read the experiment's own file, if it has one."""
    if experiment.defaults is None:
        return {}
    package, _, name = experiment.defaults.partition(":")
    return yaml.safe_load(files(package).joinpath(name).read_text(encoding="utf-8")) or {}


def merge(layers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge nested mappings; later ones win, key by key."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
                merged[key] = merge([merged[key], value])
            else:
                merged[key] = dict(value) if isinstance(value, Mapping) else value
    return merged


def dump_config(config: SweepConfig) -> str:
    """Write the configuration as YAML that `resolve_config` reads back."""
    return yaml.safe_dump(_plain(asdict(config)), sort_keys=False, allow_unicode=True)


def _plain(value: Any) -> Any:
    """Write tuples as lists: YAML's safe dialect has none."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def load_config(folder: SweepFolder) -> SweepConfig:
    """Read the configuration of a sweep that exists, with its storage where its folder lies now."""
    content = read_yaml(folder.config) | {"storage": str(folder.root.parent)}
    return parse_config(content, source=str(folder.config))


def with_overrides(config: SweepConfig, given: Mapping[str, Any]) -> SweepConfig:
    """Return the configuration with some values replaced, checked anew."""
    content = _absolute(merge([asdict(config), given]), Path.cwd())
    return parse_config(content, source="the command line")


def _absolute(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Read paths from where they were written down, so that the resolved configuration runs from anywhere."""
    absolute = dict(content)
    data, tracking = content.get("data"), content.get("tracking")
    if isinstance(data, Mapping) and isinstance(data.get("path"), str):
        absolute["data"] = {**data, "path": str((folder / data["path"]).resolve())}
    if isinstance(tracking, Mapping) and isinstance(tracking.get("uri"), str):
        absolute["tracking"] = {**tracking, "uri": _absolute_database(tracking["uri"], folder)}
    if isinstance(content.get("study_storage"), str):
        absolute["study_storage"] = _absolute_database(content["study_storage"], folder)
    return absolute


def _absolute_database(uri: str, folder: Path) -> str:
    """Make the path of an SQLite file absolute; `sqlite:///:memory:` and other databases stay as they are."""
    path = uri.removeprefix(_SQLITE)
    if path == uri or not path or path.startswith(":"):
        return uri
    return f"{_SQLITE}{(folder / path).resolve()}"


def _names(kind: Any) -> list[str]:
    return [one.name for one in fields(kind)]


def _unknown_keys(content: Mapping[str, Any], kind: Any, prefix: str = "") -> list[str]:
    problems = []
    names = _names(kind)
    for key, value in content.items():
        if key not in names:
            problems.append(
                f"`{prefix}{key}` is not a setting.{did_you_mean(str(key), names)} There are: {', '.join(names)}."
            )
        elif key in _SECTIONS and isinstance(value, Mapping):
            problems += _unknown_keys(value, _SECTIONS[key], f"{key}.")
    return problems


def _drop_unknown(content: dict[str, Any]) -> dict[str, Any]:
    return {
        key: {name: one for name, one in value.items() if name in _names(_SECTIONS[key])}
        if key in _SECTIONS and isinstance(value, Mapping)
        else value
        for key, value in content.items()
    }


def _describe(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    return f"`{where}` is {error['input']!r}: {error['msg'][0].lower()}{error['msg'][1:]}."


def _out_of_range(config: SweepConfig) -> list[str]:
    search, resources = config.search, config.resources
    gpus = resources.gpus_per_trial
    checks = [
        ("search.trials", search.trials, "at least 1", search.trials >= 1),
        ("search.min_epochs", search.min_epochs, "at least 1", search.min_epochs >= 1),
        ("search.startup_trials", search.startup_trials, "0 or more", search.startup_trials >= 0),
        ("search.generation_size", search.generation_size, "at least 2", search.generation_size >= 2),
        ("search.reduction_factor", search.reduction_factor, "at least 2", search.reduction_factor >= 2),
        (
            "search.time_budget",
            search.time_budget,
            "above 0 s",
            search.time_budget is None or search.time_budget > 0,
        ),
        (
            "resources.concurrency",
            resources.concurrency,
            "at least 1",
            resources.concurrency is None or resources.concurrency >= 1,
        ),
        (
            "resources.workers_per_trial",
            resources.workers_per_trial,
            "at least 1",
            resources.workers_per_trial >= 1,
        ),
        ("resources.cpus_per_trial", resources.cpus_per_trial, "above 0", resources.cpus_per_trial > 0),
        (
            "resources.gpus_per_trial",
            gpus,
            "from 0 to 1: a worker trains on one GPU or on a fraction of it, and `--workers-per-trial` gives a trial "
            "several",
            0 <= gpus <= 1,
        ),
        ("resources.retries", resources.retries, "0 or more", resources.retries >= 0),
        *_population_checks(config.population),
        ("name", config.name, "letters, digits, `-`, `_` and `.` (it names a folder)", _is_name(config.name)),
    ]
    return [
        f"`{name}` is {value!r}, but must be {wanted}." for name, value, wanted, holds in checks if not holds
    ]


def _population_checks(population: PopulationConfig) -> list[tuple[str, Any, str, bool]]:
    factors, probability = population.perturbation_factors, population.resample_probability
    return [
        (
            "population.generation_epochs",
            population.generation_epochs,
            "at least 1",
            population.generation_epochs >= 1,
        ),
        (
            "population.quantile",
            population.quantile,
            "above 0 and at most 0.5",
            0 < population.quantile <= 0.5,
        ),
        ("population.resample_probability", probability, "from 0 to 1", 0 <= probability <= 1),
        (
            "population.perturbation_factors",
            factors,
            "one or more numbers above 0",
            bool(factors) and min(factors) > 0,
        ),
        (
            "population.explore_weight",
            population.explore_weight,
            "above 0 and below 1",
            0 < population.explore_weight < 1,
        ),
    ]


def _is_name(name: str) -> bool:
    plain = name.replace("-", "").replace("_", "").replace(".", "")
    return plain.isalnum() and name.isascii() and not name.startswith(".") and len(name) <= 100
