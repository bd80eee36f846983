"""Neurons of the 2-bit multiplier against its error: grid codes, medians, averaging and bare neurons."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lightning_modules.fault_tolerant.circuit import Circuit
from lightning_modules.fault_tolerant.codes.grid_code import Decoders, GridCode
from lightning_modules.fault_tolerant.codes.grid_codebook import GridCodebook
from lightning_modules.fault_tolerant.codes.grid_moduli import consecutive_coprimes, repeated
from lightning_modules.fault_tolerant.codes.median_code import MedianCode
from lightning_modules.fault_tolerant.codes.protocol import Code
from lightning_modules.fault_tolerant.codes.repetition import RepetitionCode
from lightning_modules.fault_tolerant.estimates.error_estimate import ErrorEstimate
from lightning_modules.fault_tolerant.estimates.log_line import LogLine, fit_log_line
from lightning_modules.fault_tolerant.figures_theory import draw_neurons
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.studies.counting import columns_of, errors_of, scaled
from lightning_modules.fault_tolerant.tasks import TASKS
from lightning_modules.fault_tolerant.theory.target_error import GridLine, MedianStaircase
from lightning_modules.parts.arguments import outside
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.studies import Row, Say, StudyResult

SMALLEST_MODULUS = 8
"""Of the sixteen-way neuron's coprime moduli, with CRT spacing: they give the errors of fault_tolerant.md, 4.2."""
N_TRIALS = 1_000
"""Evaluations of each input of the code with fewest modules or copies; of others more, up to `MOST_TRIALS`."""
MOST_TRIALS = 16
"""Times as many."""


@dataclass(frozen=True)
class NeuronSettings:
    """Noise, and which codes are simulated.

    Args:
        failure: Probability p that a connection transmits zero.
        sd: Standard deviation of everything Gaussian, phases in cycles.
        modules: Numbers of modules of the grid codes.
        levels: Of the median code with N4.
        copies: Of averaging.
        evaluations: Times the usual number of evaluations, which takes about two minutes.
        seed: Of all draws.

    Raises:
        ValueError: If a value is out of range; all problems at once.
    """

    failure: float = 0.02
    sd: float = 0.02
    modules: tuple[int, ...] = (4, 6, 8, 10, 12)
    levels: tuple[int, ...] = (0, 1)
    copies: tuple[int, ...] = (1, 3, 5, 9, 15, 25, 56)
    evaluations: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        problems = outside(vars(self), ("evaluations",), "above 0", lambda one: one > 0)
        problems += [
            f"`{name}` are {numbers}; give some of {least} or more, each once."
            for name, numbers, least in (
                ("modules", self.modules, 3),
                ("levels", self.levels, 0),
                ("copies", self.copies, 1),
            )
            if not numbers or min(numbers) < least or len(set(numbers)) < len(numbers)
        ]
        try:
            NoiseSpec.common(self.failure, self.sd)
        except ValueError as error:
            problems.append(str(error))
        if problems:
            raise ValueError("These neurons cannot be simulated:\n  " + "\n  ".join(problems))


@dataclass(frozen=True)
class _Family:
    """Codes that differ in one number.

    Args:
        circuit: What they compute.
        numbers: Modules, copies or levels.
        code: Code of such a number.
    """

    circuit: Circuit
    numbers: tuple[int, ...]
    code: Callable[[int], Code]


@dataclass(frozen=True)
class _Found:
    neurons: int
    number: int
    mean: ErrorEstimate
    worst: ErrorEstimate


GRIDS = ("grid, 14 NANDs, private decoders", "grid, 14 NANDs, shared decoders", "grid, one 16-way neuron")
"""M modules each."""


