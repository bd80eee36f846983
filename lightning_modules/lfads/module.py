"""LFADS as a LightningModule: the network, what is optimised, the read-out of behaviour and what is logged."""

from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from lightning_modules.lfads.network import (
    INPUT_LAG,
    AutonomousGenerator,
    ControlledGenerator,
    GaussianHead,
    Rates,
    TrialEncoder,
    lag_encoding,
)
from lightning_modules.lfads.objective import (
    AutoregressivePrior,
    LfadsTerms,
    LfadsWeights,
    hide_counts,
    l2_term,
    neural_term,
    total,
)
from lightning_modules.lfads.settings import check_arguments
from lightning_modules.parts.gaussian import Posterior, draw, kl_from_prior
from lightning_modules.parts.metrics import DecodedTrials, SpikeLikelihood, mean_over_trials
from lightning_modules.parts.readout import TrajectoryReadout, read_all, trials_to_fit
from lightning_modules.parts.schedules import ramp
from lightning_modules.parts.spikes.batch import LabelledSpikeBatch, SpikeBatch, check_trials


class LfadsOutput(NamedTuple):
    """What LFADS infers of B trials from their spikes, and what the read-out makes of it.

    Args:
        posterior: Gaussian over the latent, the code of the generator's initial condition, (B, Z).
        latent: What was unrolled: a sample in training, the posterior mean in `eval` mode, (B, Z).
        input_posterior: Gaussian over the inferred inputs, (B, T, U); None without a controller.
        inputs: What drove the generator, (B, T, U); None without a controller.
        factors: (B, T, F).
        log_rates: Log of expected counts per bin, (B, T, N).
        behaviour: In the recording's unit, (B, T, D). Read out as fitted before the last validation; before the
            first one, the mean.
    """

    posterior: Posterior
    latent: Tensor
    input_posterior: Posterior | None
    inputs: Tensor | None
    factors: Tensor
    log_rates: Tensor
    behaviour: Tensor


