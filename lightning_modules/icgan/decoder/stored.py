"""Fitted decoders as plain tensors and back, so that a checkpoint loads without arbitrary objects."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import KernelCenterer
from torch import Tensor

from lightning_modules.icgan.decoder.batch import DecodingBatch, DecodingRows, rows_of
from lightning_modules.icgan.decoder.finishing import Finishing
from lightning_modules.icgan.decoder.fitting import KERNELS, FittedDecoder, Penalty
from lightning_modules.icgan.decoder.settings import DecoderSettings
from lightning_modules.icgan.regression.kernel import KernelRidge
from lightning_modules.icgan.regression.ridge import Ridge
from lightning_modules.icgan.regression.spectrum import Real
from lightning_modules.icgan.regression.standardise import OutputScale
from lightning_modules.icgan.regression.voxel_selection import SelectedRidge

RIDGE = ("dual", "voxels", "voxel_mean", "target_mean")
SELECTED = ("selected", "coefficients", "voxel_mean", "target_mean")
KERNEL = ("dual", "voxels", "target_mean")
FINISHING = "finishing."
SCALE = ("predicted_mean", "predicted_std", "training_mean", "training_std")


@dataclass(frozen=True, eq=False)
class TargetDecoder:
    """What decodes one kind of target from all of a subject's voxels.

    Args:
        columns: Voxels that it uses, (V',) of V.
        penalty: That it was fitted with.
        decoder: From these voxels to targets.
        finishing: Of what it predicts.
    """

    columns: NDArray[np.int64]
    penalty: Penalty
    decoder: FittedDecoder
    finishing: Finishing

    def predict(self, voxels: NDArray[Any]) -> Real:
        """Decode rows of voxels (m, V) into targets (m, D)."""
        return self.finishing(self.decoder.predict(self.penalty.enlarge(voxels[:, self.columns])))

    def rows(self, batch: DecodingBatch, kind: str) -> DecodingRows:
        """Return the rows of a batch with voxels as they are regressed on."""
        rows = rows_of(batch, kind, self.columns)
        return rows._replace(voxels=self.penalty.enlarge(rows.voxels))


def to_tensors(fitted: TargetDecoder) -> dict[str, Tensor]:
    """Return everything that `from_tensors` needs."""
    arrays: dict[str, NDArray[Any]] = {"columns": fitted.columns, "alpha": fitted.penalty.alpha}
    if fitted.penalty.gain is not None:
        arrays["gain"] = fitted.penalty.gain
    arrays |= {name: getattr(fitted.decoder, name) for name in _names(type(fitted.decoder))}
    return _as_tensors(arrays) | finishing_to_tensors(fitted.finishing)


def from_tensors(tensors: Mapping[str, Tensor], settings: DecoderSettings) -> TargetDecoder:
    """Build a fitted decoder again from its tensors and the settings that it was fitted with."""
    arrays = _as_arrays(tensors)
    decoder: FittedDecoder
    if settings.method in KERNELS:
        kernel = KERNELS[settings.method]
        centrer = KernelCenterer().fit(kernel(arrays["voxels"], arrays["voxels"]))
        decoder = KernelRidge(kernel, arrays["dual"], arrays["voxels"], centrer, arrays["target_mean"])
    elif settings.method == "selected":
        decoder = SelectedRidge(**{name: arrays[name] for name in SELECTED})
    else:
        decoder = Ridge(**{name: arrays[name] for name in RIDGE})
    penalty = Penalty(arrays["alpha"], arrays.get("gain"))
    return TargetDecoder(arrays["columns"], penalty, decoder, finishing_from_tensors(tensors))


def finishing_to_tensors(finishing: Finishing) -> dict[str, Tensor]:
    """Return what `finishing_from_tensors` needs."""
    arrays: dict[str, NDArray[Any]] = {
        f"{FINISHING}mean": finishing.mean,
        f"{FINISHING}shrink_factor": np.array(finishing.shrink_factor),
    }
    if finishing.length is not None:
        arrays[f"{FINISHING}length"] = np.array(finishing.length)
    if finishing.scale is not None:
        arrays |= {f"{FINISHING}{name}": getattr(finishing.scale, name) for name in SCALE}
    return _as_tensors(arrays)


def finishing_from_tensors(tensors: Mapping[str, Tensor]) -> Finishing:
    """Build what is done to predictions again."""
    arrays = {
        name.removeprefix(FINISHING): values
        for name, values in _as_arrays(tensors).items()
        if name.startswith(FINISHING)
    }
    scale = OutputScale(**{name: arrays[name] for name in SCALE}) if SCALE[0] in arrays else None
    length = arrays["length"].item() if "length" in arrays else None
    return Finishing(scale, arrays["shrink_factor"].item(), arrays["mean"], length)


def _as_tensors(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in arrays.items()}


def _as_arrays(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    return {name: values.cpu().numpy() for name, values in tensors.items()}


def _names(kind: type[FittedDecoder]) -> tuple[str, ...]:
    return {Ridge: RIDGE, SelectedRidge: SELECTED, KernelRidge: KERNEL}[kind]
