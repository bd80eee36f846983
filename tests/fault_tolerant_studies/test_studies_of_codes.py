"""Small studies against the numbers of the specification."""

import math

import pytest

from lightning_modules.fault_tolerant import figures_theory
from lightning_modules.fault_tolerant.studies import STUDIES, phase_diagram
from lightning_modules.fault_tolerant.studies.depth import DepthSettings, study_depth
from lightning_modules.fault_tolerant.studies.inner_code import inner_boundary
from lightning_modules.fault_tolerant.studies.levels import LevelSettings, study_levels
from lightning_modules.fault_tolerant.studies.neurons import GRIDS, NeuronSettings, study_neurons
from lightning_modules.fault_tolerant.studies.phase_diagram import PhaseSettings, study_phase_diagram
from lightning_modules.parts.studies import Row


def covers(row: Row, value: float, prefix: str = "") -> bool:
    return row[f"{prefix}low"] <= value <= row[f"{prefix}high"]


def test_levels_have_the_specified_errors_and_claim_no_threshold_of_one_level(said: list[str]):
    """Section 5.2: level 1 of N4 .0060 at p = .02, .0366 at .05; section 3.1.5: 15 p^2; a bare neuron errs with p."""
    found = study_levels(LevelSettings(highest_level=1, evaluations=0.2), said.append)
    rows = {(row["level"], row["p"]): row for row in found.tables["errors"]}
    assert all(row["error"] == pytest.approx(p) for (level, p), row in rows.items() if level == 0)
    assert rows[1, 0.02]["error"] == pytest.approx(0.0060, rel=0.03)
    # Of the third order in p the pairs leave 15 p^2 (1 + O(p)).
    assert rows[1, 0.01]["error"] == pytest.approx(15 * 0.01**2, rel=0.1)
    assert rows[1, 0.06]["method"] == "monte_carlo"
    assert any("No threshold is claimed" in note for note in found.notes)
    assert found.metrics["published/rms_log_error"] == pytest.approx(0.455, abs=0.001)
    assert len(said) == 2


def test_multiplier_has_the_specified_neurons_errors_and_slope(said: list[str]):
    """Section 4.2: (.02, .02), M = 4, 6, 8."""
    settings = NeuronSettings(modules=(4, 6, 8), copies=(1, 3), levels=(0,), evaluations=0.5)
    found = study_neurons(settings, said.append)
    rows = {(row["code"], row["number"]): row for row in found.tables["errors"]}
    for name, neurons, errors in zip(
        GRIDS, (392, 266, 80), ((0.066, 0.014), (0.063, 0.010), (0.117, 0.038)), strict=True
    ):
        assert rows[name, 4]["neurons"] == neurons
        # Those of the specification are of some thousand trials.
        for number, error in zip((4, 6), errors, strict=True):
            assert rows[name, number]["mean_error"] == pytest.approx(error, rel=0.35)
    assert found.metrics["slope/local"] == pytest.approx(-0.36, abs=0.05)
    (fit, *_) = found.tables["fits"]
    assert fit["neurons_per_decade"] == pytest.approx(98 / -found.metrics["slope/local"])
    # A circuit of bare NANDs cannot err more often than that any of its 28 synapses fails.
    assert rows["averaging, 14 NANDs, simulated", 1]["mean_low"] < 1 - 0.98**28


def test_depth_test_is_at_equal_neurons_and_says_who_wins(said: list[str]):
    """Section 5.5: 64 layers at (.01, .03), 160 neurons: grid .020, averaging .151 (.089 here); equal size is 20 M."""
    found = study_depth(DepthSettings(layers=(64,), modules=(8,), evaluations=0.25), said.append)
    grid, averaging = found.tables["errors"]
    assert grid["neurons_a_layer"] == averaging["neurons_a_layer"] == 160
    assert covers(grid, 0.020, "mean_")
    assert covers(averaging, 0.089, "mean_")
    assert any("the grid code errs less" in note for note in found.notes)


def test_boundary_of_the_grid_code_inside_the_median_is_the_specified_one():
    """Section 3.3, C1: p* by the common standard deviation, and none beyond .0755."""
    specified = {0.0: 0.0565, 0.03: 0.048, 0.06: 0.024, 0.08: 0.0}
    found = inner_boundary(tuple(specified), 0.0372, 10_000, seed=1)
    assert found == pytest.approx(list(specified.values()), abs=0.0025)


def test_points_and_the_users_box_are_in_the_phase_diagram(said: list[str], monkeypatch: pytest.MonkeyPatch):
    for module in (figures_theory, phase_diagram):
        monkeypatch.setattr(module, "SDS", (0.0, 0.1))
    monkeypatch.setattr(phase_diagram, "INNER_SDS", (0.0,))
    settings = PhaseSettings(
        sds=(0.0,),
        modules=(6, 24),
        depth=2,
        release=(0.25, 0.4, 4, 0.0, 0.02),
        distance=0.5,
        evaluations=0.15,
    )
    found = study_phase_diagram(settings, said.append)
    inside = [row for row in found.tables["points"] if row["side"] == "inside"]
    # Section 3.2.3: p0 = 1 - sqrt(2/3) without Gaussian noise.
    assert inside[0]["p"] == pytest.approx(0.5 * (1 - math.sqrt(2 / 3)), rel=0.002)
    # Section 3.2.3 again: .1835 and .151 of any depth.
    edges = [row["any_depth"] for row in found.tables["mean_field_boundary"]]
    assert edges == pytest.approx([0.1835, 0.151], abs=1.2e-3)
    assert [row["with_modules"] for row in inside] == ["falls", "falls"]
    (box,) = found.figures["phase_diagram"].axes[0].patches
    # Section 4.3: (1 - P_r)^4 is .13 to .32 for release probabilities of .4 to .25.
    assert box.get_bbox().bounds == pytest.approx((0.0, 0.6**4, 0.02, 0.75**4 - 0.6**4))
    assert "The box is what you gave, not a result." in found.notes
    assert PhaseSettings().box is None


@pytest.mark.parametrize(
    ("study", "given", "said_of_it"),
    [
        ("levels", {"highest_level": 5, "evaluations": 0}, r"`evaluations` is 0[\s\S]*`highest_level` is 5"),
        ("levels", {"failures": (0.04, 0.03)}, "two or more that rise"),
        ("phase_diagram", {"biology": (0.1, 0.2)}, "has 2 numbers; give p_low,p_high,sd_low,sd_high"),
        ("phase_diagram", {"biology": (0.2, 0.1, 0, 0)}, "not above its high end"),
        ("phase_diagram", {"release": (0.2, 0.3, 0, 0, 0)}, "at least 1"),
        ("neurons", {"failure": 1.2, "copies": (0,)}, r"`copies` are \(0,\)[\s\S]*`failure` is 1.2"),
        ("depth", {"layers": (0,), "modules": (2,)}, r"`layers`[\s\S]*`modules`"),
    ],
)
def test_impossible_settings_are_refused_all_at_once(study: str, given: dict, said_of_it: str):
    with pytest.raises(ValueError, match=said_of_it):
        STUDIES[study].settings(**given)
