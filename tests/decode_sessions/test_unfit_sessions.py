"""Sessions that a model cannot decode are refused with the cure; a score that would mislead is not just printed."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lightning_modules.parts.decoding.new_session import decode_session
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes import write_npz
from lightning_modules.parts.spikes.data_module import LabelledSpikeDataModule, SpikeDataModule
from lightning_modules.parts.spikes.recordings import load_sessions


def refusal(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(DataError) as caught:
        call()
    return caught.value.problem, caught.value.remedy


def test_the_description_holds_what_the_data_module_was_given(trained: Any, days: Any) -> None:
    found = trained.description
    assert found["unit_names"] == [f"unit_{unit}" for unit in range(12)]
    assert (found["units"], found["bin_width_s"], found["window_bins"]) == ("matched", 0.07, 10)
    assert (found["behaviour_names"], found["animal"]) == (["position_x", "position_y"], "generated")
    assert found["session_names"] == ["2025-01-01", "2025-01-02", "2025-01-03"]
    assert found["sealed_sessions"] == ["2025-01-04"]
    assert [one["name"] for one in found["training"]] == ["2025-01-01", "2025-01-02"]
    for rates, day in zip(found["training"], days, strict=False):
        counts = np.array(
            [day.spikes[a:b].sum(axis=0) for a, b in zip(day.trial_start, day.trial_end, strict=True)]
        )
        seconds = 24 * 10 * 0.07
        np.testing.assert_allclose(rates["rates_hz"], counts.sum(axis=0) / seconds, atol=1e-6)
        over_trials = counts.std(axis=0, ddof=1) * np.sqrt(24)
        poisson = np.sqrt(counts.sum(axis=0))
        np.testing.assert_allclose(rates["errors_hz"], np.maximum(over_trials, poisson) / seconds, atol=1e-6)


def test_every_data_module_of_spikes_describes_its_input(trained: Any) -> None:
    labelled = LabelledSpikeDataModule(trained.data).description
    assert labelled == SpikeDataModule(trained.data).description
    assert json.loads(json.dumps(labelled)) == trained.description


def test_bins_that_do_not_make_up_the_models_are_refused(trained: Any, new_day: Any) -> None:
    path = new_day(bin_width_s=0.05)
    problem, remedy = refusal(lambda: trained.decode(path))
    assert "new.npz" in problem
    assert "0.05 s" in problem
    assert "0.07 s" in problem
    assert remedy == "Bin the session anew at 0.07 s, which the model was trained on."


def test_trials_shorter_than_the_window_are_refused(trained: Any, new_day: Any, days: Any) -> None:
    path = new_day(trial_end=days[4].trial_end - 1)
    problem, remedy = refusal(lambda: trained.decode(path))
    assert "0.7 s" in problem
    assert "0.63 s" in problem
    assert "`--data.window_s 0.63`" in remedy


def test_unmatched_units_are_refused_where_the_model_knows_units_by_number(
    trained: Any, new_day: Any
) -> None:
    path = new_day(units_matched_across_sessions=False)
    problem, remedy = refusal(lambda: trained.decode(path))
    assert "not matched across sessions" in problem
    assert "--data.units channel" in remedy


def test_a_session_without_any_of_the_models_units_is_refused(trained: Any, new_day: Any) -> None:
    problem, remedy = refusal(lambda: trained.decode(new_day(unit_ids=np.arange(100, 112))))
    assert "none of the model's 12 columns" in problem
    assert "--data.units" not in remedy


def test_what_is_no_session_file_is_refused(trained: Any, tmp_path: Any) -> None:
    (tmp_path / "notes.txt").write_text("no spikes", encoding="utf-8")
    for name, what in (("", "is a folder"), ("notes.txt", "is no session"), ("gone.npz", "does not exist")):
        problem, remedy = refusal(lambda name=name: trained.decode(tmp_path / name))
        assert problem.endswith(f"{what}.")
        assert ".npz, .nwb, .mat" in remedy


def test_a_file_that_lacks_more_than_labels_is_refused_by_its_missing_entries(
    trained: Any, new_day: Any
) -> None:
    problem, _ = refusal(lambda: trained.decode(new_day(behaviour=None, trial_end=None, unit_ids=None)))
    assert "trial_end, unit_ids missing" in problem


def test_the_description_of_another_model_is_refused(trained: Any, new_day: Any) -> None:
    other = {**trained.description, "bin_width_s": 0.02, "window_bins": 9}
    problem, remedy = refusal(lambda: decode_session(trained.module, other, new_day()))
    assert "n_bins 10, not 9" in problem
    assert "bin_width_s 0.07, not 0.02" in problem
    assert remedy


@pytest.mark.parametrize(
    "damage", [{"training": None}, {"alignment": {"to": "nowhere"}}, {"window_bins": "ten"}]
)
def test_a_damaged_description_is_refused(trained: Any, new_day: Any, damage: dict[str, Any]) -> None:
    problem, remedy = refusal(
        lambda: decode_session(trained.module, {**trained.description, **damage}, new_day())
    )
    assert problem
    assert remedy


def test_another_animal_is_told_of(trained: Any, new_day: Any) -> None:
    decoded = trained.decode(new_day(animal="Ada"))
    assert decoded.warnings[0] == "The session is of Ada, the model was trained on generated."
    assert decoded.scores


@pytest.mark.parametrize("day", ["2025-01-01", "2025-01-03", "2025-01-04"])
def test_a_day_of_another_animal_is_not_taken_for_the_models(trained: Any, new_day: Any, day: str) -> None:
    decoded = trained.decode(new_day(animal="Ada", date=day))
    assert not any(day in one for one in decoded.warnings)
    assert decoded.scores


@pytest.mark.parametrize(
    ("day", "warning"),
    [
        ("2025-01-02", "The model was trained on 2025-01-02: a score on this day is no test."),
        (
            "2025-01-03",
            "2025-01-03 is a validation day, by which the model was chosen: a score on it flatters.",
        ),
    ],
)
def test_days_that_the_model_has_seen_are_told_of(trained: Any, new_day: Any, day: str, warning: str) -> None:
    decoded = trained.decode(new_day(date=day))
    assert warning in decoded.warnings
    assert decoded.scores


def test_a_sealed_day_is_decoded_without_score_and_truth(trained: Any, recordings: Any) -> None:
    decoded = trained.decode(recordings / "day3.npz")
    assert (decoded.scores, decoded.behaviour) == ({}, None)
    assert "behaviour" not in decoded.arrays
    assert any(one.startswith("2025-01-04 is a sealed test day") for one in decoded.warnings)


def test_padded_columns_are_said_to_mean_nothing(
    days: Any, tmp_path: Any, build_decoder: Callable[..., Any], new_day: Any
) -> None:
    for number, day in enumerate(days[:2]):
        write_npz(replace(day, units_matched_across_sessions=False), tmp_path / f"{number}.npz")
    decoder = build_decoder(load_sessions(path=str(tmp_path)))
    decoded = decoder.decode(new_day(units_matched_across_sessions=False))
    assert any("expect predictions near chance" in one for one in decoded.warnings)
    np.testing.assert_allclose(
        decoded.predicted, decoder.forward(days[4].spikes.reshape(24, 10, 12)), rtol=1e-5, atol=1e-6
    )
