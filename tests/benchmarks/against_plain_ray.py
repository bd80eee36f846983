"""neurosweep against a plain Ray script, side by side: `make benchmark`.

What is compared, and how each figure is defined, is in the README beside this file. Machines are shared: read the
ratios, not the seconds.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict, fields
from pathlib import Path

from measured_run import HERE, SLOTS, Part, Run, measure

SIZES = {"model.latent_dim": 12, "model.encoder_hidden": 40, "data.batch_size": 48}
"""Fixed for both, because they decide what an epoch costs: otherwise the two samplers would draw different work."""
REDUCTION_FACTOR = 3
REPORTED_EPOCHS = 100
LIMIT_MB = 1.5 * 2**30 / 1e6

MEMORY = ("driver_mb", "worker_mb")
SWEEP_ROWS = ("epochs", "wall_s", "training_s", "beyond_training_s", "wall_over_training", *MEMORY)
RESULT_ROWS = ("epochs", "mlflow_points", "wall_s", "results_per_s", "tracked_per_s", *MEMORY)
HIGHER_IS_BETTER = ("results_per_s", "tracked_per_s")
NEUTRAL = ("epochs", "mlflow_points", "training_s")


def our_command(part: Part) -> list[str]:
    """Return the sweep as a user starts it."""
    target = {"sable": "sable", "noop": "noop_lab:EXPERIMENT"}[part.kind]
    command = [sys.executable, "-m", "neurosweep.cli", "launch", target, "--name", "bench"]
    command += ["--trials", str(part.trials), "--trainer.max_epochs", str(part.epochs)]
    command += ["--try-published", "false"]  # the rival has no published values to begin with
    if part.kind == "sable":  # nor copies that judge the model, nor pictures
        command += ["--data.leave_one_day_out", "false", "--figures", "false"]
    if part.grace_period is None:
        command += ["--pruner", "none"]
    else:
        command += ["--min-epochs", str(part.grace_period), "--reduction-factor", str(REDUCTION_FACTOR)]
    return command + [word for name, value in sizes(part).items() for word in (f"--{name}", str(value))]


def their_command(part: Part, folder: Path, *, reuse_actors: bool) -> list[str]:
    """Return the rival's sweep."""
    command = [sys.executable, str(HERE / "plain_ray.py"), part.kind, "--folder", str(folder)]
    command += ["--trials", str(part.trials), "--epochs", str(part.epochs)]
    command += ["--fixed", json.dumps(sizes(part))]
    if part.grace_period is not None:
        command += ["--grace-period", str(part.grace_period), "--reduction-factor", str(REDUCTION_FACTOR)]
    return command + (["--reuse-actors"] if reuse_actors else [])


def sizes(part: Part) -> dict[str, int]:
    """Return what is fixed for both."""
    return SIZES if part.kind == "sable" else {}


def compare(part: Part, *, reuse_actors: bool) -> tuple[Run, Run]:
    """Run both, one after the other; ours goes first, and so with colder caches."""
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        theirs = their_command(part, Path(second), reuse_actors=reuse_actors)
        return (
            measure(our_command(part), Path(first), part, ours=True),
            measure(theirs, Path(second), part, ours=False),
        )


def ahead(name: str, ours: Run, plain: Run) -> float:
    """Return how many times better ours is in a quantity: above 1 where it is ahead."""
    mine, other = getattr(ours, name), getattr(plain, name)
    return mine / other if name in HIGHER_IS_BETTER else other / mine


def show(part: Part, ours: Run, plain: Run) -> None:
    """Print a part's table and whether the targets are met."""
    print(f"\n{part.title}\n{'':20}{'neurosweep':>12}{'plain Ray':>12}{'ahead by':>12}")
    for name in part.rows:
        ratio = "" if name in NEUTRAL else f"{ahead(name, ours, plain):.2f}"
        print(f"{name:20}{getattr(ours, name):12.2f}{getattr(plain, name):12.2f}{ratio:>12}")
    behind = [name for name in part.rows if name not in (*NEUTRAL, *MEMORY) and ahead(name, ours, plain) <= 1]
    print(f"behind in: {', '.join(behind) or 'nothing'}")
    print(f"driver and workers under 1.5 GiB: {max(ours.driver_mb, ours.worker_mb) < LIMIT_MB}")
    if part.kind == "sable":
        print(f"wall_over_training within 1.25: {ours.wall_over_training <= 1.25}")


def parts_of(options: argparse.Namespace) -> dict[str, Part]:
    """Return the comparisons by name."""
    trials, epochs = options.trials, options.epochs
    grace_period = max(1, epochs // 5)
    work = f"SABLE on generated sessions, {trials} trials of"
    reporting = f"Reporting only, {options.report_trials} trials of {REPORTED_EPOCHS} epochs, 2 metrics each"
    return {
        "sweep": Part(f"{work} {epochs} epochs, no pruning", "sable", trials, epochs, None, SWEEP_ROWS),
        "pruned": Part(
            f"{work} at most {epochs} epochs, successive halving from {grace_period}",
            "sable", trials, epochs, grace_period, SWEEP_ROWS,
        ),
        "results": Part(reporting, "noop", options.report_trials, REPORTED_EPOCHS, None, RESULT_ROWS),
    }  # fmt: skip


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=["sweep", "pruned", "results", "all"], action="append",
                        help="what to run; can be repeated (default: sweep and results)")  # fmt: skip
    parser.add_argument("--trials", type=int, default=16, help="trials of a SABLE sweep (default: 16)")
    parser.add_argument("--epochs", type=int, default=40, help="most epochs of each (default: 40)")
    parser.add_argument("--report-trials", type=int, default=8, help="trials that only report (default: 8)")
    parser.add_argument("--reuse-actors", action="store_true", help="let the rival reuse its workers too")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{SLOTS} slots, load {load:.1f} before the start", flush=True)
    written: dict[str, object] = {"slots": SLOTS, "load": load, "reuse_actors": options.reuse_actors}
    for name, part in parts_of(options).items():
        if not {name, "all"} & set(options.part or ["sweep", "results"]):
            continue
        ours, plain = compare(part, reuse_actors=options.reuse_actors)
        show(part, ours, plain)
        ratios = {field.name: ahead(field.name, ours, plain) for field in fields(Run)}
        written[name] = {"ours": asdict(ours), "plain": asdict(plain), "ahead": ratios, "part": asdict(part)}
    if options.json is not None:
        options.json.write_text(json.dumps(written, indent=2) + "\n")


if __name__ == "__main__":
    main()
