"""IC-GAN as a LightningModule: generator against discriminator, and the running average that is used."""

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Adam

from lightning_modules.icgan.generator.adversarial_settings import check_arguments
from lightning_modules.icgan.generator.averaging import move_average
from lightning_modules.icgan.generator.checkpoint import load_generator
from lightning_modules.icgan.generator.discriminator import Discriminator
from lightning_modules.icgan.generator.image_loss import Extractor, as_unit_range
from lightning_modules.icgan.generator.neighbour_data import InstanceBatch, NeighbourDataModule, PairBatch
from lightning_modules.icgan.generator.network import Generator
from lightning_modules.icgan.generator.objective import discriminator_loss, generator_loss, translate
from lightning_modules.icgan.generator.presets import find_preset
from lightning_modules.icgan.generator.safe_load import fit_problems
from lightning_modules.icgan.generator.sample_scores import score_samples
from lightning_modules.parts.errors import DataError

ADAM_BETAS = (0.0, 0.999)
ADAM_EPS = 1e-6

SEEDS_APART = 1_000_003
"""Batches after which the draws of one `seed` would be those of the next."""


class AdversarialIcgan(pl.LightningModule):
    """Generator whose pictures of an instance cannot be told from the pictures of the instance's neighbours.

    Each batch, the discriminator takes a step on real neighbours and made pictures, both with the features of
    their instance, and the generator one against it. What is validated and kept is a running average of the
    generator.

    Shapes:
        B pictures, H dimensions of features h, Z of noise z.

    Args:
        h_dim: H, which the data decides.
        preset: Name of the sizes of both networks; see `PRESETS`.
        warm_start: Generator of this preset and these features to start from, as `load_generator` takes it; None
            starts from the data module's `first_weights`, and where it has none from random ones.
        generator_rate: Of Adam for the generator.
        discriminator_rate: Of Adam for the discriminator.
        head_start: Batches of which the discriminator learns alone. Before it can tell anything, its gradients spoil a
            warm-started generator.
        ema_decay: Share of the running average that stays at each step.
        ema_start: Batches during which the average is a copy.
        translation: Largest random shift of pictures before they are judged, as a share of their side.
        samples_per_instance: Pictures that validation makes of each instance.
        noise_sd: Standard deviation of the noise. A warm-started generator has met noise of about 0.3 only.
        seed: Of noise and shifts, with the step: a resumed trial draws what it would have drawn. Validation draws
            the same noise whatever the seed, so that trials are compared on the same.

    Raises:
        ValueError: If arguments are out of range; all problems at once.

    Source:
        Casanova et al. 2021, "Instance-conditioned GAN", arXiv:2109.05070; icgan.md section 8.4. No
        gradient penalty and one discriminator step per generator step, as in the published configurations; rates and
        shifts are that section's for one CPU.
    """

    def __init__(
        self,
        *,
        h_dim: int,
        preset: str = "s32",
        warm_start: str | None = None,
        generator_rate: float = 1e-4,
        discriminator_rate: float = 2e-4,
        head_start: int = 0,
        ema_decay: float = 0.999,
        ema_start: int = 0,
        translation: float = 0.125,
        samples_per_instance: int = 6,
        noise_sd: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        check_arguments(self.hparams)
        self.automatic_optimization = False
        self.preset = dataclasses.replace(find_preset(preset), h_dim=h_dim)
        self.warm_start = warm_start
        self.generator_rate = generator_rate
        self.discriminator_rate = discriminator_rate
        self.head_start = head_start
        self.ema_decay = ema_decay
        self.ema_start = ema_start
        self.translation = translation
        self.samples_per_instance = samples_per_instance
        self.noise_sd = noise_sd
        self.seed = seed
        self.generator = Generator(self.preset)
        self.discriminator = Discriminator(self.preset)
        self.average = copy.deepcopy(self.generator).requires_grad_(False).eval()
        self._trained: list[dict[str, Tensor]] = []
        self._made: list[Tensor] = []
        self._instances: list[InstanceBatch] = []

    def train(self, mode: bool = True) -> "AdversarialIcgan":
        """Set the mode of generator and discriminator; the average always uses its running statistics."""
        super().train(mode)
        self.average.eval()
        return self

    def forward(self, z: Tensor, h: Tensor) -> Tensor:
        """Return pictures of the averaged generator, RGB in [-1, 1], of noise (B, Z) and features (B, H)."""
        return self.average(z, h)

    def setup(self, stage: str) -> None:
        """Start from the given generator; the weights of a resumed trial replace it.

        Raises:
            DataError: If it cannot be loaded or is of another preset.
        """
        if stage != "fit":
            return
        state = self._first_weights()
        if state is not None:
            for network in (self.generator, self.average):
                network.load_state_dict(state)

    def _first_weights(self) -> Mapping[str, Tensor] | None:
        if self.warm_start is not None:
            return load_generator(Path(self.warm_start).expanduser(), preset=self.preset).state_dict()
        data: Any = getattr(self.trainer, "datamodule", None)
        found = data.first_weights if isinstance(data, NeighbourDataModule) else None
        problems = [] if found is None else fit_problems(self.generator.state_dict(), found, set())
        if problems:
            raise DataError(
                f"The data's warm start is no generator of the preset {self.preset}: {' '.join(problems)}",
                "Give the preset with `--data.sizes`, not with `--model.preset`; or `--data.warm_steps 0`.",
            )
        return found

    def on_fit_start(self) -> None:
        """Refuse several workers.

        Raises:
            DataError: If there are.
        """
        if self.trainer.world_size > 1:
            raise DataError(
                f"IC-GAN trains on one worker, but there are {self.trainer.world_size}: each would normalise by "
                "the statistics of its own part of a batch.",
                "Give a trial one worker.",
            )

    def training_step(self, batch: PairBatch, batch_idx: int) -> None:
        """Take a step of the discriminator, then one of the generator against it."""
        of_generator, of_discriminator = self.optimizers()  # type: ignore[misc]
        done = self._batches_before(batch_idx)
        draws = torch.Generator().manual_seed(SEEDS_APART * self.seed + done)
        real, fake = self._judge_both(batch, draws)
        told_apart = discriminator_loss(real, fake)
        self._descend(of_discriminator, told_apart)
        fooled = generator_loss(fake)
        if done >= self.head_start:
            fooled = generator_loss(self._judge_made(batch, draws))
            self._descend(of_generator, fooled)
        logged = {
            "train/discriminator_loss": told_apart,
            "train/generator_loss": fooled,
            "train/real_score": real.mean(),
            "train/fake_score": fake.mean(),
        }
        self._trained.append({name: value.detach() for name, value in logged.items()})

    def _batches_before(self, batch_idx: int) -> int:
        """Batches trained on before one; Lightning's steps count each optimizer's, and few in the head start."""
        return self.current_epoch * int(self.trainer.num_training_batches) + batch_idx

    def _judge_both(self, batch: PairBatch, draws: torch.Generator) -> tuple[Tensor, Tensor]:
        """Scores of real and of made pictures, (B,) each; no gradient reaches the generator."""
        with torch.no_grad():
            made = self.generator(self._noise(len(batch.made_h), draws), batch.made_h)
        shown = translate(torch.cat([batch.images, made]), self.translation, draws)
        scores = self.discriminator(shown, torch.cat([batch.h, batch.made_h]))
        real, fake = scores.split([len(batch.images), len(made)])
        return real, fake

    def _judge_made(self, batch: PairBatch, draws: torch.Generator) -> Tensor:
        """Scores of newly made pictures, (B,)."""
        made = self.generator(self._noise(len(batch.made_h), draws), batch.made_h)
        return self.discriminator(translate(made, self.translation, draws), batch.made_h)

    def _noise(self, count: int, draws: torch.Generator) -> Tensor:
        return self.noise_sd * torch.randn(count, self.preset.dim_z, generator=draws).to(self.device)

    def _descend(self, optimizer: Any, loss: Tensor) -> None:
        """Take a step of one of the two optimizers; the parameters of the other get no gradient."""
        parameters = [one for group in optimizer.param_groups for one in group["params"]]
        optimizer.zero_grad()
        self.manual_backward(loss, inputs=parameters)
        optimizer.step()

    def on_train_batch_end(self, outputs: Any, batch: PairBatch, batch_idx: int) -> None:
        """Move the average on."""
        decay = self.ema_decay if self._batches_before(batch_idx) >= self.ema_start else 0.0
        move_average(self.average, self.generator, decay)

    def on_train_epoch_start(self) -> None:
        """Forget the epoch before."""
        self._trained.clear()

    def on_train_epoch_end(self) -> None:
        """Log means over the epoch's batches."""
        for name in self._trained[0]:
            self.log(name, torch.stack([one[name] for one in self._trained]).mean())

    def on_validation_epoch_start(self) -> None:
        """Forget the epoch before."""
        self._made.clear()
        self._instances.clear()

    def validation_step(self, batch: InstanceBatch, batch_idx: int) -> None:
        """Make pictures of instances, the same noise each time, and keep their features."""
        draws = torch.Generator().manual_seed(batch_idx)
        n_instances, n_samples = len(batch.h), self.samples_per_instance
        made = self(self._noise(n_instances * n_samples, draws), batch.h.repeat_interleave(n_samples, dim=0))
        features = self._extractor()(as_unit_range(made)).h
        self._made.append(features.unflatten(0, (n_instances, n_samples)))
        self._instances.append(batch)

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the whole validation set."""
        h, neighbours = (torch.cat(parts) for parts in zip(*self._instances, strict=True))
        scores = score_samples(torch.cat(self._made), h, neighbours)
        self.log("val/small_fid", scores.fid)
        self.log("val/neighbour_recall", scores.neighbour_recall)
        self.log("val/diversity", scores.diversity)
        self.log("val/feature_cosine", scores.cosine)

    def _extractor(self) -> Extractor:
        """The data module's network, which is no part of this model and of its checkpoints."""
        data: Any = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, NeighbourDataModule):
            raise DataError(
                "Made pictures are scored by the features of the data module's extractor, but there is none.",
                "Validate with a `NeighbourDataModule`.",
            )
        extractor = data.extractor
        return extractor.to(self.device) if isinstance(extractor, nn.Module) else extractor

    def configure_optimizers(self) -> tuple[Adam, Adam]:
        """Return Adam of the generator, and Adam of the discriminator."""
        return (
            Adam(self.generator.parameters(), self.generator_rate, ADAM_BETAS, ADAM_EPS),
            Adam(self.discriminator.parameters(), self.discriminator_rate, ADAM_BETAS, ADAM_EPS),
        )
