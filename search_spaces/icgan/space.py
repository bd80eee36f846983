"""Where the settings of decoders of pictures from voxels are searched.

A name that is pinned, in a sweep's file or on the command line, is answered with its value and not searched.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna import Trial


def icgan_space(trial: "Trial") -> None:
    """Penalties, rescaling and areas of the three regressions; chosen penalties instead of searched ones as well."""
    if trial.suggest_categorical("model.alpha_from", ["fixed", "grouped"]) == "fixed":
        for kind in ("instance", "noise", "dense"):
            trial.suggest_float(f"model.{kind}_alpha", 1.0, 1e6, log=True)
    for kind in ("instance", "noise", "dense"):
        trial.suggest_categorical(f"model.{kind}_rescale", [False, True])
    trial.suggest_categorical("model.instance_area", ["all", "HVC"])
    trial.suggest_categorical("model.spatial_area", ["all", "LVC"])


def pixel_space(trial: "Trial") -> None:
    """Ridge regression and its relatives, with a penalty of their own or one chosen by cross-validation."""
    method = trial.suggest_categorical("model.method", ["ridge", "reduced_rank", "rbf", "polynomial"])
    if trial.suggest_categorical("model.alpha_from", ["fixed", "grouped"]) == "fixed":
        trial.suggest_float("model.alpha", 1.0, 1e6, log=True)
    elif method != "reduced_rank":
        trial.suggest_categorical("model.sharing", ["shared", "banded", "per_target"])
    if method == "reduced_rank":
        trial.suggest_int("model.rank", 2, 16)
    trial.suggest_categorical("model.rescale", [False, True])
