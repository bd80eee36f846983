"""RAVE and RAVE+ as a LightningModule: the network, the two alternating optimizers and what is logged."""

from dataclasses import replace
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam
from torch.utils.data import Dataset

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.metrics import DecodedTrials, mean_over_trials
from lightning_modules.parts.readout import TrajectoryReadout, read_all, trials_to_fit
from lightning_modules.parts.spikes.batch import LabelledSpikeBatch, SpikeBatch, check_trials
from lightning_modules.rave.network import Autoencoder, TrialInput, latent_head
from lightning_modules.rave.objective import RaveTerms, RaveWeights, session_term, total
from lightning_modules.rave.settings import check_arguments

ADAM_BETAS = (0.5, 0.999)
"""RAVE's; less momentum than usual, as in many adversarial networks."""


class RaveOutput(NamedTuple):
    """What RAVE makes of B trials.

    Args:
        latent: (B, Z).
        reconstruction: Of the smoothed counts, in standard deviations from the mean, (B, T, N).
        log_rates: None: RAVE has no model of counts.
        behaviour: In the recording's unit, (B, T, D). Without a behaviour decoder it is read out as fitted before
            the last validation; before the first one, the mean.
    """

    latent: Tensor
    reconstruction: Tensor
    log_rates: None
    behaviour: Tensor


