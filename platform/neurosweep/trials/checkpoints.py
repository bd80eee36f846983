"""The two checkpoints of a trial, best weights and last state, and when they are written."""

import io
import os
import pickle
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.call import _call_callbacks_on_save_checkpoint
from torch.utils._pytree import tree_map

from neurosweep.errors import NeurosweepError
from neurosweep.layout import TrialFolder

_TENSORS = ("state_dict", "optimizer_states")
"""Parts of a checkpoint that are large, and can always be loaded."""


class UnloadableCheckpointError(NeurosweepError):
    """A checkpoint would hold objects that are not loaded from a file, because loading them runs code."""


class CheckpointWriter:
    """Writes the best weights and the last state, as a pair that always fits.

    A small model trains an epoch faster than its checkpoint is written, so writing takes a share of the time at
    most. Between two writes the best weights are kept in memory.

    Args:
        folder: The trial's folder.
        share: Largest share of the wall time that writing may take. 0 leaves it to the caller alone, and
            infinity writes whenever asked.
    """

    def __init__(self, folder: TrialFolder, *, share: float) -> None:
        self._folder = folder
        self._share = share
        self._held: tuple[int, dict[str, Any]] | None = None
        self._cost = 0.0
        self._written_at = -float("inf")
        self._is_checked = False
        self.behind = False
        """Whether an epoch has finished since the last write."""

    @property
    def due(self) -> bool:
        """Whether so much time has passed since the last write that another one keeps to the share."""
        return (time.monotonic() - self._written_at) * self._share >= self._cost

    def hold(self, trainer: pl.Trainer, *, epoch: int) -> None:
        """Keep the weights of a new best epoch in memory, on the CPU."""
        self._held = (epoch, tree_map(_cpu_copy, _content(trainer, weights_only=True)))

    def write(self, trainer: pl.Trainer, *, best_epoch: int) -> None:
        """Write the best weights first, then the state that names them, and only then drop older weights.

        Raises:
            UnloadableCheckpointError: If the state could not be loaded again.
        """
        started = time.monotonic()
        if best_epoch == trainer.current_epoch:
            self._held = (best_epoch, _content(trainer, weights_only=True))
        self.write_best(trainer)
        state = _content(trainer, weights_only=False)
        if not self._is_checked:
            refuse_unloadable(state)
            self._is_checked = True
        _save(trainer, state, self._folder.last_checkpoint)
        self.keep_only(best_epoch)
        self.behind = False
        self._written_at = time.monotonic()
        self._cost = self._written_at - started

    def keep_only(self, epoch: int) -> None:
        """Drop the weights of every other epoch."""
        kept = self._folder.best_checkpoint_of(epoch)
        for other in self._folder.root.glob("best-*.ckpt"):
            if other != kept:
                other.unlink(missing_ok=True)  # another worker of the trial may be faster

    def write_best(self, trainer: pl.Trainer) -> None:
        """Write the best weights if they are in memory only; older ones stay, since the last state names them."""
        if self._held is not None:
            epoch, content = self._held
            _save(trainer, content, self._folder.best_checkpoint_of(epoch))
            self._held = None


def refuse_unloadable(state: dict[str, Any]) -> None:
    """Refuse a state that a resume could not load; a trial should fail of it in its first epoch, not at a kill.

    Raises:
        UnloadableCheckpointError: With the names of the hyperparameters that are to blame.
    """
    if _is_loadable({key: value for key, value in state.items() if key not in _TENSORS}):
        return
    parameters = state.get("hyper_parameters", {})
    blamed = [
        f"`{name}` ({type(value).__name__})" for name, value in parameters.items() if not _is_loadable(value)
    ]
    raise UnloadableCheckpointError(
        f"The checkpoint cannot be loaded again: it holds {', '.join(blamed) or 'objects of a callback'}.",
        "Give the module numbers, strings, lists, dicts or tensors instead, or leave the argument out: "
        '`save_hyperparameters(ignore=["..."])`.',
    )


def _is_loadable(content: Any) -> bool:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    buffer.seek(0)
    try:
        torch.load(buffer, weights_only=True)
    except pickle.UnpicklingError:
        return False
    return True


def _content(trainer: pl.Trainer, *, weights_only: bool) -> dict[str, Any]:
    """Return what `Trainer.save_checkpoint` would write; Lightning has no public way to it without a file.

    A callback that averages weights puts the averaged ones, which were validated, in the place of the trained ones.
    Lightning lets it do so in whole checkpoints only.
    """
    content = trainer._checkpoint_connector.dump_checkpoint(weights_only)
    if weights_only:
        changed = dict(content)
        _call_callbacks_on_save_checkpoint(trainer, changed)
        content["state_dict"] = changed["state_dict"]
    return content


def _cpu_copy(leaf: Any) -> Any:
    return leaf.detach().to("cpu", copy=True) if isinstance(leaf, torch.Tensor) else leaf


def _save(trainer: pl.Trainer, content: dict[str, Any], path: Path) -> None:
    """Write, then rename: a kill leaves the old file or the new one. Of several workers rank 0 alone writes."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        trainer.strategy.save_checkpoint(content, scratch)
        if trainer.is_global_zero:
            with scratch.open("rb") as file:
                os.fsync(file.fileno())  # else a power cut may leave the new name with nothing behind it
            scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
