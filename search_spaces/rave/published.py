"""Where every sweep of RAVE+ starts. Which value comes from where: `lightning_modules/rave/README.md`."""

from collections.abc import Mapping

LAPTOP: Mapping[str, int | float] = {
    # The code of RAVE: its shipped parameters, or the defaults of its network.
    "model.latent_dim": 49,
    "model.width": 256,
    "model.layers": 3,
    "model.behaviour_dropout": 0.1,
    "model.reconstruction_weight": 3.06,
    "model.domain_weight": 1.0,
    "model.classifier_steps": 9,
    "model.weight_decay": 4.5e-3,
    # Measured on generated sessions: RAVE's own rates of learning are slow for a few hundred trials.
    "model.learning_rate": 3e-4,
    "model.classifier_learning_rate": 1e-3,
    "model.dropout": 0.2,
    # Not RAVE's: inferred.
    "model.behaviour_weight": 1.0,
    "model.smoothing_bins": 2.0,
    "model.gradient_clip": 5.0,
    "data.batch_size": 48,
}
