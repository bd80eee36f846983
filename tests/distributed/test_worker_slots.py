"""How many trials of several workers fit, and what is refused."""

import pytest

from neurosweep.config import ResourceConfig
from neurosweep.errors import ResourceError
from neurosweep.sweeps.capacity import Capacity, Node


def capacity(cpus: float, gpus: float = 0) -> Capacity:
    return Capacity((Node(cpus, gpus),), where="this machine")


@pytest.mark.parametrize(
    ("workers", "cpus_each", "gpus_each", "there", "slots"),
    [
        (1, 1, 0, capacity(8), 8),
        (2, 1, 0, capacity(8), 4),
        (3, 1, 0, capacity(8), 2),
        (2, 2, 0, capacity(8), 2),
        (2, 1, 1, capacity(64, 8), 4),
        (4, 1, 1, capacity(64, 6), 1),
        (2, 1, 0.5, capacity(64, 3), 3),
        (2, 1, 0.25, capacity(64, 1), 2),
        (3, 1, 0.4, capacity(64, 3), 2),  # two workers of 0.4 a GPU: six places, three a trial
    ],
)
def test_slots(workers, cpus_each, gpus_each, there, slots):
    resources = ResourceConfig(workers_per_trial=workers, cpus_per_trial=cpus_each, gpus_per_trial=gpus_each)
    assert there.slots(resources) == slots


@pytest.mark.parametrize(
    ("resources", "told"),
    [
        (
            ResourceConfig(workers_per_trial=3),
            "asks for 1 CPUs for each of its 3 workers, but this machine has 2.",
        ),
        (
            ResourceConfig(workers_per_trial=2, gpus_per_trial=1),
            "asks for 1 GPUs for each of its 2 workers, but this machine has 1.",
        ),
    ],
)
def test_a_trial_that_does_not_fit_is_refused(resources, told):
    with pytest.raises(ResourceError) as caught:
        capacity(2, 1).slots(resources)
    assert told in caught.value.problem
    assert "--workers-per-trial" in caught.value.remedy
