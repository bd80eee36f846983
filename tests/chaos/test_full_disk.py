"""A disk that fills up under the study's journal, an outbox, a checkpoint or the report; space is freed; it goes on."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from killing_driver import fill_disk

POINTS = (
    "Outbox._write 7",  # the first of a trial: its outbox gets no block
    "Strategy.save_checkpoint 3",
    pytest.param("SweepJournal.append_logs 30", marks=pytest.mark.slow),
    pytest.param("closing.write_figures 1", marks=pytest.mark.slow),
)


@pytest.fixture
def mount_small_disk() -> Iterator[Callable[[Path], None]]:
    """Mount a file system of 96 MB."""
    mounted: list[Path] = []

    def mount(path: Path) -> None:
        path.mkdir()
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(path)], capture_output=True
        )
        if made.returncode:
            pytest.skip("mounting needs root")
        mounted.append(path)

    yield mount
    for path in mounted:
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("point", POINTS)
def test_full_disk_is_named_and_once_there_is_space_the_sweep_goes_on(arena, mount_small_disk, point):
    mount_small_disk(arena.sweep.parent)
    ballast = arena.sweep.parent / "ballast"
    environment = {"CHAOS_BALLAST": str(ballast)}
    code = arena.drive(arena.launch(trials=4), point=f"full {point}", environment=environment)
    assert (code, arena.output.count("Traceback")) == (1, 0), arena.output
    assert "cure:  Free some space, then `neurosweep resume cut" in arena.output
    assert arena.drive(arena.resume()) == 1, arena.output  # still full
    assert "Traceback" not in arena.output
    assert arena.output.count("cure:  Free some space") == 2, arena.output
    ballast.unlink()
    assert arena.drive(arena.resume()) == 0, arena.output
    arena.check(trials=4, retrained=2)


def test_journal_that_meets_the_end_of_the_disk_in_a_line_is_whole_again(mount_small_disk, tmp_path):
    """A line of the journal is shorter than a block, so that the disk takes half of one."""
    from chaos_lab import EXPERIMENT

    from neurosweep.config import SearchConfig, SweepConfig
    from neurosweep.layout import SweepFolder
    from neurosweep.search.memory import SweepMemory
    from neurosweep.search.study import open_study

    mount_small_disk(tmp_path / "disk")
    folder = SweepFolder(tmp_path / "disk")
    search = SearchConfig(trials=200, sampler="random", pruner="none")
    config = SweepConfig("chaos_lab", "disk", search=search, trainer={"max_epochs": 100})

    def open_memory() -> SweepMemory:
        return SweepMemory(open_study(config, folder, EXPERIMENT.objectives), EXPERIMENT, config)

    def report_all(memory: SweepMemory, number: int) -> None:
        for epoch in range(100):
            memory.report(number, epoch=epoch, value=float(epoch))

    memory = open_memory()
    number = memory.next().number
    fill_disk(str(folder.root / "ballast"))
    with pytest.raises(OSError, match="No space"):
        report_all(memory, number)
    kept = len(memory.record(number).curve)
    assert folder.journal.stat().st_size % 4096, "the last line ended with the block by chance"
    (folder.root / "ballast").unlink()
    memory.report(number, epoch=kept, value=float(kept))  # by the same driver
    assert open_memory().records()[number].curve == {epoch: float(epoch) for epoch in range(kept + 1)}
