"""What a sweep would do: shown by `--dry-run`, without starting anything."""

from dataclasses import dataclass

from neurosweep.config import ResourceConfig, SweepConfig
from neurosweep.experiments import Constraint, Experiment, import_callable
from neurosweep.search.earlier import EarlierTrials
from neurosweep.search.pinned import sample_space
from neurosweep.sweeps.capacity import Capacity, local_capacity
from neurosweep.sweeps.cluster import ray_cluster
from neurosweep.sweeps.population_checks import population_lines
from neurosweep.sweeps.preparation import PreparedSweep, prepare, tracking_uri
from neurosweep.sweeps.warm_start import read_earlier, refuse_unknown


@dataclass(frozen=True)
class Plan:
    """A sweep before it starts.

    Args:
        prepared: The checked sweep with its data.
        capacity: What the cluster has.
        slots: Trials at the same time.
        searched: Dotted names that the space suggests.
        published: How many trials begin with published values.
        earlier: What it takes over from earlier sweeps.
    """

    prepared: PreparedSweep
    capacity: Capacity
    slots: int
    searched: tuple[str, ...]
    published: int
    earlier: EarlierTrials

    def lines(self) -> list[tuple[str, str]]:
        """Return the plan as pairs of a heading and a text."""
        config = self.prepared.config
        resources, search = config.resources, config.search
        epochs = config.trainer["max_epochs"]
        rounds = -(-search.trials // self.slots)
        way = f"sampler {search.sampler}, pruner {search.pruner}{self._judged()}"
        if config.population.method is not None:
            way = f"members of a {config.population.method} population; no sampler, no pruner"
        lines = [
            ("sweep", config.name),
            ("experiment", f"{self.prepared.experiment.name}: {self.prepared.experiment.summary}"),
            (
                "trials",
                f"{search.trials}, of up to {epochs} epochs ({self.published} with published values), {way}",
            ),
            (
                "objectives",
                ", ".join(f"{one.direction} {one.metric}" for one in self.prepared.experiment.objectives),
            ),
            *[("constraint", _bounds(one)) for one in self.prepared.experiment.constraints],
            *[("warm start", note) for note in self.earlier.notes],
            ("searched", ", ".join(self.searched) or "nothing"),
            ("pinned", ", ".join(f"{name}={value}" for name, value in config.pins.items()) or "nothing"),
            (
                "resources",
                f"{resources.cpus_per_trial:g} CPU and {resources.gpus_per_trial:g} GPU {_each(resources)}; "
                f"{self.capacity.where} has {self.capacity.cpus:g} CPU and {self.capacity.gpus:g} GPU "
                f"on {len(self.capacity.nodes)} node(s)",
            ),
            ("slots", f"{self.slots} at once, so {rounds} rounds at the most"),
            ("data", f"hash {self.prepared.data_hash}, {self.prepared.data_bytes / 1e6:.1f} MB"),
            *[("", note) for note in self.prepared.notes],
            ("writes to", str(self.prepared.folder.root)),
            ("tracking", tracking_uri(config)),
        ]
        if config.population.method is not None:
            lines[5:5] = population_lines(config, self.prepared.experiment)
        if search.time_budget is not None:
            lines.insert(3, ("time budget", f"{search.time_budget:g} s"))
        return lines

    def _judged(self) -> str:
        judged = self.prepared.experiment.judged
        if judged is None:
            return " (nothing is pruned: the experiment has several objectives and no `prune_on`)"
        return "" if judged in self.prepared.experiment.objectives else f" on {judged.metric}"


def _bounds(constraint: Constraint) -> str:
    parts = [] if constraint.at_most is None else [f"at most {constraint.at_most:g}"]
    parts += [] if constraint.at_least is None else [f"at least {constraint.at_least:g}"]
    return f"{constraint.metric} {' and '.join(parts)}"


def make_plan(config: SweepConfig) -> Plan:
    """Check everything that can be checked without starting the sweep.

    Raises:
        NeurosweepError: If the sweep could not start.
    """
    refuse_unknown(config)
    prepared = prepare(config)
    capacity = _capacity(config)
    return Plan(
        prepared=prepared,
        capacity=capacity,
        slots=capacity.slots(config.resources),
        searched=searched_names(prepared.config, prepared.experiment),
        published=_published(prepared.config, prepared.experiment),
        earlier=read_earlier(prepared),
    )


def searched_names(config: SweepConfig, experiment: Experiment) -> tuple[str, ...]:
    """Return the dotted names that the space suggests in some branch."""
    points = sample_space(import_callable(experiment.space), config.pins)
    return tuple(sorted({name for point in points for name in point}))


def _capacity(config: SweepConfig) -> Capacity:
    if config.resources.address == "local":
        return local_capacity()
    with ray_cluster(config.resources.address) as capacity:
        return capacity


def _each(resources: ResourceConfig) -> str:
    workers = resources.workers_per_trial
    return "a trial" if workers == 1 else f"a worker, {workers} workers a trial"


def _published(config: SweepConfig, experiment: Experiment) -> int:
    if not config.search.try_published:
        return 0
    return min(len(experiment.starting_points(config.pins)), config.search.trials)
