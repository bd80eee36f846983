"""Where SABLE's settings are searched: on a laptop with generated sessions, and at the paper's size on GPUs.

A name that is pinned, in a sweep's file or on the command line, is answered with its value and not searched;
so a pinned variant without a reversal also takes the reversal's settings out of the search.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna import Trial


def laptop_space(trial: "Trial") -> None:
    """Small networks, and what matters within a few hundred optimizer steps."""
    _suggest_laptop(trial, _variant(trial))


def dann_space(trial: "Trial") -> None:
    """The laptop's space for a session classifier in place of the reversed reconstruction."""
    trial.suggest_categorical("model.variant", ["session_classifier"])
    trial.suggest_float("model.classifier_learning_rate", 5e-4, 1e-2, log=True)
    _suggest_laptop(trial, "session_classifier")


def paper_space(trial: "Trial") -> None:
    """Networks around the sizes of the paper's Appendix B, and thousands of optimizer steps."""
    trial.suggest_float("model.learning_rate", 1e-4, 1e-2, log=True)
    trial.suggest_float("model.weight_decay", 0.0, 1e-3)
    trial.suggest_int("model.latent_dim", 8, 64, log=True)
    trial.suggest_categorical("model.encoder_hidden", [64, 128, 256, 512])
    if trial.suggest_int("model.encoder_layers", 1, 3) > 1:
        trial.suggest_float("model.encoder_dropout", 0.0, 0.5)
    trial.suggest_categorical("model.encoder_width", [64, 128, 256, 512])
    trial.suggest_categorical("model.behaviour_hidden", [64, 128, 256])
    trial.suggest_int("model.behaviour_layers", 1, 2)
    trial.suggest_categorical("model.behaviour_width", [64, 128, 256, 512])
    trial.suggest_float("model.kl_weight", 1e-3, 3.0, log=True)
    trial.suggest_int("model.kl_warmup_steps", 200, 4000, log=True)
    trial.suggest_categorical("model.prior_variance", [0.1, 1.0])
    trial.suggest_float("model.input_dropout", 0.0, 0.5)
    trial.suggest_float("model.latent_dropout", 0.0, 0.3)
    trial.suggest_int("data.batch_size", 16, 128, step=16)
    trial.suggest_float("trainer.gradient_clip_val", 1.0, 200.0, log=True)
    _suggest_input(trial)
    if _suggest_neural_branch(trial, _variant(trial), longest_warmup=3000):
        trial.suggest_categorical("model.generator_hidden", [64, 128, 256])
        trial.suggest_categorical("model.factor_dim", [16, 32, 64, 128])


def _suggest_laptop(trial: "Trial", variant: str) -> None:
    trial.suggest_float("model.learning_rate", 5e-4, 1e-2, log=True)
    trial.suggest_int("model.latent_dim", 4, 24, log=True)
    trial.suggest_int("model.encoder_hidden", 24, 64, step=8)
    trial.suggest_int("model.behaviour_hidden", 32, 64, step=8)
    trial.suggest_float("model.kl_weight", 0.03, 3.0, log=True)
    trial.suggest_int("model.kl_warmup_steps", 100, 2000, log=True)
    trial.suggest_categorical("model.prior_variance", [0.1, 1.0])
    trial.suggest_float("model.input_dropout", 0.0, 0.4)
    trial.suggest_float("model.latent_dropout", 0.0, 0.3)
    trial.suggest_int("data.batch_size", 24, 96, step=24)
    trial.suggest_float("trainer.gradient_clip_val", 1.0, 50.0, log=True)
    _suggest_input(trial)
    _suggest_neural_branch(trial, variant, longest_warmup=600)


def _suggest_input(trial: "Trial") -> None:
    """What the encoder sees of the counts, and the drift that training imitates."""
    trial.suggest_categorical("model.encoder_input", ["counts", "sqrt", "log1p"])
    trial.suggest_float("model.unit_dropout", 0.0, 0.4)
    trial.suggest_float("model.gain_jitter", 0.0, 0.5)
    trial.suggest_categorical("data.session_balanced", [True, False])


def _variant(trial: "Trial") -> str:
    """Ask for the variant with a single choice: it is fixed by the sweep, not searched.

    A search over variants would compare them at unequal numbers of trials.
    """
    return trial.suggest_categorical("model.variant", ["sable"])


def _suggest_neural_branch(trial: "Trial", variant: str, *, longest_warmup: int) -> bool:
    """Suggest weight and reversal of the reconstruction; return whether the variant has one.

    Args:
        trial: Optuna's trial.
        variant: Of the module.
        longest_warmup: Optimizer steps.
    """
    if variant == "behaviour_only":
        return False
    trial.suggest_float("model.neural_weight", 0.03, 3.0, log=True)
    if variant in ("sable", "stop_gradient"):  # where the decoder's own pace leaves the encoder's as it is
        trial.suggest_float("model.neural_learning_rate_ratio", 1.0, 5.0, log=True)
    if variant in ("sable", "session_classifier"):
        trial.suggest_float("model.reversal_strength", 0.05, 3.0, log=True)
        schedule = trial.suggest_categorical("model.reversal_schedule", ["constant", "linear", "dann"])
        if schedule != "constant":
            trial.suggest_int("model.reversal_warmup_steps", 0, longest_warmup)
    return True
