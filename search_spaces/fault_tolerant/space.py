"""Where networks of unreliable neurons are searched: each family, and each code, has settings of its own.

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
CHAINS = ("chain_16x4", "chain_16x16", "chain_16x64", "chain_16x256")
MANY_VALUED_TASKS = ("multiplier_16way", *CHAINS)
"""Tasks with wires that carry more than a bit, which neither medians nor majorities do."""
FAMILIES = ("analytic", "calibrated", "free")
CODES = ("average", "majority", "median", "grid")
MANY_VALUED_CODES = ("average", "grid")


def fault_tolerant_space(trial: "Trial") -> None:
    """A family, how much redundancy it has, how it is built, and how it learns.

    Raises:
        ValueError: If a code is pinned that cannot carry the task.

    Source:
        fault_tolerant.md section 7.4; smaller ranges where one trial would take minutes.
    """
    task = trial.suggest_categorical("data.task", [*BIT_TASKS, *MANY_VALUED_TASKS])
    family = trial.suggest_categorical("model.family", FAMILIES)
    if family == "analytic":
        _suggest_code(trial, task)
    elif family == "calibrated":
        _suggest_calibration(trial, task)
    elif family == "free":
        _suggest_free(trial)
    if family in ("calibrated", "free"):
        _suggest_lesson(trial, task)


def _suggest_code(trial: "Trial", task: str) -> None:
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
        _suggest_grid(trial, task)


def _suggest_calibration(trial: "Trial", task: str) -> None:
    """A grid code to start from, and what of it is learned."""
    _suggest_grid(trial, task, most_modules=24)
    trial.suggest_categorical("model.learn_phases", [True, False])
    trial.suggest_categorical("model.decoder_weights", ["gain", "free"])
    trial.suggest_categorical("model.relaxation", ["softmax", "straight_through", "gumbel"])
    trial.suggest_float("model.wta_temperature", 0.05, 2.0, log=True)


def _suggest_free(trial: "Trial") -> None:
    trial.suggest_int("model.gate_neurons", 8, 256, log=True)
    layers = trial.suggest_int("model.hidden_layers", 0, 2)
    if layers:
        trial.suggest_float("model.hidden_share", 0.2, 0.8)
    trial.suggest_categorical("model.activation", ["sigmoid", "clip"])
    trial.suggest_categorical("model.synapse_mode", ["moment", "exact"])


def _suggest_lesson(trial: "Trial", task: str) -> None:
    """How a family learns. Of deep chains, in which all logical neurons are alike, the beginning may be enough."""
    trial.suggest_float("model.learning_rate", 1e-3, 1e-1, log=True)
    trial.suggest_float("model.weight_decay", 1e-6, 1e-2, log=True)
    trial.suggest_int("model.n_draws", 4, 16, log=True)
    trial.suggest_int("model.ramp_epochs", 0, 4)
    trial.suggest_float("model.noise_factor", 0.8, 3.0)
    trial.suggest_categorical("model.loss", ["cross_entropy", "tail"])
    trial.suggest_float("model.cvar_alpha", 0.05, 1.0)
    trial.suggest_float("model.wire_weight", 0.03, 1.0, log=True)
    if task in CHAINS:
        trial.suggest_int("model.trained_gates", 2, 16)
        trial.suggest_categorical("model.grows", [True, False])


def _suggest_grid(trial: "Trial", task: str, most_modules: int = 64) -> None:
    # Sixteen symbols need at least three of the smallest coprime moduli.
    fewest_modules = 3 if task in MANY_VALUED_TASKS else 1
    moduli = trial.suggest_categorical("model.moduli", ["equal", "coprime", "prime", "geometric", "random"])
    if isinstance(moduli, str):
        trial.suggest_int("model.n_modules", fewest_modules, most_modules, log=True)
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
