"""What the figures of theory show, read back from their artists."""

import numpy as np
import pytest

from lightning_modules.fault_tolerant import figures_theory
from lightning_modules.fault_tolerant.estimates.error_estimate import counted
from lightning_modules.fault_tolerant.figures_levels import MeasuredLevels, draw_levels
from lightning_modules.fault_tolerant.figures_theory import (
    NoiseBox,
    NoisePoint,
    draw_neurons,
    draw_phase_diagram,
)
from lightning_modules.fault_tolerant.theory.grid_boundary import AS_SPECIFIED
from lightning_modules.fault_tolerant.theory.target_error import GridLine, MedianStaircase


def legend(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_levels_are_drawn_with_published_crosses_and_bounds_where_nothing_was_counted():
    errors = {2: [(0.02, counted(0, 1000)), (0.03, counted(53, 10_000))]}
    published, ours = draw_levels(MeasuredLevels("N4", errors, {}, {}, None)).axes
    crosses = {float(line.get_xdata()[0]) for line in published.lines if line.get_marker() == "x"}
    assert crosses == {0.120, 0.064, 0.046, 0.040}
    bounds = [line for line in ours.lines if line.get_marker() == "v"]
    assert [line.get_ydata()[0] for line in bounds] == pytest.approx([3e-3], rel=0.002)
    assert {"published $p_0$ = 0.0372", "of the recursion: 0.0361"} <= set(legend(published))
    (alone,) = draw_levels().axes
    assert legend(alone) == legend(published)


def test_phase_diagram_has_the_box_of_the_user_and_points_by_their_outcome(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(figures_theory, "SDS", (0.0, 0.1, 0.125))
    points = [NoisePoint(0.03, 0.03, True), NoisePoint(0.2, 0.02, False)]
    box = NoiseBox((0.13, 0.35), (0.02, 0.06), "cortex, (1 - P)^n")
    (axes,) = draw_phase_diagram(points, box, AS_SPECIFIED).axes
    assert axes.lines[0].get_ydata() == pytest.approx([0.1835, 0.151, 0.096], abs=1.2e-3)
    assert axes.patches[0].get_bbox().bounds == pytest.approx((0.02, 0.13, 0.04, 0.22))
    assert axes.get_ylim()[1] > 0.35
    assert legend(axes)[1:] == [
        "with more modules errs less, simulated",
        "with more modules errs more, simulated",
        "cortex, (1 - P)^n",
    ]


def test_neurons_are_dashed_where_more_modules_than_simulated_are_needed():
    line = GridLine(0.28, -0.36, most_measured=16)
    (axes,) = draw_neurons(MedianStaircase(0.02), {"grid": line}).axes
    solid, dashed = axes.lines[-2:]
    assert np.nanmax(solid.get_ydata()) == line.neurons(16)
    assert np.nanmin(dashed.get_ydata()) == line.neurons(17)
    assert np.array_equal(np.isnan(solid.get_ydata()), ~np.isnan(dashed.get_ydata()))
    assert "log(1/error)^4.39" in legend(axes)[1]


def test_median_code_above_its_threshold_is_said_to_be_so():
    (axes,) = draw_neurons(MedianStaircase(0.05), {}).axes
    assert legend(axes)[1] == "concatenated median: p is above its threshold"
