"""Recorded spikes beside the rates that a model predicts."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightning_modules.parts.decoding.figures_style import ShownDay, drawable, entitle, trim

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BRIGHTEST = 99.5
"""Percentile of the rates at which the colours end, so that one unit does not darken all others."""

_RASTER_POINTS = 240.0
"""Height of the raster less the gaps between its rows, in points."""
_THICKEST = 4
"""Spikes in a bin beyond which its mark grows no thicker."""

Array = NDArray[np.float64]


def draw_spikes(
    log_rates: NDArray[np.floating[Any]], spikes: NDArray[np.integer[Any]], bin_width_s: float, day: ShownDay
) -> "Figure":
    """Draw one trial's raster and predicted rates, and how rates fit over all trials of the day.

    Args:
        log_rates: Log of expected counts per bin, (K, T, N).
        spikes: Counts per bin, (K, T, N).
        bin_width_s: Width of a bin, s.
        day: Which day.
    """
    from matplotlib.figure import Figure

    with np.errstate(over="ignore"):
        rates = drawable(np.exp(log_rates.astype(np.float64)) / bin_width_s)
    order = order_of_units(rates[0])
    figure = Figure(figsize=(10, 7.6))
    (raster, heat), (over_time, of_units) = figure.subplots(2, 2, height_ratios=(2.2, 1))
    figure.subplots_adjust(left=0.07, right=0.96, bottom=0.08, top=0.89, wspace=0.24, hspace=0.3)
    figure.suptitle(f"Spikes and predicted rates on {day.title}", fontsize=11)
    _draw_raster(raster, spikes[0][:, order], bin_width_s)
    _draw_rates(heat, rates[0][:, order], bin_width_s)
    _draw_mean_over_units(over_time, rates, spikes, bin_width_s)
    _draw_mean_of_units(of_units, rates, spikes, bin_width_s)
    trim([raster, over_time, of_units])
    return figure


def order_of_units(rates: Array) -> NDArray[np.int64]:
    """Return the units by the time of the peak of their rates (T, N)."""
    return np.argsort(np.nan_to_num(rates).argmax(axis=0), kind="stable")


def _draw_raster(axes: "Axes", spikes: NDArray[np.integer[Any]], bin_width_s: float) -> None:
    """Draw a mark for each bin with spikes, thicker for more of them."""
    bins, units = np.nonzero(spikes)
    n_bins, n_units = spikes.shape
    axes.scatter(
        (bins + 0.5) * bin_width_s,
        units,
        s=(_RASTER_POINTS / n_units) ** 2,
        marker="|",
        color="black",
        linewidths=(0.8 * np.minimum(spikes[bins, units], _THICKEST)).tolist(),
    )
    axes.set(xlim=(0, n_bins * bin_width_s), ylim=(-0.5, n_units - 0.5))
    axes.set(xlabel="Time from the trial's first bin (s)", ylabel="Unit, by the time of its predicted peak")
    entitle(axes, "One trial: recorded spikes")


def _draw_rates(axes: "Axes", rates: Array, bin_width_s: float) -> None:
    n_bins, n_units = rates.shape
    finite = rates[np.isfinite(rates)]
    image = axes.imshow(
        rates.T,
        aspect="auto",
        origin="lower",
        interpolation="nearest",
        cmap="cividis",
        vmin=0.0,
        vmax=max(float(np.percentile(finite, BRIGHTEST)), 1e-9) if len(finite) else 1.0,
        extent=(0, n_bins * bin_width_s, -0.5, n_units - 0.5),
    )
    axes.set(xlabel="Time from the trial's first bin (s)", ylabel="Unit, in the same order")
    entitle(axes, "The same trial: predicted rates")
    axes.figure.colorbar(image, ax=axes, label="Rate (spikes/s)", pad=0.02)


def _draw_mean_over_units(
    axes: "Axes", rates: Array, spikes: NDArray[np.integer[Any]], bin_width_s: float
) -> None:
    time = (np.arange(spikes.shape[1]) + 0.5) * bin_width_s
    axes.plot(time, spikes.mean(axis=(0, 2)) / bin_width_s, color="black", label="recorded")
    axes.plot(time, rates.mean(axis=(0, 2)), color="#D55E00", linestyle=(0, (3, 1.5)), label="predicted")
    axes.set(xlabel="Time from the trial's first bin (s)", ylabel="Mean rate (spikes/s)")
    entitle(axes, f"Mean over units and {len(spikes)} trials")
    axes.legend(fontsize=8, frameon=False)


def _draw_mean_of_units(
    axes: "Axes", rates: Array, spikes: NDArray[np.integer[Any]], bin_width_s: float
) -> None:
    recorded, predicted = spikes.mean(axis=(0, 1)) / bin_width_s, rates.mean(axis=(0, 1))
    most = max(float(np.nanmax(np.append(recorded, predicted))), 1e-9)
    axes.plot([0, most], [0, most], color="0.6", linewidth=0.8)
    axes.scatter(recorded, predicted, s=12, color="#D55E00", alpha=0.7, linewidths=0)
    axes.set(xlabel="Recorded (spikes/s)", ylabel="Predicted (spikes/s)")
    entitle(axes, "Mean rate of each unit")
