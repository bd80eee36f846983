"""SABLE as a LightningModule: the network, its variants, what is optimised and what is logged."""

import math
from dataclasses import replace
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional

from lightning_modules.parts.gaussian import Posterior, draw, kl_from_prior
from lightning_modules.parts.gradient_reversal import reverse_gradient
from lightning_modules.parts.inputs import CountTransform, drop_units, jitter_gains, transform_counts
from lightning_modules.parts.metrics import DecodedTrials, SpikeLikelihood, mean_over_trials
from lightning_modules.parts.schedules import Ramp, ramp
from lightning_modules.parts.spikes.batch import LabelledSpikeBatch, SpikeBatch, check_trials
from lightning_modules.sable.network import (
    BehaviourDecoder,
    Encoder,
    NeuralDecoder,
    SessionClassifier,
)
from lightning_modules.sable.objective import (
    SableTerms,
    SableWeights,
    behaviour_term,
    gradient_norm,
    neural_term,
    total,
    weigh,
)
from lightning_modules.sable.settings import ORIGIN, Variant, check_arguments


class SableOutput(NamedTuple):
    """What SABLE infers of B trials.

    Args:
        posterior: Gaussian over the latent.
        latent: What was decoded: a sample in training, the posterior mean in `eval` mode, (B, Z).
        log_rates: Log of expected counts per bin, (B, T, N); None in variant `behaviour_only`.
        behaviour: In the recording's unit, (B, T, D).
    """

    posterior: Posterior
    latent: Tensor
    log_rates: Tensor | None
    behaviour: Tensor


