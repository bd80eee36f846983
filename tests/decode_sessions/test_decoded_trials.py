"""What is predicted for a new session is the module's own output for trials that the test cuts by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from sklearn.metrics import r2_score

from lightning_modules.parts.spikes import SpikeSession, write_npz
from lightning_modules.parts.spikes.recordings import load_sessions

T = 10


def by_hand(path: Path, starts: np.ndarray | None = None) -> np.ndarray:
    """Counts (K, T, N) of the trials of a file, in its own order of units."""
    with np.load(path) as archive:
        starts = archive["trial_start"] if starts is None else starts
        return np.stack([archive["spikes"][start : start + T] for start in starts])


def test_predictions_are_the_modules_own_for_trials_cut_by_hand(trained: Any, new_day: Any) -> None:
    path = new_day()
    decoded = trained.decode(path)
    np.testing.assert_allclose(decoded.predicted, trained.forward(by_hand(path)), rtol=1e-5, atol=1e-6)
    assert decoded.predicted.std(axis=0).min() > 0, (
        "the decoder must depend on the spikes for this to say anything"
    )
    assert decoded.trial.tolist() == list(range(24))
    assert decoded.trial_start.tolist() == [T * trial for trial in range(24)]
    assert (decoded.bin_width_s, decoded.recorded_bin_width_s) == (0.07, 0.07)


def test_scores_are_those_of_scikit_learn(trained: Any, new_day: Any, days: Any) -> None:
    path = new_day()
    decoded = trained.decode(path)
    truth, guess = days[4].behaviour, decoded.predicted.reshape(-1, 2)
    x, y = r2_score(truth, guess, multioutput="raw_values")
    both = r2_score(truth, guess, multioutput="variance_weighted")
    assert decoded.scores == pytest.approx(
        {"R2": both, "R2 of position_x": x, "R2 of position_y": y}, rel=1e-4
    )
    np.testing.assert_array_equal(decoded.behaviour.reshape(-1, 2), truth)
    np.testing.assert_array_equal(decoded.target, days[4].target)


def test_the_order_of_the_units_in_the_file_does_not_matter(trained: Any, new_day: Any, days: Any) -> None:
    order = np.random.default_rng(0).permutation(12)
    shuffled = new_day("shuffled.npz", spikes=days[4].spikes[:, order], unit_ids=days[4].unit_ids[order])
    np.testing.assert_array_equal(trained.decode(shuffled).predicted, trained.decode(new_day()).predicted)


def test_a_unit_that_is_missing_is_read_as_silent_and_named(trained: Any, new_day: Any, days: Any) -> None:
    kept = [unit for unit in range(12) if unit != 3]
    without = new_day(spikes=days[4].spikes[:, kept], unit_ids=np.array(kept))
    decoded = trained.decode(without)
    silenced = days[4].spikes.reshape(24, T, 12).copy()
    silenced[:, :, 3] = 0
    np.testing.assert_allclose(decoded.predicted, trained.forward(silenced), rtol=1e-5, atol=1e-6)
    (warning,) = [one for one in decoded.warnings if "not in the session" in one]
    assert warning.startswith("1 of 12 units that fired")
    assert warning.endswith("silent: unit_3.")
    assert not any("silent that fired" in one for one in decoded.warnings), "the same unit is reported twice"


def test_a_unit_that_the_model_does_not_know_is_left_out_and_named(
    trained: Any, new_day: Any, days: Any
) -> None:
    spikes = np.concatenate([days[4].spikes[:, :1], days[4].spikes], axis=1)
    decoded = trained.decode(new_day(spikes=spikes, unit_ids=np.array([77, *range(12)])))
    np.testing.assert_array_equal(decoded.predicted, trained.decode(new_day("plain.npz")).predicted)
    assert "1 units of the session are unknown to the model and were left out: unit_77." in decoded.warnings


def test_narrower_bins_are_summed_and_starts_count_the_files_own(
    trained: Any, new_day: Any, days: Any
) -> None:
    """Every bin is split in two at random; the first trial begins two bins later."""
    generator = np.random.default_rng(1)
    first = generator.binomial(days[4].spikes.astype(int), 0.5)
    fine = np.stack([first, days[4].spikes - first], axis=1).reshape(-1, 12)
    fine = np.concatenate([np.full((2, 12), 9), fine]).astype(np.uint8)
    behaviour = np.concatenate([np.zeros((2, 2)), np.repeat(days[4].behaviour, 2, axis=0)]).astype(np.float32)
    starts = days[4].trial_start * 2 + 2
    path = new_day(
        spikes=fine,
        behaviour=behaviour,
        position=behaviour,
        trial_start=starts,
        trial_end=days[4].trial_end * 2 + 2,
        bin_width_s=0.035,
    )
    decoded = trained.decode(path)
    np.testing.assert_array_equal(decoded.predicted, trained.decode(new_day("plain.npz")).predicted)
    assert decoded.trial_start.tolist() == starts.tolist()
    assert (decoded.bin_width_s, decoded.recorded_bin_width_s) == (0.07, 0.035)


def test_short_trials_are_left_out_counted_and_the_others_keep_their_number(
    trained: Any, new_day: Any, days: Any
) -> None:
    """Trial 2 is a bin too short; bins of 0.035 s lose trial 5, of a single one, before that."""
    ends = np.array(days[4].trial_end) * 2
    ends[2] -= 1
    ends[5] = days[4].trial_start[5] * 2 + 1
    path = new_day(
        spikes=np.repeat(days[4].spikes, 2, axis=0),
        behaviour=np.repeat(days[4].behaviour, 2, axis=0),
        position=None,
        trial_start=days[4].trial_start * 2,
        trial_end=ends,
        bin_width_s=0.035,
    )
    decoded = trained.decode(path)
    kept = [trial for trial in range(24) if trial not in (2, 5)]
    assert decoded.trial.tolist() == kept
    assert decoded.trial_start.tolist() == [20 * trial for trial in kept]
    assert decoded.target.tolist() == days[4].target[kept].tolist()
    assert (
        "2 of 24 trials are shorter than the model's window of 0.7 s and were left out." in decoded.warnings
    )


def test_a_session_without_behaviour_and_targets_is_decoded_without_a_score(
    trained: Any, new_day: Any
) -> None:
    bare = new_day(behaviour=None, behaviour_names=None, target=None, position=None)
    decoded = trained.decode(bare)
    np.testing.assert_array_equal(decoded.predicted, trained.decode(new_day("full.npz")).predicted)
    assert (decoded.scores, decoded.behaviour) == ({}, None)
    assert set(decoded.target) == {-1}
    assert "behaviour" not in decoded.arrays
    assert "predicted" in decoded.arrays
    assert not any("score" in one for one in decoded.warnings)


def test_what_the_model_predicts_is_found_under_another_entry_of_the_file(
    trained: Any, new_day: Any, days: Any
) -> None:
    names = np.array(["velocity_x", "velocity_y"])
    path = new_day(behaviour=days[4].behaviour[::-1], behaviour_names=names, position=days[4].behaviour)
    assert trained.decode(path).scores == trained.decode(new_day("plain.npz")).scores


def test_another_behaviour_is_named_and_not_scored(trained: Any, new_day: Any) -> None:
    decoded = trained.decode(new_day(behaviour_names=np.array(["force_x", "force_y"]), position=None))
    assert decoded.scores == {}
    assert (
        "The session's behaviour is force_x, force_y, the model predicts position_x, position_y: there is no score."
        in decoded.warnings
    )


def with_cues(day: SpikeSession, number: int, **changes: Any) -> dict[str, Any]:
    """Entries of a day whose trials have a go cue that comes later from trial to trial."""
    cues = day.trial_start + np.arange(day.n_trials) % 4 + number % 2
    return {"go_cue": cues, **changes}


def test_trials_begin_where_those_of_the_training_began(
    days: Any, tmp_path: Path, build_decoder: Callable[..., Any], new_day: Any
) -> None:
    for number, day in enumerate(days[:2]):
        write_npz(day, tmp_path / f"{number}.npz")
        with np.load(tmp_path / f"{number}.npz") as archive:
            entries = {**archive, **with_cues(day, number)}
        np.savez(tmp_path / f"{number}.npz", allow_pickle=False, **entries)
    settings = {"align_to": "go_cue", "window_start_s": 0.07, "window_s": 0.35}
    decoder = build_decoder(load_sessions(path=str(tmp_path), **settings))
    cues = days[4].trial_start + np.arange(24) % 4
    decoded = decoder.decode(new_day(go_cue=cues))
    windows = np.stack([days[4].spikes[cue + 1 : cue + 6] for cue in cues])
    np.testing.assert_allclose(decoded.predicted, decoder.forward(windows), rtol=1e-5, atol=1e-6)
    assert decoded.trial_start.tolist() == (cues + 1).tolist()


def write_mat(path: Path, day: SpikeSession, guide: np.ndarray, date: str) -> None:
    """A TrialData file; the first bin of each trial comes before the go cue."""
    fields = ("monkey", "date", "result", "bin_size", "target_direction", "idx_go_cue", "idx_trial_end")
    fields += ("vel", "pos", "M1_spikes", "M1_unit_guide")
    table = np.zeros(day.n_trials, dtype=[(name, object) for name in fields])
    for trial, row in enumerate(table):
        bins = slice(day.trial_start[trial], day.trial_end[trial])
        values = ("Chewie", date, "R", day.bin_width_s, 0.0, 2.0, float(T), day.behaviour[bins] * 3)
        for name, value in zip(
            fields, (*values, day.behaviour[bins], day.spikes[bins].astype(float), guide), strict=True
        ):
            row[name] = value
    scipy.io.savemat(path, {"trial_data": table})


def test_mat_files_are_decoded_by_channel_with_the_units_of_an_electrode_summed(
    days: Any, tmp_path: Path, build_decoder: Callable[..., Any]
) -> None:
    training = tmp_path / "training"
    training.mkdir()
    guide = np.array([[unit // 2 + 1, unit % 2 + 1] for unit in range(12)], dtype=float)
    for number in range(2):
        write_mat(training / f"{number}.mat", days[number], guide, f"0{number + 1}-01-2016")
    decoder = build_decoder(load_sessions(path=str(training), behaviour="position"))
    # On the new day only three of the six electrodes record, with more units, in another order.
    other = np.array([[5, 1], [5, 2], [5, 3], [1, 1]] + [[3, unit + 1] for unit in range(8)], dtype=float)
    write_mat(tmp_path / "new.mat", days[4], other, "03-01-2016")
    decoded = decoder.decode(tmp_path / "new.mat")
    spikes = days[4].spikes.reshape(24, T, 12)[:, 1:].astype(int)
    channels = np.zeros((24, T - 1, 32), dtype=int)
    channels[..., 4] = spikes[..., :3].sum(axis=-1)
    channels[..., 0] = spikes[..., 3]
    channels[..., 2] = spikes[..., 4:].sum(axis=-1)
    np.testing.assert_allclose(decoded.predicted, decoder.forward(channels), rtol=1e-5, atol=1e-6)
    truth = days[4].behaviour.reshape(24, T, 2)[:, 1:].reshape(-1, 2)
    score = r2_score(truth, decoded.predicted.reshape(-1, 2), multioutput="variance_weighted")
    assert decoded.scores["R2"] == pytest.approx(score, rel=1e-4)
    (warning,) = [one for one in decoded.warnings if "not in the session" in one]
    assert warning.startswith("3 of 32 channels")
    assert "electrode_1, electrode_3, electrode_5" in warning
