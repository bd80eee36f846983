"""Tables in a pipe or a log are whole, whatever width the shell believes in."""

import os
import subprocess
import sys

SHOW = """
from rich.table import Table
from neurosweep.console import show_table
table = Table(*[f"column-{one:02d}" for one in range(10)])
table.add_row(*[f"value-{one:03d}" for one in range(10)])
show_table(table)
"""


def test_no_column_is_cut_where_the_output_is_no_terminal():
    environment = {**os.environ, "COLUMNS": "40"}
    done = subprocess.run(
        [sys.executable, "-c", SHOW], env=environment, capture_output=True, text=True, check=True
    )
    for number in range(10):
        assert f"column-{number:02d}" in done.stdout
        assert f"value-{number:03d}" in done.stdout
