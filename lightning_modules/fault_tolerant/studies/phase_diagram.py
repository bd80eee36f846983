"""Up to which noise codes protect: mean field and simulation of the grid code, and the grid code inside the median."""

from dataclasses import dataclass

from lightning_modules.fault_tolerant.circuit import Circuit
from lightning_modules.fault_tolerant.codes.grid_code import GridCode
from lightning_modules.fault_tolerant.codes.grid_codebook import GridCodebook
from lightning_modules.fault_tolerant.codes.grid_moduli import repeated
from lightning_modules.fault_tolerant.estimates.error_estimate import InputErrors
from lightning_modules.fault_tolerant.figures_theory import SDS, NoiseBox, NoisePoint, draw_phase_diagram
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.studies.counting import columns_of, errors_of, scaled
from lightning_modules.fault_tolerant.studies.inner_code import inner_boundary
from lightning_modules.fault_tolerant.tasks import random_formula
from lightning_modules.fault_tolerant.theory.biology import connection_failure
from lightning_modules.fault_tolerant.theory.grid_boundary import Protection, boundary
from lightning_modules.fault_tolerant.theory.grid_mean_field import GateFormula
from lightning_modules.fault_tolerant.theory.published_figure import THRESHOLD
from lightning_modules.parts.arguments import outside
from lightning_modules.parts.studies import Row, Say, StudyResult

SYMBOLS = 3
"""Sums of two bits."""
N_TRIALS = 800
"""Evaluations of each input of the formula, at each point and number of modules."""
INNER_SDS = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.075)
INNER_TRIALS = 40_000
LARGEST_SD = 0.2


@dataclass(frozen=True)
class PhaseSettings:
    """Where is simulated, and where the user's neurons lie.

    Args:
        sds: Standard deviations at which points are put inside and outside the boundary, phases in cycles.
        distance: How far inside and outside, as a share of p on the boundary.
        depth: Gates that a value passes through in the simulated formula.
        modules: Numbers of modules; whether the error falls from the first to the last is what a point shows.
        outer_threshold: p0 of the median around a grid code; the published one.
        biology: p_low,p_high,sd_low,sd_high of neurons that you know; none is drawn by itself.
        release: P_r_low,P_r_high,sites,sd_low,sd_high instead: a connection fails if none of its sites releases.
        biology_name: What the box is of.
        evaluations: Times the usual number of evaluations, which takes three to four minutes.
        seed: Of all draws.

    Raises:
        ValueError: If a value is out of range; all problems at once.
    """

    sds: tuple[float, ...] = (0.0, 0.05, 0.1, 0.125)
    distance: float = 0.15
    depth: int = 4
    modules: tuple[int, ...] = (12, 48)
    outer_threshold: float = THRESHOLD
    biology: tuple[float, ...] = ()
    release: tuple[float, ...] = ()
    biology_name: str = "your neurons"
    evaluations: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        problems = outside(vars(self), ("evaluations",), "above 0", lambda one: one > 0)
        if not all(0 <= one < LARGEST_SD for one in self.sds):
            problems.append(f"`sds` are {self.sds}, but must be from 0 to below {LARGEST_SD}.")
        if not 0 < self.distance < 1:
            problems.append(f"`distance` is {self.distance}, but must lie between 0 and 1.")
        if len(self.modules) < 2 or list(self.modules) != sorted(set(self.modules)) or min(self.modules) < 1:
            problems.append(f"`modules` are {self.modules}; give two or more that rise, from 1.")
        if not 1 <= self.depth <= 8:
            problems.append(f"`depth` is {self.depth}, but must be from 1 to 8.")
        if not 0 < self.outer_threshold < 0.3:
            problems.append(f"`outer_threshold` is {self.outer_threshold}, but must lie between 0 and .3.")
        problems += self._problems_of_box()
        if problems:
            raise ValueError("This phase diagram cannot be drawn:\n  " + "\n  ".join(problems))

    def _problems_of_box(self) -> list[str]:
        if self.biology and self.release:
            return ["`biology` and `release` are both given; give one of them."]
        if self.biology and len(self.biology) != 4:
            return [f"`biology` has {len(self.biology)} numbers; give p_low,p_high,sd_low,sd_high."]
        if self.release and len(self.release) != 5:
            return [f"`release` has {len(self.release)} numbers; give P_r_low,P_r_high,sites,sd_low,sd_high."]
        given = self.biology or (*self.release[:2], *self.release[3:])
        pairs = [given[at : at + 2] for at in range(0, len(given), 2)]
        if any(not 0 <= low <= high for low, high in pairs) or (pairs and pairs[0][1] > 1):
            return [
                f"Of {given} each low end must be 0 or more and not above its high end, probabilities at most 1."
            ]
        if self.release and self.release[2] < 1:
            return [f"`release` is of {self.release[2]:g} sites, but a connection has at least 1."]
        return []

    @property
    def box(self) -> NoiseBox | None:
        """The user's neurons; None unless given."""
        if self.release:
            low, high, sites, *sds = self.release
            failures = connection_failure(high, int(sites)), connection_failure(low, int(sites))
            name = f"{self.biology_name}, $(1 - P_r)^{{{int(sites)}}}$"
            return NoiseBox(failures, (sds[0], sds[1]), name)
        if not self.biology:
            return None
        p_low, p_high, sd_low, sd_high = self.biology
        return NoiseBox((p_low, p_high), (sd_low, sd_high), self.biology_name)


