"""A decoder in closed form as a LightningModule: fitted in one step, validated on categories that it did not see."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_modules.icgan.decoder.batch import DecodingBatch, DecodingRows, columns_of, rows_of
from lightning_modules.icgan.decoder.fitting import choose_penalty, decompose_folds, fit_decoder, hold_out
from lightning_modules.icgan.decoder.pictures import PictureData
from lightning_modules.icgan.decoder.scores import score_held_out_rows
from lightning_modules.icgan.decoder.settings import DecoderSettings
from lightning_modules.icgan.decoder.stored import TargetDecoder, from_tensors, to_tensors
from lightning_modules.icgan.regression.held_out import GroupedFolds
from lightning_modules.icgan.regression.spectrum import Real
from lightning_modules.icgan.regression.standardise import OutputScale
from lightning_modules.icgan.scoring.protocols import Images
from lightning_modules.parts.errors import DataError


class ClosedFormDecoder(pl.LightningModule):
    """Decodes one or several kinds of targets, each with settings of its own.

    One training step fits everything to all rows; no epoch after it changes anything. In validation every row is
    predicted by decoders that were fitted without its fold, at the penalties of the last training step.

    Args:
        settings: Of each kind of target, by the name of its table in `DecodingBatch`.
        n_voxels: V.
        pictures: Name of the table that holds the pictures themselves.
        origin: Whose the decoder is, in the tags of `lightning_modules/icgan/README.md`.

    Shapes:
        n rows, V voxels, D targets.
    """

    def __init__(
        self, settings: Mapping[str, DecoderSettings], *, n_voxels: int, pictures: str, origin: str
    ) -> None:
        super().__init__()
        self.pictures = pictures
        self.origin = origin
        self.settings = dict(settings)
        self.n_voxels = n_voxels
        self.automatic_optimization = False
        self._fitted: dict[str, TargetDecoder] = {}
        self._folds: dict[tuple[str, str], GroupedFolds] = {}

    def configure_optimizers(self) -> None:
        """Return nothing: no weights are learned by steps."""

    def forward(self, voxels: Tensor) -> dict[str, Tensor]:
        """Decode normalised voxels (m, V) into each kind of target, (m, D).

        Raises:
            DataError: If the decoder was not fitted yet, or to another number of voxels.
        """
        if voxels.ndim != 2 or voxels.shape[1] != self.n_voxels:
            raise DataError(
                f"The decoder was fitted to {self.n_voxels} voxels, but got an array of shape {tuple(voxels.shape)}.",
                "Give (rows, voxels) of the same subject, with the voxels in their order.",
            )
        rows = voxels.cpu().numpy()
        return {kind: torch.from_numpy(self.fitted(kind).predict(rows)) for kind in self.settings}

    def fitted(self, kind: str) -> TargetDecoder:
        """Return the decoder of one kind of target.

        Raises:
            DataError: If it was not fitted yet.
        """
        if kind not in self._fitted:
            raise DataError(f"The decoder of {kind} has not been fitted.", "Train it, or load a checkpoint.")
        return self._fitted[kind]

    def training_step(self, batch: DecodingBatch, batch_idx: int) -> None:
        """Choose penalties and fit, each kind of target by itself."""
        for kind, settings in self.settings.items():
            columns = columns_of(batch.areas, settings.area)
            rows = rows_of(batch, kind, columns)
            folds = self.decomposed(rows, settings)
            choice = choose_penalty(rows.voxels, rows.targets, folds, settings)
            alpha = np.array([settings.alpha]) if choice is None else _shortest(choice.alpha)
            decoder = fit_decoder(rows.voxels, rows.targets, _penalty(alpha), settings)
            scale = None
            if settings.rescale:
                scale = OutputScale.of(hold_out(rows, folds, _penalty(alpha), settings), rows.targets)
            self._fitted[kind] = TargetDecoder(columns, alpha, decoder, scale)
            # A geometric mean, since penalties are chosen on a logarithmic scale.
            self.log(f"train/{kind}_alpha", float(np.exp(np.log(alpha).mean())), batch_size=1)

    def validation_step(self, batch: DecodingBatch, batch_idx: int) -> None:
        """Score rows that were held out, and log it."""
        held_out = {kind: self.hold_out(batch, kind) for kind in self.settings}
        for kind, predicted in held_out.items():
            rows = rows_of(batch, kind, self.fitted(kind).columns)
            scores = score_held_out_rows(predicted, rows, batch.tables[kind].cpu().numpy())
            self.log_dict(scores.as_metrics(kind), batch_size=1)
        self.log_dict(self.score(held_out, batch), batch_size=1)

    def hold_out(self, batch: DecodingBatch, kind: str) -> Real:
        """Predict every row by a decoder that was fitted without its fold, (n, D), at the penalty in force.

        Raises:
            DataError: If the decoder was not fitted yet.
        """
        fitted, settings = self.fitted(kind), self.settings[kind]
        rows = rows_of(batch, kind, fitted.columns)
        predicted = hold_out(rows, self.decomposed(rows, settings), _penalty(fitted.alpha), settings)
        return predicted if fitted.scale is None else fitted.scale(predicted)

    @abstractmethod
    def make_pictures(self, decoded: Mapping[str, Real], data: PictureData) -> Images:
        """Make the pictures of decoded targets (m, D) of each kind, in [0, 1], (m, H, W, C).

        Args:
            decoded: By kind.
            data: What the decoder was trained on.
        """

    @abstractmethod
    def score(self, held_out: Mapping[str, Real], batch: DecodingBatch) -> dict[str, float]:
        """Return further metrics of held-out predictions (n, D) of each kind, the objective among them."""

    def on_validation_epoch_end(self) -> None:
        """Forget the decompositions: the next rows may be others."""
        self._folds.clear()

    def decomposed(self, rows: DecodingRows, settings: DecoderSettings) -> GroupedFolds:
        """Decompose the folds of one area and kernel once an epoch: kinds of targets and validation share it."""
        key = (settings.area, settings.method)
        if key not in self._folds:
            self._folds[key] = decompose_folds(rows.voxels, rows.fold, settings)
        return self._folds[key]

    def get_extra_state(self) -> dict[str, dict[str, Tensor]]:
        """Return the fitted decoders; their sizes depend on areas and penalties, so that buffers do not fit."""
        return {kind: to_tensors(fitted) for kind, fitted in self._fitted.items()}

    def set_extra_state(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take up fitted decoders."""
        self._fitted = {kind: from_tensors(tensors, self.settings[kind]) for kind, tensors in state.items()}


def _penalty(alpha: np.ndarray) -> Any:
    return float(alpha[0]) if len(alpha) == 1 else alpha


def _shortest(alpha: np.ndarray) -> np.ndarray:
    """One number where all targets share a penalty, so that nothing is done target by target."""
    return alpha[:1] if (alpha == alpha[0]).all() else alpha
