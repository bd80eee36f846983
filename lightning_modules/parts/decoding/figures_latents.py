"""Latents of single trials in two dimensions, coloured by target and by session."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightning_modules.parts.decoding.figures_style import (
    MOST_NAMES,
    Colours,
    all_targets,
    entitle,
    key,
    session_colours,
    spread_evenly,
    target_colours,
    trim,
    write_inside,
)
from lightning_modules.parts.spikes.windows import SpikeTrials

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_POINTS = 320
"""Trials in the picture; t-SNE takes a quarter of a second for so many."""
FEWEST_POINTS = 5
PERPLEXITY, ITERATIONS = 30.0, 300

Array = NDArray[np.float64]


def draw_latents(
    trained: NDArray[np.floating[Any]],
    held_out: NDArray[np.floating[Any]],
    training: SpikeTrials,
    validation: SpikeTrials,
    session_names: Sequence[str],
) -> "Figure":
    """Draw PCA and t-SNE of the latents, with the same trials coloured by target and by session.

    Args:
        trained: Latents of the training trials, (K, Z).
        held_out: Of the validation trials, (M, Z).
        training: K trials; targets and sessions are used.
        validation: M trials.
        session_names: Names that `session` counts along.
    """
    from matplotlib.figure import Figure

    latents = np.concatenate([trained, held_out]).astype(np.float64)
    target = np.concatenate([training.target, validation.target])
    session = np.concatenate([training.session, validation.session])
    new = np.arange(len(latents)) >= len(trained)
    shown = choose_points(new, np.asarray(np.isfinite(latents).all(axis=1)))
    of_target = target_colours(all_targets(target))
    of_session = session_colours(len(session_names))
    figure = Figure(figsize=(10.5, 8.4))
    panels = figure.subplots(2, 2)
    figure.subplots_adjust(left=0.08, right=0.86, bottom=0.06, top=0.9, wspace=0.42, hspace=0.28)
    figure.suptitle(f"Latents of {len(shown)} trials", x=0.46)
    coloured: list[Colours] = [
        np.array([of_target[one] for one in target[shown].tolist()]),
        of_session[session[shown]],
    ]
    points, labels = pca(latents[shown])
    for column, (colours, by) in enumerate(zip(coloured, ("target", "session"), strict=True)):
        panels[0, column].set(xlabel=labels[0], ylabel=labels[1])
        entitle(panels[0, column], f"PCA, by {by}")
        _scatter(panels[0, column], points, colours, new[shown])
    problem = _why_no_tsne(latents[shown])
    points = np.empty((0, 2)) if problem else tsne(latents[shown])
    for column, (colours, by) in enumerate(zip(coloured, ("target", "session"), strict=True)):
        axes = panels[1, column]
        if problem:
            write_inside(axes, problem)
        else:
            _scatter(axes, points, colours, new[shown])
            axes.set(xticks=[], yticks=[])  # the units of a t-SNE mean nothing
        axes.set(xlabel="t-SNE 1", ylabel="t-SNE 2")
        entitle(axes, f"t-SNE, by {by}")
    trim(panels.flat)
    beside: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
    key(
        panels[0, 0],
        _entries([str(one) for one in of_target], list(of_target.values())),
        title="target",
        **beside,
    )
    key(panels[0, 1], _entries(session_names, list(of_session)), title="session", **beside)
    kinds = [("training", _LOOK[False]), ("held out", _LOOK[True])]
    grey = {"linestyle": "", "markerfacecolor": "0.6", "markeredgecolor": "black"}
    entries = [
        (name, {**grey, "marker": look["marker"], "markeredgewidth": look["linewidth"]})
        for name, look in kinds
    ]
    key(panels[1, 1], entries, title="trial", **beside)
    return figure


_LOOK: dict[bool, dict[str, Any]] = {
    False: {"marker": "o", "s": 14, "linewidth": 0.0, "alpha": 0.7},
    True: {"marker": "^", "s": 26, "linewidth": 0.7, "alpha": 0.95},
}
"""How trials look that were not held out, and that were."""


def choose_points(
    held_out: NDArray[np.bool_], usable: NDArray[np.bool_], *, seed: int = 0
) -> NDArray[np.int64]:
    """Choose at most `MOST_POINTS` trials, held-out ones up to half of them; return their positions in order."""
    rng = np.random.default_rng(seed)
    new, old = np.flatnonzero(held_out & usable), np.flatnonzero(~held_out & usable)
    n_new = min(len(new), max(MOST_POINTS // 2, MOST_POINTS - len(old)))
    n_old = min(len(old), MOST_POINTS - n_new)
    return np.sort(
        np.concatenate([rng.choice(new, n_new, replace=False), rng.choice(old, n_old, replace=False)])
    )


def pca(latents: Array) -> tuple[Array, tuple[str, str]]:
    """Return the first two principal components of latents (K, Z) as (K, 2), with the axes' labels.

    A single dimension is shown against the order of the trials.
    """
    centred = latents - latents.mean(axis=0) if len(latents) else latents
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    scores = left * singular
    power = singular**2
    shares = power / power.sum() if power.sum() > 0 else np.zeros_like(power)
    if latents.shape[1] < 2 or scores.shape[1] < 2:
        scores = scores if scores.shape[1] else np.zeros((len(latents), 1))
        return np.column_stack([scores[:, 0], np.arange(len(latents), dtype=np.float64)]), (
            "PC 1 (all variance)",
            "trial, in order",
        )
    return scores[:, :2], (f"PC 1 ({shares[0]:.0%} of variance)", f"PC 2 ({shares[1]:.0%} of variance)")


def tsne(latents: Array) -> Array:
    """Return the t-SNE of latents (K, Z), K at least `FEWEST_POINTS`, as (K, 2)."""
    from sklearn.manifold import TSNE

    return TSNE(
        n_components=2,
        perplexity=min(PERPLEXITY, (len(latents) - 1) / 3),
        init="pca" if latents.shape[1] >= 2 else "random",
        max_iter=ITERATIONS,
        random_state=0,
        n_jobs=1,
    ).fit_transform(latents.astype(np.float32))


def _why_no_tsne(latents: Array) -> str:
    if len(latents) < FEWEST_POINTS:
        return f"{len(latents)} trials are too few for t-SNE"
    spread = np.ptp(latents, axis=0).max()
    if spread <= 1e-6 * max(np.abs(latents).max(), np.finfo(np.float32).tiny):
        return "the latents do not vary"
    return ""


def _scatter(axes: "Axes", points: Array, colours: Colours, held_out: NDArray[np.bool_]) -> None:
    """Draw training trials below, held-out ones above them."""
    for kind, look in _LOOK.items():
        ours = held_out == kind
        axes.scatter(points[ours, 0], points[ours, 1], c=colours[ours], edgecolors="black", **look)


def _entries(names: Sequence[str], colours: Sequence[Any]) -> list[tuple[str, Any]]:
    return [
        (names[one], {"marker": "o", "linestyle": "", "color": colours[one], "markersize": 5})
        for one in spread_evenly(len(names), MOST_NAMES)
    ]
