"""Where every sweep of picture decoders starts. Which value comes from where: `lightning_modules/icgan/README.md`."""

from collections.abc import Mapping

PAPER: Mapping[str, str | float | bool] = {
    # The authors' code: three fixed penalties for all subjects, all voxels, only the instance features standardised.
    "model.instance_method": "ridge",
    "model.spatial_method": "ridge",
    "model.alpha_from": "fixed",
    "model.instance_alpha": 500.0,
    "model.noise_alpha": 1.0,
    "model.dense_alpha": 100.0,
    "model.instance_rescale": True,
    "model.noise_rescale": False,
    "model.dense_rescale": False,
    "model.instance_match_length": False,
    "model.noise_shrink_factor": 1.0,
    "model.dense_shrink_factor": 1.0,
    "model.instance_area": "all",
    "model.spatial_area": "all",
}

MLP: Mapping[str, str | float | bool] = {
    # Noise and dense vector as in the authors' code. The perceptron is ours, in the middle of the ranges that the
    # specification gives: nobody has published one for this decoder.
    "model.n_hidden": 1,
    "model.hidden_width": 512,
    "model.dropout": 0.5,
    "model.learning_rate": 1e-4,
    "model.weight_decay": 0.01,
    "model.loss": "info_nce",
    "model.temperature": 0.1,
    "model.mse_weight": 0.1,
    "model.residual_noise": 0.5,
    "model.noise_alpha": 1.0,
    "model.dense_alpha": 100.0,
    "model.instance_rescale": False,
    "model.noise_rescale": False,
    "model.dense_rescale": False,
    "model.instance_match_length": False,
    "model.noise_shrink_factor": 1.0,
    "model.dense_shrink_factor": 1.0,
    "model.instance_area": "all",
    "model.spatial_area": "all",
}

PIXELS: Mapping[str, str | float | bool] = {
    # Plain ridge regression with a round penalty: of nobody in particular.
    "model.method": "ridge",
    "model.alpha_from": "fixed",
    "model.alpha": 100.0,
    "model.rescale": False,
}
