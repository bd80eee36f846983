"""Whether the codes of a sweep can carry its circuit under its noise, found out before any of them is searched."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, get_args

import torch

from lightning_modules.fault_tolerant.codes_by_name import CodeName
from lightning_modules.fault_tolerant.data import FaultData
from lightning_modules.fault_tolerant.module import Family, FaultTolerantNetwork
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.parts.errors import DataError

_REMEDY = "Change what is given with `--model.`."
Problem = DataError | ValueError
Choice = tuple[tuple[str, str], ...]


def check_launch(data: FaultData, fixed: Mapping[str, Any]) -> None:
    """Build what is fixed for all trials, and compute one row once, with every family and code that may be searched.

    What cannot carry the circuit at all, such as majorities of many values, is not refused unless it is fixed: the
    space does not offer it.

    Args:
        data: Circuit and noise.
        fixed: Values by dotted name, such as `model.level`.

    Raises:
        DataError: If something fixed is impossible: moduli with common factors where a spacing needs none, symbols
            beyond the code's range, a level that takes more memory than there may be, noise that is not modelled.
    """
    known = set(inspect.signature(FaultTolerantNetwork).parameters)
    pairs = ((name.partition(".")[2], value) for name, value in fixed.items() if name.startswith("model."))
    given = {name: value for name, value in pairs if name in known}
    found = {choice: _problem(data, given | dict(choice)) for choice in _choices(given)}
    able = [choice for choice, problem in found.items() if problem is None]
    plain = replace(data, noise=NoiseSpec())
    for choice, problem in found.items():
        if problem is None:
            continue
        if _problem(data, dict(choice)) is None:  # what is given with `--model.` is to blame
            raise _explained(problem)
        if not able or _problem(plain, dict(choice)) is None:
            raise _explained(problem, able)


def _choices(given: Mapping[str, Any]) -> Iterator[Choice]:
    """Yield families and codes that are not fixed otherwise, that of the specification's reference first."""
    families = [given["family"]] if "family" in given else list(get_args(Family))
    codes = [given["code"]] if "code" in given else sorted(get_args(CodeName), key=lambda one: one != "grid")
    for family, code in product(families, codes):
        if family == "free":  # has no code
            if code == codes[0]:
                yield (("family", family),)
        elif family == "analytic" or code == "grid":
            yield ("family", family), ("code", code)


def _problem(data: FaultData, settings: Mapping[str, Any]) -> Problem | None:
    """Return why such a network cannot compute the circuit, None if it can."""
    try:
        network = FaultTolerantNetwork(task=data.task, **settings)
        network.code.simulate(network.circuit, data.noise, data.rows[:1], 1, torch.Generator().manual_seed(0))
    except (DataError, ValueError) as problem:
        return problem
    return None


def _explained(problem: Problem, able: Sequence[Choice] = ()) -> DataError:
    """Add to the remedy which families and codes are able to do it."""
    remedy = problem.remedy if isinstance(problem, DataError) else _REMEDY
    if able:
        those = " or ".join(" ".join(f"--model.{name} {value}" for name, value in one) for one in able)
        remedy = f"{remedy} Or search {those}."
    return DataError(problem.problem if isinstance(problem, DataError) else str(problem), remedy)