def study_phase_diagram(settings: PhaseSettings, say: Say) -> StudyResult:
    """Draw the mean-field boundary with simulated points on both of its sides, and that of the nested code.

    Points lie about the boundary of formulas as deep as the simulated one: outside the boundary of any depth, a
    shallow formula may still gain from more modules.

    Source:
        fault_tolerant.md sections 3.2.3 and 3.3 [inferred]; the paper's own boundary is not known.
    """
    protection = Protection(GateFormula(n_layers=settings.depth), "winners")
    formula = random_formula(settings.depth, seed=0)
    points, rows = [], []
    for sd, edge in zip(settings.sds, boundary(settings.sds, protection), strict=True):
        for side, factor in (("inside", 1 - settings.distance), ("outside", 1 + settings.distance)):
            p = min(factor * edge, 1.0)
            found = [_simulate(formula, NoiseSpec.common(p, sd), m, settings) for m in settings.modules]
            point = NoisePoint(p, sd, _falls(found[0], found[-1]))
            points.append(point)
            rows += _rows(point, side, settings.modules, found)
            errors = ", ".join(
                f"{one.worst.estimate:.3g} (M = {m})" for m, one in zip(settings.modules, found, strict=True)
            )
            say(f"sd {sd:g}, {side} at p = {p:.3f}: {errors}")
    say("the grid code inside the median")
    n_trials = scaled(INNER_TRIALS, settings.evaluations)
    nested = inner_boundary(INNER_SDS, settings.outer_threshold, n_trials, settings.seed)
    nested_points = tuple(zip(INNER_SDS, nested, strict=True))
    figure = draw_phase_diagram(points, settings.box, nested=nested_points, depth=settings.depth)
    decided = [at for at, point in enumerate(points) if point.is_protected is not None]
    right = sum(points[at].is_protected is (at % 2 == 0) for at in decided)
    return StudyResult(
        {"phase_diagram": figure},
        {
            "points": rows,
            "nested_boundary": [{"sd": sd, "p": p} for sd, p in nested_points],
            "mean_field_boundary": _boundary_rows(settings),
        },
        {"points_on_the_mean_fields_side": right, "points_decided": len(decided)},
        (
            f"Random formula of {len(formula.neurons)} NANDs, {settings.depth} deep, moduli 3, a decoder in every "
            f"module, scores / M, noisy encoders; judged by the worst input. {right} of {len(decided)} decided points "
            f"fall on the mean field's side; at {len(points) - len(decided)} the intervals overlap. Few modules, and "
            "formulas that are not deep, blur the boundary.",
            f"Grid code inside the median: one NAND of moduli 3, 4, 5, 7, 11, 13, 17 with a shared decoder errs with "
            f"{settings.outer_threshold:g} at the worst input [inferred].",
            *(() if settings.box is None else ("The box is what you gave, not a result.",)),
        ),
    )


def _simulate(formula: Circuit, noise: NoiseSpec, n_modules: int, settings: PhaseSettings) -> InputErrors:
    code = GridCode(GridCodebook.of_moduli(repeated(SYMBOLS, n_modules), SYMBOLS))
    return errors_of(code, formula, noise, scaled(N_TRIALS, settings.evaluations), settings.seed)


def _falls(few: InputErrors, many: InputErrors) -> bool | None:
    """Return whether with more modules the worst input errs less; None if the intervals overlap."""
    if many.worst.high < few.worst.low:
        return True
    return False if many.worst.low > few.worst.high else None


def _rows(point: NoisePoint, side: str, modules: tuple[int, ...], found: list[InputErrors]) -> list[Row]:
    verdict = {True: "falls", False: "rises", None: "undecided"}[point.is_protected]
    return [
        {
            "sd": point.sd,
            "p": point.failure,
            "side": side,
            "modules": m,
            "with_modules": verdict,
            **columns_of(one.worst, "worst_"),
            "mean_error": one.mean.estimate,
        }
        for m, one in zip(modules, found, strict=True)
    ]


def _boundary_rows(settings: PhaseSettings) -> list[Row]:
    deep = boundary(SDS)
    shallow = boundary(SDS, Protection(GateFormula(n_layers=settings.depth), "winners"))
    return [
        {"sd": sd, "any_depth": a, f"depth_{settings.depth}": b}
        for sd, a, b in zip(SDS, deep, shallow, strict=True)
    ]
