"""Training steps per second and peak memory of SABLE and LFADS against plain PyTorch: `training_steps.py --help`.

A step is forward, backward and Adam, without Lightning's Trainer. The rivals are in `plain_sequential_vae.py`: the same
networks, losses and noise with `torch.nn.GRU` in the encoders, either a loop with `torch.nn.GRUCell` or `torch.nn.GRU`
fed with zeros in the generators, eager mode, and Adam as `torch.optim` gives it. Before anything is timed, each rival
gets our weights in float64 and must give our loss and our gradients without noise, to 1e-9.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from plain_sequential_vae import (
    GruGenerator,
    LoopGenerator,
    PlainLfads,
    PlainSable,
    Unroll,
    rival_name,
)
from torch import Tensor, nn

from lightning_modules.lfads.module import Lfads
from lightning_modules.parts.spikes.batch import SpikeBatch
from lightning_modules.parts.spikes.data_module import SpikeDataModule
from lightning_modules.parts.spikes.recordings import load_sessions
from lightning_modules.sable.module import Sable
from search_spaces.lfads.published import SAME_GROUP
from search_spaces.sable.published import LAPTOP, PAPER

Step = Callable[[], Any]

UNROLL: dict[str, Unroll] = {"GRUCell": LoopGenerator, "nn.GRU": GruGenerator}
PRODUCTS = "products alone"
IN_FORCE = {
    Sable: {"reversal_schedule": "constant", "kl_warmup_steps": 0},
    Lfads: {"warmup_steps": 0},
}
"""No warm-up: at step 0 it would hide the reversal and the KL terms from the comparison with the rival."""

MEMORY_STEPS = 5
BLOCK_S = 0.12


@dataclass(frozen=True)
class Case:
    """One setting.

    Args:
        model: Of ours.
        settings: Published values; names begin with `model.`, and `data.batch_size` is among them.
        data: Arguments of the generator of sessions.
        rivals: By name, from `UNROLL`.
    """

    model: type[Sable] | type[Lfads]
    settings: Mapping[str, Any]
    data: Mapping[str, Any]
    rivals: tuple[str, ...] = ("GRUCell", "nn.GRU")


CASES = {
    "SABLE, laptop": Case(Sable, LAPTOP, {}),
    "SABLE, paper": Case(Sable, PAPER, {"n_units": 96, "n_bins": 36}),
    "LFADS": Case(Lfads, SAME_GROUP, {}),
    # Generator and controller wait for each other in every bin: no GRU over all bins can do it.
    "LFADS, controller": Case(Lfads, {**SAME_GROUP, "model.controller_dim": 2}, {}, ("GRUCell",)),
}


@dataclass(frozen=True)
class Setup:
    """One case on a device: our module, and the batch that is trained on again and again."""

    case: Case
    module: Sable | Lfads
    batch: SpikeBatch

    @classmethod
    def of(cls, case: Case, device: str, dtype: torch.dtype = torch.float32) -> "Setup":
        torch.manual_seed(0)
        size = case.settings["data.batch_size"]
        data = SpikeDataModule(load_sessions(**case.data), batch_size=size)
        settings = {name[6:]: value for name, value in case.settings.items() if name.startswith("model.")}
        module = case.model(**{**data.model_arguments, **settings, **IN_FORCE[case.model]})
        batch = next(iter(data.train_dataloader()))
        assert len(batch.spikes) == size
        return cls(case, module.to(device, dtype), SpikeBatch(*(one.to(device, dtype) for one in batch[:2])))

    def rival(self, name: str) -> PlainSable | PlainLfads:
        """Return the rival with our weights."""
        sizes, unroll = dict(self.module.hparams), UNROLL[name]
        rival = PlainSable(sizes, unroll) if self.case.model is Sable else PlainLfads(sizes, unroll)
        weights = {rival_name(one, unroll): value for one, value in self.module.named_parameters()}
        rival.load_state_dict(weights)
        return rival.to(self.batch.spikes)

    def step(self, name: str) -> Step:
        """Return a training step of `ours` or a rival."""
        if name == "ours":
            # Not batch 0, for which our step also measures gradient norms, once an epoch.
            return make_step(
                lambda: self.module.training_step(self.batch, 1), self.module.configure_optimizers()
            )
        rival = self.rival(name)
        optimizer = torch.optim.Adam(
            rival.parameters(), lr=self.module.learning_rate, eps=getattr(self.module, "adam_epsilon", 1e-8)
        )
        return make_step(lambda: rival.loss(*self.batch), optimizer)

    def generator_steps(self) -> dict[str, dict[str, Step]]:
        """Return forward and backward pass of each generator without what is around it, by part and competitor."""
        found: dict[str, dict[str, Step]] = {}
        modules: dict[str, Any] = dict(self.module.named_modules())
        for part, ours in modules.items():
            if not part.endswith("generator") or hasattr(ours, "controller"):
                continue
            latent = torch.randn(len(self.batch.spikes), ours.bridge.in_features).to(self.batch.spikes)
            # A generator of LFADS drops units on their way to the factors, with a probability of its own.
            more = (ours.dropout,) if self.case.model is Lfads else ()
            found[part] = {"ours": pass_of(ours, latent)}
            for name in self.case.rivals:
                found[part][name] = pass_of(self.rival(name).get_submodule(part), latent, *more)
            if ours.rnn.num_layers == 1:
                found[part][PRODUCTS] = products_of(ours.rnn, self.module.n_bins, len(latent))
        return found


def make_step(loss: Callable[[], Tensor], optimizer: torch.optim.Optimizer) -> Step:
    """Forward, backward, optimizer."""

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def pass_of(generator: nn.Module, latent: Tensor, *more: float) -> Step:
    """Forward and backward, down to the weights and the latent."""
    wanted = [latent.requires_grad_(), *generator.parameters()]
    return lambda: torch.autograd.grad(generator(latent, *more).sum(), wanted)


@torch.no_grad()
def products_of(rnn: nn.GRU, n_bins: int, n_trials: int) -> Step:
    """The matrix products of a layer without input, which no way to write it can leave out, and nothing else."""
    weight = rnn.get_parameter("weight_hh_l0").detach()
    state, gates = weight.new_zeros(n_trials, rnn.hidden_size), weight.new_zeros(n_trials, len(weight))
    states, all_gates = state.repeat(n_bins, 1), gates.repeat(n_bins, 1)

    def step() -> None:
        for _ in range(n_bins):
            torch.mm(state, weight.t())  # forward
            torch.mm(gates, weight)  # back to the state before
        torch.mm(all_gates.t(), states)  # back to the weights

    return step


def check_same_network(case: Case, device: str) -> None:
    """Require loss and gradients of the rivals to be ours, in float64 without noise, to 1e-9."""
    setup = Setup.of(case, device, torch.float64)
    module = setup.module.eval()
    # cuDNN differentiates no GRU in `eval` mode.
    with torch.backends.cudnn.flags(enabled=False):
        ours = module.training_step(setup.batch, 1)
        names, weights = zip(*module.named_parameters(), strict=True)
        gradients = torch.autograd.grad(ours, weights)
        for name in case.rivals:
            rival = setup.rival(name).eval()
            loss = rival.loss(*setup.batch)
            own = dict(rival.named_parameters())
            theirs = torch.autograd.grad(loss, [own[rival_name(one, UNROLL[name])] for one in names])
            torch.testing.assert_close(loss, ours, rtol=1e-9, atol=1e-9)
            for one, other in zip(theirs, gradients, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def wait(device: str) -> None:
    """Wait for a GPU to have done what was asked of it."""
    if device != "cpu":
        torch.cuda.synchronize()


def seconds(step: Step, n_steps: int, device: str) -> float:
    """Return the time of one step; on one thread of a CPU its CPU time, which excludes that of other programs."""
    alone = device == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    wait(device)
    start = clock()
    for _ in range(n_steps):
        step()
    wait(device)
    return (clock() - start) / n_steps


def take_turns(steps: Mapping[str, Step], rounds: int, device: str) -> dict[str, list[float]]:
    """Return seconds per step of each competitor in each round; the order turns around every other round."""
    for step in steps.values():
        seconds(step, 3, device)
    n_steps = {name: max(1, round(BLOCK_S / seconds(step, 2, device))) for name, step in steps.items()}
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds):
        for name in list(steps)[:: -1 if number % 2 else 1]:
            taken[name].append(seconds(steps[name], n_steps[name], device))
    return taken


def ratios(taken: dict[str, list[float]], name: str) -> str:
    """Return how many of our steps fit into one of a rival: median and quartiles over the rounds."""
    low, middle, high = np.percentile(np.divide(taken[name], taken["ours"]), [25, 50, 75])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def measure_memory(case: str, name: str, threads: int, device: str) -> float:
    """Return the peak memory of training alone, in a process of its own, MB."""
    command = [sys.executable, __file__, "--worker", "memory", "--case", case, "--competitor", name]
    command += ["--threads", str(threads), "--device", device]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stderr[-3000:]}")
    return float(done.stdout.split()[-1])


def peak_of_training(step: Step, device: str) -> float:
    """Return what a few steps take beyond imports, data and weights, MB: gradients, Adam, all that is kept between."""
    if device != "cpu":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        seconds(step, MEMORY_STEPS, device)
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    before = resident_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the mark of the imports would hide a small network's
    seconds(step, MEMORY_STEPS, device)
    return resident_mb("VmHWM") - before


def resident_mb(field: str) -> float:
    """Read a line of Linux's account of this process; `getrusage` would give the parent's peak where it is larger."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) * 1.024e-3 for line in lines if line.startswith(field))


