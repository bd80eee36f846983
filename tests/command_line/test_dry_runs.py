"""What a dry run shows, what it refuses, and that it leaves nothing behind."""

import dataclasses
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from lightning_modules.parts.spikes import generate_sessions, write_npz

REFUSAL_SECONDS = 90.0
"""A refusal takes 15 to 30 s, by how busy the machine is: Ray starts while the server is tried."""


def plan_of(outcome) -> dict[str, str]:
    assert outcome.code == 0, outcome.complaints
    pairs = (line.split("  ", 1) for line in outcome.output.splitlines() if "  " in line)
    return {heading.strip(): text.strip() for heading, text in pairs}


def test_a_dry_run_shows_the_plan_and_writes_nothing(command, tmp_path, written):
    outcome = command(
        "launch", "my_lab:EXPERIMENT", "--name", "try", "--trials", "6", "--concurrency", "1",
        "--trainer.max_epochs", "5", "--cpus-per-trial", "0.5", "--sampler", "qmc", "--dry-run",
    )  # fmt: skip
    plan = plan_of(outcome)
    assert plan["sweep"] == "try"
    assert plan["trials"].startswith("6, of up to 5 epochs (0 with published values), sampler qmc")
    assert plan["objectives"] == "minimize val/mse"
    assert plan["searched"] == "data.batch_size, model.learning_rate"
    assert plan["pinned"] == "trainer.max_epochs=5"
    cpus = len(os.sched_getaffinity(0))
    assert plan["resources"].startswith(f"0.5 CPU and 0 GPU a trial; this machine has {cpus} CPU")
    assert plan["slots"] == "1 at once, so 6 rounds at the most"
    assert plan["writes to"] == str(tmp_path / "neurosweep-runs" / "try")
    assert plan["tracking"] == f"sqlite:///{tmp_path / 'neurosweep-runs' / 'mlflow.db'}"
    assert written() == []


def test_a_pinned_value_leaves_the_search(command):
    plan = plan_of(command("launch", "my_lab:EXPERIMENT", "--data.batch_size", "48", "--dry-run"))
    assert plan["searched"] == "model.learning_rate"
    assert "data.batch_size=48" in plan["pinned"]


def test_a_trial_that_asks_for_more_than_the_machine_has_is_refused_with_both_numbers(command, written):
    import torch

    outcome = command("launch", "my_lab:EXPERIMENT", "--cpus-per-trial", "4096", "--dry-run")
    assert outcome.code == 2
    cpus, gpus = len(os.sched_getaffinity(0)), torch.cuda.device_count()
    assert f"asks for 4096 CPUs, but this machine has {cpus}." in outcome.complaints
    assert "--cpus-per-trial" in outcome.complaints
    many = ("--gpus-per-trial", "1", "--workers-per-trial", "64", "--cpus-per-trial", "0.01")
    outcome = command("launch", "my_lab:EXPERIMENT", *many, "--dry-run")
    assert outcome.code == 2
    assert f"asks for 1 GPUs for each of its 64 workers, but this machine has {gpus}." in outcome.complaints
    assert "--gpus-per-trial" in outcome.complaints
    assert written() == []


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--gpus-per-trial", "2"), "`--workers-per-trial` gives a trial several"),
        (("--trainer.accelerator", "gpu"), "give `--gpus-per-trial`"),
        (("--trainer.val_check_interval", "0.5"), "go by whole epochs"),
        (("--trainer.barebones", "true"), "leave out validation"),
        (("--trainer.fast_dev_run", "true"), "give `--trials 1 --trainer.max_epochs 1`"),
    ],
)
def test_settings_that_a_trial_could_not_keep_are_refused_with_what_to_do(command, written, flags, told):
    outcome = command("launch", "my_lab:EXPERIMENT", *flags, "--dry-run")
    assert outcome.code == 2
    assert told in outcome.complaints
    assert written() == []


def test_workers_of_a_trial_are_in_the_plan_and_take_its_slots(command):
    half = len(os.sched_getaffinity(0)) / 2
    workers = ("--workers-per-trial", "2", "--cpus-per-trial", str(half))
    plan = plan_of(command("launch", "my_lab:EXPERIMENT", "--trials", "3", *workers, "--dry-run"))
    assert plan["resources"].startswith(
        f"{half:g} CPU and 0 GPU a worker, 2 workers a trial; this machine has"
    )
    assert plan["slots"] == "1 at once, so 3 rounds at the most"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--workers-per-trial", "4096"], "asks for 1 CPUs for each of its 4096 workers"),
        (["--workers-per-trial", "0"], "`resources.workers_per_trial` is 0, but must be at least 1"),
        (["--trainer.strategy", "ddp"], "`trainer.strategy` cannot be set: give `--workers-per-trial`"),
    ],
)
def test_workers_that_cannot_be_had_are_refused(command, written, arguments, told):
    outcome = command("launch", "my_lab:EXPERIMENT", *arguments, "--dry-run")
    assert outcome.code == 2
    assert told in outcome.complaints
    assert written() == []


