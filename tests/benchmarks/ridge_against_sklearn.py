"""Choosing the penalty of ridge regression: ours, scikit-learn's grid search and himalaya, side by side.

    .venv/bin/python tests/benchmarks/ridge_against_sklearn.py --rounds 1
    .venv/bin/python tests/benchmarks/ridge_against_sklearn.py --voxels 500 --targets 128   # does it still run?

13 penalties, 6 folds of whole categories, 1200 rows, float32, one penalty for all targets by R², then a fit to all
rows. The competitors take turns in this process; the least time of each over the rounds is compared. Machines are
shared: read the ratios of CPU time, not the wall times. All run on one thread: two threads of OpenBLAS that wait for
each other on a busy machine burn CPU time, up to ten times what an eigendecomposition needs.

A second process fits 24,576 dense targets with a penalty of each its own, predicts, sums the weights of every voxel,
and prints its largest resident memory. Ours is required to be ahead at the default size only: with fewer voxels than
rows, scikit-learn solves the smaller primal system, and is faster.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from himalaya.kernel_ridge import KernelRidgeCV
from himalaya.scoring import r2_score
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from threadpoolctl import threadpool_limits

from lightning_modules.icgan.regression.alpha_choice import choose_alpha
from lightning_modules.icgan.regression.folds import grouped_folds
from lightning_modules.icgan.regression.held_out import GroupedFolds
from lightning_modules.icgan.regression.ridge import fit_ridge, linear_kernel

N_VOXELS, N_TARGETS = 4643, 2048
N_ROWS, N_CATEGORIES, N_FOLDS = 1200, 150, 6
ALPHAS = np.geomspace(1, 1e6, 13)
DENSE = 24_576
LIMIT_GIB = 2.0
TARGETS = {"sklearn": 3.0, "himalaya": 1.0}
"""How many times faster than each ours has to be."""


@dataclass(frozen=True)
class Problem:
    """Voxels that see ten causes of the targets through noise."""

    voxels: np.ndarray
    targets: np.ndarray
    new_voxels: np.ndarray
    fold: np.ndarray


@dataclass(frozen=True)
class Run:
    """What a competitor found, and what it cost."""

    alpha: float
    predictions: np.ndarray
    cpu_s: float
    wall_s: float


def make_problem(n_voxels: int, n_targets: int) -> Problem:
    rng = np.random.default_rng(0)
    n_rows = N_ROWS + 50
    causes = rng.standard_normal((n_rows, 10))
    voxels = causes @ rng.standard_normal((10, n_voxels)) + 6 * rng.standard_normal((n_rows, n_voxels))
    targets = causes @ rng.standard_normal((10, n_targets)) + 4 * rng.standard_normal((n_rows, n_targets))
    voxels, targets = (voxels / voxels.std()).astype(np.float32), targets.astype(np.float32)
    category = rng.permutation(np.arange(N_ROWS) % N_CATEGORIES)
    fold = grouped_folds(category, N_FOLDS, seed=0)
    return Problem(voxels[:N_ROWS], targets[:N_ROWS], voxels[N_ROWS:], fold)


def ours(problem: Problem) -> tuple[float, np.ndarray]:
    """Also predicts every held-out row at the chosen penalty, which the others do not."""
    folds = GroupedFolds.of(linear_kernel(problem.voxels), problem.fold)
    choice = choose_alpha(folds, problem.targets, ALPHAS, scoring="r2")
    ridge = fit_ridge(problem.voxels, problem.targets, choice.alpha)
    return float(choice.alpha[0]), ridge.predict(problem.new_voxels)


def sklearn(problem: Problem) -> tuple[float, np.ndarray]:
    search = GridSearchCV(Ridge(), {"alpha": ALPHAS}, cv=PredefinedSplit(problem.fold), scoring="r2")
    search.fit(problem.voxels, problem.targets)
    return float(search.best_params_["alpha"]), search.predict(problem.new_voxels)


def himalaya(problem: Problem) -> tuple[float, np.ndarray]:
    search = KernelRidgeCV(
        alphas=ALPHAS.astype(np.float32),
        kernel="linear",
        warn=False,  # with --voxels below the rows it would advise another solver
        fit_intercept=True,
        cv=PredefinedSplit(problem.fold),
        solver_params={"score_func": r2_score, "local_alpha": False},
    )
    search.fit(problem.voxels, problem.targets)
    return float(np.unique(search.best_alphas_).item()), search.predict(problem.new_voxels)


COMPETITORS: dict[str, Callable[[Problem], tuple[float, np.ndarray]]] = {
    "ours": ours,
    "himalaya": himalaya,
    "sklearn": sklearn,
}


def measure(competitor: Callable[[Problem], tuple[float, np.ndarray]], problem: Problem) -> Run:
    """Time one run; the CPU time is of all threads."""
    cpu, wall = time.process_time(), time.perf_counter()
    alpha, predictions = competitor(problem)
    return Run(alpha, predictions, time.process_time() - cpu, time.perf_counter() - wall)


def take_turns(problem: Problem, rounds: int) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {name: [] for name in COMPETITORS}
    for _ in range(rounds):
        for name, competitor in COMPETITORS.items():
            runs[name].append(measure(competitor, problem))
    return runs


def show(runs: dict[str, list[Run]]) -> bool:
    """Print the table, and return whether ours is as fast as it has to be."""
    cpu = {name: min(run.cpu_s for run in own) for name, own in runs.items()}
    wall = {name: min(run.wall_s for run in own) for name, own in runs.items()}
    expected = runs["sklearn"][0].predictions
    print(
        f"{'':10}{'CPU s':>9}{'wall s':>9}{'CPU, ours is':>15}{'wall, ours is':>15}{'alpha':>10}{'off by':>10}"
    )
    met = True
    for name, own in runs.items():
        off = np.abs(own[0].predictions - expected).max() / np.abs(expected).max()
        ratios = cpu[name] / cpu["ours"], wall[name] / wall["ours"]
        print(
            f"{name:10}{cpu[name]:9.2f}{wall[name]:9.2f}{ratios[0]:11.2f} x  {ratios[1]:11.2f} x  "
            f"{own[0].alpha:10.4g}{off:10.1e}"
        )
        met = met and ratios[0] >= TARGETS.get(name, 0)
    return met


def peak_memory(n_voxels: int) -> float:
    """Fit dense targets in this process, and return its largest resident memory, GiB."""
    rng = np.random.default_rng(0)
    voxels = rng.standard_normal((N_ROWS, n_voxels), dtype=np.float32)
    targets = rng.standard_normal((N_ROWS, DENSE), dtype=np.float32)
    ridge = fit_ridge(voxels, targets, np.geomspace(1, 1e4, DENSE))
    ridge.predict(voxels[:50])
    ridge.weight_l1()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--voxels", type=int, default=N_VOXELS)
    parser.add_argument("--targets", type=int, default=N_TARGETS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only-memory", action="store_true", help="print the peak of this process, GiB")
    given = parser.parse_args()
    if given.only_memory:
        print(peak_memory(given.voxels))
        return
    with threadpool_limits(1):
        runs = take_turns(make_problem(given.voxels, given.targets), given.rounds)
    print(
        f"{len(ALPHAS)} penalties, {N_FOLDS} folds, {N_ROWS} rows, {given.voxels} voxels, {given.targets} targets"
    )
    met = show(runs)
    command = [sys.executable, __file__, "--only-memory", "--voxels", str(given.voxels)]
    peak = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"peak memory with {DENSE} targets: {peak:.2f} GiB (limit {LIMIT_GIB:g} GiB)")
    full_size = given.voxels >= N_VOXELS and given.targets >= N_TARGETS
    if full_size and (not met or peak > LIMIT_GIB):
        sys.exit(f"Ours has to be at least {TARGETS} times faster, within {LIMIT_GIB:g} GiB.")


if __name__ == "__main__":
    main()
