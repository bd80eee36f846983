"""How unreliable neurons are, checked before anything is simulated."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

Site = Literal["synapse", "neuron"]
Persistence = Literal["transient", "frozen"]


@dataclass(frozen=True)
class NoiseSpec:
    """Noise of every neuron of a network: a part of the model, active whenever it is evaluated.

    Args:
        failure: Probability p that a connection transmits zero.
        site: What fails by itself: every `synapse`, or every `neuron`, whose output is then zero for all.
        output_sd: Standard deviation of the Gaussian added to a neuron's output, after its activation.
        phase_sd: The same of a phase of the grid code, in cycles.
        trig_sd: The same of its cosine and sine neurons.
        score_sd: The same of its score neurons.
        block: Neighbouring synapses of a neuron that fail together.
        persistence: `transient` noise is drawn at every evaluation, `frozen` failures are once and for all.
        noisy_wta: Whether winner-take-all has score noise at its inputs and failing outputs; codes without one do not
            mind.

    Raises:
        ValueError: If a value is out of range; all problems at once.

    Source:
        fault_tolerant.md sections 1 and 8 (check 22); `frozen` and `block` are not the paper's.
    """

    failure: float = 0.0
    site: Site = "synapse"
    output_sd: float = 0.0
    phase_sd: float = 0.0
    trig_sd: float = 0.0
    score_sd: float = 0.0
    block: int = 1
    persistence: Persistence = "transient"
    noisy_wta: bool = False

    def __post_init__(self) -> None:
        problems = []
        if not 0 <= self.failure <= 1:
            problems.append(f"`failure` is {self.failure}, but is a probability, from 0 to 1.")
        problems += [
            f"`{name}` is {getattr(self, name)}, but must be 0 or more and finite."
            for name in ("output_sd", "phase_sd", "trig_sd", "score_sd")
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0)
        ]
        problems += [
            f"`{name}` is {getattr(self, name)!r}, but must be one of {', '.join(get_args(kinds))}."
            for name, kinds in (("site", Site), ("persistence", Persistence))
            if getattr(self, name) not in get_args(kinds)
        ]
        if self.block < 1:
            problems.append(f"`block` is {self.block}, but must be at least 1.")
        if problems:
            raise ValueError("No neuron is so unreliable:\n  " + "\n  ".join(problems))

    @classmethod
    def common(cls, failure: float, sd: float, *, site: Site = "synapse") -> "NoiseSpec":
        """Return noise in which everything that is Gaussian has one standard deviation, phases in cycles."""
        return cls(failure, site, output_sd=sd, phase_sd=sd, trig_sd=sd, score_sd=sd)

    @property
    def is_silent(self) -> bool:
        """Whether there is no noise at all."""
        return not any((self.failure, self.output_sd, self.phase_sd, self.trig_sd, self.score_sd))
