"""Where the settings of decoders of pictures from voxels are searched.

A name that is pinned, in a sweep's file or on the command line, is answered with its value and not searched.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna import Trial

KINDS = ("instance", "noise", "dense")
SHARES = ("ridge", "rbf", "polynomial")
"""Methods that may have a penalty of its own for each dimension."""


def icgan_space(trial: "Trial") -> None:
    """Methods of the three regressions, penalties searched or chosen, what is done to predictions, and areas."""
    instance = trial.suggest_categorical(
        "model.instance_method", ["ridge", "banded", "rbf", "polynomial", "reduced_rank", "selected"]
    )
    spatial = trial.suggest_categorical("model.spatial_method", ["ridge", "banded", "reduced_rank"])
    fixed = trial.suggest_categorical("model.alpha_from", ["fixed", "grouped"]) == "fixed"
    if fixed or instance == "selected":
        _suggest_alpha(trial, "instance")
    if fixed:
        for kind in ("noise", "dense"):
            _suggest_alpha(trial, kind)
    elif instance in SHARES or spatial in SHARES:
        trial.suggest_categorical("model.sharing", ["shared", "banded", "per_target"])
    if instance == "reduced_rank":
        trial.suggest_int("model.instance_rank", 5, 100, log=True)
    if instance == "selected":
        trial.suggest_int("model.n_selected", 50, 500, log=True)
    if spatial == "reduced_rank":
        trial.suggest_int("model.spatial_rank", 5, 100, log=True)
    for kind in KINDS:
        trial.suggest_categorical(f"model.{kind}_rescale", [False, True])
    _suggest_finishing(trial)


def icgan_mlp_space(trial: "Trial") -> None:
    """Network, loss and training of the perceptron; penalties of the two ridge regressions beside it."""
    trial.suggest_int("model.n_hidden", 1, 2)
    trial.suggest_int("model.hidden_width", 256, 2048, log=True)
    trial.suggest_float("model.dropout", 0.3, 0.7)
    trial.suggest_float("model.learning_rate", 1e-5, 1e-3, log=True)
    trial.suggest_float("model.weight_decay", 1e-4, 1e-1, log=True)
    if trial.suggest_categorical("model.loss", ["info_nce", "cosine"]) == "info_nce":
        trial.suggest_float("model.temperature", 0.03, 1.0, log=True)
    trial.suggest_float("model.mse_weight", 0.01, 10.0, log=True)
    trial.suggest_float("model.residual_noise", 0.0, 3.0)
    for kind in ("noise", "dense"):
        _suggest_alpha(trial, kind)
    for kind in KINDS:
        trial.suggest_categorical(f"model.{kind}_rescale", [False, True])
    _suggest_finishing(trial)


def pixel_space(trial: "Trial") -> None:
    """Ridge regression and its relatives, with a penalty of their own or one chosen by cross-validation."""
    method = trial.suggest_categorical(
        "model.method", ["ridge", "banded", "reduced_rank", "rbf", "polynomial", "selected"]
    )
    if method == "selected" or trial.suggest_categorical("model.alpha_from", ["fixed", "grouped"]) == "fixed":
        trial.suggest_float("model.alpha", 1.0, 1e6, log=True)
    elif method in SHARES:
        trial.suggest_categorical("model.sharing", ["shared", "banded", "per_target"])
    if method == "reduced_rank":
        trial.suggest_int("model.rank", 2, 16)
    if method == "selected":
        trial.suggest_int("model.n_selected", 10, 500, log=True)
    trial.suggest_categorical("model.rescale", [False, True])


def _suggest_alpha(trial: "Trial", kind: str) -> None:
    trial.suggest_float(f"model.{kind}_alpha", 1.0, 1e6, log=True)


def _suggest_finishing(trial: "Trial") -> None:
    """What is done to predictions, and which voxels they come from."""
    trial.suggest_categorical("model.instance_match_length", [False, True])
    for kind in ("noise", "dense"):
        trial.suggest_float(f"model.{kind}_shrink_factor", 0.0, 1.5)
    trial.suggest_categorical("model.instance_area", ["all", "HVC"])
    trial.suggest_categorical("model.spatial_area", ["all", "LVC"])
