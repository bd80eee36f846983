"""How a multilayer perceptron is built and trained, checked before anything is trained."""

from dataclasses import dataclass
from typing import Literal, get_args

from lightning_modules.icgan.decoder.settings import ALL_VOXELS

LossName = Literal["info_nce", "cosine"]


@dataclass(frozen=True)
class MlpSettings:
    """Settings of the decoder of instance features; for their meaning see `MlpDecoder`.

    Raises:
        ValueError: If one is out of range; all problems at once.
    """

    hidden_width: int
    n_hidden: int
    dropout: float
    learning_rate: float
    weight_decay: float
    batch_size: int
    loss: LossName
    temperature: float
    mse_weight: float
    residual_noise: float
    rescale: bool = False
    match_length: bool = False
    area: str = ALL_VOXELS

    def __post_init__(self) -> None:
        names = ", ".join(get_args(LossName))
        rules = {
            "hidden_width": (self.hidden_width >= 1, "at least 1"),
            "n_hidden": (self.n_hidden in (1, 2), "1 or 2"),
            "dropout": (0 <= self.dropout < 1, "0 or more and below 1"),
            "learning_rate": (self.learning_rate > 0, "above 0"),
            "weight_decay": (self.weight_decay >= 0, "0 or more"),
            "batch_size": (self.batch_size >= 1, "at least 1"),
            "loss": (self.loss in get_args(LossName), f"one of {names}"),
            "temperature": (self.temperature > 0, "above 0"),
            "mse_weight": (self.mse_weight >= 0, "0 or more"),
            "residual_noise": (self.residual_noise >= 0, "0 or more"),
        }
        problems = [
            f"`{name}` is {getattr(self, name)!r}, but must be {rule}."
            for name, (kept, rule) in rules.items()
            if not kept
        ]
        if problems:
            raise ValueError(" ".join(problems))
