"""Settings of a study: a frozen dataclass of the family's, filled with what was given."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from neurosweep.errors import ConfigError
from neurosweep.experiments import did_you_mean


def fill_settings(kind: Callable[..., Any], given: Mapping[str, Any], *, study: str) -> Any:
    """Make a study's settings.

    A text such as `.1,.3` is read as a sequence where one is expected.

    Args:
        kind: The dataclass; it may raise `ValueError`.
        given: Values by name.
        study: Its name, for messages.

    Raises:
        ConfigError: With every unknown name and wrong value at once.
    """
    hints = get_type_hints(kind)
    problems, values = [], {}
    for name, value in given.items():
        if name not in hints:
            flag = did_you_mean(name, hints).replace("`", "`--", 1)
            problems.append(
                f"`--{name}` is no setting of `{study}`.{flag} There are: "
                f"{', '.join(f'--{one}' for one in hints)}."
            )
            continue
        try:
            values[name] = _read(value, hints[name])
        except ValidationError as error:
            message = error.errors()[0]["msg"]
            problems.append(f"`--{name}` is {value!r}: {message[0].lower()}{message[1:]}.")
    remedy = f"`neurosweep study FAMILY` lists the settings of `{study}` with their defaults."
    if problems:
        raise ConfigError.collect(problems, remedy)
    try:
        return kind(**values)
    except ValueError as error:
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(problem, getattr(error, "remedy", None) or remedy) from error


def describe_settings(kind: Callable[..., Any]) -> list[tuple[str, str, str]]:
    """Return name, default and meaning of each setting; the meaning is the dataclass's own `Args:`."""
    meanings = _meanings(inspect.getdoc(kind) or "")
    return [
        (one.name, "" if one.default is MISSING else str(one.default), meanings.get(one.name, ""))
        for one in fields(kind)  # pyright: ignore[reportArgumentType]
    ]


def _read(value: Any, hint: Any) -> Any:
    adapter = TypeAdapter(hint)
    try:
        return adapter.validate_python(value)
    except ValidationError:
        if not isinstance(value, str) or "," not in value:
            raise
        return adapter.validate_python([one.strip() for one in value.split(",")])


def _meanings(docstring: str) -> dict[str, str]:
    """Read the `Args:` section: a name, a colon and a text, which may go on in lines that are indented further."""
    found: dict[str, str] = {}
    name, inside = "", False
    for line in docstring.splitlines():
        if not inside or not line.startswith("    "):
            inside = line.strip() == "Args:" or (inside and not line.strip())
        elif line.startswith("        "):
            found[name] += f" {line.strip()}"
        else:
            name, _, text = line.strip().partition(": ")
            found[name] = text
    return found
