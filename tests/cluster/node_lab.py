"""A model that counts epochs, and writes down where and when each of them ran, and which GPUs it saw."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import ray
import troubled_lab


class Located(troubled_lab.Troubled):
    """Trials with a `gate` wait before epoch 3 until that file exists."""

    def __init__(
        self, *, epoch_seconds: float = 0.0, diary: str = "", gate: str = "", choice: int = 0
    ) -> None:
        super().__init__(trouble="none", epoch_seconds=epoch_seconds)
        self.save_hyperparameters()
        self._started = 0.0

    def on_train_start(self):
        self._note("start", time.time())

    def on_train_epoch_start(self):
        while self.current_epoch == 3 and self.hparams.gate and not Path(self.hparams.gate).exists():
            time.sleep(0.05)
        self._started = time.time()

    def on_train_epoch_end(self):
        self._note("epoch", self._started)

    def _note(self, event: str, started: float) -> None:
        note = {
            "event": event,
            "pid": os.getpid(),
            "node": ray.get_runtime_context().get_node_id(),
            "devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "epoch": self.current_epoch,
            "started": started,
            "ended": time.time(),
        }
        with Path(self.hparams.diary).open("a", encoding="utf-8") as file:
            file.write(json.dumps(note) + "\n")


def space(trial):
    trial.suggest_int("model.choice", 0, 1000)


EXPERIMENT = replace(
    troubled_lab.EXPERIMENT,
    name="located",
    module="node_lab:Located",
    space="node_lab:space",
    published=None,
)
