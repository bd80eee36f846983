"""The actor between workers and trainables, without Ray: what it must not lose, and whom it must not give up."""

import asyncio

from ray.exceptions import ActorDiedError, ActorUnavailableError

from neurosweep.trials import switchboard as module
from neurosweep.trials.switchboard import Switchboard


class Trainable:
    """Answers pings with these errors, one after the other, and well when there are no more."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = list(errors)
        self.pings = 0
        self.ping = self

    async def remote(self) -> None:
        self.pings += 1
        if self._errors:
            raise self._errors.pop(0)


def test_a_report_that_is_there_is_taken_even_by_who_has_no_time():
    async def scenario() -> object:
        switchboard = Switchboard()
        await switchboard.open("run", Trainable())
        await switchboard.post("run", {"ending": "1"})
        return await switchboard.take("run", 0.0), await switchboard.take("run", 0.0)

    assert asyncio.run(scenario()) == ({"ending": "1"}, None)


def test_a_trainable_that_does_not_answer_for_once_keeps_its_placement_group(monkeypatch):
    removed = []
    monkeypatch.setattr(module, "_PING_SECONDS", 0.01)
    monkeypatch.setattr(module, "remove_placement_group", removed.append)

    async def scenario(trainable: Trainable) -> None:
        switchboard = Switchboard()
        await switchboard.open("run", trainable)
        await switchboard.occupy("run", "the group")
        while trainable.pings < 4 and not removed:
            await asyncio.sleep(0.01)
        await switchboard.close("run")

    asyncio.run(scenario(Trainable(ActorUnavailableError("rpc_code: 14", b"a" * 16))))
    assert removed == []
    asyncio.run(scenario(Trainable(ActorDiedError())))
    assert removed == ["the group"]
