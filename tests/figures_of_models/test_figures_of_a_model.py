"""All pictures of a model through the one entry, on trials of training and validation alone."""

import inspect
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from sklearn.metrics import r2_score

from lightning_modules.lfads.across_days import LfadsAcrossDays
from lightning_modules.parts.decoding.figures import draw, last_validation_day, sample_trials
from lightning_modules.parts.decoding.figures_spikes import draw_spikes
from lightning_modules.rave.across_days import RaveAcrossDays
from lightning_modules.sable.across_days import SableAcrossDays
from lightning_modules.sable.settings import Variant


def test_pictures_show_what_the_model_says_of_the_validation_day(make_data, make_model, as_module, say):
    data = make_data()
    model = make_model(data)
    figures = draw(model, as_module(data), {"train/loss": [(0, 1.0)]})
    assert set(figures) == {"latents", "trajectories", "r2_by_day", "spikes", "training"}
    said = say(model, data.validation)
    mean = said.behaviour.numpy()[data.validation.target == 1].mean(axis=0)
    np.testing.assert_allclose(figures["trajectories"].axes[1].lines[1].get_xydata(), mean, rtol=1e-5)
    (image,) = figures["spikes"].axes[1].images
    rates = np.exp(said.log_rates.numpy()[0]) / 0.05
    order = np.argsort(rates.argmax(axis=0), kind="stable")
    np.testing.assert_allclose(image.get_array(), rates[:, order].T, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({"behaviour": 1}, {"latents": 1, "rates": False}),
        ({"targets": 1, "held_out_trials": True}, {"latents": 2}),
        ({}, {"spoil": float("nan")}),
        ({"behaviour": 5, "targets": 12}, {"latents": 1}),
    ],
    ids=["behaviour only, one dimension", "one target, no whole day", "not finite", "many targets"],
)
def test_unusual_models_and_recordings_can_be_rendered(make_data, make_model, as_module, settings, options):
    data = make_data(**settings)
    figures = draw(make_model(data, **options), as_module(data), {})
    assert ("spikes" in figures) == options.get("rates", True)
    assert "training" not in figures
    for figure in figures.values():
        figure.draw_without_rendering()


def test_every_picture_says_whose_the_model_is(make_data, make_model, as_module):
    data = make_data()
    model = make_model(data)
    model.origin = "Ours [inferred]"
    figures = draw(model, as_module(data), {"train/loss": [(0, 1.0)]})
    for figure in figures.values():
        assert "Ours [inferred]" in [text.get_text() for text in figure.texts]


