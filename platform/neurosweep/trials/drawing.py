"""Pictures of a trial's kept checkpoint, drawn from the trial's files alone."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurosweep.experiments import import_callable
from neurosweep.layout import TrialFolder, read_json
from neurosweep.tracking.outbox import read_points
from neurosweep.trials.build import TrialConfig, build_data_module
from neurosweep.trials.reload import load_located

DPI = 100
_COMPRESSION = 1
"""Of 9: more takes longer, and a picture has 0.1 MB."""


def draw_trial(folder: TrialFolder, *, figures: str, data: Any) -> None:
    """Draw a trial that has ended. The pictures appear in its folder together, or not at all.

    Args:
        folder: The trial's folder, with configuration, metrics and a kept checkpoint.
        figures: Import path of the experiment's function.
        data: What the experiment's `load` returned.

    Raises:
        Exception: Whatever the lab's function raises.
    """
    checkpoint = folder.best_checkpoint
    if checkpoint is None:
        raise FileNotFoundError(f"there is no kept checkpoint in {folder.root}")
    config = TrialConfig.from_dict(read_json(folder.config))
    data_module = build_data_module(config, data)
    data_module.setup("fit")
    module = load_located(checkpoint, config)
    drawn = import_callable(figures)(module, data_module, _curves(folder))
    save_figures(drawn, folder.figures)


def save_figures(drawn: Mapping[str, Any], folder: Path, files: Mapping[str, bytes] | None = None) -> None:
    """Write matplotlib figures as `NAME.png` into a folder of their own, in place of what it held.

    The pictures appear together, or not at all, with other files by their names.
    """
    scratch = folder.parent / f".{folder.name}.{os.getpid()}.tmp"
    try:
        scratch.mkdir()
        for name, figure in drawn.items():
            figure.savefig(scratch / f"{name}.png", dpi=DPI, pil_kwargs={"compress_level": _COMPRESSION})
        for name, content in (files or {}).items():
            (scratch / name).write_bytes(content)
        shutil.rmtree(folder, ignore_errors=True)
        scratch.replace(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _curves(folder: TrialFolder) -> dict[str, list[tuple[int, float]]]:
    """Every metric of the trial: points (epoch, value) by name."""
    points, _ = read_points(folder.metrics, 0, limit=None)
    curves: dict[str, list[tuple[int, float]]] = {}
    for point in points:
        curves.setdefault(point.key, []).append((point.step, point.value))
    return curves