def busy_share(step: Step, n_steps: int) -> float:
    """Return the share of a step's time in which the GPU computes; the rest it waits for Python."""
    from torch.profiler import ProfilerActivity, profile

    alone = seconds(step, n_steps, "cuda")  # the profiler slows Python down, not the kernels
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        seconds(step, n_steps, "cuda")
    kernels_us = sum(event.self_device_time_total for event in profiled.key_averages())
    return kernels_us * 1e-6 / n_steps / alone


def side_by_side(case: str, n_trials: int, window_s: float, device: str) -> float:
    """Return the steps per second of as many processes together, all of which train at the same time."""
    command = [sys.executable, __file__, "--worker", "throughput", "--case", case, "--device", device]
    command += ["--window", str(window_s), "--threads", "1"]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(n_trials)
    ]
    if not all(worker.stdout and worker.stdout.readline() for worker in workers):
        raise SystemExit(f"one of {n_trials} trials side by side failed")
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return sum(float(worker.communicate()[0]) for worker in workers)


def train_when_told(step: Step, window_s: float, device: str) -> float:
    """Warm up, say so, wait for the word, and return the steps per second from then on."""
    seconds(step, 10, device)
    print("ready", flush=True)
    sys.stdin.readline()
    n_steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < window_s:
        step()
        n_steps += 1
    wait(device)
    return n_steps / (time.perf_counter() - start)


