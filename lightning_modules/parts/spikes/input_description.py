"""What a trained model must remember of its input, so that a later session can be fitted to it and judged."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lightning_modules.parts.errors import DataError
from lightning_modules.parts.spikes.events import Alignment
from lightning_modules.parts.spikes.matching import SessionMatching
from lightning_modules.parts.spikes.recordings import SpikeData
from lightning_modules.parts.spikes.session import Counts

UnitKind = Literal["matched", "channel", "padded"]

KIND_OF_PREFIX: Mapping[str, UnitKind] = {"unit": "matched", "electrode": "channel", "column": "padded"}
"""By the first word that `align_units` names the columns with."""

DECIMALS = 6
"""Of rates in Hz; in a thousand trials of a second a single spike changes the third."""


@dataclass(frozen=True)
class SessionRates:
    """How fast the units fired in one session, over whole windows.

    Args:
        name: Day of the session.
        n_trials: Trials that were averaged.
        rates_hz: Mean rate of each unit, Hz (N,).
        errors_hz: Standard error of each over trials, at least that of a Poisson process, Hz (N,).
    """

    name: str
    n_trials: int
    rates_hz: tuple[float, ...]
    errors_hz: tuple[float, ...]


@dataclass(frozen=True)
class InputDescription:
    """The input that a model was trained on.

    Args:
        unit_names: Names of the N input columns, in order.
        units: How the columns were made; see `align_units`.
        bin_width_s: Width of a bin, s.
        window_bins: T, bins of a trial from its first one on.
        alignment: Where trials begin.
        behaviour_names: What is predicted, D names.
        animal: Who was recorded.
        session_names: Days that the model was trained or validated on.
        sealed_sessions: Days that no search has opened.
        training: Rates of each training session.
        matching: What the units of a session are matched to; None where models see the counts.
    """

    unit_names: tuple[str, ...]
    units: UnitKind
    bin_width_s: float
    window_bins: int
    alignment: Alignment
    behaviour_names: tuple[str, ...]
    animal: str
    session_names: tuple[str, ...]
    sealed_sessions: tuple[str, ...]
    training: tuple[SessionRates, ...]
    matching: SessionMatching | None = None

    @property
    def window_s(self) -> float:
        """Length of a trial, s."""
        return self.window_bins * self.bin_width_s

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON-ready mapping."""
        matching = self.matching
        plain = (
            None if matching is None else {"mean": matching.mean.tolist(), "scale": matching.scale.tolist()}
        )
        return {**asdict(self), "matching": plain}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "InputDescription":
        """Read back what `as_dict` gave, from JSON or not.

        Raises:
            DataError: If it does not hold what a description holds.
        """
        try:
            rates = [
                SessionRates(
                    name=str(one["name"]),
                    n_trials=int(one["n_trials"]),
                    rates_hz=tuple(one["rates_hz"]),
                    errors_hz=tuple(one["errors_hz"]),
                )
                for one in content["training"]
            ]
            return cls(
                unit_names=tuple(content["unit_names"]),
                units=content["units"],
                bin_width_s=float(content["bin_width_s"]),
                window_bins=int(content["window_bins"]),
                alignment=Alignment(**content["alignment"]),
                behaviour_names=tuple(content["behaviour_names"]),
                animal=str(content["animal"]),
                session_names=tuple(content["session_names"]),
                sealed_sessions=tuple(content["sealed_sessions"]),
                training=tuple(rates),
                matching=_matching(content["matching"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"The model's description of its input cannot be read: {type(error).__name__}: {error}.",
                "Decode with the version of neurosweep that trained the model, or train it again.",
            ) from error


def _matching(content: Mapping[str, Any] | None) -> SessionMatching | None:
    if content is None:
        return None
    return SessionMatching(np.array(content["mean"], dtype=float), np.array(content["scale"], dtype=float))


def describe_input(data: SpikeData) -> InputDescription:
    """Describe what a search trained on; only training trials are looked at."""
    training = data.training
    sessions = np.unique(training.session)
    return InputDescription(
        unit_names=data.unit_names,
        units=KIND_OF_PREFIX[data.unit_names[0].partition("_")[0]],
        bin_width_s=float(data.bin_width_s),
        window_bins=int(training.spikes.shape[1]),
        alignment=data.alignment,
        behaviour_names=data.behaviour_names,
        animal=data.animal,
        session_names=data.session_names,
        sealed_sessions=data.sealed_sessions,
        training=tuple(
            session_rates(
                training.spikes[training.session == session],
                bin_width_s=data.bin_width_s,
                name=data.session_names[int(session)],
            )
            for session in sessions
        ),
        matching=data.matching,
    )


def session_rates(spikes: Counts, *, bin_width_s: float, name: str) -> SessionRates:
    """Mean rates of one session's trials with their standard errors.

    Args:
        spikes: Counts per bin, (K, T, N).
        bin_width_s: Width of a bin, s.
        name: Day of the session.
    """
    n_trials, n_bins, _ = spikes.shape
    window = n_bins * bin_width_s
    counts = spikes.sum(axis=1, dtype=np.int64)  # (K, N)
    poisson = np.sqrt(counts.sum(axis=0)) / n_trials
    over_trials = counts.std(axis=0, ddof=1) / np.sqrt(n_trials) if n_trials > 1 else poisson
    return SessionRates(
        name=name,
        n_trials=n_trials,
        rates_hz=_plain(counts.mean(axis=0) / window),
        errors_hz=_plain(np.maximum(over_trials, poisson) / window),
    )


def _plain(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(values.round(DECIMALS).tolist())
