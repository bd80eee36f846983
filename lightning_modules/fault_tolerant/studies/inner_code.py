"""The grid code inside the median: Gaussian noise and failures become a logical fault that an outer code corrects."""

from collections.abc import Sequence
from dataclasses import replace

from lightning_modules.fault_tolerant.codes.grid_code import GridCode
from lightning_modules.fault_tolerant.codes.grid_codebook import GridCodebook
from lightning_modules.fault_tolerant.estimates.error_estimate import InputErrors
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.studies.counting import errors_of
from lightning_modules.fault_tolerant.tasks import TASKS
from lightning_modules.fault_tolerant.theory.bisection import last_that_holds

MODULI = (3, 4, 5, 7, 11, 13, 17)
MOST_FAILURE = 0.2
TOLERANCE = 2e-4


def inner_error(noise: NoiseSpec, n_trials: int, seed: int) -> InputErrors:
    """Count errors of one grid-coded NAND: P_in(p, sigma; M) is that of its worst input.

    Its input phases are noisy; synapses that lost them belong to the gates before.

    Source:
        fault_tolerant.md section 3.3, option C1 [inferred, verified]: shared decoder, scores as they are.
    """
    book = GridCodebook.of_moduli(MODULI, 3)
    code = GridCode(book, "shared", "none", noisy_encoders=False, noisy_reading=True)
    return errors_of(code, TASKS["nand"], noise, n_trials, seed)


def inner_boundary(sds: Sequence[float], outer_threshold: float, n_trials: int, seed: int) -> list[float]:
    """Return for each standard deviation the p at which P_in is the threshold of the outer code; 0 if at none.

    Args:
        sds: That phases (cycles), cosines, sines and scores have in common.
        outer_threshold: p0 of the code around it.
        n_trials: Evaluations of each input at each p; the same draws for all.
        seed: Of them.
    """

    def holds(noise: NoiseSpec) -> bool:
        return inner_error(noise, n_trials, seed).worst.estimate <= outer_threshold

    found = []
    for sd in sds:
        noise = NoiseSpec.common(0.0, sd)
        found.append(
            last_that_holds(
                lambda p, noise=noise: holds(replace(noise, failure=p)), 0.0, MOST_FAILURE, TOLERANCE
            )
            if holds(noise)
            else 0.0
        )
    return found
