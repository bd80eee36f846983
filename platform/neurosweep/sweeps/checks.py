"""Checks of a configuration against the experiment's code, before anything is started."""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation

from neurosweep.config import SweepConfig
from neurosweep.errors import ConfigError
from neurosweep.experiments import Experiment, did_you_mean, import_callable
from neurosweep.search.pinned import sample_space
from neurosweep.sweeps.population_checks import problems_of_population
from neurosweep.sweeps.search_checks import problems_of_search
from neurosweep.trials.arguments import data_module_settings, keyword_names

_TRAINER_OWNED = {
    "logger": "MLflow is fed by neurosweep",
    "callbacks": "give them in the module's `configure_callbacks`",
    "enable_checkpointing": "neurosweep checkpoints every epoch",
    "strategy": "give `--workers-per-trial` for DDP",
    "devices": "a worker has one device; give `--workers-per-trial`",
    "num_nodes": "workers go where the cluster has room; give `--workers-per-trial`",
    "use_distributed_sampler": "neurosweep divides the batches among a trial's workers",
    "plugins": "neurosweep tells Lightning where a trial's workers are",
    "num_sanity_val_steps": "neurosweep validates once an epoch",
    "val_check_interval": "reports, checkpoints and pruning go by whole epochs",
    "barebones": "it would leave out validation and checkpoints",
    "fast_dev_run": "give `--trials 1 --trainer.max_epochs 1` for a quick run",
    "enable_progress_bar": "the sweep shows its own",
    "enable_model_summary": "workers have no screen",
    "default_root_dir": "trials write into the sweep's folder",
}


def check_config(config: SweepConfig, experiment: Experiment) -> None:
    """Check fixed values, the space and the published values against the constructors.

    Raises:
        ConfigError: With every problem at once, each with a close name where there is one.
    """
    problems = _problems_of_pins(config, experiment)
    problems += _problems_of_space(config, experiment)
    problems += _problems_of_budget(config)
    problems += problems_of_search(config, experiment)
    problems += problems_of_population(config, experiment, accepted_settings(experiment))
    if problems:
        raise ConfigError.collect(problems, f"`neurosweep check {config.experiment}` lists what can be set.")


def accepted_settings(experiment: Experiment) -> dict[str, inspect.Parameter]:
    """Return everything that can be pinned or searched, by dotted name.

    What the data decides of the model (`model_arguments`) cannot be told before the data is read, so it is in
    this list too.
    """
    import pytorch_lightning as pl

    sections: dict[str, Mapping[str, inspect.Parameter]] = {
        "model": keyword_names(import_callable(experiment.module)),
        "data": {
            **data_module_settings(import_callable(experiment.data_module)),
            **keyword_names(import_callable(experiment.load)),
        },
        "trainer": {
            name: parameter
            for name, parameter in keyword_names(pl.Trainer).items()
            if name not in _TRAINER_OWNED
        },
    }
    return {
        f"{section}.{name}": parameter
        for section, parameters in sections.items()
        for name, parameter in parameters.items()
    }


def _problems_of_pins(config: SweepConfig, experiment: Experiment) -> list[str]:
    accepted = accepted_settings(experiment)
    hints = _type_hints(experiment)
    problems = []
    for name, value in config.pins.items():
        section, _, key = name.partition(".")
        if section == "trainer" and key in _TRAINER_OWNED:
            problems.append(f"`{name}` cannot be set: {_TRAINER_OWNED[key]}.")
        elif name not in accepted:
            problems.append(_unknown(name, accepted))
        elif section != "trainer" and name in hints:
            problems += _problems_of_value(name, value, hints[name])
    return problems


def _unknown(name: str, accepted: Mapping[str, Any]) -> str:
    section = name.partition(".")[0]
    siblings = [one for one in accepted if one.startswith(f"{section}.")]
    return f"`{name}` is not a parameter.{did_you_mean(name, siblings)} There are: {', '.join(siblings)}."


