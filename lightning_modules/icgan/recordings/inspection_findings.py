"""What is wrong with an image session, or missing, and what that rules out."""

from collections.abc import Iterator
from itertools import chain

import numpy as np

from lightning_modules.icgan.recordings.inspection import LEAST_STIMULI, SubjectFacts
from lightning_modules.icgan.recordings.normalise import run_groups
from lightning_modules.icgan.recordings.session import ImageSession
from lightning_modules.parts.spikes.inspection import Finding


def find_problems(session: ImageSession, facts: SubjectFacts) -> tuple[Finding, ...]:
    """Say what is wrong or missing.

    Args:
        session: As recorded.
        facts: What `describe_subject` found in it.
    """
    return tuple(
        chain(_about_rows(session), _about_stimuli(facts), _about_pictures(facts), _about_voxels(facts))
    )


def _about_rows(session: ImageSession) -> Iterator[Finding]:
    flat = int((np.ptp(session.voxels, axis=1) == 0).sum())
    if flat and session.n_voxels > 1:
        yield Finding(
            f"{flat} rows have one value in all voxels.", "They are no responses: leave them out of the file."
        )
    twice = len(session.voxels) - len({row.tobytes() for row in session.voxels})
    if twice > max(flat - 1, 0):
        yield Finding(
            f"{twice} rows repeat an earlier one digit for digit.", "Look at how the file was exported."
        )
    alone = int((np.bincount(run_groups(session, "kind_and_run")) == 1).sum())
    if alone:
        yield Finding(
            f"{alone} {'run has' if alone == 1 else 'runs have'} a single row.",
            "`--data.normalisation per_run` would set it to 0.",
        )


def _about_stimuli(facts: SubjectFacts) -> Iterator[Finding]:
    training, test = (facts.kinds.get(name) for name in ("training", "test"))
    if facts.n_searched < 2:
        yield Finding(
            f"Training rows show {facts.n_searched} categories.",
            "Cross-validation holds out whole categories and needs 2: nothing can be searched.",
        )
    elif training and len(training.repeats) == len(training.categories):
        yield Finding(
            "Every training picture is a category of its own.",
            "Pictures of one thing can be told apart only if it was seen in training too: give `category`, so that "
            "what belongs together is held out together.",
        )
    if test is None:
        yield Finding(
            "There are no test pictures.",
            "Seal categories with `--data.test_categories`, or `neurosweep evaluate` has nothing to open.",
        )
    elif training and (both := len(training.categories & test.categories)):
        yield Finding(
            f"{both} of {len(test.categories)} test categories are among the training ones.",
            "Scores of test pictures say less about new things.",
        )
    if facts.reliability is None:
        yield Finding(
            f"Fewer than {LEAST_STIMULI} pictures were shown twice.",
            "Reliability and noise ceiling are not known.",
        )


def _about_pictures(facts: SubjectFacts) -> Iterator[Finding]:
    pictures = facts.pictures
    if pictures is None:
        yield Finding(
            "There are no pictures.",
            "`pixels` and `icgan` decode them: put images_256.npz, or the folder images, beside the subject's file.",
        )
        return
    if pictures.leaked:
        yield Finding(
            f"{pictures.leaked} test pictures are pixel by pixel among the training ones.",
            "Scores on them are no test: take them out of either.",
        )
    if pictures.twice > pictures.leaked:
        yield Finding(
            f"{pictures.twice} pictures are pixel by pixel another one of the file.",
            "Give them one stimulus number, or what is held out was seen in training.",
        )
    if pictures.uniform:
        yield Finding(
            f"{pictures.uniform} pictures are of one colour.", "No correlation over pixels is defined."
        )
    if pictures.height != pictures.width:
        yield Finding(
            f"Pictures have {pictures.height} x {pictures.width} pixels.",
            "`icgan` makes squares: crop pictures to squares for it.",
        )


def _about_voxels(facts: SubjectFacts) -> Iterator[Finding]:
    if facts.constant:
        yield Finding(
            f"{facts.constant} of {facts.n_voxels} voxels never change.",
            "They tell nothing: leave them out when you cut the voxels.",
        )
    if not facts.areas:
        yield Finding("No voxel has an area.", "`--model.area` can only be all; give `roi`.")
