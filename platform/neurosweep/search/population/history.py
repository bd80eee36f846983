"""What the generations so far tell of the hyperparameters: gains of the score."""

import itertools
from collections.abc import Sequence

from neurosweep.experiments import Objective
from neurosweep.search.population.bandit import Observation
from neurosweep.search.population.log import Generation


def observations(generations: Sequence[Generation], objective: Objective) -> list[Observation]:
    """Return what each member gained in each generation over the score that its weights had before.

    The first generation begins without a score, so it gives none; nor does a member that failed.
    """
    sign = 1.0 if objective.direction == "maximize" else -1.0
    found = []
    for before, now in itertools.pairwise(generations):
        for member, end in sorted(now.ends.items()):
            source = now.steps[member].source
            start = before.ends[source].score if source is not None else None
            if end.score is not None and start is not None:
                gain = sign * (end.score - start)
                found.append(Observation(now.number, now.steps[member].parameters, gain))
    return found