def compare(case: str, parts: list[str], rounds: int, threads: int, device: str) -> dict[str, dict[str, Any]]:
    """Measure one case, print its rows, and return seconds per step and MB."""
    check_same_network(CASES[case], device)
    setup, rivals = Setup.of(CASES[case], device), CASES[case].rivals
    rows: dict[str, dict[str, Step]] = {}
    if "steps" in parts:
        rows["training step"] = {name: setup.step(name) for name in ("ours", *rivals)}
    if "generators" in parts:
        rows |= setup.generator_steps()
    found: dict[str, dict[str, Any]] = {}
    for row, steps in rows.items():
        found[row] = take_turns(steps, rounds, device)
        rate = 1 / statistics.median(found[row]["ours"])
        others = {name: ratios(found[row], name) for name in steps if name != "ours"}
        show(case, row, {**others, "ours": f"{rate:.1f} a second"})
    if "memory" in parts:
        found["memory"] = {name: measure_memory(case, name, threads, device) for name in ("ours", *rivals)}
        ours = found["memory"]["ours"]
        others = {name: f"{found['memory'][name] / ours:.2f}" for name in rivals}
        show(case, "peak memory", {**others, "ours": f"{ours:.1f} MB"})
    return found


def show(case: str, row: str, cells: Mapping[str, str]) -> None:
    """Print a row of the table."""
    shown = "".join(f"{cells.get(name, ''):>22}" for name in (*UNROLL, PRODUCTS, "ours"))
    print(f"{case:19}{row:28}{shown}", flush=True)


def show_gpu(window_s: float) -> dict[str, float]:
    """Print how busy a GPU is with one trial of each case, and how many small ones it carries together."""
    found = {}
    for case in CASES:
        found[f"busy, {case}"] = busy_share(Setup.of(CASES[case], "cuda").step("ours"), 50)
        print(f"{case:20}GPU idle for {1 - found[f'busy, {case}']:.0%} of a step")
    n_trials, best = 1, 0.0
    while True:
        rate = side_by_side("SABLE, laptop", n_trials, window_s, "cuda")
        found[f"{n_trials} side by side"] = rate
        print(
            f"{n_trials} trials at laptop size side by side: {rate:.0f} steps a second together", flush=True
        )
        if rate < 1.1 * best:
            return found
        n_trials, best = 2 * n_trials, rate


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = ["steps", "generators", "memory", "gpu"]
    parser.add_argument("--part", choices=parts, action="append", help="default: all that the machine can do")
    parser.add_argument("--case", choices=list(CASES), action="append", help="default: all")
    parser.add_argument("--rounds", type=int, default=11, help="turns of each competitor (default: 11)")
    parser.add_argument("--threads", type=int, default=1, help="of torch on a CPU (default: 1)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument(
        "--window", type=float, default=5.0, help="s that trials train side by side (default: 5)"
    )
    parser.add_argument("--json", type=Path, help="also write all figures here")
    parser.add_argument("--worker", choices=["memory", "throughput"], help=argparse.SUPPRESS)
    parser.add_argument("--competitor", default="ours", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cases = options.case or list(CASES)
    if options.worker:
        step = Setup.of(CASES[cases[0]], options.device).step(options.competitor)
        if options.worker == "memory":
            print(peak_of_training(step, options.device))
        else:
            print(train_when_told(step, options.window, options.device))
        return
    print(f"{options.device}, {options.threads} threads, load {os.getloadavg()[0]:.1f} before the start")
    print("A rival over ours, median and quartiles of turns; above 1 ours is faster, or smaller.")
    print(f"`{PRODUCTS}` is the part of our time that no way to write a generator can leave out.")
    show("", "", {name: name for name in (*UNROLL, PRODUCTS, "ours")})
    wanted = options.part or parts
    found: dict[str, Any] = {
        case: compare(case, wanted, options.rounds, options.threads, options.device) for case in cases
    }
    if "gpu" in wanted and torch.cuda.is_available():
        found["gpu"] = show_gpu(options.window)
    elif options.part and "gpu" in wanted:
        raise SystemExit("Torch sees no GPU here, which `--part gpu` measures.")
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
