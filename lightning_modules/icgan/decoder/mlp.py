"""Features decoded by a multilayer perceptron; noise and dense vector by ridge regression, as in the paper."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lightning_modules.icgan.decoder.batch import DecodingBatch, columns_of
from lightning_modules.icgan.decoder.finishing import Finishing
from lightning_modules.icgan.decoder.fitting import fit_decoder
from lightning_modules.icgan.decoder.icgan import LatentDecoder
from lightning_modules.icgan.decoder.mlp_lesson import HELD_OUT_FOLD, Lesson, is_held_out
from lightning_modules.icgan.decoder.mlp_network import VoxelMlp, direction_loss
from lightning_modules.icgan.decoder.mlp_settings import LossName, MlpSettings
from lightning_modules.icgan.decoder.settings import ALL_VOXELS, DecoderSettings
from lightning_modules.icgan.decoder.stored import finishing_from_tensors, finishing_to_tensors
from lightning_modules.icgan.decoder.targets import DENSE, INSTANCE, KINDS, NOISE, PICTURE
from lightning_modules.icgan.regression.spectrum import Real, mean_of
from lightning_modules.parts.errors import DataError

ORIGIN = (
    "IC-GAN decoding: features by a multilayer perceptron, which is not the paper's; noise and dense vector by ridge "
    "regression [code]"
)

PASSES = 5
"""Passes over the training rows in an epoch: after each epoch pictures are made, which takes longer than one pass."""


class MlpDecoder(LatentDecoder):
    """Decodes instance features h by a multilayer perceptron; noise z and dense vector d by ridge regression.

    The network is trained without the categories of the first fold, and so it stays: it is validated on the rows of
    that fold alone, and its scores are of fewer rows than those of decoders in closed form, which hold out each fold
    in turn. Ridge regressions are fitted to all rows for decoding, and for validation without that fold.

    Args:
        n_voxels: V.
        n_features: D, of h.
        hidden_width: Units of a hidden layer.
        n_hidden: Hidden layers, 1 or 2.
        dropout: Share of hidden units that is left out in training.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        batch_size: Rows in a step.
        loss: `info_nce`, to tell the stimulus from all others of training, or `cosine`, to point at it.
        temperature: Of `info_nce`.
        mse_weight: Weight of the squared error, relative to the variance of features, which decides the length of
            what is decoded.
        residual_noise: How much of another row's residual is added to each training row: 0 is none of it, 1 all.
        noise_alpha: Penalty of z.
        dense_alpha: Penalty of d.
        instance_rescale: Whether decoded h gets back the spread of training features, measured on held-out rows.
        noise_rescale: The same of z.
        dense_rescale: The same of d.
        instance_match_length: Whether each decoded h is stretched to the mean length of training features.
        noise_shrink_factor: How far decoded z goes from its mean, relative to how far it would.
        dense_shrink_factor: The same of d.
        instance_area: Voxels that h is decoded from.
        spatial_area: Voxels that z and d are decoded from.

    Shapes:
        n rows, V voxels, D features.

    Raises:
        ValueError: If a setting is out of range; all problems at once.

    Source:
        icgan.md section 9: widths, dropout, losses, and training residuals added as noise. Not the paper's.
    """

    def __init__(
        self,
        *,
        n_voxels: int,
        n_features: int,
        hidden_width: int = 512,
        n_hidden: int = 1,
        dropout: float = 0.5,
        learning_rate: float = 1e-4,
        weight_decay: float = 1e-2,
        batch_size: int = 128,
        loss: LossName = "info_nce",
        temperature: float = 0.1,
        mse_weight: float = 0.1,
        residual_noise: float = 0.5,
        noise_alpha: float = 1.0,
        dense_alpha: float = 100.0,
        instance_rescale: bool = False,
        noise_rescale: bool = False,
        dense_rescale: bool = False,
        instance_match_length: bool = False,
        noise_shrink_factor: float = 1.0,
        dense_shrink_factor: float = 1.0,
        instance_area: str = ALL_VOXELS,
        spatial_area: str = ALL_VOXELS,
    ) -> None:
        of_network = MlpSettings(
            hidden_width=hidden_width,
            n_hidden=n_hidden,
            dropout=dropout,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            batch_size=batch_size,
            loss=loss,
            temperature=temperature,
            mse_weight=mse_weight,
            residual_noise=residual_noise,
            rescale=instance_rescale,
            match_length=instance_match_length,
            area=instance_area,
        )
        spatial = {
            kind: DecoderSettings(alpha=alpha, rescale=rescale, shrink_factor=factor, area=spatial_area)
            for kind, alpha, rescale, factor in (
                (NOISE, noise_alpha, noise_rescale, noise_shrink_factor),
                (DENSE, dense_alpha, dense_rescale, dense_shrink_factor),
            )
        }
        super().__init__(spatial, n_voxels=n_voxels, pictures=PICTURE, origin=ORIGIN)
        self.save_hyperparameters()
        self.of_network = of_network
        self.network = VoxelMlp(
            n_voxels=n_voxels,
            n_features=n_features,
            hidden_width=hidden_width,
            n_hidden=n_hidden,
            dropout=dropout,
        )
        self._finishing: Finishing | None = None
        self._lesson: Lesson | None = None
        self._spatial: dict[str, Real] = {}

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of targets that are decoded."""
        return KINDS

    def configure_optimizers(self) -> torch.optim.Optimizer:  # type: ignore[override]
        """AdamW on the network."""
        of = self.of_network
        return torch.optim.AdamW(self.network.parameters(), lr=of.learning_rate, weight_decay=of.weight_decay)

    def setup(self, stage: str) -> None:
        """Forget what was worked out of rows: those that come may be others."""
        self._lesson = None
        self._spatial.clear()

    def training_step(self, batch: DecodingBatch, batch_idx: int) -> None:
        """Fit the ridge regressions in the first epoch, and take some passes over the rows of the other folds."""
        for kind in self.settings:
            if self.current_epoch == 0 or kind not in self._fitted:
                self.fit_kind(batch, kind)
        if self._lesson is None:
            self._lesson = self._prepare(batch)
        losses = [self._pass(self._lesson) for _ in range(PASSES)]
        self.log("train/instance_loss", float(np.mean(losses)), batch_size=1)
        of, held_out = self.of_network, batch.voxels[is_held_out(batch)]
        self._finishing = Finishing.of(
            self._lesson.features[self._lesson.own].cpu().numpy(),
            held_out=self._predict(held_out) if of.rescale else None,
            match_length=of.match_length,
        )

    def predict(self, kind: str, voxels: NDArray[np.float32]) -> Real:
        """Decode normalised voxels (m, V) into one kind of target, (m, D).

        Raises:
            DataError: If the decoder was not trained yet.
        """
        if kind != INSTANCE:
            return super().predict(kind, voxels)
        if self._finishing is None:
            raise DataError(
                f"The decoder of {INSTANCE} has not been trained.", "Train it, or load a checkpoint."
            )
        return self._finishing(self._predict(torch.from_numpy(voxels)))

    def held_out_rows(self, batch: DecodingBatch) -> NDArray[np.int64]:
        """Return the rows of the fold that is held out, (m,)."""
        return np.flatnonzero(is_held_out(batch).cpu().numpy())

    def hold_out(self, batch: DecodingBatch, kind: str) -> Real:
        """Predict the rows of the held-out fold by decoders that were fitted without it, (m, D)."""
        rows = self.held_out_rows(batch)
        if kind == INSTANCE:
            return self.predict(INSTANCE, batch.voxels.cpu().numpy()[rows])
        # No epoch changes the ridge regressions.
        if kind not in self._spatial:
            self._spatial[kind] = self._hold_out_spatial(batch, kind, rows)
        return self._spatial[kind]

    def get_extra_state(self) -> dict[str, dict[str, Tensor]]:
        """Return the ridge regressions, and what is done to decoded features."""
        state = super().get_extra_state()
        return (
            state if self._finishing is None else {**state, INSTANCE: finishing_to_tensors(self._finishing)}
        )

    def set_extra_state(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take up what `get_extra_state` returned."""
        super().set_extra_state({kind: tensors for kind, tensors in state.items() if kind != INSTANCE})
        self._finishing = finishing_from_tensors(state[INSTANCE]) if INSTANCE in state else None

    def _hold_out_spatial(self, batch: DecodingBatch, kind: str, held: NDArray[np.int64]) -> Real:
        fitted = self.fitted(kind)
        rows = fitted.rows(batch, kind)
        others = np.flatnonzero(rows.fold != HELD_OUT_FOLD)
        decoder = fit_decoder(
            rows.voxels[others], rows.targets[others], fitted.penalty.value, self.settings[kind]
        )
        return fitted.finishing(decoder.predict(rows.voxels[held]), mean_of(rows.targets[others]))

    def _prepare(self, batch: DecodingBatch) -> Lesson:
        """Take the rows to learn from, and let the network know which voxels it has and where features lie."""
        lesson = Lesson.of(batch, INSTANCE)
        used = torch.zeros_like(self.network.used)
        used[columns_of(batch.areas, self.of_network.area)] = 1
        self.network.look_at(used, lesson.features[lesson.own])
        return lesson

    def _pass(self, lesson: Lesson) -> float:
        """Learn from every row once, and return the mean loss."""
        optimizer = self.optimizers()
        total, n_rows = 0.0, len(lesson.own)
        for drawn in torch.randperm(n_rows).split(self.of_network.batch_size):
            rows = drawn.to(lesson.own.device)
            others = torch.randint(n_rows, rows.shape).to(rows.device)
            noisy = lesson.voxels[rows] + self.of_network.residual_noise * lesson.residuals[others]
            loss = self._loss(self.network(noisy), lesson.features, lesson.own[rows])
            optimizer.zero_grad()  # type: ignore[union-attr]
            self.manual_backward(loss)
            optimizer.step()  # type: ignore[union-attr]
            total += len(rows) * loss.item()
        return total / n_rows

    def _loss(self, predicted: Tensor, features: Tensor, own: Tensor) -> Tensor:
        """Return the loss of predictions (m, D) of stimuli `own` (m,) of all (C, D)."""
        of, mean = self.of_network, self.network.mean
        direction = direction_loss(
            predicted - mean, features - mean, own, kind=of.loss, temperature=of.temperature
        )
        error = functional.mse_loss(predicted, features[own]) / self.network.spread**2
        return direction + of.mse_weight * error

    def _predict(self, voxels: Tensor) -> NDArray[np.float32]:
        """Predict features (m, D) without dropout."""
        training = self.network.training
        self.network.eval()
        with torch.no_grad():
            predicted = self.network(voxels.to(self.network.mean.device)).cpu().numpy()
        self.network.train(training)
        return predicted
