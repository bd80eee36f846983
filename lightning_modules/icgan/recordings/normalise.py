"""What is done to voxels before they are decoded: z-scores, averages over repeats, the order of training rows."""

from dataclasses import replace
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.recordings.session import ImageSession, Scaling, Shown
from lightning_modules.parts.errors import DataError

RunKey: TypeAlias = Literal["kind_and_run", "run"]
"""What makes two rows of one run: kind (training, test, imagery) and number, or the number alone."""
TestNormalisation: TypeAlias = Literal["per_run", "training_stats"]
"""Where the mean and scale of test rows come from: their own run, or the training rows."""

ENOUGH_IN_A_RUN = 20
"""Stimuli. The mean of a run of fewer is a part of what is to be decoded, so that it must not be taken off."""


class AveragedPatterns(NamedTuple):
    """Averaged responses to the test images.

    Args:
        voxels: (n, V).
        stimulus: Which stimulus each is of, (n,), ascending.
    """

    voxels: NDArray[np.float32]
    stimulus: NDArray[np.int64]


def normalise(
    session: ImageSession,
    *,
    run_key: RunKey = "kind_and_run",
    test_normalisation: TestNormalisation = "per_run",
) -> ImageSession:
    """Z-score every voxel.

    `per_run`: over the rows of each run, with the standard deviation of the population; as every test run holds each
    test image once, this removes the mean of the test images from them (transductive, but blind to labels).
    `training_stats`: every row, of whatever kind, by the mean and the standard deviation (ddof 1) of the training
    rows. Voxels that do not vary become 0.

    Args:
        session: As recorded.
        run_key: What makes two rows of one run, if `per_run`.
        test_normalisation: Where mean and scale come from.

    Returns:
        The session with z-scored voxels, and notes on what was done.

    Raises:
        ValueError: If an argument is none of its choices; all problems at once.
        DataError: If `training_stats` is asked of fewer than two training rows.

    Source:
        `per_run`: `kamitani_data_handler.py` of `ozcelikfu/IC-GAN_fMRI_Reconstruction`, which groups by the number
        alone. `training_stats`: `analysis_FeaturePrediction.py` of `KamitaniLab/GenericObjectDecoding`
        (icgan.md section 1.3).
    """
    problems = [
        f"`{name}` is {value!r}, but must be one of {', '.join(get_args(choices))}."
        for name, value, choices in (
            ("run_key", run_key, RunKey),
            ("test_normalisation", test_normalisation, TestNormalisation),
        )
        if value not in get_args(choices)
    ]
    if problems:
        raise ValueError(" ".join(problems))
    if test_normalisation == "training_stats":
        return _by_training_rows(session)
    groups = run_groups(session, run_key)
    voxels = np.empty_like(session.voxels)
    for group in range(groups.max(initial=-1) + 1):
        rows = session.voxels[groups == group].astype(np.float64)
        voxels[groups == group] = _standardise(rows, rows.mean(axis=0), rows.std(axis=0))
    single = int((np.bincount(groups) == 1).sum()) if len(groups) else 0
    notes = (f"voxels z-scored over each run (run_key={run_key}).", run_key_note(session))
    lonely = (f"rows that are the only one of their run became 0: {single}.",) if single else ()
    scaling = replace(scaling_of(session), by="per_run", run_key=run_key)
    return replace(session, voxels=voxels, notes=(*session.notes, *notes, *lonely), scaling=scaling)


def scaling_of(session: ImageSession) -> Scaling:
    """Return what was done to the voxels of a session; of one as recorded, the mean and spread of its training rows."""
    if session.scaling is not None:
        return session.scaling
    training = session.voxels[session.rows(Shown.TRAINING)].astype(np.float64)
    unknown = np.full(session.n_voxels, np.nan)
    mean = training.mean(axis=0) if len(training) else unknown
    std = training.std(axis=0, ddof=1) if len(training) > 1 else unknown
    return Scaling("none", "kind_and_run", mean, std)


