"""The IC-GAN decoder on test pictures that no search has seen, beside the rows that keep its claims honest."""

import inspect
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lightning_modules.icgan.decoder.evaluation import PictureEvaluation, digest_of
from lightning_modules.icgan.decoder.generated_targets import extractor_of
from lightning_modules.icgan.decoder.icgan import IcganDecoder
from lightning_modules.icgan.decoder.painting import paint
from lightning_modules.icgan.decoder.targets import (
    DENSE,
    INSTANCE,
    JUDGE,
    NOISE,
    PICTURE,
    TargetData,
    generate_sealed,
    load_targets,
)
from lightning_modules.icgan.features.small_net import embed
from lightning_modules.icgan.generator.inversion import invert
from lightning_modules.icgan.generator.inversion_settings import InversionSettings
from lightning_modules.icgan.recordings.normalise import average_repeats
from lightning_modules.icgan.recordings.session import Shown
from lightning_modules.icgan.regression.standardise import OutputScale
from lightning_modules.icgan.scoring.baselines import Decoded, baseline_images, baseline_latents
from lightning_modules.icgan.scoring.identification import correlate, identify
from lightning_modules.icgan.scoring.images import score_images
from lightning_modules.icgan.scoring.latents import Latents
from lightning_modules.icgan.scoring.protocols import Images
from lightning_modules.icgan.synthetic.presets import PRESETS
from lightning_modules.icgan.synthetic.world import build_world

ORACLE = InversionSettings(dense_mode="from_z", restarts=1, z_steps=150)
"""How the test pictures are inverted for the row that bounds the generator."""
BASELINE_SEED = 0
AVERAGED = (2, 5, 10, 20)
"""Repeats that responses are averaged over for the averaging curve, between `single_trials` and all of them."""


class SealedReconstructions:
    """The test pictures of a generated subject, opened.

    Args:
        data: What the search saw.
        settings: What `load_targets` was given for it.
    """

    def __init__(self, data: TargetData, settings: Mapping[str, Any]) -> None:
        defaults = {name: one.default for name, one in inspect.signature(load_targets).parameters.items()}
        given = {**defaults, **settings}
        folder = Path(given["cache"]).expanduser()
        world = build_world(PRESETS[given["preset"]], seed=given["generator_seed"], cache=folder)
        sealed = generate_sealed(world, given["subject"], given["run_key"], given["test_normalisation"])
        session, rows = sealed.session, sealed.session.rows(Shown.TEST)
        self._data, self._extractor = data, extractor_of(world)
        self._session = session
        self._averaged = average_repeats(session).voxels
        self._trials = session.voxels[rows]
        self._trial_stimulus = np.searchsorted(sealed.stimuli, session.stimulus[rows])
        self._names = data.sealed_stimuli
        self._stimuli = sealed.images[sealed.stimuli]
        self._features = world.features[sealed.stimuli]
        self._generator, self._judge = data.generator.build(), data.judge.build()
        self._judged = embed(self._judge, self._stimuli)
        shape = (len(data.stimulus_names), *data.picture_shape)
        self._training_pictures = data.tables[PICTURE].reshape(shape)
        self._training = Latents(*(data.tables[kind] for kind in (INSTANCE, NOISE, DENSE)))

    @property
    def sealed(self) -> dict[str, str]:
        """See `digest_of`."""
        return digest_of(self._names, self._trials)

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know, in sentences."""
        n_repeats = np.bincount(self._trial_stimulus).min()
        return (
            f"Synthetic data. {len(self._names)} test pictures of classes that were not trained on, each decoded from "
            f"the mean of {n_repeats} responses. `semantic_identification` is measured in a network that no target "
            "comes from; `published_scale` standardises decoded features by the test predictions, as the authors do.",
        )

    def score(self, models: Sequence[IcganDecoder]) -> PictureEvaluation:
        """Score models; of the first one also the seven baselines, the authors' standardisation and fewer repeats."""
        decoded = [model.decode(self._averaged) for model in models]
        scores = tuple(self._scores(one, paint(self._generator, one)) for one in decoded)
        beside = Decoded(
            training=self._training,
            predicted=decoded[0],
            trials=models[0].decode(self._trials),
            trial_stimulus=self._trial_stimulus,
            truth=self._oracle,
        )
        pictures = baseline_images(
            beside, self._training_pictures, lambda one: paint(self._generator, one), BASELINE_SEED
        )
        latents = baseline_latents(beside, BASELINE_SEED)
        references: dict[str, dict[str, float]] = {
            name: self._scores(latents[name], made) for name, made in pictures.items()
        }
        scaled = self._published_scale(decoded[0])
        references["published_scale"] = self._scores(scaled, paint(self._generator, scaled))
        for n_repeats in AVERAGED:
            fewer = models[0].decode(average_repeats(self._session, n_repeats=n_repeats).voxels)
            references[f"repeats_{n_repeats}"] = self._scores(fewer, paint(self._generator, fewer))
        references["chance"] = {"test/semantic_identification": 0.5, "test/instance_identification": 0.5}
        return PictureEvaluation(scores, references)

    def _scores(self, latents: Latents, made: Images) -> dict[str, float]:
        own = np.arange(len(self._stimuli))
        pictures = score_images(made, self._stimuli)
        centre = self._data.tables[JUDGE].mean(axis=0, dtype=np.float64)
        semantic = identify(correlate(embed(self._judge, made), self._judged, centre), own)
        centre = self._training.h.mean(axis=0, dtype=np.float64)
        instance = identify(correlate(latents.h, self._features, centre), own)
        return {
            "test/semantic_identification": semantic.accuracy,
            "test/semantic_p": semantic.p_value(),
            "test/pixcorr": float(pictures.pixcorr.mean()),
            "test/ssim": float(pictures.ssim.mean()),
            "test/instance_identification": instance.accuracy,
        }

    def _published_scale(self, decoded: Latents) -> Latents:
        return decoded._replace(h=OutputScale.of(decoded.h, self._training.h)(decoded.h))

    @cached_property
    def _oracle(self) -> Latents:
        """What the test pictures are made of at best: true features, and noise found by inversion."""
        pictures = torch.from_numpy(np.ascontiguousarray(self._stimuli)).permute(0, 3, 1, 2)
        features = torch.from_numpy(self._features)
        found = invert(self._generator, pictures, features, self._extractor, ORACLE)
        return Latents(self._features, found.z.numpy(), found.d.numpy())
