"""Benches of single tests."""

from collections.abc import Callable

import pytest


@pytest.fixture
def bench(make_bench: Callable):
    """A bench for one test."""
    return make_bench("bench")
