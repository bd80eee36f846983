"""The rival: Ray Tune, OptunaSearch and MLflowLoggerCallback around the same modules, as one would write it by hand.

It does what Ray's and Lightning's examples do: a report and a checkpoint an epoch, artifacts to MLflow, ASHA if asked.
`epochs.jsonl` in the output folder gets a line an epoch: seconds of training with validation, and when it ended.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

METRICS = {
    "sable": ["val/behaviour_r2", "val/behaviour_r2_flat", "val/behaviour_r2_within_target",
              "val/behaviour_r2_worst_session", "val/bits_per_spike", "val/kl", "val/loss"],
    "noop": ["val/score", "val/one"],
}  # fmt: skip


def train(
    config: dict[str, Any], *, kind: str, epochs: int, folder: str, data: Any, checkpoints: bool
) -> None:
    """Fit one trial."""
    import pytorch_lightning as pl
    import torch
    from ray.tune.integration.pytorch_lightning import TuneReportCheckpointCallback

    torch.set_num_threads(1)
    pl.seed_everything(0, workers=True)
    module, data_module = build(kind, config, data)

    class Clock(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            self.started = time.time()

        def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            now = time.time()
            with Path(folder, "epochs.jsonl").open("a") as file:
                last = trainer.current_epoch + 1 == epochs
                note = {"seconds": now - self.started, "ended": now, "last": last}
                file.write(json.dumps(note) + "\n")

    pl.Trainer(
        max_epochs=epochs,
        gradient_clip_val=config.get("trainer.gradient_clip_val"),
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[
            Clock(),
            TuneReportCheckpointCallback(METRICS[kind], on="validation_end", save_checkpoints=checkpoints),
        ],
    ).fit(module, datamodule=data_module)


def build(kind: str, config: dict[str, Any], data: Any) -> tuple[Any, Any]:
    """Build the same module and data module that neurosweep builds."""
    model = {
        name.removeprefix("model."): value for name, value in config.items() if name.startswith("model.")
    }
    if kind == "noop":
        from noop_lab import NoData, NoModel

        return NoModel(**model), NoData(data)
    from lightning_modules.parts.spikes.data_module import SpikeDataModule
    from lightning_modules.sable.module import Sable

    data_module = SpikeDataModule(data, batch_size=config["data.batch_size"])
    return Sable(**data_module.model_arguments, **model), data_module


def main() -> None:
    """Run the sweep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=list(METRICS))
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--fixed", type=json.loads, default={}, help="JSON: parameters that are not searched")
    parser.add_argument("--grace-period", type=int, help="epochs before ASHA ends a trial (default: no ASHA)")
    parser.add_argument("--reduction-factor", type=int, default=3)
    parser.add_argument("--reuse-actors", action="store_true")
    parser.add_argument("--untracked", action="store_true", help="neither MLflow nor checkpoints")
    options = parser.parse_args()

    import ray
    from optuna.samplers import PartialFixedSampler, TPESampler
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback
    from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
    from ray.tune.search.optuna import OptunaSearch

    if options.kind == "sable":
        from lightning_modules.parts.spikes.recordings import load_sessions as load
        from search_spaces.sable.space import laptop_space as space
    else:
        from noop_lab import load, space

    slots = len(os.sched_getaffinity(0))
    ray.init(
        address="local",
        num_cpus=slots,
        object_store_memory=200 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
    )
    trainable = tune.with_parameters(
        train,
        kind=options.kind,
        epochs=options.epochs,
        folder=options.folder,
        data=load(),
        checkpoints=not options.untracked,
    )
    metric = METRICS[options.kind][0]
    scheduler = FIFOScheduler()
    if options.grace_period is not None:
        scheduler = ASHAScheduler(
            metric=metric,
            mode="max",
            grace_period=options.grace_period,
            reduction_factor=options.reduction_factor,
            max_t=options.epochs + 1,  # at max_t itself ASHA kills a winner before it has ended
        )
    # TPESampler(seed=...) is what OptunaSearch itself builds.
    sampler = PartialFixedSampler(options.fixed, TPESampler(seed=0))
    results = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(space, metric=metric, mode="max", sampler=sampler),
            scheduler=scheduler,
            num_samples=options.trials,
            max_concurrent_trials=slots,
            reuse_actors=options.reuse_actors,
        ),
        run_config=tune.RunConfig(
            name="plain",
            storage_path=options.folder,
            checkpoint_config=tune.CheckpointConfig(
                num_to_keep=1, checkpoint_score_attribute=metric, checkpoint_score_order="max"
            ),
            callbacks=[]
            if options.untracked
            else [
                MLflowLoggerCallback(
                    tracking_uri=f"sqlite:///{options.folder}/mlflow.db",
                    experiment_name="plain",
                    save_artifact=True,
                )
            ],
            verbose=0,
        ),
    ).fit()
    if results.num_errors:
        raise SystemExit(f"{results.num_errors} trials failed: {results.errors[0]}")


if __name__ == "__main__":
    main()
