"""Files that a population leaves behind: lineages, and no more checkpoints than are kept."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from neurosweep.layout import SweepFolder, TrialFolder, read_json, write_json
from neurosweep.search.population.lineage import trace_lineage
from neurosweep.search.population.log import Generation, PopulationHead


def write_lineages(folder: SweepFolder, head: PopulationHead, generations: Sequence[Generation]) -> None:
    """Write the lineage of every member's last weights, for the sweep and beside each member."""
    last = len(generations) - 1
    lineages = {
        number: [asdict(one) for one in trace_lineage(head, generations, member=number, generation=last)]
        for number in range(len(head.seeds))
    }
    for number, stages in lineages.items():
        write_json(folder.trial(number).lineage, {"stages": stages, **_own_path(generations, number)})
    write_json(folder.lineage, {"head": asdict(head), "members": lineages})


def _own_path(generations: Sequence[Generation], number: int) -> Mapping[str, Any]:
    """Who the member copied at the start of each generation, whether or not the copy was kept."""
    return {
        "copied_from": {
            one.number: one.steps[number].source
            for one in generations
            if one.steps[number].source not in (None, number)
        }
    }


def write_kept_config(folder: TrialFolder, kept: Mapping[str, Any]) -> None:
    """Let a member's configuration name the hyperparameters of its kept checkpoint, not those of its last generation.

    Args:
        folder: The member's files.
        kept: Hyperparameters by dotted name.
    """
    content = read_json(folder.config)
    if content:
        for dotted, value in kept.items():
            section, _, name = dotted.partition(".")
            content["sections"][section][name] = value
        write_json(folder.config, content)


def drop_generation_checkpoints(folder: SweepFolder, members: int) -> None:
    """Delete the checkpoints that copies began from."""
    for number in range(members):
        for path in folder.trial(number).root.glob("generation-*.ckpt"):
            path.unlink(missing_ok=True)
