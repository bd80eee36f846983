"""Linear decoders of all of a subject's voxels, and how much each voxel weighs in them: what brain analyses look at."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.brain.patterns import activation_pattern
from lightning_modules.icgan.brain.roi_images import Decoders
from lightning_modules.icgan.brain.semantic_index import WeightNorms
from lightning_modules.icgan.decoder.fitting import fit_decoder
from lightning_modules.icgan.decoder.icgan import LatentDecoder
from lightning_modules.icgan.decoder.over_subjects import FittedSubject
from lightning_modules.icgan.decoder.settings import ALL_VOXELS
from lightning_modules.icgan.decoder.targets import DENSE, INSTANCE, KINDS, NOISE
from lightning_modules.icgan.regression.ridge import Ridge, fit_ridge, spectrum_of
from lightning_modules.icgan.regression.spectrum import Spectrum

LINEAR = ("ridge", "reduced_rank")
"""Methods with a weight for every voxel that does not depend on an area's own penalty."""


def why_not_linear(model: LatentDecoder) -> str | None:
    """Say why a model has no weights that can be compared over voxels; None where it has."""
    unusable = [
        f"{kind} is decoded by `{model.settings[kind].method}`"
        if kind in model.settings
        else f"{kind} by a network"
        for kind in KINDS
        if kind not in model.settings or model.settings[kind].method not in LINEAR
    ]
    if not unusable:
        return None
    return f"The brain analyses are left out: {', '.join(unusable)}, but they compare the weights of ridge regression."


@dataclass(frozen=True, eq=False)
class LinearDecoders:
    """Decoders of one subject that use all voxels, without what is done to predictions afterwards.

    Args:
        subject: Whose.
    """

    subject: FittedSubject

    @cached_property
    def ridges(self) -> dict[str, Ridge]:
        """By kind of target; fitted again, with the penalties in force, where the model uses an area's voxels only."""
        return {kind: self._ridge(kind) for kind in KINDS}

    @property
    def decoders(self) -> Decoders:
        """Of features, noise and dense vectors."""
        return Decoders(*(self.ridges[kind] for kind in (INSTANCE, NOISE, DENSE)))

    @property
    def refitted(self) -> tuple[str, ...]:
        """Kinds of targets that the model decodes from an area's voxels only."""
        return tuple(kind for kind in KINDS if self.subject.model.settings[kind].area != ALL_VOXELS)

    @cached_property
    def norms(self) -> WeightNorms:
        """Of the weights of features and of dense vectors."""
        return WeightNorms(*(self.ridges[kind].weight_l1() for kind in (INSTANCE, DENSE)))

    @cached_property
    def df_matched(self) -> WeightNorms:
        """Of ridge regressions that both leave as many degrees of freedom as the penalty of features does.

        Decoders of the same voxels have the same spectrum, so that the penalty is then the same too.
        """
        alpha = self.alpha_of_features
        ridges = (
            fit_ridge(self.voxels, self.targets(kind), alpha, spectrum=self.spectrum)
            for kind in (INSTANCE, DENSE)
        )
        return WeightNorms(*(ridge.weight_l1() for ridge in ridges))

    @cached_property
    def patterns(self) -> WeightNorms:
        """Of activation patterns in place of weights; see `activation_pattern`."""
        return WeightNorms(
            *(
                activation_pattern(self.voxels, self.ridges[kind].predict(self.voxels)).l1()
                for kind in (INSTANCE, DENSE)
            )
        )

    @cached_property
    def spectrum(self) -> Spectrum:
        """Of the training rows' voxels."""
        return spectrum_of(self.voxels)

    @property
    def alpha_of_features(self) -> float:
        """The penalty of features; where each has its own, the one with their mean degrees of freedom."""
        alpha = self.subject.model.fitted(INSTANCE).penalty.alpha
        if len(alpha) == 1:
            return float(alpha[0])
        kept = float(self.spectrum.degrees_of_freedom(alpha).mean())
        return self.spectrum.alpha_for(kept / self.spectrum.rank)

    @property
    def voxels(self) -> NDArray[np.float32]:
        """Training rows, (n, V)."""
        return self.subject.data.voxels

    def targets(self, kind: str) -> NDArray[np.float32]:
        """Targets of the training rows, (n, D)."""
        return self.subject.data.tables[kind][self.subject.data.stimulus]

    def _ridge(self, kind: str) -> Ridge:
        model = self.subject.model
        fitted, settings = model.fitted(kind), model.settings[kind]
        decoder = fitted.decoder
        if settings.area != ALL_VOXELS:
            decoder = fit_decoder(self.voxels, self.targets(kind), fitted.penalty.value, settings)
        assert isinstance(decoder, Ridge)
        return decoder
