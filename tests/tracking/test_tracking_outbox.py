import math
import resource
import signal
import subprocess
import sys
import time

import pytest

from neurosweep.errors import StorageError
from neurosweep.layout import TrialFolder
from neurosweep.records import MetricPoint
from neurosweep.tracking.outbox import Outbox, count_points


def point(step: int, value: float = 0.5, *, key: str = "val/r2", stamp: int = 1) -> MetricPoint:
    return MetricPoint(key, value, step, stamp)


def everything(outbox: Outbox) -> list[MetricPoint]:
    found, offset = [], 0
    while True:
        points, offset = outbox.unsent(offset)
        if not points:
            return found
        found += points


@pytest.fixture
def folder(tmp_path):
    return TrialFolder(tmp_path / "0000")


def test_first_point_of_a_key_and_step_stays_even_over_a_restart(folder):
    assert len(Outbox(folder).append([point(0, 0.1, stamp=10), point(0, 0.2, stamp=11)])) == 1
    again = Outbox(folder)
    assert again.append([point(0, 0.3, stamp=99), point(1, 0.4, stamp=100)]) == [point(1, 0.4, stamp=100)]
    assert everything(again) == [point(0, 0.1, stamp=10), point(1, 0.4, stamp=100)]


def test_torn_last_line_is_cut_off_and_its_point_can_come_again(folder):
    Outbox(folder).append([point(0), point(1)])
    whole = folder.metrics.read_bytes()
    folder.metrics.write_bytes(whole[:-5])
    outbox = Outbox(folder)
    assert len(outbox.append([point(1)])) == 1
    assert folder.metrics.read_bytes() == whole


def test_reader_leaves_a_line_alone_until_it_is_complete(folder):
    outbox = Outbox(folder)
    outbox.append([point(0)])
    points, offset = outbox.unsent(0)
    with folder.metrics.open("ab") as file:
        file.write(b'{"key": "val/r2", "value": 0.5')
    assert outbox.unsent(offset) == ([], offset)
    with folder.metrics.open("ab") as file:
        file.write(b', "step": 1, "timestamp": 1}\n')
    assert outbox.unsent(offset)[0] == [point(1)]
    assert points == [point(0)]


def test_batches_of_a_thousand_cover_the_outbox_once(folder):
    points = [point(step) for step in range(2345)]
    outbox = Outbox(folder)
    outbox.append(points)
    first, offset = outbox.unsent(0)
    second, offset = outbox.unsent(offset)
    third, offset = outbox.unsent(offset)
    assert [len(first), len(second), len(third)] == [1000, 1000, 345]
    assert first + second + third == points
    assert offset == folder.metrics.stat().st_size


def test_position_behind_a_shortened_file_means_the_beginning(folder):
    outbox = Outbox(folder)
    outbox.append([point(0), point(1)])
    assert outbox.unsent(10_000)[0] == [point(0), point(1)]
    assert outbox.unsent(7)[0] == [point(0), point(1)]


def test_values_that_are_not_finite_survive(folder):
    outbox = Outbox(folder)
    outbox.append([point(0, math.nan), point(1, math.inf), point(2, -math.inf)])
    values = [one.value for one in everything(Outbox(folder))]
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, -math.inf]


def test_damaged_line_costs_one_point_and_not_the_others(folder):
    Outbox(folder).append([point(0), point(1), point(2)])
    lines = folder.metrics.read_bytes().splitlines(keepends=True)
    folder.metrics.write_bytes(lines[0] + b"\x00\x00\x00\n" + lines[2])
    assert everything(Outbox(folder)) == [point(0), point(2)]
    assert count_points(folder.metrics, 0) == 2


def test_full_disk_leaves_the_outbox_as_it_was_and_names_the_cure(folder):
    outbox = Outbox(folder)
    outbox.append([point(0)])
    before = folder.metrics.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limits[1]))
    try:
        with pytest.raises(StorageError, match="neurosweep resume"):
            outbox.append([point(step) for step in range(1, 50)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert folder.metrics.read_bytes() == before
    assert len(outbox.append([point(1)])) == 1
    assert everything(Outbox(folder)) == [point(0), point(1)]


def test_killed_writer_leaves_a_gapless_beginning(folder):
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from neurosweep.layout import TrialFolder\n"
        "from neurosweep.records import MetricPoint\n"
        "from neurosweep.tracking.outbox import Outbox\n"
        "outbox = Outbox(TrialFolder(Path(sys.argv[1])))\n"
        "for step in range(10**9):\n"
        "    outbox.append([MetricPoint(f'val/{name}', step / 7, step, step) for name in 'abc'])\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", program, str(folder.root)])
    try:
        while not folder.metrics.exists() or folder.metrics.stat().st_size < 20_000:
            assert writer.poll() is None
            time.sleep(0.01)
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    points = everything(Outbox(folder))
    expected = [
        MetricPoint(f"val/{'abc'[index % 3]}", (index // 3) / 7, index // 3, index // 3)
        for index in range(len(points))
    ]
    assert points == expected
    assert len(points) > 100
