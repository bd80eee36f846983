"""Where every sweep of picture decoders starts. Which value comes from where: `lightning_modules/icgan/README.md`."""

from collections.abc import Mapping

PAPER: Mapping[str, str | float | bool] = {
    # The authors' code: three fixed penalties for all subjects, all voxels, only the instance features standardised.
    "model.alpha_from": "fixed",
    "model.instance_alpha": 500.0,
    "model.noise_alpha": 1.0,
    "model.dense_alpha": 100.0,
    "model.instance_rescale": True,
    "model.noise_rescale": False,
    "model.dense_rescale": False,
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
