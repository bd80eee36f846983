"""What a study says while it runs."""

import pytest


@pytest.fixture
def said() -> list[str]:
    """Lines of progress; `said.append` takes them."""
    return []