def test_a_name_that_is_taken_is_refused_with_the_command_that_continues_it(command, tmp_path):
    taken = tmp_path / "neurosweep-runs" / "monday"
    taken.mkdir(parents=True)
    (taken / "sweep.yaml").write_text("experiment: sable\nname: monday\n")
    outcome = command("launch", "my_lab:EXPERIMENT", "--name", "monday", "--dry-run")
    assert outcome.code == 2
    assert "`neurosweep resume monday`" in outcome.complaints


@pytest.fixture(scope="module")
def sessions():
    """Three small generated days."""
    return generate_sessions(
        n_sessions=3, trials_per_session=16, n_units=12, n_bins=10, bin_width_s=0.03, seed=1
    )


def refused_data(command, folder, *arguments) -> str:
    outcome = command("launch", "sable", "--data.path", str(folder), "--dry-run", *arguments)
    assert outcome.code == 2
    assert "error:" in outcome.complaints
    assert "cure:" in outcome.complaints
    assert "Traceback" not in outcome.complaints
    return outcome.complaints


def test_recordings_are_read_by_a_dry_run_and_their_days_are_named(command, tmp_path, sessions):
    for session in sessions:
        write_npz(session, tmp_path / f"{session.date}.npz")
    plan = command("launch", "sable", "--data.path", ".", "--dry-run")
    assert plan.code == 0, plan.complaints
    assert all(session.date in plan.output for session in sessions)


def test_a_path_that_does_not_exist_is_refused(command, tmp_path):
    complaint = refused_data(command, tmp_path / "nowhere")
    assert f"{tmp_path / 'nowhere'} does not exist" in complaint
    assert "`--data.path`" in complaint


def test_a_folder_without_recordings_is_refused(command, tmp_path):
    (tmp_path / "days").mkdir()
    assert "holds no session: no file ends in .npz, .nwb, .mat" in refused_data(command, tmp_path / "days")


def test_a_single_day_is_refused_where_several_are_needed(command, tmp_path, sessions):
    write_npz(sessions[0], tmp_path / "day.npz")
    complaint = refused_data(command, tmp_path / "day.npz")
    assert "1 session" in complaint
    assert "data.min_training_sessions" in complaint


def test_gaps_in_the_behaviour_are_refused_with_the_file_the_trial_and_the_column(
    command, tmp_path, sessions
):
    for session in sessions:
        write_npz(session, tmp_path / f"{session.date}.npz")
    broken = tmp_path / f"{sessions[1].date}.npz"
    entries = dict(np.load(broken))
    entries["behaviour"][entries["trial_start"][3] + 2, 1] = np.nan
    np.savez_compressed(broken, **entries)
    complaint = refused_data(command, tmp_path)
    assert broken.name in complaint
    assert f"1 in {sessions[0].behaviour_names[1]}" in complaint
    assert "Trials: 3." in complaint


def test_days_of_two_animals_are_refused(command, tmp_path, sessions):
    for session, animal in zip(sessions, ("Ada", "Bea", "Ada"), strict=True):
        write_npz(dataclasses.replace(session, animal=animal), tmp_path / f"{session.date}.npz")
    complaint = refused_data(command, tmp_path)
    assert "Ada" in complaint
    assert "Bea" in complaint


def test_a_tracking_server_that_nobody_answers_at_is_refused_and_nothing_is_left(tmp_path, lab_folder):
    # The slowest test of this folder, 15 to 30 s: a Ray starts, and therefore in a process of its own.
    started = time.monotonic()
    arguments = ["launch", "my_lab:EXPERIMENT", "--name", "lost", "--tracking-uri", "http://127.0.0.1:1"]
    process = subprocess.run(
        [sys.executable, "-m", "neurosweep.cli", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(lab_folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == 1, process.stderr
    assert "http://127.0.0.1:1" in process.stderr
    assert "cure:" in process.stderr
    assert "Traceback" not in process.stderr
    assert time.monotonic() - started < REFUSAL_SECONDS
    assert [path for path in tmp_path.rglob("*") if path.name != "neurosweep-runs"] == []


def test_a_sweep_that_is_refused_at_its_data_leaves_nothing(command, tmp_path, written):
    outcome = command("launch", "sable", "--data.path", "nowhere", "--storage", "new/storage")
    assert outcome.code == 2
    assert written() == []
