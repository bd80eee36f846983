"""What each cheap improvement of SABLE is worth on a real recording, 15 days after the only training day.

    .venv/bin/python tests/benchmarks/improvements_on_jango.py ../shared/data/jango --seeds 5

Trained on four fifths of the first day's trials with the published laptop values, 150 epochs, the last epoch kept;
scored on the second day. Rows with neither `matched` nor `read-in` use nothing of the second day. Differences are
paired with the first row by seed.
"""

import argparse
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from lightning_modules.parts.decoding.adaptation import decode_read_in
from lightning_modules.parts.decoding.inference import infer
from lightning_modules.parts.metrics import r2
from lightning_modules.parts.spikes.data_module import SpikeDataModule
from lightning_modules.parts.spikes.recordings import load_sessions, open_sealed_sessions
from lightning_modules.sable.module import Sable
from neurosweep.comparison.evaluated import seed_interval
from neurosweep.comparison.paired import compare_seeds
from search_spaces.sable.published import LAPTOP

OPTIONS: dict[str, dict[str, Any]] = {
    "as published": {},
    "roots of counts": {"encoder_input": "sqrt"},
    "log(1 + count)": {"encoder_input": "log1p"},
    "unit dropout 0.2": {"unit_dropout": 0.2},
    "gain jitter 0.2": {"gain_jitter": 0.2},
    "roots, dropout and jitter": {"encoder_input": "sqrt", "unit_dropout": 0.2, "gain_jitter": 0.2},
    "behind a read-in": {"read_in": True},
    "matched": {"match_sessions": True},
    "matched, roots, dropout and jitter": {
        "match_sessions": True,
        "encoder_input": "sqrt",
        "unit_dropout": 0.2,
        "gain_jitter": 0.2,
    },
}
EPOCHS = 150


def decode_second_day(path: str, option: dict[str, Any], seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Train one model; return decoded and recorded behaviour of the second day, and R² of held-out trials."""
    model = {name: value for name, value in option.items() if name not in ("match_sessions", "read_in")}
    settings = {
        "path": path,
        "test_sessions": 1,
        "validation_sessions": 0,
        "min_training_sessions": 1,
        "units": "channel",
        "match_sessions": option.get("match_sessions", False),
    }
    data = load_sessions(**settings)
    test = open_sealed_sessions(data, settings).trials
    data_module = SpikeDataModule(data, seed=seed, batch_size=int(LAPTOP["data.batch_size"]))
    published = {name[6:]: value for name, value in LAPTOP.items() if name.startswith("model.")}
    pl.seed_everything(seed, verbose=False)
    module = Sable(**{**data_module.model_arguments, **published, **model})
    trainer = pl.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        check_val_every_n_epoch=EPOCHS,
        gradient_clip_val=float(LAPTOP["trainer.gradient_clip_val"]),
    )
    trainer.fit(module, datamodule=data_module)
    within = float(trainer.callback_metrics["val/behaviour_r2"])
    seen = data.as_seen(test)
    if option.get("read_in"):
        return decode_read_in([module.eval()], data.as_seen(data.training), seen)[0], test.behaviour, within
    return infer(module, seen.spikes).behaviour, test.behaviour, within


def score(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Variance-weighted R²."""
    return r2(torch.as_tensor(predicted), torch.as_tensor(truth)).item()


def main() -> None:
    """Train, score, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--options", nargs="+", default=list(OPTIONS), choices=OPTIONS, metavar="OPTION")
    given = parser.parse_args()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    first: list[float] = []
    print(
        "| option | within the day | 15 days later | less the first row | mean of the seeds' decoded force |"
    )
    print("|---|---|---|---|---|", flush=True)
    for name in given.options:
        option = OPTIONS[name]
        runs = [decode_second_day(str(given.path), option, seed) for seed in range(given.seeds)]
        scores = [score(predicted, truth) for predicted, truth, _ in runs]
        together = score(np.mean([predicted for predicted, _, _ in runs], axis=0), runs[0][1])
        first = first or scores
        paired = compare_seeds(scores, first)
        low, high = seed_interval(np.array(scores))
        within = np.mean([one for _, _, one in runs])
        difference = f"{paired.difference:+.3f} [{paired.t_interval[0]:+.3f}, {paired.t_interval[1]:+.3f}]"
        mean = f"{np.mean(scores):.3f} [{low:.3f}, {high:.3f}]"
        print(f"| {name} | {within:.3f} | {mean} | {difference} | {together:.3f} |", flush=True)


if __name__ == "__main__":
    main()
