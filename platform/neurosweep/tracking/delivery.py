"""What of a trial has reached MLflow, kept beside the trial. Written after each deed, never before it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields

from neurosweep.layout import TrialFolder, read_json, write_json


@dataclass(frozen=True)
class Delivery:
    """Progress of one trial's delivery.

    Args:
        parent: Run of the sweep that the trial's run belongs to; another one means another MLflow, and that
            everything is to be sent again.
        run_id: The trial's run.
        parameters: Names of the parameters that have arrived. A kill while a trial is being proposed leaves it
            with some of them; the rest follows.
        configured: Whether the resolved configuration has arrived.
        offset: Bytes of the outbox that have arrived.
        tags: Tags as last sent.
        model_id: Logged model of the kept checkpoint.
        published: Whether checkpoint and logged model are complete.
        figures: Whether the pictures of the kept checkpoint have arrived; they are drawn after the trial's end.
        status: Status as last sent.
    """

    parent: str = ""
    run_id: str = ""
    parameters: Sequence[str] = ()
    configured: bool = False
    offset: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    model_id: str = ""
    published: bool = False
    figures: bool = False
    status: str = ""

    def save(self, folder: TrialFolder) -> "Delivery":
        """Write the progress down and return it."""
        write_json(folder.delivery, asdict(self))
        return self


def load_delivery(folder: TrialFolder, *, parent: str) -> Delivery:
    """Read the progress towards this parent run; none if there is none, or it is another parent's."""
    try:
        content = read_json(folder.delivery)
    except ValueError:  # not JSON: what has arrived is found again by its tags
        content = {}
    known = {one.name for one in fields(Delivery)}
    delivery = Delivery(**{key: value for key, value in content.items() if key in known})
    return delivery if delivery.parent == parent else Delivery(parent=parent)
