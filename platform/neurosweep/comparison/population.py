"""Section of the report on a population: who copied whom, and how the hyperparameters moved."""

from collections.abc import Sequence

import plotly.graph_objects as go

from neurosweep.comparison.charts import lay_out
from neurosweep.comparison.pages import Html, chart, element, join, section
from neurosweep.comparison.wording import short_names, short_value
from neurosweep.experiments import Objective
from neurosweep.layout import SweepFolder
from neurosweep.records import TrialRecord
from neurosweep.search.population.lineage import epochs_of, trace_lineage
from neurosweep.search.population.log import Generation, PopulationHead, read_population


def population(folder: SweepFolder, objectives: Sequence[Objective], best: TrialRecord | None) -> Html:
    """Show generations by members, and the schedule of each hyperparameter; nothing for a search."""
    head, generations = read_population(folder.population)
    if head is None or not generations:
        return Html()
    text = (
        f"A {head.method} population of {len(head.seeds)} members, in generations of {head.generation_epochs} epochs. "
        f"A cell shows {objectives[0].metric} after the generation; ← names the member whose weights and "
        "hyperparameters were copied at its beginning."
    )
    body = [element("p", text), element("div", _copies(head, generations, best), class_="scroll")]
    names = short_names(head.mutable)
    for name in head.mutable:
        body += [
            element("h3", names[name]),
            chart(schedule(head, generations, name=name, best=best), height=280),
        ]
    return section("Population", *body)


def _copies(head: PopulationHead, generations: Sequence[Generation], best: TrialRecord | None) -> Html:
    ancestors = set() if best is None else _ancestors(head, generations, best.number)
    heads = ("generation", "epochs", *(f"member {number}" for number in range(len(head.seeds))))
    rows = []
    for generation in generations:
        first, until = epochs_of(head, generation.number)
        cells = [element("td", generation.number), element("td", f"{first} to {until - 1}")]
        for number in range(len(head.seeds)):
            style = "good" if (generation.number, number) in ancestors else ""
            cells.append(element("td", _cell(generation, number), class_=style))
        rows.append(element("tr", *cells))
    head_row = element("thead", element("tr", *(element("th", one) for one in heads)))
    table = element("table", head_row, element("tbody", *rows), class_="board")
    return join(table)


def _ancestors(head: PopulationHead, generations: Sequence[Generation], member: int) -> set[tuple[int, int]]:
    last = len(generations) - 1
    return {
        (one.generation, one.member)
        for one in trace_lineage(head, generations, member=member, generation=last)
    }


def _cell(generation: Generation, number: int) -> str:
    end, source = generation.ends.get(number), generation.steps[number].source
    score = "" if end is None else (end.failure or short_value(end.score, digits=4))
    return score if source in (None, number) else f"{score} ← {source}"


def schedule(
    head: PopulationHead, generations: Sequence[Generation], *, name: str, best: TrialRecord | None
) -> go.Figure:
    """Draw a hyperparameter by epoch, one line a member."""
    figure = go.Figure()
    for number in range(len(head.seeds)):
        chosen = best is not None and number == best.number
        figure.add_trace(
            go.Scatter(
                x=[epochs_of(head, one.number)[0] for one in generations],
                y=[one.steps[number].parameters[name] for one in generations],
                mode="lines+markers",
                name=f"member {number}",
                line={"shape": "hv", "width": 3 if chosen else 1},
                opacity=1.0 if chosen else 0.5,
            )
        )
    lay_out(figure, x_title="epoch", y_title=name)
    values = [one.parameters[name] for generation in generations for one in generation.steps.values()]
    numbers = [one for one in values if isinstance(one, int | float)]
    if len(numbers) == len(values) and min(numbers) > 0 and max(numbers) > 10 * min(numbers):
        figure.update_yaxes(type="log")
    return figure
