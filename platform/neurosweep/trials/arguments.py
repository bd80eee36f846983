"""From a resolved configuration to the arguments of constructors."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

Sections = dict[str, dict[str, Any]]
"""The sections `model`, `data` and `trainer` with their arguments."""

FILLED_IN = "seed"
"""Argument that the platform fills with the trial's seed where a constructor has it."""


def merge_parameters(fixed: Mapping[str, Mapping[str, Any]], parameters: Mapping[str, Any]) -> Sections:
    """Put searched values into the fixed sections.

    Args:
        fixed: Sections of the sweep's configuration.
        parameters: Searched values by dotted name, such as `model.latent_dim`.
    """
    sections: Sections = {name: dict(fixed.get(name, {})) for name in ("model", "data", "trainer")}
    for dotted, value in parameters.items():
        section, _, name = dotted.partition(".")
        sections[section][name] = value
    return sections


def keyword_names(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters of a class or function that can be given by keyword, without `self`."""
    parameters = inspect.signature(function).parameters
    wanted = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {name: parameter for name, parameter in parameters.items() if parameter.kind in wanted}


def data_module_settings(data_module: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the settings of a data module: all but its first argument, which is the loaded data."""
    names = keyword_names(data_module)
    for first in list(names)[:1]:
        del names[first]
    return names


def split_data_settings(
    settings: Mapping[str, Any], *, load: Callable[..., Any], data_module: Callable[..., Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide the `data` section between the function that loads and the data module.

    A setting that both know, such as `bin_width_s`, goes to both.
    """
    of_load, of_module = keyword_names(load), data_module_settings(data_module)
    return (
        {name: value for name, value in settings.items() if name in of_load},
        {name: value for name, value in settings.items() if name in of_module},
    )