class Lfads(pl.LightningModule):
    """Latent factor analysis via dynamical systems, with a linear read-out of behaviour from its factors.

    A sequential VAE of spikes alone: a bidirectional GRU summarises a trial as a Gaussian over the initial
    condition of a generator, a GRU whose states give factors, and factors give firing rates. The generator gets
    no input or, with a controller, inputs that are inferred in each bin. Behaviour takes no part in the training
    of the network: ridge regression from the factors of the whole trial to the whole trajectory is fitted on the
    training trials before each validation.

    Shapes:
        B trials, T time bins, N units, D behavioural dimensions, Z latent dimensions, F factors, U inferred
        inputs.

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
        latent_dim: Z.
        encoder_hidden: Units of each direction of the GRU that encodes initial conditions.
        generator_hidden: Units of the generator.
        factor_dim: F.
        controller_dim: U; 0 leaves out the controller, and what is said of it and its inputs below.
        controller_hidden: Units of the controller.
        input_encoder_hidden: Units of each direction of the GRU that the controller reads.
        input_prior_tau_bins: Time constant of the autoregressive prior of the inputs, bins.
        input_prior_noise_variance: Variance that it adds in each bin.
        learn_input_prior: Whether time constant and variance of each input are trained from there on.
        prior_variance: Of each latent dimension; the prior's mean is learned.
        kl_weight: Of the latent's KL term, both in nats per trial.
        input_kl_weight: Of the inferred inputs' KL term.
        generator_l2: Nats per trial that half the mean square of the generator's recurrent weights costs.
        controller_l2: The same of the controller.
        warmup_steps: Optimizer steps over which the weights of KL and L2 terms rise evenly from 0.
        dropout: Probability that an element of what encoders, latent, controller and factors read is set to 0 in
            training; the others are scaled up.
        coordinated_dropout: Probability that a count is hidden from the encoders in training; the reconstruction
            is then scored on hidden counts alone. 0 scores all.
        ridge_penalty: Of the read-out of behaviour, on standardised factors, summed over trials.
        learning_rate: Of Adam.
        adam_epsilon: Of Adam; added to the root of the mean squared gradient of each weight, nats per trial.

    Raises:
        ValueError: If arguments are out of range or do not fit together; all problems at once.

    Source:
        Pandarinath et al. 2018, "Inferring single-trial neural population dynamics using sequential
        auto-encoders", Nature Methods 15. What is from which code and what was inferred:
        `lightning_modules/lfads/README.md`.
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
        latent_dim: int = 64,
        encoder_hidden: int = 64,
        generator_hidden: int = 64,
        factor_dim: int = 8,
        controller_dim: int = 0,
        controller_hidden: int = 64,
        input_encoder_hidden: int = 64,
        input_prior_tau_bins: float = 10.0,
        input_prior_noise_variance: float = 0.1,
        learn_input_prior: bool = True,
        prior_variance: float = 0.1,
        kl_weight: float = 1.0,
        input_kl_weight: float = 1.0,
        generator_l2: float = 2000.0,
        controller_l2: float = 0.0,
        warmup_steps: int = 2000,
        dropout: float = 0.05,
        coordinated_dropout: float = 0.0,
        ridge_penalty: float = 1.0,
        learning_rate: float = 1e-2,
        adam_epsilon: float = 0.1,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        check_arguments(self.hparams)
        self.n_units = n_units
        self.n_bins = n_bins
        self.prior_variance = prior_variance
        self.final_weights = LfadsWeights(
            neural=float(n_bins),
            kl=kl_weight,
            input_kl=input_kl_weight,
            generator_l2=generator_l2,
            controller_l2=controller_l2,
        )
        self.warmup_steps = warmup_steps
        self.dropout = dropout
        self.coordinated_dropout = coordinated_dropout
        self.ridge_penalty = ridge_penalty
        self.learning_rate = learning_rate
        self.adam_epsilon = adam_epsilon
        self.encoder = TrialEncoder(n_units, encoder_hidden)
        self.initial_condition = GaussianHead(2 * encoder_hidden, latent_dim)
        self.prior_mean = nn.Parameter(torch.zeros(latent_dim))
        sizes = {"latent_dim": latent_dim, "hidden": generator_hidden, "factor_dim": factor_dim}
        self.input_encoder: TrialEncoder | None = None
        self.input_prior: AutoregressivePrior | None = None
        self.generator: AutonomousGenerator | ControlledGenerator
        if controller_dim:
            self.input_encoder = TrialEncoder(n_units, input_encoder_hidden)
            self.input_prior = AutoregressivePrior(
                controller_dim,
                tau_bins=input_prior_tau_bins,
                noise_variance=input_prior_noise_variance,
                learned=learn_input_prior,
            )
            self.generator = ControlledGenerator(
                **sizes,
                controller_dim=controller_dim,
                controller_hidden=controller_hidden,
                encoding_dim=2 * input_encoder_hidden,
                dropout=dropout,
            )
        else:
            self.generator = AutonomousGenerator(**sizes, n_bins=n_bins, dropout=dropout)
        self.rates = Rates(factor_dim, mean_counts)
        self.readout = TrajectoryReadout(
            n_features=n_bins * factor_dim, n_bins=n_bins, behaviour_dim=len(behaviour_names)
        )
        self.mean_counts: Tensor
        self.behaviour_mean: Tensor
        self.behaviour_scale: Tensor
        self.register_buffer("mean_counts", torch.tensor(mean_counts), persistent=False)
        self.register_buffer("behaviour_mean", torch.tensor(behaviour_mean), persistent=False)
        self.register_buffer("behaviour_scale", torch.tensor(behaviour_scale), persistent=False)
        self._trained: list[dict[str, Tensor]] = []
        self._validated: list[DecodedTrials] = []
        self._terms: list[tuple[int, LfadsTerms]] = []
        self._likelihood = SpikeLikelihood()

    def forward(self, spikes: Tensor) -> LfadsOutput:
        """Infer factors and rates of trials and read behaviour out of the factors.

        Args:
            spikes: Counts per bin, (B, T, N).

        Returns:
            See `LfadsOutput`. In `eval` mode everything follows from posterior means, not from samples.

        Raises:
            ValueError: If `spikes` is not (B, `n_bins`, `n_units`).
        """
        check_trials(spikes, n_bins=self.n_bins, n_units=self.n_units, model="Lfads")
        counts = functional.dropout(spikes, self.dropout, self.training).transpose(0, 1)
        _, summary = self.encoder(counts)
        posterior = self.initial_condition(functional.dropout(summary, self.dropout, self.training))
        latent = draw(posterior) if self.training else posterior.mean
        input_posterior = inputs = None
        if isinstance(self.generator, ControlledGenerator):
            assert self.input_encoder is not None
            states, _ = self.input_encoder(counts)
            factors, input_posterior, inputs = self.generator(latent, lag_encoding(states, INPUT_LAG))
        else:
            factors = self.generator(latent)
        log_rates = self.rates(factors).transpose(0, 1)
        factors = factors.transpose(0, 1)
        behaviour = self.readout(factors) * self.behaviour_scale + self.behaviour_mean
        return LfadsOutput(posterior, latent, input_posterior, inputs, factors, log_rates, behaviour)

    @property
    def origin(self) -> str:
        """Whose the model is, in the tags of the module's README."""
        return (
            "LFADS: networks and losses [same-group], [lfads-torch]; ridge read-out of behaviour [sable.md]"
        )

    @property
    def weights_in_force(self) -> LfadsWeights:
        """Weights of the terms at this step."""
        risen = ramp("linear", self.global_step, warmup_steps=self.warmup_steps)
        final = self.final_weights
        return LfadsWeights(
            neural=final.neural,
            kl=risen * final.kl,
            input_kl=risen * final.input_kl,
            generator_l2=risen * final.generator_l2,
            controller_l2=risen * final.controller_l2,
        )

    def terms(self, output: LfadsOutput, counts: Tensor, weight: Tensor | None = None) -> LfadsTerms:
        """Return the unweighted terms of the objective.

        Args:
            output: Of B trials.
            counts: To be reconstructed, (B, T, N).
            weight: Of each count in the reconstruction, (B, T, N). Default: 1.
        """
        input_kl = controller_l2 = None
        if output.input_posterior is not None:
            assert self.input_prior is not None
            input_kl = self.input_prior.kl(output.input_posterior)
        if isinstance(self.generator, ControlledGenerator):
            controller_l2 = l2_term(self.generator.controller.weight_hh)
        return LfadsTerms(
            neural=neural_term(output.log_rates, counts, weight),
            kl=kl_from_prior(output.posterior, self.prior_mean, self.prior_variance),
            input_kl=input_kl,
            generator_l2=l2_term(self.generator.recurrent_weight),
            controller_l2=controller_l2,
        )

    def training_step(self, batch: SpikeBatch | LabelledSpikeBatch, batch_idx: int) -> Tensor:
        """Return the loss of a batch, from its spikes alone."""
        seen, weight = hide_counts(batch.spikes, self.coordinated_dropout)
        terms = self.terms(self(seen), batch.spikes, weight)
        loss = total(terms, self.weights_in_force)
        logged = {"train/loss": loss, "train/neural_nll": terms.neural, "train/kl": terms.kl}
        logged |= {} if terms.input_kl is None else {"train/input_kl": terms.input_kl}
        self._trained.append({name: value.detach() for name, value in logged.items()})
        return loss

    def on_train_epoch_start(self) -> None:
        """Forget the epoch before."""
        self._trained.clear()

    def on_train_epoch_end(self) -> None:
        """Log means over the epoch's batches."""
        for name in self._trained[0]:
            self.log(name, torch.stack([one[name] for one in self._trained]).mean())

    def fit_readout(self, trials: Dataset[Any]) -> None:
        """Fit the read-out of behaviour to trials, in `eval` mode.

        Args:
            trials: Gives a `SpikeBatch` for a list of positions, as the data sets of `SpikeDataModule` do.
        """
        factors, behaviour = read_all(trials, lambda spikes: self(spikes).factors, self.behaviour_mean)
        standard = (behaviour - self.behaviour_mean) / self.behaviour_scale
        self.readout.fit(factors, standard, self.ridge_penalty)

    def on_validation_epoch_start(self) -> None:
        """Forget the epoch before and, while training, fit the read-out to the weights that are validated."""
        self._validated.clear()
        self._terms.clear()
        self._likelihood = SpikeLikelihood()
        trials = trials_to_fit(self)
        if trials is not None:
            self.fit_readout(trials)

    def validation_step(self, batch: LabelledSpikeBatch, batch_idx: int) -> None:
        """Predict a batch and keep what the scores of the whole set need."""
        output = self(batch.spikes)
        self._likelihood += SpikeLikelihood.of(output.log_rates, batch.spikes, self.mean_counts)
        self._terms.append((len(batch.spikes), self.terms(output, batch.spikes)))
        self._validated.append(DecodedTrials(output.behaviour, batch.behaviour, batch.session, batch.target))

    def on_validation_epoch_end(self) -> None:
        """Log the scores of the whole validation set."""
        # With the final weights, so that epochs before and after the warm-up compare.
        self.log(
            "val/loss", self._mean_over_trials([total(one, self.final_weights) for _, one in self._terms])
        )
        self.log("val/kl", self._mean_over_trials([one.kl for _, one in self._terms]))
        input_kls = [one.input_kl for _, one in self._terms if one.input_kl is not None]
        if input_kls:
            self.log("val/input_kl", self._mean_over_trials(input_kls))
        self.log("val/bits_per_spike", self._likelihood.bits_per_spike)
        self.log_dict(DecodedTrials.join(self._validated).scores())
        self._validated.clear()

    def _mean_over_trials(self, means_of_batches: list[Tensor]) -> Tensor:
        return mean_over_trials(means_of_batches, [n_trials for n_trials, _ in self._terms])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam over all parameters."""
        # A fifth of a step on a CPU. On a GPU, gradient scaling and clipping exclude the fused kernel.
        fused = self.device.type == "cpu"
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate, eps=self.adam_epsilon, fused=fused)
