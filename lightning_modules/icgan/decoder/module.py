"""A decoder in closed form as a LightningModule: fitted in one step, validated on categories that it did not see."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import partial

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.icgan.decoder.batch import DecodingBatch, DecodingRows, columns_of, rows_of
from lightning_modules.icgan.decoder.finishing import Finishing
from lightning_modules.icgan.decoder.fitting import choose_penalty, decompose_folds, fit_decoder, hold_out
from lightning_modules.icgan.decoder.pictures import PictureData
from lightning_modules.icgan.decoder.scores import score_held_out_rows
from lightning_modules.icgan.decoder.settings import DecoderSettings
from lightning_modules.icgan.decoder.stored import TargetDecoder, from_tensors, to_tensors
from lightning_modules.icgan.regression.held_out import GroupedFolds
from lightning_modules.icgan.regression.spectrum import Real
from lightning_modules.icgan.scoring.protocols import Images
from lightning_modules.parts.errors import DataError

NO_VOXELS = np.empty(0, dtype=np.int64)
"""Columns of rows whose targets alone are looked at."""


class ClosedFormDecoder(pl.LightningModule):
    """Decodes one or several kinds of targets, each with settings of its own.

    One training step fits everything to all rows; no epoch after it changes anything. In validation every row is
    predicted by decoders that were fitted without its fold, at the penalties of the last training step, those of
    areas among them.

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
        self._folds: dict[tuple[str, str, str | None], GroupedFolds] = {}
        self._held_out: dict[str, Real] = {}

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of targets that are decoded."""
        return tuple(self.settings)

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
        return {kind: torch.from_numpy(self.predict(kind, rows)) for kind in self.kinds}

    def predict(self, kind: str, voxels: NDArray[np.float32]) -> Real:
        """Decode normalised voxels (m, V) into one kind of target, (m, D)."""
        return self.fitted(kind).predict(voxels)

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
        for kind in self.settings:
            self.fit_kind(batch, kind)
            self._log_penalty(kind)

    def fit_kind(self, batch: DecodingBatch, kind: str) -> None:
        """Choose the penalty of one kind of target and fit its decoder to all rows."""
        settings = self.settings[kind]
        columns = columns_of(batch.areas, settings.area)
        rows = rows_of(batch, kind, columns)
        areas = {name: mask.cpu().numpy()[columns] for name, mask in batch.areas.items()}
        penalty = choose_penalty(rows, areas, partial(self.decomposed, kind, rows), settings)
        rows = rows._replace(voxels=penalty.enlarge(rows.voxels))
        decoder = fit_decoder(rows.voxels, rows.targets, penalty.value, settings)
        if settings.rescale:
            self._held_out[kind] = hold_out(
                rows, partial(self.decomposed, kind, rows), penalty.value, settings
            )
        finishing = Finishing.of(
            rows.targets,
            held_out=self._held_out.get(kind),
            shrink_factor=settings.shrink_factor,
            match_length=settings.match_length,
        )
        self._fitted[kind] = TargetDecoder(columns, penalty, decoder, finishing)

    def _log_penalty(self, kind: str) -> None:
        penalty = self.fitted(kind).penalty
        # A geometric mean, since penalties are chosen on a logarithmic scale.
        self.log(f"train/{kind}_alpha", float(np.exp(np.log(penalty.alpha).mean())), batch_size=1)
        weights = {f"train/{kind}_weight_{area}": weight for area, weight in penalty.weights.items()}
        self.log_dict(weights, batch_size=1)

    def validation_step(self, batch: DecodingBatch, batch_idx: int) -> None:
        """Score rows that were held out, and log it."""
        held_out = {kind: self.hold_out(batch, kind) for kind in self.kinds}
        scored = self.held_out_rows(batch)
        for kind, predicted in held_out.items():
            rows = rows_of(batch, kind, NO_VOXELS)
            scores = score_held_out_rows(predicted, rows, batch.tables[kind].cpu().numpy(), scored)
            self.log_dict(scores.as_metrics(kind), batch_size=1)
        self.log_dict(self.score(held_out, batch), batch_size=1)

    def held_out_rows(self, batch: DecodingBatch) -> NDArray[np.int64]:
        """Return the rows that `hold_out` predicts, (m,): all of them."""
        return np.arange(len(batch.stimulus))

    def hold_out(self, batch: DecodingBatch, kind: str) -> Real:
        """Predict every row by a decoder that was fitted without its fold, (n, D), at the penalty in force.

        Raises:
            DataError: If the decoder was not fitted yet.
        """
        fitted, settings = self.fitted(kind), self.settings[kind]
        rows = fitted.rows(batch, kind)
        predicted = self._held_out.pop(kind, None)
        if predicted is None:
            folds = partial(self.decomposed, kind, rows)
            predicted = hold_out(rows, folds, fitted.penalty.value, settings)
        return fitted.finishing.held_out(predicted, rows)

    @abstractmethod
    def make_pictures(self, decoded: Mapping[str, Real], data: PictureData) -> Images:
        """Make the pictures of decoded targets (m, D) of each kind, in [0, 1], (m, H, W, C).

        Args:
            decoded: By kind.
            data: What the decoder was trained on.
        """

    @abstractmethod
    def score(self, held_out: Mapping[str, Real], batch: DecodingBatch) -> dict[str, float]:
        """Return further metrics of held-out predictions (m, D) of each kind, the objective among them."""

    def on_validation_epoch_end(self) -> None:
        """Forget what was worked out of these rows: the next ones may be others."""
        self._folds.clear()
        self._held_out.clear()

    def decomposed(self, kind: str, rows: DecodingRows) -> GroupedFolds:
        """Decompose the folds of one area and kernel once an epoch: kinds of targets and validation share it.

        Args:
            kind: Of target.
            rows: With voxels as they are regressed on.
        """
        settings = self.settings[kind]
        # Each kind of target has penalties of areas of its own, and so voxels that are enlarged by other factors.
        own = kind if settings.method == "banded" else None
        key = (settings.area, settings.method, own)
        if key not in self._folds:
            self._folds[key] = decompose_folds(rows.voxels, rows.fold, settings)
        return self._folds[key]

    def get_extra_state(self) -> dict[str, dict[str, Tensor]]:
        """Return the fitted decoders; their sizes depend on areas and penalties, so that buffers do not fit."""
        return {kind: to_tensors(fitted) for kind, fitted in self._fitted.items()}

    def set_extra_state(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take up fitted decoders."""
        self._fitted = {kind: from_tensors(tensors, self.settings[kind]) for kind, tensors in state.items()}
