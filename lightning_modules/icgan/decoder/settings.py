"""How one kind of target is decoded from voxels, checked before anything is fitted."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from lightning_modules.icgan.regression.alpha_choice import Sharing

Method = Literal["ridge", "rbf", "polynomial", "reduced_rank", "selected"]
AlphaFrom = Literal["fixed", "grouped", "leave_one_out"]

ALL_VOXELS = "all"
"""Name of the area that every voxel belongs to."""


@dataclass(frozen=True)
class DecoderSettings:
    """Settings of a decoder in closed form.

    Args:
        method: `ridge`; kernel ridge with `rbf` or `polynomial` (of degree 2); `reduced_rank` ridge; or `selected`,
            ridge on the voxels that correlate most with each target.
        area: Voxels that are used, by the name of their area; `all` of them.
        alpha_from: Where the penalty comes from: `fixed` is `alpha`; `grouped` and `leave_one_out` choose it by the
            correlation of held-out rows, whole categories or single rows at a time.
        alpha: Penalty on the sum of squared weights, where it is fixed. Of squares summed over rows, as in sklearn.
        sharing: Whether a chosen penalty is `shared` by all targets, `banded`, or chosen `per_target`.
        rank: Directions that `reduced_rank` keeps.
        n_selected: Voxels that `selected` takes for each target.
        rescale: Whether predictions get back the spread that regression shrank, measured on held-out training rows.

    Raises:
        ValueError: If settings are out of range or do not fit together; all problems at once.
    """

    method: Method = "ridge"
    area: str = ALL_VOXELS
    alpha_from: AlphaFrom = "fixed"
    alpha: float = 500.0
    sharing: Sharing = "shared"
    rank: int = 50
    n_selected: int = 500
    rescale: bool = False

    def __post_init__(self) -> None:
        choices = {"method": Method, "alpha_from": AlphaFrom, "sharing": Sharing}
        problems = [
            f"`{name}` is {getattr(self, name)!r}, but must be one of {', '.join(get_args(kinds))}."
            for name, kinds in choices.items()
            if getattr(self, name) not in get_args(kinds)
        ]
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            problems.append(f"`alpha` is {self.alpha}, but must be above 0 and finite.")
        problems += [
            f"`{name}` is {getattr(self, name)}, but must be at least 1."
            for name in ("rank", "n_selected")
            if getattr(self, name) < 1
        ]
        if self.method == "selected" and self.alpha_from != "fixed":
            problems.append("`alpha_from` must be fixed with method `selected`, which has no closed form.")
        if self.method == "reduced_rank" and self.sharing != "shared":
            problems.append(
                "`sharing` must be shared with method `reduced_rank`: its directions mix the targets."
            )
        if problems:
            raise ValueError(" ".join(problems))
