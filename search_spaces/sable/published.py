"""Where every sweep of SABLE starts. Which value comes from where: `lightning_modules/sable/README.md`."""

from collections.abc import Mapping

INPUT: Mapping[str, str | float | bool] = {
    # The paper feeds counts; nothing is known of drift that its training imitates, so none.
    "model.encoder_input": "counts",
    "model.unit_dropout": 0.0,
    "model.gain_jitter": 0.0,
    "data.session_balanced": True,
}

LAPTOP: Mapping[str, str | int | float] = {
    # Measured on generated sessions; the paper has no networks of this size.
    "model.variant": "sable",
    "model.learning_rate": 2e-3,
    "model.latent_dim": 12,
    "model.encoder_hidden": 40,
    "model.behaviour_hidden": 48,
    "model.kl_weight": 1.0,
    "model.kl_warmup_steps": 600,
    "model.prior_variance": 1.0,
    "model.input_dropout": 0.1,
    "model.latent_dropout": 0.0,
    **INPUT,
    "model.neural_weight": 1.0,
    "model.neural_learning_rate_ratio": 1.0,
    "model.reversal_strength": 0.2,
    "model.reversal_schedule": "linear",
    "model.reversal_warmup_steps": 200,
    "data.batch_size": 48,
    "trainer.gradient_clip_val": 5.0,
}

DANN: Mapping[str, str | int | float] = {
    **{name: value for name, value in LAPTOP.items() if name != "model.neural_learning_rate_ratio"},
    "model.variant": "session_classifier",
    "model.classifier_learning_rate": 2e-3,
}

PAPER: Mapping[str, str | int | float] = {
    # Second-hand accounts of the paper's Appendix B.
    "model.variant": "sable",
    "model.latent_dim": 64,
    "model.encoder_hidden": 512,
    "model.encoder_layers": 3,
    "model.encoder_dropout": 0.0,  # not known of the paper
    "model.encoder_width": 512,
    "model.generator_hidden": 256,
    "model.factor_dim": 128,
    "model.behaviour_hidden": 256,
    "model.behaviour_layers": 2,
    "model.behaviour_width": 512,
    # The same group's code of a few months before (TNDM, 2021).
    "model.kl_weight": 1.0,
    "model.kl_warmup_steps": 2000,
    "model.prior_variance": 1.0,
    "data.batch_size": 16,
    "trainer.gradient_clip_val": 200.0,
    # Not known of the paper: measured with small networks, or inferred.
    "model.learning_rate": 1e-3,
    "model.weight_decay": 0.0,
    "model.input_dropout": 0.1,
    "model.latent_dropout": 0.0,
    **INPUT,
    "model.neural_weight": 1.0,
    "model.neural_learning_rate_ratio": 1.0,
    "model.reversal_strength": 0.2,
    "model.reversal_schedule": "linear",
    "model.reversal_warmup_steps": 2000,
}
