"""Where codes for unreliable neurons are searched: each has settings of its own.

A name that is pinned, in a sweep's file or on the command line, is answered with its value and not searched. The noise
is never asked for. The task is always pinned, and is asked for since it decides which codes there are.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna import Trial

BIT_TASKS = (
    "nand",
    "and",
    "or",
    "xor",
    "multiplier_nand",
    "multiplier_gates",
    "adder_2bit",
    "adder_3bit",
    "formula_4_seed0",
    "formula_8_seed0",
    "formula_12_seed0",
)
MANY_VALUED_TASKS = ("multiplier_16way", "chain_16x4", "chain_16x16", "chain_16x64", "chain_16x256")
"""Tasks with wires that carry more than a bit, which neither medians nor majorities do."""
CODES = ("average", "majority", "median", "grid")
MANY_VALUED_CODES = ("average", "grid")


def analytic_space(trial: "Trial") -> None:
    """A code, how much redundancy it has, and how it is built.

    Raises:
        ValueError: If a code is pinned that cannot carry the task.

    Source:
        fault_tolerant.md section 7.4; smaller ranges where one trial would take minutes.
    """
    task = trial.suggest_categorical("data.task", [*BIT_TASKS, *MANY_VALUED_TASKS])
    bits = task not in MANY_VALUED_TASKS
    codes = CODES if bits else MANY_VALUED_CODES
    code = trial.suggest_categorical("model.code", codes)
    if code in CODES and code not in codes:
        raise ValueError(
            f"`model.code` is pinned to {code}, but wires of `{task}` carry more than a bit; "
            f"pin one of {', '.join(codes)}."
        )
    if code in ("average", "majority"):
        trial.suggest_int("model.n_copies", 1, 255, step=2)
    elif code == "median":
        trial.suggest_int("model.level", 0, 2)
        trial.suggest_categorical("model.median", ["N4", "L3"])
    elif code == "grid":
        # Sixteen symbols need at least three of the smallest coprime moduli.
        _suggest_grid(trial, fewest_modules=1 if bits else 3)


def _suggest_grid(trial: "Trial", *, fewest_modules: int) -> None:
    moduli = trial.suggest_categorical("model.moduli", ["equal", "coprime", "prime", "geometric", "random"])
    if isinstance(moduli, str):
        trial.suggest_int("model.n_modules", fewest_modules, 64, log=True)
    if moduli in ("coprime", "prime", "geometric", "random"):
        trial.suggest_categorical("model.smallest_modulus", [3, 5, 8, 13])
    if moduli in ("coprime", "prime"):
        trial.suggest_categorical("model.spacing", [1, "crt"])
    if moduli in ("geometric", "random"):
        trial.suggest_float("model.modulus_ratio", 1.2, 1.7)
    if moduli == "random":
        trial.suggest_int("model.moduli_seed", 0, 9)
    trial.suggest_categorical("model.decoders", ["shared", "local"])
    trial.suggest_categorical("model.score_norm", ["none", "root", "modules"])
    if trial.suggest_categorical("model.representation", ["phase", "phasor", "population"]) == "population":
        trial.suggest_int("model.n_tuned", 4, 32, step=2)
