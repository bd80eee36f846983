"""Where every sweep of LFADS starts. Which value comes from where: `lightning_modules/lfads/README.md`."""

from collections.abc import Mapping

SAME_GROUP: Mapping[str, int | float] = {
    # SABLE's authors' own LFADS runs on the same animals (2021): `run_lfads.sh`, and Adam's epsilon in `lfads.py`.
    "model.controller_dim": 0,
    "model.generator_hidden": 64,
    "model.latent_dim": 64,
    "model.encoder_hidden": 64,
    "model.factor_dim": 8,  # they ran 3 to 8
    "model.prior_variance": 0.1,
    "model.kl_weight": 1.0,
    "model.generator_l2": 2000.0,
    "model.warmup_steps": 2000,
    "model.dropout": 0.05,
    "model.coordinated_dropout": 0.0,
    "model.learning_rate": 1e-2,
    "model.adam_epsilon": 0.1,
    "data.batch_size": 16,
    "trainer.gradient_clip_val": 200.0,
    # Not in their code that we could read: sklearn's default.
    "model.ridge_penalty": 1.0,
}