class Sable(pl.LightningModule):
    """Sequential VAE whose trial latent predicts behaviour and forgets the rest, such as the day.

    A bidirectional GRU summarises a trial of spike counts as a latent Gaussian. Two GRUs without input unroll
    a sample of it, one into firing rates, one into behaviour. The gradient of the reconstruction is reversed
    between latent and neural decoder: the decoder learns to reconstruct while the encoder learns to leave
    nothing to reconstruct from except what behaviour needs. There is no session classifier and no session
    label.

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
        variant: `sable`; `no_reversal`, where the encoder helps the reconstruction; `stop_gradient`, where it
            neither helps nor hinders; `behaviour_only`, without a neural decoder; `session_classifier`, where
            the encoder helps the reconstruction and works against a classifier of sessions instead.
        latent_dim: Z.
        encoder_hidden: Units of each direction of the encoder's GRU.
        encoder_layers: Layers of the encoder's GRU.
        encoder_dropout: Probability that an input of its layers after the first is set to 0 in training.
        encoder_width: Width of the layer between encoder and posterior.
        generator_hidden: Units of the neural generator.
        factor_dim: Factors between neural generator and rates.
        behaviour_hidden: Units of the behaviour generator.
        behaviour_layers: Layers of the behaviour generator.
        behaviour_width: Width of the layer between behaviour generator and output.
        reversal_strength: λ, part of the reconstruction's gradient that reaches the encoder with its sign
            turned, in variant `sable`; that of the session classifier's gradient in `session_classifier`.
        reversal_schedule: How λ rises: at once, evenly, or along Ganin's logistic curve.
        reversal_warmup_steps: Optimizer steps until λ is in full force.
        neural_weight: Of the Poisson term, in nats per bin summed over units, times 1/√N.
        behaviour_weight: Of the mean squared error of standardised behaviour.
        kl_weight: Of the KL term, nats per trial divided by T.
        kl_warmup_steps: Optimizer steps over which `kl_weight` rises evenly from 0.
        prior_variance: Of each latent dimension.
        encoder_input: What the encoder reads of the counts; see `transform_counts`.
        unit_dropout: Probability that a unit is silent to the encoder for a whole training trial.
        gain_jitter: Standard deviation of the logarithm of each unit's gain in a training trial, encoder only.
        input_dropout: Probability that an input of the encoder is set to 0 in training; the others are scaled
            up.
        latent_dropout: Probability that a dimension of the latent is set to 0 in training, for both decoders.
        n_sessions: Training sessions that a batch's labels tell apart; 0 where batches have none.
        classifier_hidden: Hidden units of the session classifier.
        classifier_learning_rate: Of Adam for the session classifier.
        learning_rate: Of Adam.
        neural_learning_rate_ratio: Learning rate of the neural decoder over that of the other parts: an adversary that
            is to keep up with the encoder may need to learn faster.
        weight_decay: Of Adam, added to the gradient.

    Raises:
        ValueError: If arguments are out of range or do not fit together; all problems at once.

    Source:
        Jude, Perich, Miller, Hennig 2022, "Robust alignment of cross-session recordings of neural population
        activity by behaviour via unsupervised domain adaptation", ICML, arXiv:2202.06159. What is the paper's
        and what had to be inferred: `lightning_modules/sable/README.md`.
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
        variant: Variant = "sable",
        latent_dim: int = 12,
        encoder_hidden: int = 40,
        encoder_layers: int = 1,
        encoder_dropout: float = 0.0,
        encoder_width: int = 40,
        generator_hidden: int = 40,
        factor_dim: int = 12,
        behaviour_hidden: int = 48,
        behaviour_layers: int = 1,
        behaviour_width: int = 24,
        reversal_strength: float = 0.2,
        reversal_schedule: Ramp = "linear",
        reversal_warmup_steps: int = 200,
        neural_weight: float = 1.0,
        behaviour_weight: float = 1.0,
        kl_weight: float = 1.0,
        kl_warmup_steps: int = 600,
        prior_variance: float = 1.0,
        encoder_input: CountTransform = "counts",
        unit_dropout: float = 0.0,
        gain_jitter: float = 0.0,
        input_dropout: float = 0.1,
        latent_dropout: float = 0.0,
        n_sessions: int = 0,
        classifier_hidden: int = 32,
        classifier_learning_rate: float = 2e-3,
        learning_rate: float = 2e-3,
        neural_learning_rate_ratio: float = 1.0,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        check_arguments(self.hparams)
        self.n_units = n_units
        self.n_bins = n_bins
        self.variant: Variant = variant
        self.reversal_strength = reversal_strength
        self.reversal_schedule: Ramp = reversal_schedule
        self.reversal_warmup_steps = reversal_warmup_steps
        self.final_weights = SableWeights(
            behaviour=behaviour_weight, kl=kl_weight / n_bins, neural=neural_weight / math.sqrt(n_units)
        )
        self.kl_warmup_steps = kl_warmup_steps
        self.prior_variance = prior_variance
        self.encoder_input: CountTransform = encoder_input
        self.unit_dropout = unit_dropout
        self.gain_jitter = gain_jitter
        self.input_dropout = input_dropout
        self.latent_dropout = latent_dropout
        self.classifier_learning_rate = classifier_learning_rate
        self.learning_rate = learning_rate
        self.neural_learning_rate_ratio = neural_learning_rate_ratio
        self.weight_decay = weight_decay
        self.encoder = Encoder(
            n_units=n_units,
            hidden=encoder_hidden,
            layers=encoder_layers,
            dropout=encoder_dropout if encoder_layers > 1 else 0.0,  # torch warns of one that does nothing
            width=encoder_width,
            latent_dim=latent_dim,
        )
        self.behaviour_decoder = BehaviourDecoder(
            latent_dim=latent_dim,
            hidden=behaviour_hidden,
            layers=behaviour_layers,
            width=behaviour_width,
            n_bins=n_bins,
            behaviour_dim=len(behaviour_names),
        )
        # Made last, so that the variant without it starts from the same weights as the others.
        self.neural_decoder: NeuralDecoder | None = None
        if variant != "behaviour_only":
            self.neural_decoder = NeuralDecoder(
                latent_dim=latent_dim,
                hidden=generator_hidden,
                factor_dim=factor_dim,
                n_bins=n_bins,
                mean_counts=mean_counts,
            )
        self.session_classifier: SessionClassifier | None = None
        if variant == "session_classifier":
            self.session_classifier = SessionClassifier(
                latent_dim=latent_dim, hidden=classifier_hidden, n_sessions=n_sessions
            )
        self.mean_counts: Tensor
        self.behaviour_mean: Tensor
        self.behaviour_scale: Tensor
        self.register_buffer("mean_counts", torch.tensor(mean_counts), persistent=False)
        self.register_buffer("behaviour_mean", torch.tensor(behaviour_mean), persistent=False)
        self.register_buffer("behaviour_scale", torch.tensor(behaviour_scale), persistent=False)
        self._trained: list[dict[str, Tensor]] = []
        self._encoder_gradients: dict[str, Tensor] = {}
        self._validated: list[DecodedTrials] = []
        self._kls: list[Tensor] = []
        self._likelihood = SpikeLikelihood()

    def forward(self, spikes: Tensor) -> SableOutput:
        """Infer the latent of trials and decode it.

        Args:
            spikes: Counts per bin, (B, T, N).

        Returns:
            See `SableOutput`. In `eval` mode the posterior mean is decoded, not a sample.

        Raises:
            ValueError: If `spikes` is not (B, `n_bins`, `n_units`).
        """
        check_trials(spikes, n_bins=self.n_bins, n_units=self.n_units, model="Sable")
        posterior = self.encoder(self._encoder_sees(spikes))
        latent = draw(posterior) if self.training else posterior.mean
        latent = functional.dropout(latent, self.latent_dropout, self.training)
        log_rates = None
        if self.neural_decoder is not None:
            # On the latent itself: behind the bridge, the bridge too would work against the reconstruction.
            log_rates = self.neural_decoder(reverse_gradient(latent, self._reversal_of_reconstruction))
        behaviour = self.behaviour_decoder(latent) * self.behaviour_scale + self.behaviour_mean
        return SableOutput(posterior, latent, log_rates, behaviour)

    def _encoder_sees(self, spikes: Tensor) -> Tensor:
        """The encoder's input: in training with drift that the neural decoder is not asked to reproduce."""
        if self.training:
            spikes = drop_units(jitter_gains(spikes, self.gain_jitter), self.unit_dropout)
        return functional.dropout(
            transform_counts(spikes, self.encoder_input), self.input_dropout, self.training
        )

    @property
    def origin(self) -> str:
        """Whose the model is, in the tags of the module's README."""
        ours = self.encoder_input != "counts" or self.unit_dropout or self.gain_jitter
        return ORIGIN[self.variant] + ("; imitated drift or transformed counts: ours" if ours else "")

    @property
    def sees_sessions(self) -> bool:
        """Whether training needs to be told which session a trial is from."""
        return self.session_classifier is not None

    @property
    def reversal_strength_in_force(self) -> float:
        """λ at this step: -1 lets the adversary's gradient pass, 0 stops it, above 0 reverses it."""
        if self.variant == "no_reversal":
            return -1.0
        if self.variant == "stop_gradient":
            return 0.0
        risen = ramp(self.reversal_schedule, self.global_step, warmup_steps=self.reversal_warmup_steps)
        return self.reversal_strength * risen

    @property
    def _reversal_of_reconstruction(self) -> float:
        return -1.0 if self.session_classifier is not None else self.reversal_strength_in_force

    @property
    def weights_in_force(self) -> SableWeights:
        """Weights of the terms at this step."""
        risen = ramp("linear", self.global_step, warmup_steps=self.kl_warmup_steps)
        final = self.final_weights
        return SableWeights(behaviour=final.behaviour, kl=final.kl * risen, neural=final.neural)

    def terms(self, output: SableOutput, batch: SpikeBatch | LabelledSpikeBatch) -> SableTerms:
        """Return the unweighted terms of the objective."""
        errors = self._standardise(output.behaviour), self._standardise(batch.behaviour)
        return SableTerms(
            behaviour=behaviour_term(*errors),
            kl=kl_from_prior(output.posterior, 0.0, self.prior_variance),
            neural=None if output.log_rates is None else neural_term(output.log_rates, batch.spikes),
        )

    def _standardise(self, behaviour: Tensor) -> Tensor:
        return (behaviour - self.behaviour_mean) / self.behaviour_scale

    def training_step(self, batch: SpikeBatch | LabelledSpikeBatch, batch_idx: int) -> Tensor:
        """Return the loss of a batch. Its one backward pass trains all parts; see `objective.total`."""
        output = self(batch.spikes)
        terms = self.terms(output, batch)
        if self.session_classifier is not None:
            assert isinstance(batch, LabelledSpikeBatch)
            reversed_latent = reverse_gradient(output.latent, self.reversal_strength_in_force)
            entropy = functional.cross_entropy(self.session_classifier(reversed_latent), batch.session)
            terms = replace(terms, session=entropy)
        weighted = weigh(terms, self.weights_in_force)
        if batch_idx == 0:
            self._measure_encoder_gradients(weighted)
        loss = total(weighted)
        logged = {"train/loss": loss, "train/behaviour_mse": terms.behaviour, "train/kl": terms.kl}
        logged |= {} if terms.neural is None else {"train/neural_nll": terms.neural}
        logged |= {} if terms.session is None else {"train/session_cross_entropy": terms.session}
        self._trained.append({name: value.detach() for name, value in logged.items()})
        return loss

    def _measure_encoder_gradients(self, weighted: SableTerms) -> None:
        """Note how hard each term pulls the encoder; the reversed one should not exceed that of behaviour."""
        parameters = list(self.encoder.parameters())
        self._encoder_gradients = {
            f"train/encoder_grad_{name}": gradient_norm(loss, parameters)
            for name, loss in vars(weighted).items()
            if loss is not None
        }

    def on_train_epoch_start(self) -> None:
        """Forget the epoch before."""
        self._trained.clear()

    def on_train_epoch_end(self) -> None:
        """Log means over the epoch's batches; once an epoch, since logging a step costs a tenth of it."""
        for name in self._trained[0]:
            self.log(name, torch.stack([one[name] for one in self._trained]).mean())
        self.log_dict(self._encoder_gradients)
        if self.neural_decoder is not None:
            self.log("train/reversal_strength", self.reversal_strength_in_force)

    def on_validation_epoch_start(self) -> None:
        """Forget the epoch before."""
        self._validated.clear()
        self._kls.clear()
        self._likelihood = SpikeLikelihood()

    def validation_step(self, batch: LabelledSpikeBatch, batch_idx: int) -> None:
        """Predict a batch and keep what the scores of the whole set need."""
        output = self(batch.spikes)
        if output.log_rates is not None:
            self._likelihood += SpikeLikelihood.of(output.log_rates, batch.spikes, self.mean_counts)
        self._kls.append(kl_from_prior(output.posterior, 0.0, self.prior_variance))
        self._validated.append(DecodedTrials(output.behaviour, batch.behaviour, batch.session, batch.target))

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the whole validation set."""
        decoded = DecodedTrials.join(self._validated)
        n_trials = [len(one.predicted) for one in self._validated]
        kl = mean_over_trials(self._kls, n_trials)
        errors = behaviour_term(self._standardise(decoded.predicted), self._standardise(decoded.behaviour))
        neural = None
        if self.neural_decoder is not None:
            neural = errors.new_tensor(self._likelihood.nll / (sum(n_trials) * self.n_bins))
            self.log("val/bits_per_spike", self._likelihood.bits_per_spike)
        # With the final weights, so that epochs before and after the warm-up compare.
        self.log("val/loss", total(weigh(SableTerms(errors, kl, neural), self.final_weights)))
        self.log("val/kl", kl)
        self.log_dict(decoded.scores())
        self._validated.clear()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam over all parameters: no reversal needs a second optimizer."""
        own_pace = {
            "neural_decoder": self.learning_rate * self.neural_learning_rate_ratio,
            "session_classifier": self.classifier_learning_rate,
        }
        groups: list[dict[str, Any]] = []
        for name, part in self.named_children():
            groups.append({"params": list(part.parameters()), "lr": own_pace.get(name, self.learning_rate)})
        # A fifth of a step on a CPU. On a GPU, gradient scaling and clipping exclude the fused kernel.
        fused = self.device.type == "cpu"
        return torch.optim.Adam(groups, lr=self.learning_rate, weight_decay=self.weight_decay, fused=fused)
