"""Where the settings of RAVE+ and RAVE are searched.

A name that is pinned, in a sweep's file or on the command line, is answered with its value and not searched.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna import Trial


def rave_space(trial: "Trial") -> None:
    """Networks up to the widths of RAVE's code; the read-out of RAVE where `model.behaviour_weight` is pinned to 0.

    The weight of behaviour is asked for with a single choice: of three weights one can be fixed, and without
    behaviour it is another method.
    """
    trial.suggest_float("model.learning_rate", 3e-5, 3e-3, log=True)
    trial.suggest_float("model.classifier_learning_rate", 1e-4, 1e-2, log=True)
    trial.suggest_int("model.classifier_steps", 1, 9)
    trial.suggest_float("model.weight_decay", 1e-5, 1e-1, log=True)
    trial.suggest_float("model.gradient_clip", 1.0, 50.0, log=True)
    trial.suggest_float("model.smoothing_bins", 0.5, 4.0)
    trial.suggest_int("model.latent_dim", 8, 64, log=True)
    trial.suggest_int("model.width", 64, 256, step=64)
    trial.suggest_int("model.layers", 1, 3)
    trial.suggest_float("model.dropout", 0.0, 0.5)
    trial.suggest_float("model.reconstruction_weight", 0.03, 10.0, log=True)
    trial.suggest_float("model.domain_weight", 0.03, 10.0, log=True)
    trial.suggest_int("data.batch_size", 24, 96, step=24)
    if trial.suggest_categorical("model.behaviour_weight", [1.0]):
        trial.suggest_float("model.behaviour_dropout", 0.0, 0.5)
    else:
        trial.suggest_float("model.ridge_penalty", 0.1, 1000.0, log=True)
