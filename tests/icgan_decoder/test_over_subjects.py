"""Settings that were searched on one subject, fitted to all subjects of a data set."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import sem
from sklearn.linear_model import Ridge

from lightning_modules.icgan.decoder.over_subjects import (
    FittedSubject,
    fit_other_subjects,
    open_other_subjects,
    over_subjects,
    subject_rows,
)
from lightning_modules.icgan.decoder.targets import KINDS, TargetSource, with_defaults

Fit = Callable[..., tuple[FittedSubject, ...]]


def test_each_subject_is_decoded_by_ridges_of_its_own_rows_at_the_same_penalties(fit_toys: Fit) -> None:
    subjects = fit_toys(instance_alpha=30.0, noise_alpha=5.0, dense_alpha=80.0, instance_rescale=False)
    assert [one.name for one in subjects] == ["1", "2", "3"]
    assert [one.searched for one in subjects] == [True, False, False]
    for one in subjects:
        found = one.model.decode(one.responses.averaged)
        for kind, alpha, ours in zip(KINDS, (30.0, 5.0, 80.0), found, strict=True):
            truth = one.data.tables[kind][one.data.stimulus].astype(np.float64)
            voxels, rows = (part.astype(np.float64) for part in (one.data.voxels, one.responses.averaged))
            np.testing.assert_allclose(ours, Ridge(alpha).fit(voxels, truth).predict(rows), atol=1e-4)


def test_penalties_that_are_left_to_held_out_rows_are_each_subjects_own(fit_toys: Fit) -> None:
    subjects = fit_toys(alpha_from="grouped", sharing="per_target")
    chosen = [one.model.fitted("instance").penalty.alpha for one in subjects]
    assert any(not np.array_equal(chosen[0], other) for other in chosen[1:])


def test_averaged_responses_are_means_over_the_repeats_of_each_sealed_picture(fit_toys: Fit) -> None:
    responses = fit_toys()[1].responses
    assert responses.n_repeats == 6
    for position, mean in enumerate(responses.averaged):
        own = responses.trials[responses.trial_stimulus == position]
        np.testing.assert_allclose(mean, own.mean(axis=0), atol=1e-5)


def test_a_subject_who_saw_other_pictures_is_left_out_and_named(
    fit_toys: Fit, toy_source: TargetSource
) -> None:
    model = fit_toys()[0].model
    pictures, read = toy_source.pictures, toy_source.pictures.read

    def read_other(subject: str):
        found = read(subject)
        names = tuple(f"other_{name}" for name in found.session.stimulus_names)
        return (
            replace(found, session=replace(found.session, stimulus_names=names)) if subject == "2" else found
        )

    opened = open_other_subjects(replace(pictures, read=read_other), pictures.open("1").stimuli)
    assert list(opened.sessions) == ["3"]
    found = fit_other_subjects(model, opened, toy_source, with_defaults({"n_folds": 4}))
    assert [one.name for one in found.fitted] == ["3"]
    (note,) = found.notes
    assert note.startswith("Subject 2 is left out: ")
    assert "same pictures in the same order" in note


def test_a_subject_with_other_sealed_pictures_is_left_out(toy_source: TargetSource) -> None:
    opened = open_other_subjects(toy_source.pictures, np.arange(3))
    assert not opened.sessions
    assert len(opened.notes) == 2
    assert all("Other pictures are sealed" in note for note in opened.notes)


def test_a_subject_without_the_decoders_area_is_left_out(fit_toys: Fit, toy_source: TargetSource) -> None:
    model = fit_toys(spatial_area="V1")[0].model
    pictures = toy_source.pictures
    opened = open_other_subjects(pictures, pictures.open("1").stimuli)
    second = opened.sessions["2"]
    blind = replace(second, session=replace(second.session, roi={"V2": second.session.roi["V2"]}))
    opened = opened._replace(sessions={**opened.sessions, "2": blind})
    found = fit_other_subjects(model, opened, toy_source, with_defaults({"n_folds": 4}))
    assert [one.name for one in found.fitted] == ["3"]
    assert found.notes[0].startswith("Subject 2 is left out: The area `V1` has no voxels.")


def test_a_table_has_every_subject_their_mean_and_its_standard_error() -> None:
    rng = np.random.default_rng(0)
    scores = {
        name: {"test/pixcorr": float(rng.random()), "test/semantic_p": float(rng.random())} for name in "123"
    }
    rows = subject_rows(scores, searched="2")
    assert [one["subject"] for one in rows] == ["1", "2 (searched)", "3", "mean", "SEM"]
    values = [one["test/pixcorr"] for one in scores.values()]
    assert [one["pixcorr"] for one in rows[:3]] == values
    assert rows[3]["pixcorr"] == pytest.approx(np.mean(values))
    assert rows[4]["pixcorr"] == pytest.approx(sem(values))
    assert "semantic_p" in rows[0]
    assert "semantic_p" not in rows[3]  # a mean of p values is none
    assert over_subjects(list(scores.values())[:1]) == {}
