"""The depth test: a value of sixteen through many layers, grid code against averaging of as many neurons."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lightning_modules.fault_tolerant.codes.grid_code import GridCode
from lightning_modules.fault_tolerant.codes.grid_codebook import GridCodebook
from lightning_modules.fault_tolerant.codes.grid_moduli import consecutive_coprimes
from lightning_modules.fault_tolerant.codes.protocol import Code
from lightning_modules.fault_tolerant.codes.repetition import RepetitionCode
from lightning_modules.fault_tolerant.estimates.error_estimate import ErrorEstimate
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.studies.counting import columns_of, errors_of, scaled
from lightning_modules.fault_tolerant.tasks import identity_chain
from lightning_modules.parts.arguments import outside
from lightning_modules.parts.decoding.figures_style import entitle, sign, trim
from lightning_modules.parts.studies import Row, Say, StudyResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N_VALUES = 16
SMALLEST_MODULUS = 8
"""Coprime moduli from here with CRT spacing give the errors of fault_tolerant.md section 5.5, which names none."""
LAYER_EVALUATIONS = 12_000
"""Evaluations of each value times layers: deep chains err more, and are computed less often."""


@dataclass(frozen=True)
class DepthSettings:
    """Noise, depths and sizes.

    Args:
        failure: Probability p that a connection transmits zero.
        sd: Standard deviation of everything Gaussian, phases in cycles.
        layers: Depths L.
        modules: Modules M of the grid codes; averaging has as many neurons, M (4 + 16) a layer.
        evaluations: Times the usual number of evaluations, which takes about three minutes.
        seed: Of all draws.

    Raises:
        ValueError: If a value is out of range; all problems at once.
    """

    failure: float = 0.01
    sd: float = 0.03
    layers: tuple[int, ...] = (4, 16, 64)
    modules: tuple[int, ...] = (8, 12)
    evaluations: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        problems = outside(vars(self), ("evaluations",), "above 0", lambda one: one > 0)
        if not self.layers or min(self.layers) < 1 or max(self.layers) > 1024:
            problems.append(f"`layers` are {self.layers}; give some from 1 to 1024.")
        if not self.modules or not 3 <= min(self.modules) <= max(self.modules) <= 32:
            problems.append(f"`modules` are {self.modules}; give some from 3 to 32.")
        try:
            NoiseSpec.common(self.failure, self.sd)
        except ValueError as error:
            problems.append(str(error))
        if problems:
            raise ValueError("These depths cannot be simulated:\n  " + "\n  ".join(problems))


@dataclass(frozen=True)
class DepthPoint:
    """A code at one depth.

    Args:
        name: `grid` or `averaging`.
        n_modules: Of the grid code, or of the one of equal size.
        neurons: Of a layer.
        n_layers: L.
        error: Of all values on average.
        worst: Of the worst value.
    """

    name: str
    n_modules: int
    neurons: int
    n_layers: int
    error: ErrorEstimate
    worst: ErrorEstimate


def study_depth(settings: DepthSettings, say: Say) -> StudyResult:
    """Simulate identity chains of sixteen values, at equal neurons.

    Source:
        fault_tolerant.md section 5.5 and check 18 [verified].
    """
    points = []
    for n_layers in sorted(settings.layers):
        for n_modules in settings.modules:
            for name, code in _codes(n_modules).items():
                points.append(_simulate(name, code, n_modules, n_layers, settings))
                say(f"{n_layers} layers, {name} of {points[-1].neurons} neurons a layer: {points[-1].error}")
    return StudyResult(
        {"depth": draw_depth(points)},
        {"errors": [_row(one) for one in points]},
        {
            f"log10_error/{one.name}_{one.n_modules}_{one.n_layers}": float(np.log10(one.error.high))
            for one in points
        },
        (
            f"A value of {N_VALUES} through layers that keep it, p = {settings.failure:g}, sd = {settings.sd:g}; the "
            "last read-out is ideal. Errors are means over all values.",
            *(_verdict(points, m, max(settings.layers)) for m in settings.modules),
            "log10_error is that of the upper end of the 95 % interval.",
        ),
    )


def _codes(n_modules: int) -> dict[str, Code]:
    moduli = consecutive_coprimes(n_modules, SMALLEST_MODULUS)
    grid = GridCode(GridCodebook.of_moduli(moduli, N_VALUES, None))
    layer = identity_chain(N_VALUES, 1)
    return {"grid": grid, "averaging": RepetitionCode.of_size(grid.resources(layer).neurons, layer)}


def _simulate(name: str, code: Code, n_modules: int, n_layers: int, settings: DepthSettings) -> DepthPoint:
    chain = identity_chain(N_VALUES, n_layers)
    noise = NoiseSpec.common(settings.failure, settings.sd)
    n_trials = scaled(max(100, LAYER_EVALUATIONS // n_layers), settings.evaluations)
    errors = errors_of(code, chain, noise, n_trials, settings.seed)
    neurons = code.resources(chain).neurons // n_layers
    return DepthPoint(name, n_modules, neurons, n_layers, errors.mean, errors.worst)


def _verdict(points: list[DepthPoint], n_modules: int, n_layers: int) -> str:
    grid, averaging = (
        next(
            one.error
            for one in points
            if (one.name, one.n_modules, one.n_layers) == (name, n_modules, n_layers)
        )
        for name in ("grid", "averaging")
    )
    if grid.high < averaging.low:
        verdict = "the grid code errs less"
    elif averaging.high < grid.low:
        verdict = "averaging errs less"
    else:
        verdict = "the intervals overlap"
    return f"After {n_layers} layers, M = {n_modules}: {verdict}; grid {grid}, averaging {averaging}."


def _row(one: DepthPoint) -> Row:
    return {
        "code": one.name,
        "modules": one.n_modules,
        "neurons_a_layer": one.neurons,
        "layers": one.n_layers,
        **columns_of(one.error, "mean_"),
        "worst_error": one.worst.estimate,
    }


def draw_depth(points: list[DepthPoint]) -> "Figure":
    """Draw errors against depth; triangles are bounds, where no error was seen."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4))
    axes = figure.subplots()
    figure.subplots_adjust(left=0.13, right=0.97, bottom=0.15, top=0.92)
    sizes = sorted({one.n_modules for one in points})
    for name, colour in (("grid", "tab:blue"), ("averaging", "tab:orange")):
        for at, n_modules in enumerate(sizes):
            own = [one for one in points if (one.name, one.n_modules) == (name, n_modules)]
            label = f"{name}, {own[0].neurons} neurons a layer"
            seen = [one for one in own if not one.error.is_bound]
            centre = np.array([one.error.estimate for one in seen])
            ends = np.array([[one.error.low, one.error.high] for one in seen]).reshape(-1, 2).T
            shade = 0.45 + 0.55 * (at + 1) / len(sizes)
            style = {"color": colour, "alpha": shade, "lw": 1.2, "ms": 4, "ls": ("-", "--", ":")[at % 3]}
            axes.errorbar(
                [one.n_layers for one in seen],
                centre,
                yerr=np.abs(ends - centre),
                marker="o",
                label=label,
                **style,
            )
            for one in own:
                if one.error.is_bound:
                    axes.plot(one.n_layers, one.error.high, "v", color=colour, alpha=shade, ms=6)
    layers = sorted({one.n_layers for one in points})
    axes.set(xscale="log", yscale="log", xlabel="layers", ylabel="error, mean over values", xticks=layers)
    axes.set_xticks(layers, [str(one) for one in layers])
    axes.set_xticks([], minor=True)
    entitle(axes, "Sixteen values through identity layers")
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    trim([axes])
    sign(figure, "Bars: 95 % intervals. Triangles: no error was seen, so the error is smaller.")
    return figure
