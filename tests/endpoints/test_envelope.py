"""What the observers of answers hear."""

import pytest
from starlette.types import Message, Receive, Scope, Send

from idp.endpoints.envelope import Envelope
from idp.protocol.authorization import Origin


class Observed:
    def __init__(self) -> None:
        self.statuses: list[int] = []

    def observe(self, route: str, method: str, status: int, seconds: float, origin: Origin, /) -> None:
        self.statuses.append(status)


@pytest.mark.parametrize("begun", [False, True])
async def test_an_application_that_fails_is_observed_as_a_failure(begun: bool) -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    async def nothing() -> Message:
        return {"type": "http.disconnect"}

    async def ignore(_: Message) -> None:
        pass

    observed = Observed()
    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": None}
    await Envelope(fails, https=False, observers=[observed])(scope, nothing, ignore)
    assert observed.statuses == [500]
