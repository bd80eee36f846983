"""Fitted decoders as plain tensors and back, so that a checkpoint loads without arbitrary objects."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import KernelCenterer
from torch import Tensor

from lightning_modules.icgan.decoder.fitting import KERNELS, FittedDecoder
from lightning_modules.icgan.decoder.settings import DecoderSettings
from lightning_modules.icgan.regression.kernel import KernelRidge
from lightning_modules.icgan.regression.ridge import Ridge
from lightning_modules.icgan.regression.spectrum import Real
from lightning_modules.icgan.regression.standardise import OutputScale
from lightning_modules.icgan.regression.voxel_selection import SelectedRidge

RIDGE = ("dual", "voxels", "voxel_mean", "target_mean")
SELECTED = ("selected", "coefficients", "voxel_mean", "target_mean")
KERNEL = ("dual", "voxels", "target_mean")
SCALE = ("predicted_mean", "predicted_std", "training_mean", "training_std")


@dataclass(frozen=True, eq=False)
class TargetDecoder:
    """What decodes one kind of target from all of a subject's voxels.

    Args:
        columns: Voxels that it uses, (V',) of V.
        alpha: Penalty, one for all targets (1,) or one for each (D,).
        decoder: From these voxels to targets.
        scale: Gives predictions their spread back; None leaves them as they are.
    """

    columns: NDArray[np.int64]
    alpha: NDArray[np.float64]
    decoder: FittedDecoder
    scale: OutputScale | None

    def predict(self, voxels: NDArray[Any]) -> Real:
        """Decode rows (m, V) into targets (m, D)."""
        predictions = self.decoder.predict(voxels[:, self.columns])
        return predictions if self.scale is None else self.scale(predictions)


def to_tensors(fitted: TargetDecoder) -> dict[str, Tensor]:
    """Return everything that `from_tensors` needs."""
    arrays: dict[str, NDArray[Any]] = {"columns": fitted.columns, "alpha": fitted.alpha}
    arrays |= {name: getattr(fitted.decoder, name) for name in _names(type(fitted.decoder))}
    if fitted.scale is not None:
        arrays |= {f"scale.{name}": getattr(fitted.scale, name) for name in SCALE}
    return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in arrays.items()}


def from_tensors(tensors: Mapping[str, Tensor], settings: DecoderSettings) -> TargetDecoder:
    """Build a fitted decoder again from its tensors and the settings that it was fitted with."""
    arrays = {name: values.cpu().numpy() for name, values in tensors.items()}
    scale = None
    if f"scale.{SCALE[0]}" in arrays:
        scale = OutputScale(**{name: arrays[f"scale.{name}"] for name in SCALE})
    decoder: FittedDecoder
    if settings.method in KERNELS:
        kernel = KERNELS[settings.method]
        centrer = KernelCenterer().fit(kernel(arrays["voxels"], arrays["voxels"]))
        decoder = KernelRidge(kernel, arrays["dual"], arrays["voxels"], centrer, arrays["target_mean"])
    elif settings.method == "selected":
        decoder = SelectedRidge(**{name: arrays[name] for name in SELECTED})
    else:
        decoder = Ridge(**{name: arrays[name] for name in RIDGE})
    return TargetDecoder(arrays["columns"], arrays["alpha"], decoder, scale)


def _names(kind: type[FittedDecoder]) -> tuple[str, ...]:
    return {Ridge: RIDGE, SelectedRidge: SELECTED, KernelRidge: KERNEL}[kind]
