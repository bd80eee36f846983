"""Which of the given sessions a model adapts to a new day with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lightning_modules.parts.decoding.inference import infer
from lightning_modules.parts.decoding.new_session import decode_session
from lightning_modules.parts.decoding.read_in import fit_read_in
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import write_npz


def test_days_of_validation_sealed_days_and_other_animals_do_not_count(
    trained: Any, recordings: Path, new_day: Any, days: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    write_npz(days[0], folder / "first.npz")  # the only one of the two training days
    write_npz(days[2], folder / "validation.npz")
    write_npz(replace(days[1], animal="Ada"), folder / "other.npz")
    (folder / "unfit.npz").write_text("no archive", encoding="utf-8")
    found = decode_session(trained.module, trained.description, new_day(), adapt_from=folder)
    first, new = (days[number].spikes.reshape(24, 10, 12) for number in (0, 4))
    expected = infer(trained.module, fit_read_in(trained.module, first, new)(new)).behaviour
    np.testing.assert_allclose(found.predicted, expected, rtol=1e-4, atol=1e-5)
    assert any("as on 1 of 2 training days" in warning for warning in found.warnings)


def test_a_folder_without_a_training_day_is_refused_with_what_it_should_hold(
    trained: Any, new_day: Any, days: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "none"
    folder.mkdir()
    write_npz(days[3], folder / "sealed.npz")
    with pytest.raises(
        DataError, match="holds none of the training days of the model: generated, 2025-01-01, "
    ) as caught:
        decode_session(trained.module, trained.description, new_day(), adapt_from=folder)
    assert "--adapt-from" in caught.value.remedy
