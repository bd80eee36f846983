"""A generated subject for the IC-GAN decoder: instance features, noise and dense vectors of its training pictures."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np

from lightning_modules.icgan.decoder.generated_targets import find_generator_targets
from lightning_modules.icgan.decoder.painting import GeneratorWeights, NetWeights
from lightning_modules.icgan.decoder.pictures import PictureData, training_pictures
from lightning_modules.icgan.decoder.sessions import SealedSession, subject_number
from lightning_modules.icgan.features.small_net import embed
from lightning_modules.icgan.recordings.normalise import RunKey, TestNormalisation, normalise
from lightning_modules.icgan.recordings.session import Shown
from lightning_modules.icgan.synthetic.attributes import FACTORS
from lightning_modules.icgan.synthetic.presets import PRESETS
from lightning_modules.icgan.synthetic.subject import generate_subject
from lightning_modules.icgan.synthetic.world import SynthWorld, build_world, train_evaluation_net

INSTANCE, NOISE, DENSE = "instance", "noise", "dense"
KINDS = (INSTANCE, NOISE, DENSE)
PICTURE, JUDGE = "picture", "judge"
"""Tables that are not decoded: the pictures themselves, and their features in a network that no target comes from."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TargetData(PictureData):
    """Training rows with everything that the IC-GAN decoder decodes; tables `instance`, `noise`, `dense`.

    Args:
        generator: Makes pictures of the three.
        judge: Network that is no target's own, for scores that are not circular.
    """

    generator: GeneratorWeights
    judge: NetWeights


def load_targets(
    *,
    subject: int = 1,
    preset: Literal["tiny", "full"] = "tiny",
    generator_seed: int = 0,
    generator_steps: int = 300,
    run_key: RunKey = "kind_and_run",
    test_normalisation: TestNormalisation = "per_run",
    n_folds: int | None = None,
    split_seed: int = 0,
    cache: str = "~/.cache/neurosweep",
) -> TargetData:
    """Generate a subject, learn a small generator of its training pictures, and find what is to be decoded.

    Args:
        subject: 1 to 5.
        preset: `tiny` has 900 voxels and pictures of 32 pixels; `full` 4500 and 64.
        generator_seed: Of pictures, subject and networks.
        generator_steps: Batches that the small generator learns from.
        run_key: What makes two rows of one run; see `normalise`.
        test_normalisation: Where mean and scale of test rows come from; see `normalise`.
        n_folds: Folds of whole categories. Default: 6.
        split_seed: Of the folds.
        cache: Folder for networks and generator, which take minutes and are learnt once.

    Raises:
        DataError: If there is no such subject.
    """
    folder = Path(cache).expanduser()
    world = build_world(PRESETS[preset], seed=generator_seed, cache=folder)
    sealed = generate_sealed(world, subject, run_key, test_normalisation)
    rows = training_pictures(sealed.session, sealed=sealed.stimuli, n_folds=n_folds, fold_seed=split_seed)
    found = find_generator_targets(world, n_steps=generator_steps, cache=folder)
    judge = train_evaluation_net(world, cache=folder)
    shown, images = rows.shown_stimuli, sealed.images
    tables = {
        INSTANCE: world.features[shown],
        NOISE: found.noise[shown],
        DENSE: found.dense[shown],
        PICTURE: images[shown].reshape(len(shown), -1),
        JUDGE: embed(judge, images[shown]),
    }
    known = {one.name: getattr(rows, one.name) for one in fields(PictureData)}
    known |= {"tables": tables, "picture_shape": images.shape[1:]}
    evaluation_net = NetWeights.of(judge, world.preset.evaluation_net, FACTORS)
    return TargetData(**known, generator=found.generator, judge=evaluation_net)


def generate_sealed(
    world: SynthWorld, subject: int, run_key: RunKey, test_normalisation: TestNormalisation
) -> SealedSession:
    """Generate and normalise one subject; its test pictures are sealed."""
    recorded = generate_subject(world, subject_number(world.preset, subject)).session
    session = normalise(recorded, run_key=run_key, test_normalisation=test_normalisation)
    return SealedSession(session, np.unique(session.stimulus[session.rows(Shown.TEST)]))