def study_neurons(settings: NeuronSettings, say: Say) -> StudyResult:
    """Simulate the multiplier in all codes, fit a line to each grid code, and set the median's staircase beside them.

    The error is that of uniformly drawn inputs, any output wrong; lines are fitted by the likelihood of the counts.

    Source:
        fault_tolerant.md sections 3.5, 4.1 and 4.2 [inferred, verified].
    """
    found = {name: _measure(name, family, settings, say) for name, family in _families(settings).items()}
    lines, grid, notes = {}, {}, []
    for name in GRIDS:
        try:
            line = _fit(found[name])
            grid[name] = _grid_line(found[name], line)
        except (DataError, ValueError) as error:
            notes.append(f"No line of {name}: {error}")
            continue
        lines[name] = line
    staircase = MedianStaircase(settings.failure)
    titles = {name: f"{name}: {_scaling(line)}" for name, line in lines.items()}
    measured = {
        titles.get(name, name): [(one.neurons, one.mean) for one in points] for name, points in found.items()
    }
    figure = draw_neurons(staircase, {titles[name]: line for name, line in grid.items()}, measured)
    return StudyResult(
        {"neurons": figure},
        {
            "errors": [_row(name, one) for name, points in found.items() for one in points],
            "fits": [_fit_row(name, line, grid[name]) for name, line in lines.items()],
        },
        {f"slope/{_key(name)}": line.slope for name, line in lines.items()},
        (
            f"2-bit multiplication at p = {settings.failure:g}, sd = {settings.sd:g}; all neurons noisy, the last "
            "read-out ideal; first encoding ideal except in grid codes. Errors are means over all inputs.",
            "Plain averaging stands beside the codes: where it needs fewer neurons it wins, with synapses that grow "
            "with their square.",
            f"Median staircase: neurons grow with log(1/error)^{staircase.exponent:.2f}; of the fitted recursion "
            "[inferred], without Gaussian noise, which its simulated points have.",
            "A misfit above 1 says that the line is not straight, and its interval too narrow.",
            *notes,
        ),
    )


def _families(settings: NeuronSettings) -> dict[str, _Family]:
    nands = TASKS["multiplier_nand"]
    return {
        GRIDS[0]: _Family(nands, settings.modules, partial(_of_nands, "local")),
        GRIDS[1]: _Family(nands, settings.modules, partial(_of_nands, "shared")),
        GRIDS[2]: _Family(TASKS["multiplier_16way"], settings.modules, _sixteen_way),
        "averaging, 14 NANDs, simulated": _Family(nands, settings.copies, RepetitionCode),
        "median N4, 14 NANDs, simulated": _Family(nands, settings.levels, MedianCode),
    }


def _of_nands(decoders: Decoders, n_modules: int) -> Code:
    return GridCode(GridCodebook.of_moduli(repeated(3, n_modules), 3), decoders)


def _sixteen_way(n_modules: int) -> Code:
    return GridCode(GridCodebook.of_moduli(consecutive_coprimes(n_modules, SMALLEST_MODULUS), 16, None))


def _measure(name: str, family: _Family, settings: NeuronSettings, say: Say) -> list[_Found]:
    noise, found = NoiseSpec.common(settings.failure, settings.sd), []
    n_trials = N_TRIALS
    for number in sorted(family.numbers):
        code = family.code(number)
        errors = errors_of(code, family.circuit, noise, scaled(n_trials, settings.evaluations), settings.seed)
        neurons = code.resources(family.circuit).neurons
        found.append(_Found(neurons, number, errors.mean, errors.worst))
        say(f"{name}, {neurons} neurons: {errors.mean}")
        # What errs less takes more evaluations to be seen.
        if errors.mean.events < 400:
            n_trials = min(4 * n_trials, MOST_TRIALS * N_TRIALS)
    return found


def _fit(points: list[_Found]) -> LogLine:
    return fit_log_line(
        [one.number for one in points],
        [one.mean.events for one in points],
        [one.mean.trials for one in points],
    )


def _grid_line(points: list[_Found], line: LogLine) -> GridLine:
    first, last = points[0], points[-1]
    per_module = (last.neurons - first.neurons) // (last.number - first.number)
    return GridLine(
        line.intercept, line.slope, per_module, first.neurons - per_module * first.number, last.number
    )


def _row(name: str, one: _Found) -> Row:
    return {
        "code": name,
        "number": one.number,
        "neurons": one.neurons,
        **columns_of(one.mean, "mean_"),
        "worst_error": one.worst.estimate,
    }


def _fit_row(name: str, line: LogLine, grid: GridLine) -> Row:
    """Return the fit, and the neurons that a tenth of the error costs."""
    return {
        "code": name,
        "slope": line.slope,
        "slope_low": line.slope_low,
        "slope_high": line.slope_high,
        "misfit": line.misfit,
        "neurons_per_decade": -grid.neurons_per_module / line.slope,
        "neurons_for_1e-6": grid.neurons(grid.modules_for(1e-6)),
        "neurons_for_1e-12": grid.neurons(grid.modules_for(1e-12)),
    }


def _scaling(line: LogLine) -> str:
    """Say how the error falls with modules, to which neurons are proportional."""
    return f"$10^{{-{-line.slope:.3f} M}}$ [{-line.slope_high:.3f}, {-line.slope_low:.3f}]"


def _key(name: str) -> str:
    return {GRIDS[0]: "local", GRIDS[1]: "shared", GRIDS[2]: "sixteen_way"}[name]