@pytest.mark.parametrize(
    ("family", "variants"),
    [
        (SableAcrossDays, [{"variant": one} for one in get_args(Variant)] + [{"unit_dropout": 0.1}]),
        (RaveAcrossDays, [{}, {"behaviour_weight": 0.0}]),
        (LfadsAcrossDays, [{}]),
    ],
    ids=["sable", "rave", "lfads"],
)
def test_what_a_model_says_of_its_origin_uses_the_tags_of_its_readme(family, variants):
    folder = Path(inspect.getfile(family.member)).parent
    table = re.findall(r"^\| (\[.*) \|", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    known = set(re.findall(r"\[[^\]]+\]", " ".join(row.partition(" | ")[0] for row in table)))
    said = []
    for variant in variants:
        model = family(
            n_units=3, n_bins=4, bin_width_s=0.05, behaviour_names=["x"], mean_counts=[0.5] * 3,
            behaviour_mean=[0.0], behaviour_scale=[1.0],
            **({} if family is LfadsAcrossDays else {"n_sessions": 2}), **variant,
        )  # fmt: skip
        said.append(model.origin)
        tags = set(re.findall(r"\[[^\]]+\]", model.origin))
        assert tags
        assert tags <= known
    assert len(set(said)) == len(variants)


def test_two_trials_of_two_days_can_be_drawn(make_data, make_model, as_module, few):
    data = few(make_data(), 2)
    figures = draw(make_model(data), as_module(data), {})
    for figure in figures.values():
        figure.draw_without_rendering()
    assert "latents" in figures
    assert (
        figures["latents"].get_suptitle() == f"Latents of {len(data.training) + len(data.validation)} trials"
    )


def test_shown_day_is_the_last_that_validates(make_data):
    day, trials = last_validation_day(make_data()), last_validation_day(make_data(held_out_trials=True))
    assert (day.name, day.last_training_day, day.held_out) == ("2026-03-12", "2026-03-05", "days")
    assert (trials.name, trials.held_out) == ("2026-03-05", "trials")


def test_a_day_that_is_left_out_in_turn_is_decoded_by_the_copy_that_has_not_seen_it(
    make_data, make_model, as_module, say
):
    data = make_data(held_out_trials=True)
    data = replace(data, validation=data.training, leave_one_day_out=True)
    model = make_model(data)
    model.copies = [make_model(data, spoil=10.0 * day) for day in (1, 2, 3)]
    figures = draw(model, as_module(data), {})
    for day, copy in enumerate(model.copies):
        ours = data.training.select(np.flatnonzero(data.training.session == day))
        expected = r2_score(
            ours.behaviour.reshape(-1, 2),
            say(copy, ours).behaviour.reshape(-1, 2),
            multioutput="variance_weighted",
        )
        _, held_out = figures["r2_by_day"].axes[0].containers
        assert held_out.lines[0].get_ydata()[day] == pytest.approx(expected, rel=1e-5)
    last = say(model.copies[2], ours).behaviour.numpy()[ours.target == 0].mean(axis=0)
    np.testing.assert_allclose(figures["trajectories"].axes[1].lines[0].get_xydata(), last, rtol=1e-5)
    assert "by the copy that was trained without this day" in figures["trajectories"].get_suptitle()
    assert [len(one.get_offsets()) for one in figures["latents"].axes[0].collections] == [36, 0]


def test_a_long_session_is_sampled_in_its_order_and_alike_each_time(make_data):
    data = make_data(per_session=30)
    kept, again = sample_trials(data, most=7), sample_trials(data, most=7)
    assert np.bincount(kept.training.session).tolist() == [7, 7, 7]
    np.testing.assert_array_equal(kept.training.behaviour, again.training.behaviour)
    everything = {trial.tobytes() for trial in data.training.behaviour}
    assert {trial.tobytes() for trial in kept.training.behaviour} <= everything
    assert sample_trials(data, most=30).training.spikes.shape == data.training.spikes.shape


def test_raster_marks_each_bin_with_spikes_and_more_spikes_more_thickly(make_data):
    data = make_data()
    spikes = np.zeros((2, 6, 3), dtype=np.uint8)
    spikes[0, 4, 0], spikes[0, 1, 2] = 1, 3
    log_rates = np.zeros((2, 6, 3))
    log_rates[0, [5, 2, 3], [0, 1, 2]] = 1.0  # peaks of the units: their order is 1, 2, 0
    figure = draw_spikes(log_rates, spikes, 0.05, last_validation_day(data))
    (marks,) = figure.axes[0].collections
    np.testing.assert_allclose(marks.get_offsets(), [[0.075, 1], [0.225, 2]])
    assert np.divide(*marks.get_linewidths()) == pytest.approx(3.0)
    (image,) = figure.axes[1].images
    np.testing.assert_allclose(image.get_array(), np.exp(log_rates[0][:, [1, 2, 0]]).T / 0.05)
    recorded, predicted = figure.axes[2].lines
    np.testing.assert_allclose(recorded.get_ydata(), spikes.mean(axis=(0, 2)) / 0.05)
    np.testing.assert_allclose(predicted.get_ydata(), np.exp(log_rates).mean(axis=(0, 2)) / 0.05)
    of_units = figure.axes[3].collections[0].get_offsets()
    np.testing.assert_allclose(of_units[:, 0], spikes.mean(axis=(0, 1)) / 0.05)
    np.testing.assert_allclose(of_units[:, 1], np.exp(log_rates).mean(axis=(0, 1)) / 0.05)


def test_neither_pyplot_nor_a_display_is_touched():
    code = (
        "import sys; from lightning_modules.parts.decoding.figures_training import draw_training\n"
        "draw_training({'train/loss': [(0, 1.0)]}).draw_without_rendering()\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
