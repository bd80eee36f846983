"""Pictures that a small generator is trained on, whole categories of them held out for its validation."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_modules.icgan.decoder.painting import GeneratorWeights, NetWeights
from lightning_modules.icgan.features.small_net import embed, one_thread
from lightning_modules.icgan.features.z_scores import fit_z_scores
from lightning_modules.icgan.generator.checkpoint import load_generator, save_generator
from lightning_modules.icgan.generator.kept_folder import kept_folder
from lightning_modules.icgan.generator.neighbours import find_neighbours, same_class_rate
from lightning_modules.icgan.generator.pictures_to_learn import learn_net, read_pictures, rendered_pictures
from lightning_modules.icgan.generator.presets import PRESETS, SMALL_BY_SIDE, GeneratorPreset
from lightning_modules.icgan.generator.small_extractor import SmallNetExtractor
from lightning_modules.icgan.generator.warm_start import WarmStartSettings, warm_start
from lightning_modules.parts.errors import DataError

FEWEST_TRAINED = 2
"""Categories: the network of a file's features learns to tell them apart."""
NOTED_NEIGHBOURS = 10


@dataclass(frozen=True, eq=False)
class PictureSource:
    """Training pictures of a generator, those that it is validated on, and the network of their features.

    No category is on both sides, and no test picture is on either.

    Shapes:
        N pictures for training, M for validation; H features.

    Args:
        images: RGB in [0, 1], (N, side, side, 3).
        h: Features of unit length, (N, H).
        category: int64, (N,).
        validation_images: (M, side, side, 3).
        validation_h: (M, H).
        validation_category: int64, (M,).
        net: Network of the features.
        kept: Places of its features that vary over all these pictures, (H,).
        sizes: Preset of the generator.
        warm: A warm-started generator; None for none.
        notes: What to know of the pictures.
    """

    images: NDArray[np.float32]
    h: NDArray[np.float32]
    category: NDArray[np.int64]
    validation_images: NDArray[np.float32]
    validation_h: NDArray[np.float32]
    validation_category: NDArray[np.int64]
    net: NetWeights
    kept: NDArray[np.int64]
    sizes: GeneratorPreset
    warm: GeneratorWeights | None
    notes: tuple[str, ...]

    def extractor(self) -> SmallNetExtractor:
        """Return the network whose features `h` are."""
        return SmallNetExtractor(self.net.build(), torch.from_numpy(np.array(self.kept)))


def load_pictures(
    *,
    path: str | None = None,
    preset: Literal["tiny", "full"] = "tiny",
    generator_seed: int = 0,
    validation_share: float = 0.2,
    split_seed: int = 0,
    sizes: str | None = None,
    warm_steps: int = 300,
    cache: str = "~/.cache/neurosweep",
) -> PictureSource:
    """Read or render pictures, hold whole categories out, and warm-start a generator on the others.

    Args:
        path: `.npz` with `images` (S, side, side, 3) and `category` (S,), such as an image session; pictures that its
            `split` calls `test` are left out. Default: the training pictures of a generated data set.
        preset: Of the generated data set: `tiny` has pictures of 32 pixels, `full` of 64.
        generator_seed: Of the generated data set, of the network of a file's features, and of the warm start.
        validation_share: Share of the categories that the generator is validated on and never trained on.
        split_seed: Of the choice of these.
        sizes: Preset of the generator. Default: `s32` or `s64n`, by the side of the pictures.
        warm_steps: Batches of the warm start, which sees no picture of validation; 0 for none.
        cache: Folder for network and warm start, which take minutes and are learnt once.

    Raises:
        DataError: If the file cannot be used, or settings do not fit the pictures.

    Source:
        icgan.md sections 8.3 and 8.4. Which pictures validate is not said there.
    """
    folder = Path(cache).expanduser()
    if path is None:
        pictures = rendered_pictures(preset, generator_seed, folder)
    else:
        pictures = read_pictures(Path(path).expanduser())
    images, category = pictures.images, pictures.category
    apart = hold_out(category, validation_share, split_seed)
    net = pictures.net or learn_net(images[~apart], category[~apart], generator_seed, folder)
    features = embed(net.build(), images)
    kept = np.flatnonzero(fit_z_scores(features).varies)
    source = PictureSource(
        images=images[~apart],
        h=features[~apart][:, kept],
        category=category[~apart],
        validation_images=images[apart],
        validation_h=features[apart][:, kept],
        validation_category=category[apart],
        net=net,
        kept=kept,
        sizes=replace(_sizes(sizes, images.shape[1]), h_dim=len(kept)),
        warm=None,
        notes=(*pictures.notes, _about_neighbours(features[~apart][:, kept], category[~apart])),
    )
    if not warm_steps:
        return source
    settings = WarmStartSettings(
        n_steps=warm_steps, batch_size=min(WarmStartSettings.batch_size, len(source.h)), seed=generator_seed
    )
    return replace(source, warm=warm_started(source, settings, folder))


def hold_out(category: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """Say which pictures are of held-out categories.

    Args:
        category: Of each picture, (S,).
        share: Of the categories; rounded, at least one.
        seed: Of the choice.

    Raises:
        DataError: If no category would be left on one of the sides.
    """
    names = np.unique(category)
    count = max(1, round(share * len(names)))
    if not 0 < share < 1 or len(names) - count < FEWEST_TRAINED:
        raise DataError(
            f"A share of {share:g} of {len(names)} categories cannot be held out: at least {FEWEST_TRAINED} must be "
            "left to train on.",
            "Give more categories, or `--data.validation_share` a lower value above 0.",
        )
    chosen = np.random.default_rng(seed).choice(names, count, replace=False)
    return np.isin(category, chosen)


def warm_started(source: PictureSource, settings: WarmStartSettings, cache: Path) -> GeneratorWeights:
    """Learn a generator of the training pictures by latent optimisation, or read what was learnt.

    Args:
        source: Its `images`, `h` and `sizes`.
        settings: Of the warm start.
        cache: Folder that keeps it.
    """
    images = torch.from_numpy(np.ascontiguousarray(source.images)).permute(0, 3, 1, 2)
    h = torch.from_numpy(source.h)

    def learn(folder: Path) -> None:
        with one_thread():
            started = warm_start(source.sizes, images, h, source.extractor(), settings)
        save_generator(folder, started.generator, slot=0, iteration=settings.n_steps, best_fid=math.inf)

    folder = kept_folder(cache, "warm_start", (source.sizes, settings, images, h), learn)
    return GeneratorWeights.of(load_generator(folder, preset=source.sizes))


def _about_neighbours(h: NDArray[np.float32], category: NDArray[np.int64]) -> str:
    k = min(NOTED_NEIGHBOURS, len(h) - 1)
    rate = same_class_rate(find_neighbours(h, k), category)
    return f"of the {k} nearest neighbours of a training picture {rate:.0%} are of its category."


def _sizes(name: str | None, side: int) -> GeneratorPreset:
    """The preset of a name, or the usual one of a side."""
    if name is None:
        return PRESETS[SMALL_BY_SIDE[side]]
    fitting = [one for one, preset in PRESETS.items() if preset.resolution == side]
    if name not in fitting:
        raise DataError(
            f"`--data.sizes` is `{name}`, but pictures have {side} pixels.",
            f"Give one of {', '.join(fitting)}, or leave it out.",
        )
    return PRESETS[name]