def scale_alike(session: ImageSession, scaling: Scaling) -> ImageSession:
    """Scale a later session of the same subject as the training rows were.

    Args:
        session: As recorded; its own kinds of rows count for its runs only.
        scaling: Of the session that was trained on.
    """
    if scaling.by == "none":
        return session
    if scaling.by == "per_run":
        return normalise(session, run_key=scaling.run_key)
    voxels = _standardise(session.voxels.astype(np.float64), scaling.mean, scaling.std)
    return replace(session, voxels=voxels.astype(np.float32), scaling=scaling)


def stimuli_in_a_run(session: ImageSession, run_key: RunKey = "kind_and_run") -> float:
    """Return the median number of different stimuli that a run shows."""
    groups = run_groups(session, run_key)
    return float(np.median([len(np.unique(session.stimulus[groups == one])) for one in np.unique(groups)]))


def run_groups(session: ImageSession, run_key: RunKey) -> NDArray[np.int64]:
    """Number, from 0, of the run that each row belongs to, (K,)."""
    labels = session.run[:, None]
    if run_key == "kind_and_run":
        labels = np.column_stack([session.shown, session.run])
    return np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)


def run_key_note(session: ImageSession) -> str:
    """Whether both run keys group this session alike, in a sentence."""
    n_both, n_number = (len(np.unique(run_groups(session, key))) for key in get_args(RunKey))
    if n_both == n_number:
        return (
            f"run numbers do not repeat between training, test and imagery: both run keys give {n_both} runs."
        )
    return (
        f"run numbers repeat between training, test and imagery: run_key=kind_and_run gives {n_both} runs, "
        f"run_key=run (as in the authors' code) {n_number}, z-scoring rows of several kinds together."
    )


def training_rows(session: ImageSession) -> NDArray[np.int64]:
    """Indices of the training rows in the order of their stimuli; repeats stay in the order of the file."""
    rows = session.rows(Shown.TRAINING)
    return rows[np.argsort(session.stimulus[rows], kind="stable")]


def average_repeats(
    session: ImageSession, *, n_repeats: int | None = None, seed: int = 0
) -> AveragedPatterns:
    """Average the responses to each test image.

    Args:
        session: Usually z-scored; the averages are not scaled again.
        n_repeats: Repeats of each image that are averaged, drawn without replacement. Default: all. With one seed,
            the repeats of a smaller number are among those of a larger one.
        seed: Of the draw.

    Raises:
        DataError: If an image has fewer repeats, or there are no test rows.
        ValueError: If `n_repeats` is below 1.
    """
    if n_repeats is not None and n_repeats < 1:
        raise ValueError(f"`n_repeats` is {n_repeats}, but must be 1 or more.")
    rows = session.rows(Shown.TEST)
    stimuli, counts = np.unique(session.stimulus[rows], return_counts=True)
    if not len(rows) or (n_repeats is not None and counts.min() < n_repeats):
        raise DataError(
            f"{session.source} holds {counts.min() if len(rows) else 0} repeats of a test image, but "
            f"{n_repeats or 'some'} should be averaged.",
            "Ask for fewer repeats, or give a session with test rows.",
        )
    generator = np.random.default_rng(seed)
    patterns = []
    for stimulus in stimuli:
        repeats = generator.permutation(rows[session.stimulus[rows] == stimulus])
        patterns.append(session.voxels[np.sort(repeats[:n_repeats])].mean(axis=0, dtype=np.float64))
    return AveragedPatterns(np.stack(patterns).astype(np.float32), stimuli)


def _by_training_rows(session: ImageSession) -> ImageSession:
    n_training = len(session.rows(Shown.TRAINING))
    if n_training < 2:
        raise DataError(
            f"{session.source} holds {n_training} training rows: their spread is not known.",
            "Use `test_normalisation='per_run'`, or give a session with training rows.",
        )
    scaled = scale_alike(session, replace(scaling_of(session), by="training_stats"))
    note = f"voxels standardised by mean and standard deviation (ddof 1) of {n_training} training rows."
    return replace(scaled, notes=(*session.notes, note))


def _standardise(
    rows: NDArray[np.float64], mean: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[Any]:
    # Round-off leaves constant voxels a tiny spread, by which nothing should be divided.
    varies = scale > 1e-10 * np.abs(mean)
    return np.where(varies, (rows - mean) / np.where(varies, scale, 1), 0)
