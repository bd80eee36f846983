"""How one kind of target is decoded from voxels, checked before anything is fitted."""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from lightning_modules.icgan.regression.alpha_choice import Sharing

Method = Literal["ridge", "banded", "rbf", "polynomial", "reduced_rank", "selected"]
AlphaFrom = Literal["fixed", "grouped", "leave_one_out"]

WITH_ONE_PENALTY = ("banded", "reduced_rank", "selected")
"""Methods whose penalties all targets share."""

ALL_VOXELS = "all"
"""Name of the area that every voxel belongs to."""


@dataclass(frozen=True)
class DecoderSettings:
    """Settings of a decoder in closed form.

    Args:
        method: `ridge`; `banded`, with a penalty of its own for each area; kernel ridge with `rbf` or `polynomial`
            (of degree 2); `reduced_rank` ridge; or `selected`, ridge on the voxels that correlate most with each
            target.
        area: Voxels that are used, by the name of their area; `all` of them.
        alpha_from: Where the penalty comes from: `fixed` is `alpha`; `grouped` and `leave_one_out` choose it by the
            correlation of held-out rows, whole categories or single rows at a time. Of `banded` the ratios between
            areas are always chosen by held-out categories.
        alpha: Penalty on the sum of squared weights, where it is fixed. Of squares summed over rows, as in sklearn.
        sharing: Whether a chosen penalty is `shared` by all targets, `banded`, or chosen `per_target`.
        rank: Directions that `reduced_rank` keeps, at most.
        n_selected: Voxels that `selected` takes for each target.
        n_candidates: Ratios between areas that `banded` tries.
        rescale: Whether predictions get back the spread that regression shrank, measured on held-out training rows.
        shrink_factor: How far predictions go from the mean of the training rows, relative to how far they would.
        match_length: Whether each prediction is stretched to the mean length of training features.

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
    n_candidates: int = 20
    rescale: bool = False
    shrink_factor: float = 1.0
    match_length: bool = False

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
            for name in ("rank", "n_selected", "n_candidates")
            if getattr(self, name) < 1
        ]
        if not (math.isfinite(self.shrink_factor) and self.shrink_factor >= 0):
            problems.append(f"`shrink_factor` is {self.shrink_factor}, but must be 0 or more and finite.")
        if self.method == "selected" and self.alpha_from != "fixed":
            problems.append("`alpha_from` must be fixed with method `selected`, which has no closed form.")
        if self.method == "banded" and self.alpha_from == "leave_one_out":
            problems.append("`alpha_from` must be fixed or grouped with method `banded`.")
        if self.method in WITH_ONE_PENALTY and self.sharing != "shared":
            problems.append(
                f"`sharing` must be shared with method `{self.method}`: all targets have the same penalties."
            )
        if problems:
            raise ValueError(" ".join(problems))

    @classmethod
    def where_open(
        cls, *, method: Method, alpha_from: AlphaFrom, sharing: Sharing, **others: Any
    ) -> "DecoderSettings":
        """Build settings of which a search pins some that not every method leaves open.

        `selected` has a fixed penalty; `banded` chooses by held-out categories what should be left out one by one;
        and methods whose penalties all targets share keep to it.

        Args:
            method: See above, as for what follows.
            alpha_from: Where the method leaves it open.
            sharing: Where the method leaves it open.
            others: The other settings.
        """
        if method == "selected":
            alpha_from = "fixed"
        if method == "banded" and alpha_from == "leave_one_out":
            alpha_from = "grouped"
        if method in WITH_ONE_PENALTY:
            sharing = "shared"
        return cls(method=method, alpha_from=alpha_from, sharing=sharing, **others)
