"""Trained models on sealed days: scores by day, probes of what the latents still tell, and references beside them."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import nn

from lightning_modules.parts.decoding.adaptation import decode_aligned, decode_read_in
from lightning_modules.parts.decoding.day_scores import DayScore, score_days
from lightning_modules.parts.decoding.inference import Inference, infer
from lightning_modules.parts.decoding.kalman import fit_kalman
from lightning_modules.parts.decoding.probes import (
    ProbeScore,
    probe_session,
    probe_session_within_target,
    probe_target,
)
from lightning_modules.parts.decoding.references import fit_references, predict_by_day, predict_same_day
from lightning_modules.parts.decoding.wiener import Signals, fit_wiener
from lightning_modules.parts.errors import DataError
from lightning_modules.parts.metrics import SpikeLikelihood
from lightning_modules.parts.spikes.recordings import OpenedTest, SpikeData, open_sealed_sessions


@dataclass(frozen=True)
class Evaluation:
    """What `SealedDays.score` found.

    Args:
        scores: Of each model, in the order given, by metric name: means over the sealed days, and probes. Metrics
            `test_adapted/` are of what looked at the sealed days' trials first: a leaderboard of its own.
        references: The same of the decoders that models are measured against, by name: see `References`, and
            `pooled_kalman`, `same_day`, `pooled_matched` (of matched sessions), `ensemble` (mean over the models);
            `chance` of probes.
        days: One row for each model or reference and day: `model` (its position) or `reference`, `day`,
            `gap_days` since the last training day, and the scores of `DayScore`.
        notes: What could not be scored, in sentences.
    """

    scores: tuple[dict[str, float], ...]
    references: dict[str, dict[str, float]]
    days: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]


class SealedDays:
    """The sealed sessions of a search, opened.

    Args:
        data: What the search saw.
        settings: What `load_sessions` was given for it.

    Raises:
        DataError: If nothing is sealed, or a sealed session does not fit.
    """

    def __init__(self, data: SpikeData, settings: Mapping[str, Any]) -> None:
        self._data = data
        self._test: OpenedTest = open_sealed_sessions(data, settings)
        self._seen = data.as_seen(self._test.trials).spikes
        self._trained_on = data.as_seen(data.training)
        self._last_training_day = data.session_names[int(data.training.session.max())]

    @property
    def sealed(self) -> dict[str, str]:
        """Digest of the recorded spikes of each sealed session, by its day: what an opening is counted by."""
        return dict(zip(self._test.session_names, self._test.digests, strict=True))

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out and what to know, in sentences for the user."""
        return self._test.notes

    def score(self, models: Sequence[nn.Module], *, adapt: bool = False) -> Evaluation:
        """Score trained models and the references on the sealed days.

        Args:
            models: Trained on `data`, the same configuration with other seeds; see `infer`.
            adapt: Whether to score also what adapts to the sealed days without their behaviour: the models behind a
                read-in, and alignments in front of linear decoders; see `adaptation`.
        """
        scores, rows, decoded = [], [], []
        for position, model in enumerate(models):
            found = infer(model, self._seen)
            decoded.append(found.behaviour)
            days = self._score_days(found.behaviour)
            scores.append({**_means(days), **self._spike_scores(found), **self._probes(model, found)})
            rows += [{"model": position, **_row(day)} for day in days]
        references: dict[str, dict[str, float]] = {"chance": self._chance_levels()}
        beside = dict(self._reference_days)
        if len(decoded) > 1:
            beside["ensemble"] = self._score_days(np.mean(decoded, axis=0))
        for name, days in beside.items():
            references[name] = _means(days)
            rows += [{"reference": name, **_row(day)} for day in days]
        notes = self._adapt(models, scores, references) if adapt else []
        return Evaluation(tuple(scores), references, tuple(rows), tuple(notes))

    def _adapt(
        self,
        models: Sequence[nn.Module],
        scores: Sequence[dict[str, float]],
        references: dict[str, dict[str, float]],
    ) -> list[str]:
        """Add the scores of what looks at the sealed days' trials before it decodes them; say what cannot be fitted."""
        test = self._test.trials
        read_in = decode_read_in(models, self._trained_on, replace(test, spikes=self._seen))
        for ours, decoded in zip(scores, read_in, strict=True):
            ours |= self._adapted_means(decoded)
        aligned, notes = self._aligned
        references |= {name: self._adapted_means(decoded) for name, decoded in aligned.items()}
        if len(read_in) > 1:
            references["read_in_ensemble"] = self._adapted_means(np.mean(read_in, axis=0))
        return notes

    def _adapted_means(self, predicted: Signals) -> dict[str, float]:
        means = _means(self._score_days(predicted))
        return {name.replace("test/", "test_adapted/"): value for name, value in means.items()}

    def _score_days(self, predicted: Signals) -> tuple[DayScore, ...]:
        return score_days(
            predicted,
            self._test.trials,
            session_names=self._test.session_names,
            behaviour_names=self._data.behaviour_names,
            last_training_day=self._last_training_day,
        )

    def _spike_scores(self, found: Inference) -> dict[str, float]:
        if found.log_rates is None:
            return {}
        null = self._trained_on.spikes.mean(axis=(0, 1), dtype=np.float64)
        likelihood = SpikeLikelihood.of(
            torch.as_tensor(found.log_rates),
            torch.as_tensor(self._seen.astype(np.float32)),
            torch.as_tensor(null),
        )
        return {"test/bits_per_spike": likelihood.bits_per_spike}

    def _probes(self, model: nn.Module, found: Inference) -> dict[str, float]:
        """How often the session of a training trial, and the target of a test trial, is read from the latent."""
        training, test = self._trained_on, self._test.trials
        latents = infer(model, training.spikes).latents
        if not (np.isfinite(latents).all() and np.isfinite(found.latents).all()):
            return {}
        probes: dict[str, Callable[[], ProbeScore]] = {
            "session_probe_svm": lambda: probe_session(latents, training.session),
            "session_probe_logistic": lambda: probe_session(latents, training.session, classifier="logistic"),
            "session_probe_within_target": lambda: probe_session_within_target(
                latents, training.session, training.target
            ),
            "target_probe": lambda: probe_target(latents, training.target, found.latents, test.target),
        }
        scores = {}
        for name, probe in probes.items():
            with suppress(DataError):  # too few sessions, or trials of a target in one: nothing to be read
                scores[f"test/{name}"] = probe().accuracy
        return scores

    def _chance_levels(self) -> dict[str, float]:
        _, counts = np.unique(self._data.training.session, return_counts=True)
        share = float(counts.max() / counts.sum())
        n_targets = len(np.unique(self._data.training.target))
        sessions = {"test/session_probe_svm": share, "test/session_probe_logistic": share}
        return {**(sessions if len(counts) > 1 else {}), "test/target_probe": 1 / n_targets}

    @cached_property
    def _aligned(self) -> tuple[dict[str, Signals], list[str]]:
        """Behaviour that alignments in front of linear decoders decode; the same for all models."""
        return decode_aligned(self._data.training, self._test.trials)

    @cached_property
    def _reference_days(self) -> dict[str, tuple[DayScore, ...]]:
        """Scores of the references by day: they take longer than those of a model, and are the same for all."""
        training, test = self._data.training, self._test.trials
        days = list(training.by_session().values())
        predicted = fit_references(days, fit_wiener).predict(test)
        with suppress(
            DataError
        ):  # trials of one bin have no change, and few trials do not tell the units' noise
            predicted["pooled_kalman"] = fit_kalman(training).predict(test.spikes)
        if self._data.matching is not None:
            pooled = fit_wiener(self._trained_on)
            predicted["pooled_matched"] = pooled.predict(self._seen)
        predicted["same_day"] = predict_by_day(test, partial(predict_same_day, fit=fit_wiener))
        return {name: self._score_days(signals) for name, signals in predicted.items()}


def _means(days: Sequence[DayScore]) -> dict[str, float]:
    """Scores over days, every day counting alike, by the names that models log in validation."""

    def mean(values: Sequence[float]) -> float:
        return float(np.mean(values))

    names = days[0].r2_of_dimension
    return {
        "test/behaviour_r2": mean([day.r2 for day in days]),
        "test/behaviour_r2_worst_session": min(day.r2 for day in days),
        "test/behaviour_r2_flat": mean([day.r2_flat for day in days]),
        "test/behaviour_r2_within_target": mean([day.r2_within_target for day in days]),
        **{f"test/r2_of_{name}": mean([day.r2_of_dimension[name] for day in days]) for name in names},
    }


def _row(day: DayScore) -> dict[str, Any]:
    row = asdict(day)
    dimensions = row.pop("r2_of_dimension")
    return {**row, **{f"r2_of_{name}": value for name, value in dimensions.items()}}
