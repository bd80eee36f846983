"""Networks of unreliable neurons: masked synapses per second and core, ours and a straightforward numpy simulation.

    .venv/bin/python tests/benchmarks/fault_tolerant_speed.py
    .venv/bin/python tests/benchmarks/fault_tolerant_speed.py --only grid --rounds 1 --evaluations 2000

Both simulate the same network: the same neurons, an independent failure of the same synapses, the same Gaussian noise.
The rival is what one writes first: numpy, vectorised over all evaluations of a chunk, a uniform number for every
synapse, float32 throughout. The two take turns in this process on one thread; the least CPU time of each over the
rounds counts. Both must find the same error within 4 standard errors, or the benchmark fails. Read the ratios:
absolute numbers depend on what else the machine does.

A code joins by a function that returns a `Contest`, named in `CONTESTS`.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from lightning_modules.fault_tolerant.circuit import Circuit, Values
from lightning_modules.fault_tolerant.codes.grid_code import GridCode
from lightning_modules.fault_tolerant.codes.grid_codebook import GridCodebook
from lightning_modules.fault_tolerant.codes.grid_gates import masked_synapses
from lightning_modules.fault_tolerant.codes.grid_moduli import repeated
from lightning_modules.fault_tolerant.codes.median_circuits import MEDIAN_COPIES
from lightning_modules.fault_tolerant.codes.median_code import MedianCode
from lightning_modules.fault_tolerant.codes.packed import Packed
from lightning_modules.fault_tolerant.codes.repetition import RepetitionCode
from lightning_modules.fault_tolerant.noise import NoiseSpec
from lightning_modules.fault_tolerant.tasks import TASKS

Simulation = Callable[[int], np.ndarray]
"""Takes a seed; returns for every evaluation whether the result is wrong."""


@dataclass(frozen=True)
class Contest:
    """The same network twice.

    Args:
        network: In words.
        ours: Our simulation.
        rival: The straightforward one.
        masked: Synapses that can fail, in all evaluations of a run together.
        target: How many times faster ours has to be.
    """

    network: str
    ours: Simulation
    rival: Simulation
    masked: int
    target: float


class PlainGrid:
    """The grid code with one decoder per output module in plain numpy, all modules of period 3.

    Args:
        circuit: Of NAND gates.
        n_modules: M.
        noise: Its site is the synapse.
        chunk: Evaluations at a time; 512 were the fastest of 128 to 8192 for 8 modules.
    """

    def __init__(self, circuit: Circuit, n_modules: int, noise: NoiseSpec, chunk: int = 512) -> None:
        self.circuit, self.n_modules, self.noise, self.chunk = circuit, n_modules, noise, chunk
        self.phase = np.tile(np.arange(3, dtype=np.float32)[:, None] / 3, n_modules)  # (S, M)
        angle = 2 * np.pi * self.phase
        self.decoder = np.concatenate([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32) / n_modules

    def __call__(self, rows: Values, rng: np.random.Generator) -> np.ndarray:
        """Compute rows (B, n_inputs); return which results are wrong, (B,)."""
        parts = [self._chunk(rows[at : at + self.chunk], rng) for at in range(0, len(rows), self.chunk)]
        return (np.concatenate(parts) != self.circuit.evaluate(rows)).any(axis=1)

    def _chunk(self, rows: Values, rng: np.random.Generator) -> np.ndarray:
        wires = [self._emit(self.phase[one], rng) for one in rows.T]
        for neuron in self.circuit.neurons:
            a, b = (wires[one] for one in neuron.inputs)
            winners = self._winners(self._alive(a.shape, rng) * a + self._alive(b.shape, rng) * b, rng)
            outputs = self.phase[np.array(neuron.table)]
            wires.append(self._emit(np.take_along_axis(outputs, winners, axis=0), rng))
        return np.stack([self._read(wires[one]) for one in self.circuit.outputs], axis=1)

    def _winners(self, phase: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        angle = 2 * np.pi * (phase + self._normal(phase.shape, self.noise.phase_sd, rng))
        trig = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
        trig += self._normal(trig.shape, self.noise.trig_sd, rng)
        alive = self._alive((len(phase), self.n_modules, *self.decoder.shape), rng)
        scores = np.einsum("bdki,ki,bi->bdk", alive, self.decoder, trig, optimize=False)
        scores += self._normal(scores.shape, self.noise.score_sd, rng)
        return scores.argmax(axis=2)

    def _emit(self, phase: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        sent = self._alive(phase.shape, rng) * phase
        return sent + self._normal(phase.shape, self.noise.phase_sd, rng)

    def _read(self, phase: np.ndarray) -> np.ndarray:
        angle = 2 * np.pi * phase
        return (np.concatenate([np.cos(angle), np.sin(angle)], axis=1) @ self.decoder[:2].T).argmax(axis=1)

    def _alive(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        return rng.random(shape, dtype=np.float32) >= self.noise.failure

    def _normal(self, shape: tuple[int, ...], sd: float, rng: np.random.Generator) -> np.ndarray:
        return np.float32(sd) * rng.standard_normal(shape, dtype=np.float32)


def grid(n_modules: int, failure: float, evaluations: int) -> Contest:
    """The multiplier of 14 NAND gates, local decoders, all standard deviations .02."""
    circuit, noise = TASKS["multiplier_nand"], NoiseSpec.common(failure, 0.02)
    code = GridCode(GridCodebook.of_moduli(repeated(3, n_modules), 3))
    plain = PlainGrid(circuit, n_modules, noise)
    rows = circuit.rows()
    n_trials = max(1, evaluations // len(rows))

    def ours(seed: int) -> np.ndarray:
        generator = torch.Generator().manual_seed(seed)
        found = code.simulate(circuit, noise, rows, n_trials, generator)
        return (found != circuit.evaluate(rows)).any(axis=2)

    def rival(seed: int) -> np.ndarray:
        return plain(np.tile(rows, (n_trials, 1)), np.random.default_rng(seed))

    masked = masked_synapses(code.gates(circuit), code.n_decoders, 1) * n_trials * len(rows)
    return Contest(f"grid, 14 NAND, M = {n_modules}, p = {failure:g}", ours, rival, masked, 3.0)


def grid_contests(evaluations: int) -> list[Contest]:
    # Runs of equal length: a gate has 2 M² S synapses in its scores.
    return [grid(m, p, evaluations * 64 // m**2) for m in (8, 16, 32) for p in (0.005, 0.02, 0.05)]


class PlainMedian:
    """A NAND in the concatenated median code with N4 in plain numpy, all copies of a gadget at once.

    Args:
        level: Of the code.
        failure: p of every synapse.
        chunk: Numbers of the widest array at a time; 2^16 and 2^17 were the fastest of 2^12 to 2^20.
    """

    def __init__(self, level: int, failure: float, chunk: int = 2**16) -> None:
        self.level, self.failure = level, failure
        self.chunk = max(1, chunk // 9**level)

    def __call__(self, rows: Values, rng: np.random.Generator) -> np.ndarray:
        """Compute rows (B, 2); return which results are wrong, (B,)."""
        parts = [self._chunk(rows[at : at + self.chunk], rng) for at in range(0, len(rows), self.chunk)]
        return np.concatenate(parts) != 1 - rows[:, 0] * rows[:, 1]

    def _chunk(self, rows: Values, rng: np.random.Generator) -> np.ndarray:
        shape = (len(rows), 1, 3**self.level)
        a, b = (np.broadcast_to(one[:, None, None], shape).astype(np.float32) for one in rows.T)
        one = np.ones(shape, dtype=np.float32)
        both = self._relu(self.level, [(1, a), (1, b), (-1, one)], rng)
        wires = self._relu(self.level, [(1, one), (-1, both)], rng)[:, 0]
        while wires.shape[1] > 1:
            wires = np.median(wires.reshape(len(rows), -1, 3), axis=2)
        return wires[:, 0] > 0.5

    def _relu(self, level: int, terms: list[tuple[int, np.ndarray]], rng: np.random.Generator) -> np.ndarray:
        """Compute ReLUs of bundles (B, G, 3^level)."""
        if level == 0:
            return np.maximum(
                sum(
                    weight * (wires * (rng.random(wires.shape, dtype=np.float32) >= self.failure))
                    for weight, wires in terms
                ),
                0,
            )
        n, n_gadgets, n_wires = terms[0][1].shape
        thirds = [
            (weight, np.tile(wires.reshape(n, n_gadgets, 3, -1), (1, 1, 3, 1)).reshape(n, -1, n_wires // 3))
            for weight, wires in terms
        ]
        copies = self._relu(level - 1, thirds, rng).reshape(n, n_gadgets, 9, -1)
        a, b, c = (
            copies[:, :, list(at)].reshape(n, 3 * n_gadgets, -1) for at in zip(*MEDIAN_COPIES, strict=True)
        )
        r = self._relu(level - 1, [(1, a), (-1, b)], rng)
        u = self._relu(level - 1, [(1, c), (-1, a), (1, r)], rng)
        v = self._relu(level - 1, [(1, c), (-1, b), (-1, r)], rng)
        return self._relu(level - 1, [(1, a), (-1, r), (1, u), (-1, v)], rng).reshape(n, n_gadgets, -1)


class PlainMajority:
    """NAND gates of n executive and n restoring neurons in plain numpy.

    Args:
        circuit: Of NAND gates.
        n_copies: n.
        failure: p of every synapse.
        chunk: Evaluations at a time; 256 to 1024 were the fastest of 32 to 1024 for 21 copies.
    """

    def __init__(self, circuit: Circuit, n_copies: int, failure: float, chunk: int = 512) -> None:
        self.circuit, self.n_copies, self.failure, self.chunk = circuit, n_copies, failure, chunk

    def __call__(self, rows: Values, rng: np.random.Generator) -> np.ndarray:
        """Compute rows (B, n_inputs); return which results are wrong, (B,)."""
        parts = [self._chunk(rows[at : at + self.chunk], rng) for at in range(0, len(rows), self.chunk)]
        return (np.concatenate(parts) != self.circuit.evaluate(rows)).any(axis=1)

    def _chunk(self, rows: Values, rng: np.random.Generator) -> np.ndarray:
        wires = [np.repeat(one[:, None] > 0, self.n_copies, axis=1) for one in rows.T]
        for neuron in self.circuit.neurons:
            a, b = (wires[one] & self._alive(wires[one].shape, rng) for one in neuron.inputs)
            votes = ~(a & b)[:, None, :] & self._alive((len(rows), self.n_copies, self.n_copies), rng)
            wires.append(np.count_nonzero(votes, axis=2) > self.n_copies / 2)
        read = [np.count_nonzero(wires[one], axis=1) > self.n_copies / 2 for one in self.circuit.outputs]
        return np.stack(read, axis=1)

    def _alive(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        return rng.random(shape, dtype=np.float32) >= self.failure


def _of_code(
    name: str,
    code: MedianCode | Packed,
    circuit: Circuit,
    failure: float,
    evaluations: int,
    plain: PlainMedian | PlainMajority,
    target: float,
) -> Contest:
    rows, noise = circuit.rows(), NoiseSpec(failure)
    per_word = 64 * len(rows) * code.resources(circuit).synapses
    # Runs of equal length, and whole words.
    n_trials = 64 * max(1, evaluations * 10_000 // per_word)

    def ours(seed: int) -> np.ndarray:
        found = code.simulate(circuit, noise, rows, n_trials, torch.Generator().manual_seed(seed))
        return (found != circuit.evaluate(rows)).any(axis=2)

    def rival(seed: int) -> np.ndarray:
        return plain(np.tile(rows, (n_trials, 1)), np.random.default_rng(seed))

    masked = code.resources(circuit).synapses * n_trials * len(rows)
    return Contest(f"{name}, p = {failure:g}", ours, rival, masked, target)


def median_contests(evaluations: int) -> list[Contest]:
    """One NAND in the median code, with numbers in words of their own."""
    contests = []
    for level, failure in ((1, 0.005), (1, 0.02), (2, 0.005), (2, 0.02), (3, 0.02)):
        code, plain = MedianCode(level), PlainMedian(level, failure)
        contests.append(
            _of_code(
                f"median level {level}, NAND", code, TASKS["nand"], failure, evaluations, plain, target=3.0
            )
        )
    return contests


def packed_contests(evaluations: int) -> list[Contest]:
    """Bits, 64 trials in a word.

    What is left to pay are the failures, a random number each: the advantage shrinks as p grows.
    """
    contests = []
    for level, failure in ((1, 0.005), (1, 0.01), (1, 0.02), (2, 0.005), (2, 0.01), (2, 0.02)):
        code, plain = Packed(MedianCode(level)), PlainMedian(level, failure)
        name = f"packed median level {level}, NAND"
        contests.append(_of_code(name, code, TASKS["nand"], failure, evaluations, plain, target=20.0))
    circuit, n_copies = TASKS["multiplier_nand"], 21
    for failure in (0.005, 0.01, 0.02, 0.05):
        code = Packed(RepetitionCode(n_copies, "majority"))
        plain = PlainMajority(circuit, n_copies, failure)
        contests.append(
            _of_code(
                "packed majority of 21, 14 NAND",
                code,
                circuit,
                failure,
                evaluations,
                plain,
                target=20.0,
            )
        )
    return contests


CONTESTS: dict[str, Callable[[int], list[Contest]]] = {
    "grid": grid_contests,
    "median": median_contests,
    "packed": packed_contests,
}
"""Contests by code; each takes the evaluations of a run."""


def take_turns(contest: Contest, rounds: int) -> tuple[float, float, bool]:
    """Return the CPU seconds of ours and of the rival, and whether they find the same error."""
    seconds, wrong = ([], []), ([], [])
    for seed in range(rounds):
        for one, simulation in enumerate((contest.ours, contest.rival)):
            start = time.process_time()
            wrong[one].append(simulation(seed).mean())
            seconds[one].append(time.process_time() - start)
    shares = [float(np.mean(one)) for one in wrong]
    return min(seconds[0]), min(seconds[1]), _agree(shares, rounds * contest.ours(0).size)


def _agree(shares: list[float], n: int) -> bool:
    both = sum(shares) / 2
    return abs(shares[0] - shares[1]) <= 4 * math.sqrt(2 * both * (1 - both) / n) + 1e-12


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=CONTESTS, help="contests of one code")
    parser.add_argument("--evaluations", type=int, default=16_000, help="of a run, for the smallest network")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    failed = False
    print(f"{'network':40}{'ours M/s':>10}{'numpy M/s':>11}{'ahead by':>10}  same error")
    with threadpool_limits(1):
        for name in [given.only] if given.only else CONTESTS:
            for contest in CONTESTS[name](given.evaluations):
                ours, rival, same = take_turns(contest, given.rounds)
                print(
                    f"{contest.network:40}{contest.masked / ours / 1e6:10.0f}{contest.masked / rival / 1e6:11.0f}"
                    f"{rival / ours:9.1f} x  {'yes' if same else 'NO'}",
                    flush=True,
                )
                failed = failed or not same or rival / ours < contest.target
    if failed:
        sys.exit("Ours has to be ahead by the target of each contest, and to find the same error.")


if __name__ == "__main__":
    main()
