"""The pictures of a new session that a decoder can be scored on: known, and not trained on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightning_modules.icgan.decoder.picture_input import PictureInput, digest_of_picture
from lightning_modules.icgan.decoder.picture_sets import as_squares
from lightning_modules.icgan.decoder.pictures import pixel_rows, pixel_shape
from lightning_modules.icgan.recordings.images import is_grey
from lightning_modules.icgan.recordings.session import ImageSession
from lightning_modules.icgan.recordings.session_npz import UNNAMED
from lightning_modules.icgan.scoring.identification import correlate, identify
from lightning_modules.icgan.scoring.images import WINDOW, score_images
from lightning_modules.icgan.scoring.protocols import Images


@dataclass(frozen=True, eq=False)
class SeenPictures:
    """Pictures that decoded ones are compared with.

    Args:
        stimuli: Those that were not trained on, ascending, int64 (m,).
        images: Of all stimuli of the session, in the shape of decoded ones, (S, H, W, C).
        centre: The training mean of pixels, (D,).
    """

    stimuli: NDArray[np.int64]
    images: Images
    centre: NDArray[np.float64]

    def score(self, pixels: NDArray[np.float32], stimulus: NDArray[np.int64]) -> dict[str, float]:
        """Tell each decoded picture from the others among `stimuli`, and correlate it with its own.

        Args:
            pixels: Decoded, (k, D).
            stimulus: Which stimulus each is of, (k,).
        """
        truth = self._pixels()
        own = np.searchsorted(self.stimuli, stimulus)
        alike = correlate(pixels, truth, self.centre)
        rows = np.arange(len(own))
        return {
            f"identification among {len(truth)}": identify(alike, own).accuracy,
            "PixCorr": float(correlate(pixels, truth)[rows, own].mean()),
            "PixCorr, centred": float(alike[rows, own].mean()),
        }

    def score_pictures(self, pictures: Images) -> dict[str, float]:
        """Score pictures that a generator made, one of each of `stimuli`, in its own size."""
        seen = self.images[self.stimuli]
        scores = self.score(pixel_rows(pictures, pixel_shape(pictures.shape[1:])), self.stimuli)
        if min(seen.shape[1:3]) < WINDOW:
            return scores
        found = score_images(pictures, seen)
        return scores | {"PixCorr": float(found.pixcorr.mean()), "SSIM": float(found.ssim.mean())}

    def _pixels(self) -> NDArray[np.float32]:
        seen = self.images[self.stimuli]
        return pixel_rows(seen, pixel_shape(seen.shape[1:]))


def find_seen_pictures(
    session: ImageSession, known: PictureInput
) -> tuple[SeenPictures | None, tuple[str, ...]]:
    """Return the pictures that a score is honest on, and what to say of the others.

    Args:
        session: As recorded.
        known: What the decoder was trained on.
    """
    if session.images is None:
        return None, ("The session has no pictures to compare decoded ones with: there is no score.",)
    images = _as_decoded(session, known)
    if images is None:
        return None, (
            f"The session's pictures have {' x '.join(map(str, session.images.shape[1:3]))} pixels and are not of the "
            f"kind that was trained on, {' x '.join(map(str, known.picture_shape))}: there is no score.",
        )
    shown = np.unique(session.stimulus)
    rows = images[shown].reshape(len(shown), -1)
    by_pixels = np.isin([digest_of_picture(row) for row in rows], known.training_pictures)
    names = np.array([session.stimulus_names[one] for one in shown])
    by_name = np.isin(names, known.training_stimuli) & ~np.char.startswith(names, UNNAMED)
    trained = by_pixels | by_name
    left = shown[~trained]
    sealed = int(np.isin(names[~trained], known.sealed_stimuli).sum())
    centre = known.picture_mean
    found = SeenPictures(left, images, centre) if len(left) > 1 else None
    return found, tuple(_notes(len(shown), int(trained.sum()), sealed))


def _notes(n_shown: int, n_trained: int, n_sealed: int) -> Iterator[str]:
    if n_trained:
        rest = n_shown - n_trained
        left = f"scores are of the other {rest}" if rest > 1 else "there is no score"
        yield f"{n_trained} of {n_shown} pictures were trained on, by their pixels or their name: {left}."
    elif n_shown < 2:
        yield "The session shows a single picture: there is nothing to tell it from, and no score."
    if n_sealed and n_shown - n_trained > 1:
        yield (
            f"{n_sealed} of these pictures are sealed in the model's sweep: scores on them are not counted as an "
            "opening here, as `neurosweep evaluate` counts them, so do not choose between models by them."
        )


def _as_decoded(session: ImageSession, known: PictureInput) -> Images | None:
    """Bring the session's pictures into the shape of decoded ones; None if they are of another kind."""
    assert session.images is not None
    images, (height, width, colours) = session.images, known.picture_shape
    if known.generator:
        return as_squares(session, height) if images.shape[1] == images.shape[2] else None
    if colours == 1:
        if not is_grey(images):
            return None
        images = images[..., :1]
    if pixel_shape(images.shape[1:]) != known.picture_shape:
        return None
    return pixel_rows(images, known.picture_shape).reshape(-1, height, width, colours)
