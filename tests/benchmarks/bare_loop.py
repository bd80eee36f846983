"""Training alone: the no-op module fitted by Lightning again and again, without Ray, reports or checkpoints."""

import argparse
import json
import time
from pathlib import Path


def main() -> None:
    """Fit; `bare-<worker>.json` gets when each fit ended, s since 1970, and the CPU seconds up to then."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--worker", type=int, required=True)
    options = parser.parse_args()
    import pytorch_lightning as pl
    import torch
    from noop_lab import NoData, NoModel, load

    from neurosweep.trials.build import quiet_lightning

    quiet_lightning()
    torch.set_num_threads(1)
    ends = []
    for _ in range(options.trials):
        pl.seed_everything(0, workers=True, verbose=False)
        pl.Trainer(
            max_epochs=options.epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        ).fit(NoModel(), datamodule=NoData(load()))
        ends.append((time.time(), time.process_time()))
    (options.folder / f"bare-{options.worker}.json").write_text(json.dumps(ends))


if __name__ == "__main__":
    main()