class Rave(pl.LightningModule):
    """Autoencoder of whole trials whose latent a session classifier cannot tell the session from.

    The smoothed counts of a trial, flattened, pass an autoencoder of fully connected layers: nothing in it knows
    about time. A session classifier on the latent and the autoencoder are trained in turn, one against the other.
    RAVE+ decodes behaviour from the latent and trains the encoder with it; RAVE, with `behaviour_weight` 0, does
    not see behaviour, which is then read out of the frozen latent by ridge regression before each validation.

    Shapes:
        B trials, T time bins, N units, D behavioural dimensions, Z latent dimensions.

    Units:
        Spikes are counts per bin. Behaviour has the recording's unit outside and is standardised inside.

    Args:
        n_units: N.
        n_bins: T.
        bin_width_s: Width of a bin, s; kept with the weights, since a model fits recordings of its bin width
            only.
        behaviour_names: Names of the D dimensions.
        mean_counts: Mean counts per bin of each unit on the training days, (N,).
        behaviour_mean: Mean of each dimension on the training days, (D,).
        behaviour_scale: Standard deviation of each dimension on the training days, (D,).
        n_sessions: Training sessions that a batch's labels tell apart.
        smoothing_bins: Standard deviation of the Gaussian that smooths counts along time, bins.
        latent_dim: Z.
        width: Of the autoencoder's first layer; each further layer has half of it.
        layers: Blocks of the encoder, and of the decoder.
        behaviour_width: Of the behaviour decoder.
        behaviour_layers: Residual blocks of the behaviour decoder.
        classifier_width: Of the session classifier.
        classifier_layers: Residual blocks of the session classifier.
        dropout: Probability in the blocks of the autoencoder.
        behaviour_dropout: Probability in the blocks of the behaviour decoder.
        classifier_dropout: Probability in the blocks of the session classifier.
        reconstruction_weight: Of the mean squared error of the standardised, smoothed counts.
        behaviour_weight: Of the mean squared error of standardised behaviour; 0 is RAVE, above 0 RAVE+.
        domain_weight: Of the session classifier's cross-entropy, nats, that the encoder raises.
        ridge_penalty: Of RAVE's read-out of behaviour, on standardised latents, summed over trials.
        learning_rate: Of Adam for all but the session classifier.
        classifier_learning_rate: Of Adam for the session classifier.
        classifier_steps: Steps of the session classifier on each batch, before the one step of the rest.
        weight_decay: Of both, added to the gradient.
        gradient_clip: Largest norm of the gradient of all but the session classifier.

    Raises:
        ValueError: If arguments are out of range or do not fit together; all problems at once.

    Source:
        Gonschorek et al. 2021, "Removing inter-experimental variability from functional data in systems
        neuroscience", NeurIPS, and their code `eulerlab/rave`. How it is carried over to spikes and behaviour is
        ours: `lightning_modules/rave/README.md`.
    """

    def __init__(
        self,
        *,
        n_units: int,
        n_bins: int,
        bin_width_s: float,
        behaviour_names: list[str],
        mean_counts: list[float],
        behaviour_mean: list[float],
        behaviour_scale: list[float],
        n_sessions: int = 0,
        smoothing_bins: float = 2.0,
        latent_dim: int = 49,
        width: int = 256,
        layers: int = 3,
        behaviour_width: int = 128,
        behaviour_layers: int = 2,
        classifier_width: int = 128,
        classifier_layers: int = 3,
        dropout: float = 0.2,
        behaviour_dropout: float = 0.1,
        classifier_dropout: float = 0.1,
        reconstruction_weight: float = 3.06,
        behaviour_weight: float = 1.0,
        domain_weight: float = 1.0,
        ridge_penalty: float = 1.0,
        learning_rate: float = 3e-4,
        classifier_learning_rate: float = 1e-3,
        classifier_steps: int = 9,
        weight_decay: float = 4.5e-3,
        gradient_clip: float = 5.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        check_arguments(self.hparams)
        self.automatic_optimization = False
        self.n_units = n_units
        self.n_bins = n_bins
        self.weights = RaveWeights(reconstruction_weight, behaviour_weight, domain_weight)
        self.ridge_penalty = ridge_penalty
        self.learning_rate = learning_rate
        self.classifier_learning_rate = classifier_learning_rate
        self.classifier_steps = classifier_steps
        self.weight_decay = weight_decay
        self.gradient_clip = gradient_clip
        self.input = TrialInput(n_bins=n_bins, mean_counts=mean_counts, smoothing_bins=smoothing_bins)
        self.autoencoder = Autoencoder(
            n_inputs=n_bins * n_units, width=width, layers=layers, latent_dim=latent_dim, dropout=dropout
        )
        self.session_classifier = latent_head(
            latent_dim,
            width=classifier_width,
            layers=classifier_layers,
            outputs=n_sessions,
            dropout=classifier_dropout,
        )
        # Made last, so that RAVE starts from the same weights as RAVE+.
        self.behaviour_decoder: nn.Sequential | None = None
        self.readout: TrajectoryReadout | None = None
        behaviour_dim = len(behaviour_names)
        if behaviour_weight:
            self.behaviour_decoder = latent_head(
                latent_dim,
                width=behaviour_width,
                layers=behaviour_layers,
                outputs=n_bins * behaviour_dim,
                dropout=behaviour_dropout,
            )
        else:
            self.readout = TrajectoryReadout(
                n_features=latent_dim, n_bins=n_bins, behaviour_dim=behaviour_dim
            )
        self.behaviour_mean: Tensor
        self.behaviour_scale: Tensor
        self.register_buffer("behaviour_mean", torch.tensor(behaviour_mean), persistent=False)
        self.register_buffer("behaviour_scale", torch.tensor(behaviour_scale), persistent=False)
        self._trained: list[dict[str, Tensor]] = []
        self._validated: list[DecodedTrials] = []
        self._terms: list[tuple[int, RaveTerms]] = []

    sees_sessions = True

    @property
    def origin(self) -> str:
        """Whose the model is, in the tags of the module's README."""
        decoder = (
            "RAVE+: decoder of behaviour" if self.weights.behaviour else "RAVE: ridge read-out of behaviour"
        )
        return f"{decoder} [inferred]; autoencoder, classifier, losses [code]; input [inferred]"

    """Training needs to be told which session a trial is from."""

    def forward(self, spikes: Tensor) -> RaveOutput:
        """Encode trials and decode the latent.

        Args:
            spikes: Counts per bin, (B, T, N).

        Returns:
            See `RaveOutput`.

        Raises:
            ValueError: If `spikes` is not (B, `n_bins`, `n_units`).
        """
        check_trials(spikes, n_bins=self.n_bins, n_units=self.n_units, model="Rave")
        latent = self.autoencoder.encoder(self.input(spikes).flatten(1))
        reconstruction = self.autoencoder.decoder(latent).unflatten(1, (self.n_bins, self.n_units))
        behaviour = self._decode(latent) * self.behaviour_scale + self.behaviour_mean
        return RaveOutput(latent, reconstruction, None, behaviour)

    def _decode(self, latent: Tensor) -> Tensor:
        """Return standardised behaviour (B, T, D) of latents (B, Z)."""
        if self.behaviour_decoder is not None:
            return self.behaviour_decoder(latent).unflatten(1, (self.n_bins, -1))
        assert self.readout is not None
        return self.readout(latent)

    def terms(self, output: RaveOutput, batch: SpikeBatch | LabelledSpikeBatch) -> RaveTerms:
        """Return the unweighted terms of the objective but that of the sessions."""
        behaviour = None
        if self.behaviour_decoder is not None:
            behaviour = functional.mse_loss(
                self._standardise(output.behaviour), self._standardise(batch.behaviour)
            )
        reconstruction = functional.mse_loss(output.reconstruction, self.input(batch.spikes))
        return RaveTerms(reconstruction, behaviour, session=None)

    def _standardise(self, behaviour: Tensor) -> Tensor:
        return (behaviour - self.behaviour_mean) / self.behaviour_scale

    def on_fit_start(self) -> None:
        """Refuse several workers.

        Raises:
            DataError: If there are.
        """
        if self.trainer.world_size > 1:
            raise DataError(
                f"RAVE trains on one worker, but there are {self.trainer.world_size}: each would normalise by the "
                "statistics of its own part of a batch.",
                "Give a trial one worker.",
            )

    def training_step(self, batch: LabelledSpikeBatch, batch_idx: int) -> None:
        """Train the session classifier on the batch's latents, then all the rest against it.

        A single trial, which may be left over at the end of an epoch, cannot be normalised and is passed over.
        """
        if len(batch.spikes) < 2:
            return
        of_model, of_classifier = self.optimizers()  # type: ignore[misc]
        output = self(batch.spikes)
        latent = output.latent.detach()
        for _ in range(self.classifier_steps):
            self._descend(of_classifier, session_term(self.session_classifier(latent), batch.session))
        logits = self.session_classifier(output.latent)
        terms = replace(self.terms(output, batch), session=session_term(logits, batch.session))
        loss = total(terms, self.weights)
        self._descend(of_model, loss, clip=self.gradient_clip)
        hits = (logits.argmax(dim=1) == batch.session).float().mean()
        logged = {
            "train/loss": loss,
            "train/reconstruction_mse": terms.reconstruction,
            "train/behaviour_mse": terms.behaviour,
            "train/session_cross_entropy": terms.session,
            "train/session_accuracy": hits,
        }
        self._trained.append({name: value.detach() for name, value in logged.items() if value is not None})

    def _descend(self, optimizer: Any, loss: Tensor, clip: float | None = None) -> None:
        """Take a step of one of the two optimizers; the parameters of the other get no gradient."""
        parameters = [one for group in optimizer.param_groups for one in group["params"]]
        optimizer.zero_grad()
        self.manual_backward(loss, inputs=parameters)
        if clip is not None:
            nn.utils.clip_grad_norm_(parameters, clip)
        optimizer.step()

    def on_train_epoch_start(self) -> None:
        """Forget the epoch before."""
        self._trained.clear()

    def on_train_epoch_end(self) -> None:
        """Log means over the epoch's batches.

        Raises:
            DataError: If no batch had two trials.
        """
        if not self._trained:
            raise DataError(
                "Every batch held a single trial, which batch normalisation cannot train on.",
                "Give `--data.batch_size` 2 or more.",
            )
        for name in self._trained[0]:
            self.log(name, torch.stack([one[name] for one in self._trained]).mean())

    def fit_readout(self, trials: Dataset[Any]) -> None:
        """Fit RAVE's read-out of behaviour to trials, in `eval` mode.

        Args:
            trials: Gives a `SpikeBatch` for a list of positions, as the data sets of `SpikeDataModule` do.
        """
        assert self.readout is not None
        latents, behaviour = read_all(trials, lambda spikes: self(spikes).latent, self.behaviour_mean)
        self.readout.fit(latents, self._standardise(behaviour), self.ridge_penalty)

    def on_validation_epoch_start(self) -> None:
        """Forget the epoch before and, while RAVE trains, fit its read-out to the weights that are validated."""
        self._validated.clear()
        self._terms.clear()
        if self.readout is None:
            return
        trials = trials_to_fit(self)
        if trials is not None:
            self.fit_readout(trials)

    def validation_step(self, batch: LabelledSpikeBatch, batch_idx: int) -> None:
        """Predict a batch and keep what the scores of the whole set need."""
        output = self(batch.spikes)
        self._terms.append((len(batch.spikes), self.terms(output, batch)))
        self._validated.append(DecodedTrials(output.behaviour, batch.behaviour, batch.session, batch.target))

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the whole validation set; its sessions are none that the classifier knows."""
        losses = [total(one, self.weights) for _, one in self._terms]
        self.log("val/loss", self._mean_over_trials(losses))
        reconstructions = [one.reconstruction for _, one in self._terms]
        self.log("val/reconstruction_mse", self._mean_over_trials(reconstructions))
        self.log_dict(DecodedTrials.join(self._validated).scores())
        self._validated.clear()

    def _mean_over_trials(self, means_of_batches: list[Tensor]) -> Tensor:
        return mean_over_trials(means_of_batches, [n_trials for n_trials, _ in self._terms])

    def configure_optimizers(self) -> tuple[Adam, Adam]:
        """Return Adam of all but the session classifier, and Adam of the session classifier."""
        classifier = list(self.session_classifier.parameters())
        adversary = {id(one) for one in classifier}
        model = [one for one in self.parameters() if id(one) not in adversary]
        # A fifth of a step on a CPU. On a GPU, gradient scaling and clipping exclude the fused kernel.
        shared: Any = {
            "betas": ADAM_BETAS,
            "weight_decay": self.weight_decay,
            "fused": self.device.type == "cpu",
        }
        return (
            Adam(model, lr=self.learning_rate, **shared),
            Adam(classifier, lr=self.classifier_learning_rate, **shared),
        )
