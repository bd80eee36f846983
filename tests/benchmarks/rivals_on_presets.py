"""SABLE against its controls and rivals on generated drift: sealed days, paired over seeds.

Every model is trained with its published values on the first days of a generated animal, its epoch is chosen by
held-out trials of these days, and it is scored on the days after them. A seed is one
animal, one split and one initialisation, the same for every model. What is found is printed whatever it says.

    .venv/bin/python tests/benchmarks/rivals_on_presets.py --out rivals.jsonl --seeds 5 --updates 1600

A run that was stopped goes on where it was: finished cells are read from `--out`.
"""

import argparse
import copy
import functools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from lightning_modules.parts.decoding.evaluation import SealedDays
from lightning_modules.parts.spikes.recordings import SpikeData, load_sessions
from neurosweep.comparison.evaluated import seed_interval
from neurosweep.comparison.paired import compare_seeds
from neurosweep.experiments import find_experiment
from neurosweep.trials.arguments import merge_parameters
from neurosweep.trials.build import (
    TrialConfig,
    build_data_module,
    build_module,
    build_trainer,
    quiet_lightning,
)

PRESETS = ("exchangeable", "default", "confounded", "strong")
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "sable": ("sable", {}),
    "no_reversal": ("sable", {"model.variant": "no_reversal"}),
    "stop_gradient": ("sable", {"model.variant": "stop_gradient"}),
    "behaviour_only": ("sable", {"model.variant": "behaviour_only"}),
    "sable-dann": ("sable-dann", {}),
    "rave-plus": ("rave-plus", {}),
    "lfads": ("lfads", {}),
}
DAYS = {"n_sessions": 8, "test_sessions": 3, "validation_sessions": 0}
SHOWN = (
    "val/behaviour_r2",
    "test/behaviour_r2",
    "test/behaviour_r2_worst_session",
    "test/behaviour_r2_within_target",
    "test_adapted/behaviour_r2",
    "val/bits_per_spike",
    "test/bits_per_spike",
    "test/session_probe_svm",
    "test/session_probe_logistic",
    "test/target_probe",
)
PAIRED = ("test/behaviour_r2", "test_adapted/behaviour_r2")


class BestEpoch(pl.Callback):
    """Keeps weights and validation metrics of the epoch with the best held-out trials."""

    def __init__(self) -> None:
        self.metrics = {"val/behaviour_r2": -np.inf}
        self.weights: dict[str, torch.Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the epoch with the best one so far."""
        found = {name: float(value) for name, value in trainer.callback_metrics.items() if "val/" in name}
        if found["val/behaviour_r2"] > self.metrics["val/behaviour_r2"]:
            self.metrics, self.weights = found, copy.deepcopy(pl_module.state_dict())


@functools.lru_cache(maxsize=1)
def animal(preset: str, seed: int) -> tuple[SpikeData, SealedDays]:
    """Generate an animal and open its sealed days, whose references take longer than training a model."""
    settings = {**DAYS, "preset": preset, "generator_seed": seed}
    data = load_sessions(**settings)
    return data, SealedDays(data, settings)


def train_model(
    model: str, data: SpikeData, seed: int, updates: int
) -> tuple[pl.LightningModule, dict[str, float]]:
    """Train a model with its published values; return it at its best epoch, and its validation metrics there."""
    name, changed = MODELS[model]
    experiment = find_experiment(name)
    sections = merge_parameters({"data": DAYS}, {**experiment.published_values()[0], **changed})
    config = TrialConfig(experiment, 0, seed, sections, data_hash="")
    data_module = build_data_module(config, data)
    # Families have batches of different sizes: what they share is the number of steps of the model's optimizer.
    sections["trainer"]["max_epochs"] = -(-updates // len(data_module.train_dataloader()))
    module = build_module(config, data_module)
    best = BestEpoch()
    build_trainer(config, gpus=0, callbacks=[best]).fit(module, datamodule=data_module)
    module.load_state_dict(best.weights)
    return module, best.metrics


def run_cell(preset: str, model: str, seed: int, updates: int, *, adapt: bool = False) -> dict[str, Any]:
    """Train one model on one animal and score it."""
    data, sealed = animal(preset, seed)
    started = time.monotonic()
    module, validated = train_model(model, data, seed, updates)
    found = sealed.score([module], adapt=adapt)
    return {
        "preset": preset,
        "model": model,
        "seed": seed,
        "updates": updates,
        "seconds": round(time.monotonic() - started, 1),
        "scores": {**validated, **found.scores[0]},
        "references": found.references,
    }


def cells(presets: list[str], models: list[str], seeds: int) -> Iterator[tuple[str, str, int]]:
    """Seed by seed, so that a run that is stopped has compared every model."""
    for seed in range(seeds):
        for preset in presets:
            for model in models:
                yield preset, model, seed


def show(rows: list[dict[str, Any]]) -> None:
    """Print one table a preset: mean and interval over seeds, and what SABLE is better by."""
    for preset in dict.fromkeys(row["preset"] for row in rows):
        ours = [row for row in rows if row["preset"] == preset]
        scores = {(row["model"], row["seed"]): row["scores"] for row in ours}
        for row in ours:
            for name, values in row["references"].items():
                scores.setdefault((name, row["seed"]), values)
        names = list(dict.fromkeys(name for name, _ in scores))
        print(f"\n## {preset}\n")
        differences = " | ".join(f"{metric} of SABLE less this" for metric in PAIRED)
        print("| model | seeds | " + " | ".join(SHOWN) + f" | {differences} |")
        print("| --- " * (len(SHOWN) + 2 + len(PAIRED)) + "|")
        for name in names:
            seeds = [seed for one, seed in scores if one == name]
            columns = [_mean([scores[name, seed].get(metric, np.nan) for seed in seeds]) for metric in SHOWN]
            columns += [_paired(scores, name, seeds, metric) for metric in PAIRED]
            print(f"| {name} | {len(seeds)} | " + " | ".join(columns) + " |")


def _mean(values: list[float]) -> str:
    if not np.isfinite(values).all():
        return ""
    low, high = seed_interval(np.array(values))
    return f"{np.mean(values):.3f}" + ("" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]")


def _paired(scores: dict[tuple[str, int], dict[str, float]], name: str, seeds: list[int], metric: str) -> str:
    shared = [
        seed for seed in seeds if metric in scores[name, seed] and metric in scores.get(("sable", seed), {})
    ]
    if name == "sable" or len(shared) < 2:
        return ""
    found = compare_seeds(
        [scores["sable", seed][metric] for seed in shared], [scores[name, seed][metric] for seed in shared]
    )
    low, high = found.t_interval
    return f"{found.difference:+.3f} [{low:+.3f}, {high:+.3f}], above in {found.n_greater} of {found.n_seeds}"


def main() -> None:
    """Run what is missing, then print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="results so far, one JSON object a line")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=1600, help="optimizer steps of each model")
    parser.add_argument("--presets", nargs="+", default=list(PRESETS), choices=PRESETS)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument(
        "--adapt", action="store_true", help="also what adapts to the sealed days; minutes a seed"
    )
    parser.add_argument("--show", action="store_true", help="only print what is there")
    given = parser.parse_args()
    quiet_lightning()
    torch.set_num_threads(1)
    rows = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    done = {(row["preset"], row["model"], row["seed"]) for row in rows}
    for cell in () if given.show else cells(given.presets, given.models, given.seeds):
        if cell not in done:
            rows.append(run_cell(*cell, given.updates, adapt=given.adapt))
            with given.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    show(rows)


if __name__ == "__main__":
    main()