def _type_hints(experiment: Experiment) -> dict[str, Any]:
    module, data_module, load = (
        import_callable(path) for path in (experiment.module, experiment.data_module, experiment.load)
    )
    found = {}
    for section, function in (
        ("model", _signature_owner(module)),
        ("data", _signature_owner(data_module)),
        ("data", load),
    ):
        try:
            hints = get_type_hints(function)
        except (NameError, TypeError):
            continue  # a lab's annotations may name what is only there for type checkers
        found.update({f"{section}.{name}": hint for name, hint in hints.items()})
    return found


def _signature_owner(found: Callable[..., Any]) -> Callable[..., Any]:
    return found.__init__ if inspect.isclass(found) else found  # type: ignore[misc]


def _problems_of_value(name: str, value: Any, hint: Any) -> list[str]:
    try:
        TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(value)
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        return [f"`{name}` is {value!r}: {message[0].lower()}{message[1:]}."]
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation):
        return []
    return []


def _problems_of_space(config: SweepConfig, experiment: Experiment) -> list[str]:
    """Draw from the space, and hold every name that it suggests against the constructors."""
    space = import_callable(experiment.space)
    try:
        points = sample_space(space, config.pins)
    except Exception as error:  # a space is the user's code
        return [f"The space `{experiment.space}` fails: {type(error).__name__}: {error}"]
    accepted = accepted_settings(experiment)
    loaded_once = {f"data.{name}" for name in keyword_names(import_callable(experiment.load))} - {
        f"data.{name}" for name in data_module_settings(import_callable(experiment.data_module))
    }
    names = sorted({name for point in points for name in point})
    problems = [
        f"The space `{experiment.space}` suggests a parameter that does not exist: {_unknown(name, accepted)}"
        for name in names
        if name not in accepted
    ]
    problems += [
        f"The space `{experiment.space}` suggests `{name}`, but the data is read once a sweep: pin it instead."
        for name in names
        if name in loaded_once
    ]
    published = {name for values in experiment.published_values() for name in values}
    problems += [
        f"The published values `{experiment.published}` name a parameter that does not exist: "
        f"{_unknown(name, accepted)}"
        for name in sorted(published)
        if name not in accepted
    ]
    return problems


def _problems_of_budget(config: SweepConfig) -> list[str]:
    search, epochs = config.search, config.trainer.get("max_epochs")
    problems = []
    if (search.ask_ahead or 0) < 0:
        problems.append(f"`search.ask_ahead` is {search.ask_ahead}, but must be at least 0.")
    if config.resources.worker_growth_mb <= 0:
        growth = config.resources.worker_growth_mb
        problems.append(f"`resources.worker_growth_mb` is {growth:g}, but must be more than 0.")
    if not isinstance(epochs, int) or epochs < 1:
        problems.append(f"`trainer.max_epochs` is {epochs!r}, but must be a whole number of at least 1.")
    elif search.pruner == "hyperband" and search.min_epochs > epochs:
        problems.append(
            f"`search.min_epochs` is {search.min_epochs}, more than the {epochs} of `trainer.max_epochs`."
        )
    accelerator = config.trainer.get("accelerator")
    if accelerator in ("gpu", "cuda") and not config.resources.gpus_per_trial:
        problems.append(
            f"`trainer.accelerator` is {accelerator!r}, but the trials are given no GPU: give `--gpus-per-trial`."
        )
    if "check_val_every_n_epoch" in config.trainer and not config.trainer["check_val_every_n_epoch"]:
        problems.append(
            "`trainer.check_val_every_n_epoch` must be a number: reports and pruning go by whole epochs."
        )
    if search.gpu_hours is not None and not config.resources.gpus_per_trial:
        problems.append(
            "`search.gpu_hours` is set, but the trials use no GPU: give `--gpus-per-trial`, or a `--time-budget`."
        )
    for name in ("time_budget", "gpu_hours", "plateau"):
        value = getattr(search, name)
        if value is not None and not value > 0:
            problems.append(f"`search.{name}` is {value}, but must be more than 0.")
    if search.target is not None and not math.isfinite(search.target):
        problems.append(f"`search.target` is {search.target}, which no trial can reach.")
    return problems
